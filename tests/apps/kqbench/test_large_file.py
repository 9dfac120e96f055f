# SPDX-License-Identifier: Apache-2.0
"""A file that is larger than the memory that `kqbench quantize` may have: it goes row block by row block.

usage: test_large_file.py KQBENCH

The file, 1.25 GiB of float zeros but for its last two rows, is a hole that takes no room on the disk; kqbench's whole address
space is three quarters of that. Once with a static scale, once with one of the whole tensor, which those last rows decide.
Exit status 77 (skipped) where the disk has no room for the codes. Needs Python alone.
"""

import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

ROWS, COLUMNS = 81920, 4096
MEMORY = ROWS * COLUMNS * 3  # kqbench holds a block of 256 MiB twice, its codes and what a program takes
# By the scale 0.5, which is also 224 / 448: what the largest number gives.
SCALE = 0.5
TAIL = {(ROWS - 2, COLUMNS - 1): (-224.0, 0xFE), (ROWS - 1, 0): (0.5, 0x38), (ROWS - 1, 1): (-1.0, 0xC0),
        (ROWS - 1, COLUMNS - 1): (112.0, 0x76)}


def write_tensor(file):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, {COLUMNS}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    with open(file, "wb") as out:
        out.write(start)
        out.truncate(len(start) + ROWS * COLUMNS * 4)
        for (row, column), (value, _) in TAIL.items():
            out.seek(len(start) + (row * COLUMNS + column) * 4)
            out.write(struct.pack("<f", value))


def data_of(file, size):
    """The last `size` bytes of a file, some at a time; what is before them is the header."""
    with open(file, "rb") as given:
        given.seek(-size, os.SEEK_END)
        while part := given.read(1 << 24):
            yield part


def check(program, folder, *options):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # Every thread has an address space of its own for its stack and what it allocates.
    environment = dict(os.environ, OMP_NUM_THREADS="2", MALLOC_ARENA_MAX="1")
    done = subprocess.run([program, "quantize", folder / "in.npy", "-o", folder / "out.npy", "--backend", "host", "--quant-dtype",
                           "fp8", "--granularity", "tensor", *options], env=environment, preexec_fn=limit,
                          capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, f"status {done.returncode}: {done.stderr}"
    tail = bytearray(2 * COLUMNS)
    for (row, column), (_, code) in TAIL.items():
        tail[(row - ROWS + 2) * COLUMNS + column] = code
    zeros = 0
    for part in data_of(folder / "out.npy", ROWS * COLUMNS):
        zeros += part.count(0)
    assert part.endswith(tail), f"the last rows are {part[-len(tail):].hex()}"
    assert zeros == ROWS * COLUMNS - len(TAIL), f"{ROWS * COLUMNS - zeros} codes are not zero"
    (scale,) = struct.unpack("<f", b"".join(data_of(folder / "out.scale.npy", 4)))
    assert scale == SCALE, f"the scale is {scale}"
    print(done.stdout.splitlines()[0])


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        room = shutil.disk_usage(folder).free
        if room < 2 * ROWS * COLUMNS:
            print(f"skipped: {folder.parent} has {room >> 20} MiB free, twice the codes' {ROWS * COLUMNS >> 20} MiB are wanted")
            return 77
        write_tensor(folder / "in.npy")
        check(sys.argv[1], folder, "--static-scale", "--scale", str(SCALE))
        check(sys.argv[1], folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
