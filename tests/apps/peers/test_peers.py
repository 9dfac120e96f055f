# SPDX-License-Identifier: Apache-2.0
"""The peers' program on a CPU, from kqbench's result file to its own and back through `kqbench compare`.

usage: test_peers.py APPS_PEERS KQBENCH LIBKQ

Exit status 77 (skipped) without PyTorch, unless KQ_PYTHON_COMPLETE=1 is in the environment.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import torch
except ImportError:
    if os.environ.get("KQ_PYTHON_COMPLETE") == "1":
        raise
    print("skipped: PyTorch is not installed (pip install torch)")
    sys.exit(77)

APPS_PEERS, KQBENCH, LIBKQ = sys.argv[1:4]
sys.path.insert(0, APPS_PEERS)
import measure
import torch_functions
from libkq import LibKq
from work import Work


def work(quant_dtype, granularity, static_scale=False, asymmetric=False, dtype="bfloat16"):
    return Work(24, 384, dtype, quant_dtype, static_scale, granularity, asymmetric, "wall", False, 2, 1)


WORKS = [
    work("fp8_e4m3fn", "tensor", static_scale=True),
    work("fp8_e5m2", "channel", static_scale=True),
    work("int8", "tensor", static_scale=True),
    work("int8", "token", static_scale=True, asymmetric=True),
    work("fp8_e4m3fn", "tensor"),
    work("fp8_e4m3fn", "token"),
    work("int8", "tensor"),
    work("int8", "token"),
    work("int8", "tensor", asymmetric=True),
    work("int8", "token", asymmetric=True, dtype="half"),
    work("fp8_e4m3fn", "group:128", dtype="float"),
    work("int8", "group:128"),
]


class Functions(unittest.TestCase):
    def test_codes_are_those_of_kqbench(self):
        """All but a few: PyTorch turns a number divided by a tensor into a product with the reciprocal."""
        library = LibKq(LIBKQ, "cpu")
        torch.manual_seed(1)
        for one in WORKS:
            with self.subTest(str(one)):
                x = torch.randn(one.num_tokens, one.hidden_size).to(torch_functions.DTYPES[one.dtype])
                given = torch_functions.given_scale(one, x)
                codes = torch_functions.function(one)(x, *given)[0].view(torch.uint8)
                expected = library.codes(one, x, given)
                self.assertGreater(expected.unique().numel(), 50)
                self.assertLessEqual((codes != expected).sum().item(), expected.numel() // 200)


class Statistics(unittest.TestCase):
    def test_median(self):
        self.assertEqual(measure.median([3, 1, 2]), 2)
        self.assertEqual(measure.median([4, 1, 2, 3]), 2.5)

    def test_interval_has_the_ranks_of_the_binomial(self):
        """Of 20 samples the 6th and the 15th, as tables of the sign test have them."""
        self.assertEqual(measure.median_interval([float(i) for i in range(1, 21)]), (6, 15))

    def test_rotations_are_whole(self):
        self.assertEqual([measure.rounded_up(n, 4) for n in (0, 1, 4, 5)], [4, 4, 4, 8])

    def test_outputs_of_copies_are_kept_apart_and_counted(self):
        inputs = [torch.arange(4, dtype=torch.uint8) for _ in range(3)]
        contestant = measure.Contestant(None, lambda x: (x + 1,), inputs, ())
        for copy in range(3):
            contestant.launch(copy)
        self.assertEqual(len({codes.data_ptr() for codes in contestant.codes()}), 3)
        contestant.outputs[1][0][2] = 77
        self.assertEqual(measure.count_different(contestant, inputs[0] + 1), (1, 12))


class Program(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_peers(self, *arguments):
        return subprocess.run([sys.executable, APPS_PEERS, *map(str, arguments)], capture_output=True, text=True)

    def test_from_sweep_to_comparison(self):
        ours, theirs = self.folder / "ours.json", self.folder / "peers.json"
        subprocess.run([KQBENCH, "--backend", "host", "--num-tokens", "8", "--hidden-size", "512", "--dtype", "bfloat16",
                        "--quant-dtype", "fp8,int8", "--cache", "hot", "--no-ceiling", "--max-time", "0.01", "--quiet",
                        "--json", ours], check=True, stdout=subprocess.DEVNULL)
        done = self.run_peers(ours, "--peers", "torch.eager,vllm", "--libkq", LIBKQ, "--max-time", "0.01", "--json",
                              theirs)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(theirs.read_text())["rows"]
        self.assertEqual({(row["impl"], row["quant_dtype"]) for row in rows if row["impl"] == "torch.eager"},
                         {("torch.eager", "fp8_e4m3fn"), ("torch.eager", "int8")})
        for row in rows:
            self.assertEqual(row["codes_checked"]["compared"], 8 * 512)
            self.assertGreaterEqual(len(row["time_us"]["samples"]), 20)
        compared = subprocess.run([KQBENCH, "compare", ours, theirs, "--json", "-"], check=True, capture_output=True)
        rows = json.loads(compared.stdout)["rows"]
        self.assertIn(("torch.eager", "kokkos"), {(row["impl"], row["baseline_impl"]) for row in rows})

    def test_what_is_no_result_file_is_refused(self):
        (self.folder / "no.json").write_text('{"schema": "other/1"}')
        for name in ("no.json", "missing.json"):
            done = self.run_peers(self.folder / name, "--device", "cpu")
            self.assertEqual(done.returncode, 2)
            self.assertIn(name, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
