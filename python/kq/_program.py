# SPDX-License-Identifier: Apache-2.0
"""The console script `kqbench`."""

import os
import pathlib
import sys

from kq import _kq


def program() -> pathlib.Path:
    """Where the program is that the package brought."""
    return pathlib.Path(_kq.__file__).parent / "bin" / "kqbench"


def main() -> None:
    """Becomes the program."""
    os.execv(program(), ["kqbench", *sys.argv[1:]])
