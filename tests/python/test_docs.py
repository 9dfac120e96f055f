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


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(text, names):
    for block in blocks(text):
        exec(compile(block, str(PAGE), "exec"), names)


def section(name):
    """Of the page, from its heading to the next one."""
    found = re.search(rf"^## {name}\n.*?(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"{PAGE} has no section {name}"
    return found[0]


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    if kq.backend() != "host":
        pytest.skip("the page's tensors are on a host")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_works_without_pytorch(in_a_folder):
    pytest.importorskip("numpy")
    text, names = PAGE.read_text(), {"__name__": "page"}
    before = text[:text.index("\n## PyTorch\n")]
    assert len(blocks(before)) >= 6
    run(before, names)
    assert "torch" not in names


def test_the_page_works_with_pytorch(in_a_folder):
    pytest.importorskip("torch")
    assert len(blocks(section("PyTorch"))) >= 3
    run(section("PyTorch"), {"__name__": "page"})


def test_the_example_works(in_a_folder, capsys):
    """By itself, and with what it says that it needs."""
    for package in ("numpy", "matplotlib"):
        pytest.importorskip(package)
    names = {"__name__": "page"}
    run(section("An example"), names)
    assert "torch" not in names
    said = capsys.readouterr().out
    assert said.count(" dB\n") == len(names["schemes"])
    assert re.search(r"^kqbench +0 of \d+ codes and +0 of \d+ scales differ$", said, re.MULTILINE)
    assert (in_a_folder / "schemes.png").stat().st_size > 1000


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
