# SPDX-License-Identifier: Apache-2.0
"""kqbench started by mpirun: four ranks measure together and alone and gather in one file; a rank that is killed, rank 0 among
them, ends the job in good order, with what the others measured and its name; so does a full disk on one rank.

usage: test_mpi.py KQBENCH MPIRUN

KQBENCH is built with -DKQBENCH_MPI=ON, MPIRUN is Open MPI's. Needs Python alone.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

RANKS = 4
SECONDS = 60
QUICK = "--backend host --num-tokens 1,2 --hidden-size 64 --max-time 0.02 --cache hot --no-ceiling --no-progress".split()
# Rows of little work for long enough to be killed in the middle: each is over quickly, and there are many.
LONG = "--backend host --hidden-size 64 --max-time 0.1 --rounds 1 --cache hot --no-ceiling --no-progress --num-tokens".split()
LONG.append(",".join(str(number) for number in range(1, 200)))


class Job:
    """The command that starts the ranks, and the folder that they run in."""

    def __init__(self, kqbench, mpirun, folder):
        # A machine that runs tests is busy: more than a second from SIGTERM to SIGKILL.
        options = "--oversubscribe --allow-run-as-root --bind-to none --mca odls_base_sigkill_timeout 5"
        self.command = [mpirun, "-n", str(RANKS), *options.split(), kqbench]
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
        self.folder = pathlib.Path(folder)

    def run(self, *arguments):
        where = dict(cwd=self.folder, env=self.environment)
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False, **where)

    def start(self, *arguments):
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return subprocess.Popen([*self.command, *arguments], cwd=self.folder, env=self.environment, **pipes)

    def result(self, name):
        return json.loads((self.folder / name).read_text())

    def folder_names(self):
        return sorted(path.name for path in self.folder.iterdir())


def ranks_of(mpirun):
    """The processes of the ranks, by rank, once they all measure: some time has passed, and each has worked for most of a
    second, which takes longer on a machine that others use."""
    found = {}
    until = time.monotonic() + 20
    while len(found) < RANKS and time.monotonic() < until:
        for path in pathlib.Path("/proc").iterdir():
            try:
                parent = re.search(r"^PPid:\s*(\d+)", (path / "status").read_text(), re.M)
                if parent is None or int(parent[1]) != mpirun.pid or b"kqbench" not in (path / "cmdline").read_bytes():
                    continue
                rank = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", (path / "environ").read_bytes())
                if rank:
                    found[int(rank[1])] = int(path.name)
            except OSError:
                continue
        time.sleep(0.05)
    assert len(found) == RANKS, found
    time.sleep(2)
    while min(map(worked, found.values())) < 0.8 and time.monotonic() < until:
        time.sleep(0.05)
    return found


def worked(process):
    """Seconds of processor time."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def expect_results(job):
    for how in ("together", "alone"):
        ended = job.run(*QUICK, f"--{how}", "--json", f"{how}.json", "--csv", f"{how}.csv", "--fom")
        assert ended.returncode == 0, ended
        result = job.result(f"{how}.json")
        assert result["complete"]
        assert result["setting"]["measured"] == how
        assert result["setting"]["size"] == RANKS
        assert [rank["rank"] for rank in result["setting"]["ranks"]] == list(range(RANKS))
        assert all(rank["host"] and rank["complete"] for rank in result["setting"]["ranks"])
        rows = [(row["rank"], row["num_tokens"], row["impl"]) for row in result["rows"]]
        assert sorted(rows) == sorted((r, n, i) for r in range(RANKS) for n in (1, 2) for i in ("kokkos", "native")), rows
        assert all(row["verified"] for row in result["rows"])
        assert len((job.folder / f"{how}.csv").read_text().splitlines()) == 1 + len(rows)
        last = ended.stdout.splitlines()[-1]
        assert re.match(rf"FOM impl=kokkos rows={2 * RANKS} verified={2 * RANKS} ranks={RANKS} time_us=[0-9.]+ ", last), last
        assert ended.stdout.count("4 devices on 1 host") == 1, "rank 0 alone prints"
    assert job.folder_names() == ["alone.csv", "alone.json", "together.csv", "together.json"]
    kqbench = job.command[-1]
    command = [kqbench, "fleet", "together.json", "alone.json", "--json", "-"]
    fleet = subprocess.run(command, cwd=job.folder, capture_output=True, text=True, check=True)
    assert len(json.loads(fleet.stdout)["together_alone"]) == 4


def expect_files_of_each(job):
    ended = job.run(*QUICK, "--json", "run-%r-%h.json")
    assert ended.returncode == 0, ended
    names = job.folder_names()
    assert len(names) == RANKS and all(name.startswith(f"run-{rank}-") for rank, name in enumerate(names)), names
    assert all(len(job.result(name)["rows"]) == 4 for name in names)


def expect_one_line_for_a_wrong_option(job):
    ended = job.run(*QUICK, "--timing", "x")
    assert ended.returncode == 2, ended
    lines = [line for line in ended.stderr.splitlines() if line.startswith("kqbench:")]
    assert lines == ["kqbench: --timing: 'x' is not known; give graph, stream or wall"], ended.stderr


def expect_killed(job, killed):
    mpirun = job.start(*LONG, "--json", "run.json")
    os.kill(ranks_of(mpirun)[killed], signal.SIGKILL)
    begin = time.monotonic()
    _, errors = mpirun.communicate(timeout=SECONDS)
    assert time.monotonic() - begin < 15, "the job did not end in good time"
    assert mpirun.returncode != 0
    if killed != 0:
        assert re.search(rf"^kqbench: rank {killed} on \S+: ended without a word", errors, re.M), errors
        assert job.folder_names() == ["run.json"]
        result = job.result("run.json")
        ranks = result["setting"]["ranks"]
        assert not result["complete"]
        assert [bool(rank["failure"]) for rank in ranks] == [rank == killed for rank in range(RANKS)], ranks
        measured = {row["rank"] for row in result["rows"]}
        assert measured == set(range(RANKS)) - {killed}, measured
        return
    # Rank 0 is the one that writes: the others keep what they have beside its file.
    assert "rank 0 is gone" in errors, errors
    assert job.folder_names() == [f"run.json.rank{rank}" for rank in range(1, RANKS)], job.folder_names()
    for rank in range(1, RANKS):
        result = job.result(f"run.json.rank{rank}")
        assert result["rows"] and not result["complete"] and result["setting"]["rank"] == rank


def expect_interrupted(job):
    mpirun = job.start(*LONG, "--json", "run.json")
    ranks_of(mpirun)
    mpirun.send_signal(signal.SIGTERM)
    mpirun.communicate(timeout=SECONDS)
    result = job.result("run.json")
    assert mpirun.returncode != 0 and not result["complete"]
    assert {row["rank"] for row in result["rows"]} == set(range(RANKS))


def expect_full_disk(job):
    (job.folder / "run-2.json").symlink_to("/dev/full")
    ended = job.run(*QUICK, "--json", "run-%r.json")
    assert ended.returncode == 3, ended
    assert re.search(r"^kqbench: rank 2 on \S+: 'run-2.json': .*No space left", ended.stderr, re.M), ended.stderr
    for rank in (0, 1, 3):
        assert job.result(f"run-{rank}.json")["rows"], rank


def expect_full_disk_of_rank_0(job):
    ended = job.run(*QUICK, "--json", "/dev/full")
    assert ended.returncode == 3, ended
    assert re.search(r"^kqbench: '/dev/full': .*No space left", ended.stderr, re.M), ended.stderr


def expect_sharded(job):
    """Every rank's codes by scales of the whole, bit for bit, and what the exchange costs."""
    shape = "--num-tokens 5,33 --hidden-size 130 --quant-dtype fp8,int8 --dtype bfloat16 --num-samples 6".split()
    ended = job.run("sharded", "--backend", "host", "--no-color", *shape, "--json", "sharded-%r.json")
    assert ended.returncode == 0, ended
    assert ended.stdout.count(" ok") == 8, ended.stdout
    assert f"columns over {RANKS} ranks (" in ended.stdout, ended.stdout
    result = job.result("sharded-0.json")  # rank 0's, with all of them
    assert result["ranks"] == RANKS and result["exchange"].startswith("Open MPI")
    assert len(result["rows"]) == 8
    for row in result["rows"]:
        assert row["verified"] and [of_rank["rank"] for of_rank in row["by_rank"]] == list(range(RANKS))
        assert all(of_rank["sharded_us"] > 0 for of_rank in row["by_rank"])
    ended = job.run("sharded", "--backend", "host", *shape, "--json", "missing/sharded.json")  # rank 0's alone
    assert ended.returncode != 0 and "missing" in ended.stderr, ended
    ended = job.run("sharded", "--backend", "host", "--hidden-size", "3")
    assert ended.returncode == 2 and "3 columns are too few for 4 ranks" in ended.stderr, ended


def main(kqbench, mpirun):
    checks = [
        expect_results,
        expect_files_of_each,
        expect_one_line_for_a_wrong_option,
        lambda job: expect_killed(job, 2),
        lambda job: expect_killed(job, 0),
        expect_interrupted,
        expect_full_disk,
        expect_full_disk_of_rank_0,
        expect_sharded,
    ]
    for check in checks:
        with tempfile.TemporaryDirectory() as folder:
            check(Job(kqbench, mpirun, folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
