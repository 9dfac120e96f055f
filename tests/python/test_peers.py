# SPDX-License-Identifier: Apache-2.0
"""The peers' program on a CPU, from kqbench's result file to its own and back through `kqbench compare`."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import pytest

torch = pytest.importorskip("torch")

import kq  # noqa: E402
from kq import _program  # noqa: E402
from kq._bench import measure  # noqa: E402

APPS_PEERS, KQBENCH = pathlib.Path(__file__).parents[2] / "apps/peers", _program.program()
sys.path.insert(0, str(APPS_PEERS))
import torch_functions  # noqa: E402
import worker  # noqa: E402
from work import Work  # noqa: E402

pytestmark = pytest.mark.skipif(kq.backend() != "host", reason="the sweeps here are of a host")


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
        torch.manual_seed(1)
        for one in WORKS:
            with self.subTest(str(one)):
                x = torch.randn(one.num_tokens, one.hidden_size).to(torch_functions.DTYPES[one.dtype])
                given = torch_functions.given_scale(one, x)
                codes = torch_functions.function(one)(x, *given)[0].view(torch.uint8)
                expected = worker.own_codes(one, x, given)
                self.assertGreater(expected.unique().numel(), 50)
                self.assertLessEqual((codes != expected).sum().item(), expected.numel() // 200)


class Outputs(unittest.TestCase):
    def test_those_of_copies_are_kept_apart_and_counted(self):
        inputs = [torch.arange(4, dtype=torch.uint8) for _ in range(3)]
        candidate = measure.Candidate(lambda x: (x + 1,), [(x,) for x in inputs])
        for copy in range(3):
            candidate.launch(copy)
        self.assertEqual(len({codes.data_ptr() for codes, in candidate.outputs}), 3)
        candidate.outputs[1][0][2] = 77
        self.assertEqual(worker.counted(candidate, inputs[0] + 1),
                         ((1, 12), "1 of 12 codes differ from kqbench's"))


class Program(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_peers(self, *arguments):
        return subprocess.run([sys.executable, APPS_PEERS, *map(str, arguments)], capture_output=True, text=True)

    def sweep(self):
        """A result file of kqbench's: two rows of each implementation."""
        ours = self.folder / "ours.json"
        subprocess.run([KQBENCH, "--backend", "host", "--num-tokens", "8", "--hidden-size", "512", "--dtype", "bfloat16",
                        "--quant-dtype", "fp8,int8", "--cache", "hot", "--no-ceiling", "--max-time", "0.01", "--quiet",
                        "--json", ours], check=True, stdout=subprocess.DEVNULL)
        return ours

    def test_from_sweep_to_comparison(self):
        ours, theirs = self.sweep(), self.folder / "peers.json"
        done = self.run_peers(ours, "--peers", "torch.eager,vllm", "--max-time",
                              "0.01", "--json", theirs)
        result = json.loads(theirs.read_text())
        canary, = result["setting"]["canary"]
        for name in ("median_us_before", "median_us_after", "kqbench_median_us", "launches_per_sample"):
            self.assertGreater(canary[name], 0)
        if done.returncode != 0:  # a host that others share
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("the canary is out by", done.stderr.splitlines()[-1])
            canary["median_us_before"] = canary["median_us_after"] = canary["kqbench_median_us"]
            theirs.write_text(json.dumps(result))
        rows = result["rows"]
        self.assertEqual({(row["impl"], row["quant_dtype"]) for row in rows if row["impl"] == "torch.eager"},
                         {("torch.eager", "fp8_e4m3fn"), ("torch.eager", "int8")})
        for row in rows:
            self.assertEqual(row["codes_checked"]["compared"], 8 * 512)
            self.assertGreaterEqual(len(row["time_us"]["samples"]), 6)
        compared = subprocess.run([KQBENCH, "compare", ours, theirs, "--json", "-"], check=True, capture_output=True)
        rows = json.loads(compared.stdout)["rows"]
        self.assertIn(("torch.eager", "kokkos"), {(row["impl"], row["baseline_impl"]) for row in rows})

    def test_the_setting_is_what_is_there(self):
        ours, theirs = self.sweep(), self.folder / "peers.json"
        sweep = json.loads(ours.read_text())
        sweep["setting"].update(driver="another's", commit="another's", version="another's", build_type="another's")
        ours.write_text(json.dumps(sweep))
        done = self.run_peers(ours, "--peers", "torch.eager", "--max-time", "0.01", "--json", theirs)
        self.assertIn(done.returncode, (0, 1), done.stderr)  # 1: the canary, on a host that others share
        result = json.loads(theirs.read_text())
        self.assertTrue(result["complete"])
        self.assertNotIn("another's", json.dumps(result["setting"]))
        self.assertEqual(result["setting"]["libraries"]["torch"], torch.__version__)
        self.assertEqual(result["setting"]["host_threads_used"], torch.get_num_threads())
        self.assertEqual(result["setting"]["device"], sweep["setting"]["device"])

    def test_a_place_that_cannot_be_written_is_refused_before_anything_is_timed(self):
        done = self.run_peers(self.sweep(), "--peers", "torch.eager", "--json", self.folder / "none" / "peers.json")
        self.assertEqual(done.returncode, 2)
        self.assertIn("none/peers.json: cannot be created", done.stderr.splitlines()[-1])
        self.assertNotIn("1 of 2", done.stderr)

    def test_what_is_no_result_file_is_refused(self):
        (self.folder / "no.json").write_text('{"schema": "other/1"}')
        for name in ("no.json", "missing.json"):
            done = self.run_peers(self.folder / name, "--device", "cpu")
            self.assertEqual(done.returncode, 2)
            self.assertIn(name, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
