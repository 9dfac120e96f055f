# SPDX-License-Identifier: Apache-2.0
"""A sweep, interrupted a hundred times, by SIGINT, SIGTERM and SIGHUP in turns, at moments chosen at random; and files being
quantized, twenty times.

usage: test_interrupts.py KQBENCH [SEED]

Each time kqbench must end in time with status 130 and say that rows are missing; its result file must be absent, or whole, marked
incomplete, and readable by kqbench. Of a file that is quantized the codes and scales must all be there, or none. Needs Python
alone.
"""

import json
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

TIMES = 100
TIMES_QUANTIZING = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST = 0.2  # seconds into the sweep, which takes several
SECONDS = 20
SWEEP = "--backend host --num-tokens 1,2,3,4,5,6,7,8 --hidden-size 64,96,128,1024 --quant-dtype int8,fp8 --dtype half,float"


def wait_until_caught(process, signum):
    """Until the program has a handler for the signal; before that it has nothing to lose."""
    bit = 1 << (signum - 1)
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) & bit:
            return
        time.sleep(0.001)


def interrupted(command, signum, moment):
    """The process after the signal, its output and its errors; nothing if it does not end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until_caught(process, signum)
    time.sleep(moment)
    process.send_signal(signum)
    try:
        return process, *process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return None


STILL_RUNS = f"had not ended after {SECONDS} s"


def complaint(program, folder, signum, moment):
    """What was wrong with one run, or nothing; and whether it left a file."""
    file = folder / "out.json"
    file.unlink(missing_ok=True)
    command = [program, *SWEEP.split(), "--max-time", "0.02", "--cache", "hot", "--no-ceiling", "--no-progress", "--json", file]
    ended = interrupted(command, signum, moment)
    if ended is None:
        return STILL_RUNS, False
    process, out, err = ended
    if process.returncode != 130:
        return f"status {process.returncode}, not 130: {err}", False
    if err or not out.endswith("Interrupted: rows are missing.\n"):
        return f"says {out[-200:]!r} and {err!r}", False
    if list(folder.iterdir()) != [file] * file.exists():
        return f"left {list(folder.iterdir())}", False
    if not file.exists():
        return None, False
    result = json.loads(file.read_text())
    if result["complete"] is not False or result["schema"] != "kqbench/1":
        return "the file does not say that it is incomplete", True
    if result["rows"]:
        read = subprocess.run([program, "compare", file], capture_output=True, text=True, timeout=SECONDS)
        if read.returncode != 0:
            return f"kqbench cannot read the file: {read.stderr}", True
    return None, True


def write_tensor(file):
    """Small rows, so that there are many: 64 MiB of zeros, quantized in a second or so."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (262144, 64), }"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(file, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        out.truncate(out.tell() + 262144 * 64 * 4)


def complaint_quantizing(program, folder, signum, moment):
    """What was wrong with one run of quantize, or nothing; and whether it was in time to be interrupted."""
    before = {folder / "in.npy"}
    ended = interrupted([program, "quantize", folder / "in.npy", "-o", folder / "out.npy", "--backend", "host"], signum, moment)
    if ended is None:
        return STILL_RUNS, False
    process, _, err = ended
    found = set(folder.iterdir()) - before
    for file in found:
        file.unlink()
    if process.returncode == 0 and found == {folder / "out.npy", folder / "out.scale.npy"} and not err:
        return None, False
    if process.returncode != 130 or found or err != "kqbench: interrupted; nothing was written\n":
        return f"status {process.returncode}, files {sorted(found)}, says {err!r}", True
    return None, True


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    print(f"seed {seed}")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever ran this under nohup ignores it, and so would the children
    chosen = random.Random(seed)
    wrong = files = 0
    with tempfile.TemporaryDirectory() as scratch:
        for i in range(TIMES):
            signum = SIGNALS[i % len(SIGNALS)]
            moment = chosen.uniform(0, LONGEST)
            found, left_a_file = complaint(sys.argv[1], pathlib.Path(scratch), signum, moment)
            files += left_a_file
            if found:
                wrong += 1
                print(f"{signum.name} after {moment:.3f} s: {found}")
    print(f"{TIMES} interrupts, {files} left a file, {wrong} went wrong")
    in_time = 0
    with tempfile.TemporaryDirectory() as scratch:
        write_tensor(pathlib.Path(scratch) / "in.npy")
        for i in range(TIMES_QUANTIZING):
            signum = SIGNALS[i % len(SIGNALS)]
            moment = chosen.uniform(0, LONGEST / 2)
            found, was_in_time = complaint_quantizing(sys.argv[1], pathlib.Path(scratch), signum, moment)
            in_time += was_in_time
            if found:
                wrong += 1
                print(f"{signum.name} after {moment:.3f} s of quantizing: {found}")
    print(f"{TIMES_QUANTIZING} interrupts while quantizing, {in_time} in time")
    return 1 if wrong or files == 0 or in_time == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
