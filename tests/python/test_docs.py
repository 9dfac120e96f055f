# SPDX-License-Identifier: Apache-2.0
"""Runs the Python of docs/python.md, all of it in one go, and the example in Triton of docs/your_own_kernel.md."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import kq

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "python.md"


def test_the_page_works(tmp_path, monkeypatch, capsys):
    for package in ("numpy", "torch", "matplotlib"):
        pytest.importorskip(package)
    if kq.backend() != "host":
        pytest.skip("the page's tensors are on a host")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 8
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert said.count(" dB\n") == len(names["schemes"])
    assert re.search(r"^kqbench +0 of \d+ codes and +0 of \d+ scales differ$", said, re.MULTILINE)
    assert (tmp_path / "schemes.png").stat().st_size > 1000


def test_the_example_in_triton(tmp_path):
    """On a GPU as the page has it; elsewhere in Triton's interpreter."""
    for package in ("numpy", "torch", "triton", "ml_dtypes"):
        pytest.importorskip(package)
    example = PAGE.parents[1] / "examples" / "triton" / "mine.py"
    interpreted = {"TRITON_INTERPRET": "1"} if kq.backend() == "host" else {}
    ran = subprocess.run([sys.executable, example], cwd=tmp_path, env={**os.environ, **interpreted}, capture_output=True,
                         text=True)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^(18|54) cases, no mismatch with vllm-0\.33\.0$", ran.stdout, re.MULTILINE), ran.stdout
    saved = json.loads((tmp_path / "mine-triton.json").read_text())
    assert [(row["impl"], row["verified"]) for row in saved["rows"]] == [("mine", True), ("kq", True)] * 2, ran.stdout
    assert {row["impl"] for row in json.loads((tmp_path / "ours.json").read_text())["rows"]} == {"kokkos", "native"}
