# SPDX-License-Identifier: Apache-2.0
"""A sweep, interrupted a hundred times, by SIGINT and SIGTERM in turns and then a few times by SIGHUP, at moments chosen at
random over all of its length; and files being quantized, compared and reported.

usage: test_interrupts.py KQBENCH [SEED]
       KQ_INTERRUPTS is another number than a hundred

Each time kqbench must end in time with status 130 and say that it was interrupted, or have been done; it must leave no file but
those asked for, each whole. A sweep's result file says that rows are missing where they are, and is readable by kqbench. Of a
file that is quantized the codes and scales must all be there, or none, also if a second SIGINT ends the program at once. Needs
Python alone: in place of gnuplot there is a script that draws nothing, slowly.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

TIMES = int(os.environ.get("KQ_INTERRUPTS", "100"))
TIMES_MORE = -(-TIMES // 10)  # a sweep, by SIGHUP
TIMES_OTHERS = -(-TIMES // 8)  # each of the other commands
MOST_TRIES = 20 * TIMES_OTHERS  # of each, since some come too late
BOTH = (signal.SIGINT, signal.SIGTERM)
ALL = (*BOTH, signal.SIGHUP)
SECONDS = 20
SWEEP = "--backend host --num-tokens 1,2 --hidden-size 64 --max-time 0.005 --num-iters 5 --cache hot --no-ceiling --no-progress"
AT_ONCE = "kqbench: interrupted; no unfinished file is left\n"
RESULT = pathlib.Path(__file__).parents[2] / "bench/results/kqbench-1.json"
# In place of gnuplot: a file for each chart, with time to interrupt it before and after.
GNUPLOT = """#!/bin/sh
for file in $(sed -n "s/^set output '\\(.*\\)'/\\1/p" "$2"); do
  sleep 0.01
  echo '<svg></svg>' >"$file"
done
"""


def wait_until_caught(process, signum):
    """Until the program has a handler for the signal; before that it has nothing to lose."""
    bit = 1 << (signum - 1)
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) & bit:
            return
        time.sleep(0.001)


class Ended(NamedTuple):
    status: int
    out: str
    err: str
    in_time: bool  # it had not ended when the signals were sent
    seconds: float  # from when it caught signals


def ended(command, signals, moment, **how):
    """How the process ended that got the signals so long after it caught them; None if it does not end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:  # a pipe would be full at some time
        process = subprocess.Popen(command, stdout=out, stderr=err, **how)
        wait_until_caught(process, ALL[-1])
        begin = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        seconds = time.monotonic() - begin
        in_time = process.poll() is None
        for signum in signals:
            process.send_signal(signum)
            time.sleep(0.002)  # two of a kind at once are one
        try:
            status = process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
        if in_time:
            seconds = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        return Ended(status, out.read(), err.read(), in_time, seconds)


def length(command, **how):
    """Seconds that a command takes from when it catches signals, if none comes: the most of three."""
    times = []
    for _ in range(3):
        end = ended(command, (), 0, **how)
        if end is None or end.status != 0:
            raise RuntimeError(f"without an interrupt: {end}")
        times.append(end.seconds)
    return max(times)


def complaint(program, file, status, out, err):
    """What is wrong with a sweep that has ended, or nothing."""
    result = json.loads(file.read_text()) if file.exists() else None
    if list(file.parent.iterdir()) != [file] * file.exists():
        return f"left {list(file.parent.iterdir())}"
    if (status, out, err) == (130, "", AT_ONCE):
        return "left a file" if result else None  # nothing was measured yet
    if err:
        return f"says {err!r}"
    if status == 0:
        return None if result and result["complete"] else "is not complete"
    if status != 130:
        return f"status {status}, not 130"
    if not out.endswith("Incomplete: rows or samples are missing.\n"):
        return f"says {out[-200:]!r}"
    if not result or result["complete"] or result["schema"] != "kqbench/1":
        return "has no file that says that it is incomplete"
    if result["rows"]:
        read = subprocess.run([program, "compare", file], capture_output=True, text=True, timeout=SECONDS)
        if read.returncode != 0:
            return f"kqbench cannot read the file: {read.stderr}"
    return None


def write_tensor(file):
    """Small rows, so that there are many: 64 MiB of zeros, quantized in a second or so."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (262144, 64), }"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(file, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        out.truncate(out.tell() + 262144 * 64 * 4)


def write_result(file):
    """The sample's first row many times, of as many shapes."""
    result = json.loads(RESULT.read_text())
    first = result["rows"][0]
    result["rows"] = []
    for num_tokens in range(1, 3001):
        bytes_moved = num_tokens * (first["bytes"] // first["num_tokens"])
        gbps = bytes_moved / first["time_us"]["median"] * 1e-3
        result["rows"].append(dict(first, num_tokens=num_tokens, bytes=bytes_moved, gbps=gbps,
                                   ceiling_fraction=gbps / first["ceiling_gbps"]))
    file.write_text(json.dumps(result))


def other_commands(program, folder):
    """Of each: its name, signals, command line, and files that it writes if it is not interrupted."""
    quantize = [program, "quantize", folder / "in.npy", "-o", folder / "out.npy", "--backend", "host", "--quiet"]
    codes = {folder / "out.npy", folder / "out.scale.npy"}
    yield "quantize", [(signum,) for signum in ALL], quantize, codes
    yield "quantize, twice", [(signal.SIGINT, signal.SIGINT)], quantize, codes
    compare = [program, "compare", folder / "in.json", folder / "in.json", "--json", folder / "c.json", "--csv", folder / "c.csv"]
    yield "compare", [(signum,) for signum in ALL], compare, {folder / "c.json", folder / "c.csv"}
    report = [program, "report", RESULT, "--ignore-canary", "-o", folder / "out.html"]
    yield "report", [(signum,) for signum in ALL], report, {folder / "out.html"}


def complaint_of_other(status, err, found, files):
    if status == 0:
        return None if found == files and not err else f"done, with files {sorted(found)}, says {err!r}"
    if status != 130 or err not in (AT_ONCE, "kqbench: interrupted; nothing was written\n"):
        return f"status {status}, says {err!r}"
    # Two results are two files, each of them whole; codes and their scales belong together.
    whole = found in (set(), files, {file for file in files if file.suffix == ".json"})
    return None if whole else f"left {sorted(found)}"


def interrupt_sweeps(program, chosen, folder):
    """How many went wrong."""
    file = folder / "out.json"
    command = [program, *SWEEP.split(), "--json", file]
    latest = length(command)
    wrong = late = incomplete = complete = 0
    signals = [BOTH[i % 2] for i in range(TIMES)] + [signal.SIGHUP] * TIMES_MORE
    while signals:
        file.unlink(missing_ok=True)
        moment = chosen.uniform(0, 1.05 * latest)  # what comes too late does not count
        end = ended(command, signals[-1:], moment)
        if end is None:
            found = f"had not ended after {SECONDS} s"
        else:
            if not end.in_time and late < 3 * TIMES:
                late += 1
                continue
            found = complaint(program, file, end.status, end.out, end.err)
            incomplete += end.status == 130 and file.exists()
            complete += end.status == 0
        if found:
            wrong += 1
            print(f"{signals[-1].name} after {moment:.3f} s: {found}")
        signals.pop()
    print(
        f"{TIMES} + {TIMES_MORE} interrupts in {latest:.3f} s, {late} more too late: "
        f"{incomplete} left an incomplete file, {complete} a complete one, {wrong} went wrong"
    )
    return wrong + (incomplete == 0)


def interrupt_others(program, chosen, folder):
    """How many went wrong."""
    tools, temporary, inputs = folder / "tools", folder / "temporary", folder / "files"
    for path in (tools, temporary, inputs):
        path.mkdir()
    (tools / "gnuplot").write_text(GNUPLOT)
    (tools / "gnuplot").chmod(0o755)
    how = {"env": dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}", TMPDIR=str(temporary))}
    write_tensor(inputs / "in.npy")
    write_result(inputs / "in.json")
    before = set(inputs.iterdir())
    wrong = 0
    for name, signals, command, files in other_commands(program, inputs):
        latest = length(command, **how)
        in_time = tries = 0
        while in_time < TIMES_OTHERS and tries < MOST_TRIES:
            chosen_signals = signals[in_time % len(signals)]
            tries += 1
            for file in set(inputs.iterdir()) - before:
                file.unlink()
            moment = chosen.uniform(0, latest)
            end = ended(command, chosen_signals, moment, **how)
            if end is None:
                found = f"had not ended after {SECONDS} s"
                tries = MOST_TRIES
            else:
                in_time += end.status == 130
                if end.status == 0:  # other programs may have made the first ones slow, or hidden how this one began
                    latest = min(latest, max(end.seconds, 0.8 * latest))
                found = complaint_of_other(end.status, end.err, set(inputs.iterdir()) - before, files)
            if list(temporary.iterdir()):
                found = f"left {list(temporary.iterdir())}"
                shutil.rmtree(temporary)
                temporary.mkdir()
            if found:
                wrong += 1
                print(f"{name}: {chosen_signals} after {moment:.3f} s: {found}")
        print(f"{name}: {tries} interrupts, at last in {latest:.3f} s, {in_time} in time")
        wrong += in_time < TIMES_OTHERS
    return wrong


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    print(f"seed {seed}")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever ran this under nohup ignores it, and so would the children
    chosen = random.Random(seed)
    wrong = 0
    for interrupt in (interrupt_sweeps, interrupt_others):
        with tempfile.TemporaryDirectory() as scratch:
            wrong += interrupt(sys.argv[1], chosen, pathlib.Path(scratch))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
