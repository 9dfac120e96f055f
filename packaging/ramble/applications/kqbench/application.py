# SPDX-License-Identifier: Apache-2.0
"""Ramble's application of kqbench, which Benchpark's experiments are made of. docs/clusters.md says how to use it."""

from ramble.appkit import *

FOM = (
    r"^FOM impl=(?P<impl>\S+) rows=(?P<rows>\d+) verified=(?P<verified>\d+) ranks=(?P<ranks>\d+) time_us=(?P<time_us>\S+) "
    r"gbps=(?P<gbps>\S+) ceiling_fraction=(?P<ceiling_fraction>\S+) time_ratio_to_native=(?P<time_ratio_to_native>\S+) "
    r"spread=(?P<spread>\S+)"
)


class Kqbench(ExecutableApplication):
    """Times activation quantization: kernels written once in Kokkos, native ones, and the memory's own limit."""

    name = "kqbench"

    tags("benchmark", "memory", "quantization")

    executable("single", "{kqbench} --json run.json --fom {options}", use_mpi=False)
    # With MPI every rank measures a device of its own, and rank 0 writes.
    executable("ranks", "{kqbench} --json run.json --fom --{how} {options}", use_mpi=True)

    workload("single", executable="single")
    workload("ranks", executable="ranks")

    workload_variable("kqbench", default="kqbench", description="The program", workloads=["single", "ranks"])
    workload_variable("options", default="--sweep quick", description="Of kqbench run", workloads=["single", "ranks"])
    workload_variable("how", default="together", description="together or alone", workloads=["ranks"])

    for figure, units in (
        ("time_us", "us"),
        ("gbps", "GB/s"),
        ("ceiling_fraction", ""),
        ("time_ratio_to_native", ""),
        ("spread", ""),
        ("ranks", ""),
        ("rows", ""),
        ("verified", ""),
    ):
        figure_of_merit(figure, fom_regex=FOM, group_name=figure, units=units, log_file="{log_file}")

    success_criteria("measured", mode="string", match=FOM, file="{log_file}")
