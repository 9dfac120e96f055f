# SPDX-License-Identifier: Apache-2.0
"""Runs the Python of docs/python.md, all of it in one go."""

import pathlib
import re

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
