# SPDX-License-Identifier: Apache-2.0
"""The pages of this repository, as the tests of the documentation read them."""

import os
import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Block(NamedTuple):
    """What lies between two fences."""

    page: str  # its path in the repository
    line: int  # of the fence
    language: str
    name: str  # what follows the language
    text: str


def pages():
    """Every page of this tree, in order; not what is built, nor what an environment or a cache holds."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(("build", "env", ".")) or name in (".github", ".ci")]
        found += [str((pathlib.Path(folder) / file).relative_to(ROOT)) for file in files if file.endswith(".md")]
    return sorted(found)


def split(page):
    """The blocks of a page, and its text without them, a line for each of its own."""
    blocks, text, block, start = [], [], None, None
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"```(\S*) ?(.*)$", line)
        if block is None and fence:
            block, start = [], (number, *fence.groups())
        elif block is not None and line == "```":
            blocks.append(Block(page, *start, "".join(part + "\n" for part in block)))
            block = None
        elif block is not None:
            block.append(line)
        text.append(line if block is None and line != "```" else "")
    return blocks, text
