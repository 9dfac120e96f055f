# SPDX-License-Identifier: Apache-2.0
"""ReFrame's tests of kqbench (ReFrame 4): every timed output is right, and the figures of merit are recorded.

    reframe -c packaging/reframe/kqbench_check.py -r -S kqbench=<the program> [-S options='--sweep quick'] [-S ranks=4]

With ranks above 1 the system's parallel launcher starts them. References for a system are given as for any ReFrame test:

    reframe … -S 'KqbenchRun.reference={"mysystem:gpu": {"gbps": (3840, -0.05, None, "GB/s")}}'
"""

import reframe as rfm
import reframe.utility.sanity as sn

FIGURES = {"time_us": "us", "gbps": "GB/s", "ceiling_fraction": "1", "time_ratio_to_native": "1"}


@rfm.simple_test
class KqbenchRun(rfm.RunOnlyRegressionTest):
    """One run of kqbench, on one device or on a rank for each."""

    descr = "activation quantization: times, and every output checked"
    valid_systems = ["*"]
    valid_prog_environs = ["*"]

    kqbench = variable(str, value="kqbench")
    options = variable(str, value="--num-tokens 64 --hidden-size 1024 --quant-dtype int8,fp8 --max-time 0.2")
    ranks = variable(int, value=1)

    @run_before("run")
    def set_command(self):
        self.executable = self.kqbench
        self.executable_opts = ["--json", "run.json", "--fom", self.options]
        self.num_tasks = self.ranks
        self.keep_files = ["run.json"]

    @sanity_function
    def every_row_is_verified(self):
        rows = sn.extractsingle(r"^FOM .* rows=(\d+)", self.stdout, 1, int)
        verified = sn.extractsingle(r"^FOM .* verified=(\d+)", self.stdout, 1, int)
        ranks = sn.extractsingle(r"^FOM .* ranks=(\d+)", self.stdout, 1, int)
        return sn.all([sn.assert_gt(rows, 0), sn.assert_eq(rows, verified), sn.assert_eq(ranks, self.ranks)])

    @run_before("performance")
    def set_figures(self):
        def figure(name):
            return sn.extractsingle(rf"^FOM .* {name}=(\S+)", self.stdout, 1, float)

        self.perf_variables = {name: sn.make_performance_function(figure(name), unit) for name, unit in FIGURES.items()}
