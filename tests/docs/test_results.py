#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/results/table, docs/results/regenerate and tools/measure_launches with what they cannot use: one line, an exit status, and
nothing that was measured is lost. A stand-in takes kqbench's place."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
H200 = ROOT / "docs/results/h200"
STAND_IN = """#!/usr/bin/env python3
import json, os, signal, sys
def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
what = os.environ.get("WHAT")
if what == "fails":
    sys.exit("error: no device")
if what == "interrupt" and option("--hidden-size", "") == "8192":
    os.kill(os.getppid(), signal.SIGINT)
    signal.pause()
rows = [{"impl": impl, "num_tokens": int(tokens), "hidden_size": int(option("--hidden-size", "0")),
         "dtype": option("--dtype", ""), "quant_dtype": "int8", "static_scale": True, "granularity": "tensor",
         "asymmetric": False, "scale_format": "float", "producer": "none", "launch": option("--launch", "plain"),
         "verified": impl == "kokkos" or what != "wrong",
         "time_us": {"median": 2.0} if impl == "kokkos" or what != "wrong" else None}
        for impl in ("kokkos", "native") for tokens in option("--num-tokens", "").split(",")]
setting = {"commit": "1234567", "device": "a device", "driver": "1", "runtime": "CUDA", "time": "2026-12-01T00:00:00Z",
           "implementations": {"kokkos": "Kokkos"}}
with open(option("--json", ""), "w") as file:
    json.dump({"setting": setting, "rows": rows}, file)
"""


class Results(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        program = self.folder / "build/apps/kqbench/kqbench"
        program.parent.mkdir(parents=True)
        program.write_text(STAND_IN)
        program.chmod(0o755)

    def ends(self, status, line, program, *arguments, what="", parts=""):
        """The program's last line on stderr, or on stdout where that is empty, has `line`."""
        done = subprocess.run([ROOT / program, *map(str, arguments)], cwd=self.folder,
                              env=dict(os.environ, WHAT=what, PARTS=parts), capture_output=True, text=True)
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertIn(line, said[-1])
        return done.stdout

    def table_of(self, result, line):
        file = self.folder / "result.json"
        file.write_text(result if isinstance(result, str) else json.dumps(result))
        self.ends(1, line, "docs/results/table", file)

    def test_table_says_why_there_is_none(self):
        speed = json.loads((H200 / "speed.json").read_text())
        nothing_of_both = "no work that Kokkos and native were both timed at"
        self.ends(1, "cannot be read", "docs/results/table", "none.json")
        self.table_of("{", "is not JSON")
        self.table_of([], "neither a result file")
        self.table_of(json.loads((H200 / "rivals.json").read_text()), "neither a result file")
        self.table_of({"cells": []}, "has no medians")
        self.table_of(dict(speed, rows=[]), nothing_of_both)
        self.table_of(dict(speed, rows=[row for row in speed["rows"] if row["impl"] == "native"]), nothing_of_both)
        self.table_of(dict(speed, rows=[dict(row, verified=False, time_us=None) for row in speed["rows"]]), nothing_of_both)

    def test_table_keeps_launches_apart(self):
        speed = json.loads((H200 / "speed.json").read_text())
        speed["rows"] += [dict(row, launch="overlapped") for row in speed["rows"]]
        (self.folder / "both.json").write_text(json.dumps(speed))
        self.assertIn("static tensor int8, overlapped |", self.ends(0, "of 294", "docs/results/table", "both.json"))

    def measure(self, status, line, *options, what=""):
        return self.ends(status, line, "tools/measure_launches", *options, what=what)

    def test_nothing_is_measured_that_could_not_be_kept(self):
        self.measure(2, "is it a build folder?", "nothing")
        self.measure(2, "two builds are called build", "build", self.folder / "build")
        self.measure(2, "there is no '5120'", "build", "--hidden-size", "5120")
        self.measure(2, "needs both implementations", "build", "--impl", "kokkos", "--medians", "medians.json")
        for path in ("none/medians.json", "build"):
            self.assertEqual(self.measure(3, f"{path}: cannot be written", "build", "--medians", path), "")

    def test_medians_are_whole_or_say_that_they_are_not(self):
        medians = self.folder / "medians.json"
        options = ("build", "--dtype", "half", "--groups", "static", "--launch", "plain", "--medians", medians)
        self.measure(0, " s", *options)
        self.assertTrue(json.loads(medians.read_text())["complete"])
        self.ends(0, "geometric mean of 7", "docs/results/table", medians)
        first = medians.read_text()
        for what in ("wrong", "fails"):
            self.measure(1, "is not written", *options, what=what)
            self.assertEqual(medians.read_text(), first)
        self.measure(1, "1 of 2 sets of rows were not measured", *options, what="interrupt")
        kept = json.loads(medians.read_text())
        self.assertFalse(kept["complete"])
        self.assertEqual([cell["shape"] for cell in kept["cells"]], ["1x4096", "16x4096", "1024x4096", "2048x4096"])
        self.assertEqual(list(self.folder.glob("*.part")), [])

    def test_an_older_file_is_not_a_failed_runs(self):
        options = ("build", "--json", "kept", "--groups", "static")
        self.measure(0, " s", *options)
        self.measure(1, "8 of 8 sets of rows", *options, what="fails")

    def test_regenerate_begins_nothing_that_it_cannot_end(self):
        name = "a_name_of_no_folder"
        self.ends(2, "no apps/kqbench/kqbench", "docs/results/regenerate", name, "nothing")
        self.ends(2, "there is no step raport", "docs/results/regenerate", name, "build", "raport")
        self.ends(2, "has no ours.json", "docs/results/regenerate", name, "build", "report")
        self.ends(2, "no python-package", "docs/results/regenerate", name, "build")
        self.ends(2, "there is no part sweeps", "docs/results/regenerate", name, "build", parts="sweeps")
        self.ends(2, "has no ours.json", "docs/results/regenerate", name, "build", parts="speed producers")
        self.assertFalse((ROOT / "docs/results" / name).exists())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job's children would ignore
    sys.exit(unittest.main())
