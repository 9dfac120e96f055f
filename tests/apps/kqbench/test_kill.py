# SPDX-License-Identifier: Apache-2.0
"""Commands that write files, killed many times by SIGKILL at moments chosen at random over all of their length.

usage: test_kill.py KQBENCH [SEED]
       KQ_KILLS is another number of kills than 60 for each command

No program can tidy up after itself then: what it is writing must have no name yet. So nothing is in the folder but the
outputs, each as it was before or whole. Of several outputs, each is whole; that all of them are new or none is not asked,
for a kill can come between two. A file that replaces another has a temporary name for the microseconds between two system
calls, since no call replaces a file by one without a name: one kill of a command may hit those. Exit status 77 (skipped)
where the file system has no files without a name (O_TMPFILE). Needs Python alone.
"""

import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

TIMES = int(os.environ.get("KQ_KILLS", "60"))
SECONDS = 20
BEFORE = b"what was there before"
RUN = "run --backend host --num-tokens 1,2 --hidden-size 64 --max-time 0.005 --num-iters 5 --cache hot --no-ceiling --quiet"


def has_unnamed_files(folder):
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
        return True
    except OSError:
        return False


def write_tensor(file):
    """16 MiB of zeros in small rows."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 64), }"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(file, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        out.truncate(out.tell() + 65536 * 64 * 4)


def is_json(content):
    try:
        json.loads(content)
        return True
    except ValueError:
        return False


def commands(program, tensor, folder):
    """Of each: its name, command line, and its outputs, each with what tells that it is whole."""
    yield "run", [program, *RUN.split(), "--json", folder / "o.json"], {folder / "o.json": is_json}
    yield "quantize", [program, "quantize", tensor, "-o", folder / "o.npy", "--backend", "host", "--granularity", "token",
                       "--quiet"], {
                           folder / "o.npy": lambda content: len(content) == 128 + 65536 * 64,
                           folder / "o.scale.npy": lambda content: len(content) == 128 + 65536 * 4,
                       }  # fmt: skip


def length(command):
    begin = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
    return time.monotonic() - begin


def complaint(outputs, replaced):
    for file, is_whole in outputs.items():
        content = file.read_bytes() if file.exists() else None
        as_before = content == (BEFORE if replaced else None)
        if not as_before and (content is None or not is_whole(content)):
            return f"{file} is neither as before nor whole"
    return None


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    print(f"seed {seed}")
    chosen = random.Random(seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        scratch = pathlib.Path(temporary)
        if not has_unnamed_files(scratch):
            print(f"skipped: the file system of {scratch} has no files without a name")
            return 77
        write_tensor(scratch / "in.npy")
        folder = scratch / "out"
        folder.mkdir()
        for name, command, outputs in commands(sys.argv[1], scratch / "in.npy", folder):
            latest = max(length(command) for _ in range(3))
            killed = written = lingering = times = 0
            # A command that is done sooner than it was at first is killed too late too often: it is tried more times.
            while times < TIMES or (killed < TIMES // 4 and times < 10 * TIMES):
                time_number, times = times, times + 1
                replaced = time_number % 2 == 1
                for file in folder.iterdir():
                    file.unlink()
                for file in outputs if replaced else ():
                    file.write_bytes(BEFORE)
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(chosen.uniform(0, latest))
                process.kill()
                killed += process.wait(timeout=SECONDS) == -signal.SIGKILL
                found = complaint(outputs, replaced)
                left = sorted(str(file) for file in folder.iterdir() if file not in outputs)
                lingering += bool(left)
                if left and (not replaced or lingering > 1):
                    found = f"left {left}"
                written += any(file.exists() and file.read_bytes() != BEFORE for file in outputs)
                if found:
                    wrong += 1
                    print(f"{name}: {found}")
            print(f"{name}: {killed} of {times} killed in {latest:.3f} s, {written} wrote before that, {wrong} went wrong so far")
            wrong += killed < TIMES // 4
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
