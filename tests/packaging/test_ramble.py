#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The regular expression of Ramble's application finds every figure of merit in what kqbench prints. Needs no Ramble.

usage: test_ramble.py KQBENCH APPLICATION
"""

import ast
import re
import subprocess
import sys


def main(kqbench, application):
    with open(application, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    expression = next(
        ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "FOM"
    )
    options = "--backend host --num-tokens 1,2 --hidden-size 64 --max-time 0.02 --no-progress --fom"
    ended = subprocess.run([kqbench, *options.split()], check=True, capture_output=True, text=True, timeout=60)
    last = ended.stdout.splitlines()[-1]
    found = re.search(expression, last)
    assert found, last
    assert found["rows"] == found["verified"] == "2" and found["impl"] == "kokkos", last
    for figure in ("time_us", "gbps", "ceiling_fraction", "time_ratio_to_native"):
        assert float(found[figure]) > 0, (figure, last)
    print(last)


if __name__ == "__main__":
    main(*sys.argv[1:])
