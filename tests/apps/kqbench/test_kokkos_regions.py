# SPDX-License-Identifier: Apache-2.0
"""What a Kokkos tool sees of `kqbench run --profile`: a region for each implementation, named after it and its work, and
Kokkos's kernels in its own.

usage: test_kokkos_regions.py KQBENCH TOOL

TOOL is the library made of kokkos_tool.cpp. Exit status 77 (skipped) where Kokkos loads no tools. Needs Python alone.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

COMMAND = ("run --profile --backend host --impl kokkos,native --num-tokens 6 --hidden-size 64 --quant-dtype int8,fp8 "
           "--cache hot --quiet").split()
WORKS = ["dynamic token int8 from half, 6 x 64", "dynamic tensor fp8_e4m3fn from half, 6 x 64"]


def journal_of(program, tool):
    with tempfile.TemporaryDirectory() as scratch:
        journal = pathlib.Path(scratch) / "journal"
        # An older Kokkos looks for the first name, a newer one for the second.
        environment = dict(os.environ, KOKKOS_PROFILE_LIBRARY=tool, KOKKOS_TOOLS_LIBS=tool,
                           KQ_TOOL_JOURNAL=str(journal))
        subprocess.run([program, *COMMAND], env=environment, check=True, stdout=subprocess.DEVNULL)
        return journal.read_text().splitlines() if journal.exists() else []


def main():
    journal = journal_of(*sys.argv[1:3])
    if not journal:
        print("skipped: this Kokkos was built without the loading of tools")
        return 77
    regions, name = [], None
    for line in journal:
        what, _, rest = line.partition(" ")
        if what == "push":
            assert name is None, f"{rest} begins in {name}"
            name = rest
            regions.append([name, 0])
        elif what == "pop":
            assert name is not None, "a region ends that has not begun"
            name = None
        elif what == "kernel" and name is not None:
            regions[-1][1] += 1
    assert name is None, f"{name} does not end"
    found = [region for region, _ in regions]
    assert found == [f"{impl}: {work}" for work in WORKS for impl in ("kokkos", "native")], found
    for region, kernels in regions:
        assert (kernels > 0) == region.startswith("kokkos"), f"{region}: {kernels} kernels of Kokkos's"
    print("\n".join(journal))
    return 0


if __name__ == "__main__":
    sys.exit(main())
