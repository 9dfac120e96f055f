#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every block of commands (```sh) of every page is run by a test, or listed here with a reason.

usage: commands.py check
       commands.py run KQBENCH [PAGE]...
       commands.py mpi KQBENCH [PAGE]...

`check` looks for blocks that are not listed and for entries without a block. `run` runs the blocks whose entry is RUN, those of
a page in order in a folder of their own, on the host. There kqbench is a stand-in that makes measurements short, the shapes of
sweeps and of `verify` small, and of a GPU the host, and that otherwise passes on what it was given. Other stand-ins are srun,
which starts two ranks, and ncu, which starts the program. `mpi` runs those whose entry is MPI, with this machine's mpirun and two
ranks; KQBENCH has to be built with MPI.
"""

import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

from pages import ROOT, pages, split

RUN = ("run",)
MPI = ("mpi",)


def by(file, *words):
    """Run by another test, which has these words."""
    return ("by", file, words)


def left(reason):
    return ("left", reason)


BARE = ".ci/run-bare"
PLUGIN_PAGE = by("tests/plugin/run_page.bash", "```sh blocks")
NEEDS_GPU = left("needs a GPU; the project's results are made so")

# page and first line: how
HOW = {
    ("README.md", "git clone <this repository> kqbench && cd kqbench"):
        by(".ci/gates/2-debian-12", "./bootstrap test", "./bootstrap bench"),
    ("README.md", "python3 -m venv env && . env/bin/activate"): by(".ci/gates/10-python", "pip"),
    (".github/ISSUE_TEMPLATE/amd-results.md", "kqbench list"): RUN,
    ("apps/peers/README.md", "kqbench --sweep llm --quant-dtype fp8,int8 --dtype bfloat16 --json ours.json"):
        by("tests/python/test_peers.py", "peers"),
    ("docs/amd.md", "cmake --preset hip -DKQ_HIP_ARCHITECTURES=gfx942"):
        left("compiling all kernels takes an hour; .ci/gates/6-hip compiles the sources"),
    ("docs/amd.md", "kqbench verify --backend hip"): RUN,
    ("docs/building.md", "./bootstrap packages"): by(BARE, "./bootstrap packages", "--preset"),
    ("docs/building.md", "KQ_EXHAUSTIVE=1 ctest --preset host -L 'core|soak'   # every number of a format; ten thousand runs "
     "(cuda, hip: on the GPU too)"): left("takes an hour; by hand before a release"),
    ("docs/building.md", "./bootstrap packages coverage"): by(BARE, "./bootstrap packages all", "coverage"),
    ("docs/building.md", "./bootstrap packages tsan"): by(".ci/gates/9-threads", "--preset tsan"),
    ("docs/building.md", "./bootstrap packages fuzz"): by(BARE, "cmake -S fuzz", "fuzz_npy"),
    ("docs/building.md", "./bootstrap packages package"): by(".ci/gates/7-package", "--preset package", "cpack"),
    ("docs/building.md", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F kqbench list       # v3 on a processor that is v4"):
        by(".ci/gates/7-package", "GLIBC_TUNABLES", "kqbench list"),
    ("docs/building.md", "python3 -m venv build/mkdocs && build/mkdocs/bin/pip install -r docs/site/requirements.txt"):
        by(".ci/gates/12-docs", "build --strict --config-file docs/site/mkdocs.yml", "install -r docs/site/requirements.txt"),
    ("docs/c.md", "./bootstrap build"): by("tests/package/check_install.cmake", "--install", "-S ${EXAMPLE}"),
    ("docs/clusters.md", "srun --ntasks-per-node=8 kqbench --sweep quick --json 'run-%h-%r.json'"): RUN,
    ("docs/clusters.md", "mpirun -n 8 --bind-to none kqbench --sweep quick --json together.json           # all at once: the "
     "default, --together"): MPI,
    ("docs/clusters.md", "kqbench fleet run-*.json --json fleet.json --csv fleet.csv --markdown fleet.md"):
        RUN,
    ("docs/clusters.md", "mpirun -n 8 --bind-to none kqbench sharded --num-tokens 4096 --hidden-size 8192 --quant-dtype fp8 "
     "--json sharded.json"): MPI,
    ("docs/clusters.md", "torchrun --no-python --nproc-per-node 8 kqbench sharded --rendezvous /tmp/id"):
        left("needs several GPUs: without MPI ranks exchange through NCCL or RCCL"),
    ("docs/command_line.md", "kqbench --sweep quick --quant-dtype fp8 --granularity group:128 --json results.json"): RUN,
    ("docs/comparing.md", "kqbench --num-tokens 64 --hidden-size 1024 --json a.json"): RUN,
    ("docs/comparing.md", "kqbench report a.json b.json -o report.html"): RUN,
    ("docs/dialects.md", "kqbench list --dialects                        # names, versions, schemes, formulas, and where each "
     "differs"): RUN,
    ("docs/extending.md", "./bootstrap build"):
        by(".ci/gates/2-debian-12", "./bootstrap build\n", "kqbench verify --quiet", "./bootstrap test -j"),
    ("docs/extending.md", "build/host/apps/kqbench/kqbench --num-tokens 1024 --hidden-size 4096 --quant-dtype fp8 --json "
     "before.json"): RUN,
    ("docs/getting_started.md", "git clone <this repository> kqbench && cd kqbench"):
        by(BARE, "./bootstrap --dry-run bench"),
    ("docs/getting_started.md", "./bootstrap bench --num-tokens 64 --hidden-size 1024 --quant-dtype fp8 --granularity token"):
        by(".ci/gates/2-debian-12", "./bootstrap bench --num-tokens 64 --hidden-size 1024"),
    ("docs/getting_started.md", "kqbench --num-tokens 64 --hidden-size 1024 --quant-dtype int8,fp8 --json ours.json"): RUN,
    ("docs/getting_started.md", "./bootstrap test"): by(".ci/gates/2-debian-12", "./bootstrap test"),
    ("docs/getting_started.md", "python3 -m venv env && . env/bin/activate"): by(".ci/gates/10-python", "pip"),
    ("docs/getting_started.md", 'python3 -m venv "$HOME/kq-tools" && "$HOME/kq-tools/bin/pip" install cmake ninja'):
        by(BARE, 'python3 -m venv "$HOME/kq-tools"', "./bootstrap bench"),
    ("docs/measurement.md", "ncu --profile-from-start off --clock-control none --cache-control none \\"): RUN,
    ("docs/python.md", "python3 -m venv env && . env/bin/activate                     # a virtual environment, which Debian's "
     "Python asks for"): by(".ci/gates/10-python", "pip"),
    ("docs/python.md", "apt-get install g++ python3-dev python3-venv libtrilinos-kokkos-dev libcli11-dev nlohmann-json3-dev "
     "libfmt-dev"): by("bootstrap", "missing_for_python"),
    ("docs/results/README.md", "python/make_in_build build/cuda         # the Python package, which the peers use"): NEEDS_GPU,
    ("docs/results/README.md", "OURS_OPTIONS='--max-time 0.2' PEERS_OPTIONS='--peers torch.compile,triton --hidden-size "
     "4096,8192 --num-tokens 1,128,4096 --max-time 0.1' docs/results/regenerate h200 build/cuda"): NEEDS_GPU,
    ("docs/results/README.md", "docs/results/table docs/results/h200/speed.json docs/results/h200/producers.json"):
        by("tests/docs/check_pages.py", "docs/results/table"),
    ("docs/results/host.md", "kqbench --num-tokens 1024 --hidden-size 4096 --dtype half,float --quant-dtype fp8,int8 "
     "--static-scale --host-threads 1"): RUN,
    ("docs/results/tiles.md", "tools/measure_launches before=build/before after=build/after --dtype half"): NEEDS_GPU,
}


def key(block):
    return block.page, block.text.partition("\n")[0]


def how(block):
    if block.page == "docs/your_own_kernel.md":  # run whole, in order
        return PLUGIN_PAGE
    return HOW.get(key(block))


def blocks():
    return [block for page in pages() for block in split(page)[0] if block.language in ("sh", "bash", "shell")]


def check():
    wrong = []
    found = blocks()
    for block in found:
        where = f"{block.page}:{block.line}"
        entry = how(block)
        if entry is None:
            wrong.append(f"{where}: this block of commands is not in tests/docs/commands.py")
        elif entry[0] == "by":
            file = ROOT / entry[1]
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            wrong += [f"{where}: {entry[1]} does not run {words!r}" for words in entry[2] if words not in text]
    there = set(map(key, found))
    wrong += [f"tests/docs/commands.py: {page} has no block that begins with {line!r}" for page, line in HOW
              if (page, line) not in there]
    for text in wrong:
        print(text, file=sys.stderr)
    kinds = [entry[0] for entry in map(how, found) if entry]
    print(f"{len(found)} blocks of commands: {kinds.count('run')} run by this test, {kinds.count('mpi')} with MPI, "
          f"{kinds.count('by')} by others, {kinds.count('left')} left out with a reason")
    return 1 if wrong else 0


# --- running ----------------------------------------------------------------------------------------------------------

# What the commands call, by name; {kqbench} is the program that is tested.
STAND_INS = {
    "kqbench": """#!/bin/sh
backend="--backend host" job=${1-}
for word; do
  shift
  case $word in
    --sweep) set -- "$@" --num-tokens 16 --hidden-size 256 ;; # in place of the sweep's shapes
    hip) word=host backend= ;;
    4096 | 8192) [ "$job" != sharded ] || word=256 ;;
  esac
  set -- "$@" "$word"
done
case $job in
  verify) set -- "$@" --num-tokens 3 --hidden-size 256 --dtype half ;;
  sharded) set -- "$@" --num-samples 7 ;;
  -* | run) set -- "$@" --max-time 0.05 --num-iters 1 --num-warmup-iters 1 --rounds 1 $backend ;;
esac
exec {kqbench} "$@"
""",
    "srun": """#!/bin/sh
shift # --ntasks-per-node=
for rank in 0 1; do
  SLURM_PROCID=$rank SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=$rank "$@" || exit
done
""",
    "mpirun": """#!/bin/sh
shift 2 # -n 8
exec {mpirun} -n 2 "$@"
""",
    "ncu": """#!/bin/sh
while [ "$1" != kqbench ]; do shift; done
exec "$@"
""",
}


def small_tensor():
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 256), }"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<1024f", *range(1024))


def write_stand_ins(folder, program):
    folder.mkdir(parents=True)
    real = {"{kqbench}": shlex.quote(program), "{mpirun}": shutil.which("mpirun") or "false"}
    for name, text in STAND_INS.items():
        (folder / name).write_text(re.sub("{kqbench}|{mpirun}", lambda place: real[place.group()], text))
        (folder / name).chmod(0o755)


def run(kind, program, only):
    if not shutil.which("gnuplot"):
        print("skipped: gnuplot is not installed (./bootstrap packages)")
        return 77
    failed = 0
    to_run = [block for block in blocks() if how(block) == kind]
    for page in pages():
        chosen = [block for block in to_run if block.page == page]
        if not chosen or (only and page not in only):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            tools = folder / "build/host/apps/kqbench"
            write_stand_ins(tools, program)
            (folder / "x.npy").write_bytes(small_tensor())
            environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
            for block in chosen:
                script = re.sub(r"^ +", "", block.text, flags=re.MULTILINE)
                ended = subprocess.run(["bash", "-Eeuo", "pipefail", "-c", script], cwd=folder, env=environment, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
                print(f"{page}:{block.line}: status {ended.returncode}")
                if ended.returncode != 0:
                    failed += 1
                    print("\n".join(ended.stdout.splitlines()[-20:]))
    return 1 if failed else 0


def main(arguments):
    if arguments == ["check"]:
        return check()
    if len(arguments) >= 2 and arguments[0] in ("run", "mpi"):
        return run((arguments[0],), os.path.abspath(arguments[1]), arguments[2:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
