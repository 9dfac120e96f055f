# SPDX-License-Identifier: Apache-2.0
"""The peers' program on a CPU, from kqbench's result file to its own and back through `kqbench compare`."""

import dataclasses
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
import peers  # noqa: E402
import producers  # noqa: E402
import torch_functions  # noqa: E402
import worker  # noqa: E402
from work import NotServed, Work, work_of  # noqa: E402

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


def with_producer(producer, *scheme, **more):
    return dataclasses.replace(work(*scheme, **more), producer=producer, eps=None if producer == "silu_mul" else 1e-5)


class Fused(unittest.TestCase):
    def test_codes_are_those_of_kqbench(self):
        """All but a few: PyTorch's sum of squares and its exponential are its own."""
        torch.manual_seed(1)
        for producer in ("rms_norm", "add_rms_norm", "silu_mul"):
            for one in (with_producer(producer, "fp8_e4m3fn", "tensor", static_scale=True),
                        with_producer(producer, "int8", "token", dtype="half"),
                        with_producer(producer, "fp8_e4m3fn", "group:128", dtype="float")):
                with self.subTest(str(one)):
                    dtype = torch_functions.DTYPES[one.dtype]
                    x, operands = producers.make_input(one, dtype, "cpu"), producers.make_operands(one, dtype, "cpu")
                    values = producers.values_of(one)(x, *operands)[0]
                    given = torch_functions.given_scale(one, values)
                    kept = [operand.clone() for operand in operands]
                    codes = worker.function_of(peers.Eager(), one)(x, *given, *operands)[0].view(torch.uint8)
                    expected = worker.own_codes(one, x, given, operands)
                    self.assertEqual(expected.shape, (24, 384))
                    self.assertGreater(expected.unique().numel(), 50)
                    self.assertLessEqual((codes != expected).sum().item(), expected.numel() // 100)
                    self.assertTrue(all(map(torch.equal, operands, kept)))

    def test_a_residual_stays_what_it_is(self):
        """Though a peer adds x to it again and again, in place."""
        for dtype, least in (("bfloat16", 0.999), ("float", 1.0), ("half", 0.99)):
            one = with_producer("add_rms_norm", "fp8_e4m3fn", "token", dtype=dtype)
            x, (_, residual) = (make(one, torch_functions.DTYPES[dtype], "cpu")
                                for make in (producers.make_input, producers.make_operands))
            total = residual.clone()
            for _ in range(100):
                total += x
            self.assertGreater(x.count_nonzero().item(), 0)
            self.assertGreaterEqual((total == residual).float().mean().item(), least, dtype)

    def test_what_a_peer_lacks_is_said(self):
        with self.assertRaisesRegex(NotServed, "no block formats"):
            worker.function_of(peers.Eager(), dataclasses.replace(WORKS[4], scale_format="ue8m0"))
        with self.assertRaisesRegex(NotServed, "no fused"):
            worker.function_of(object(), with_producer("silu_mul", "fp8_e4m3fn", "token"))


class Works(unittest.TestCase):
    def test_rows_of_kqbench_become_works(self):
        with tempfile.TemporaryDirectory() as folder:
            ours = pathlib.Path(folder) / "ours.json"
            for options, expected in (
                    (["--producer", "silu_mul", "--granularity", "group:128"], {"producer": "silu_mul", "eps": None}),
                    (["--producer", "add_rms_norm", "--eps", "0.5"], {"producer": "add_rms_norm", "eps": 0.5}),
                    (["--scheme", "mxfp4"], {"scale_format": "ue8m0", "scale_rounding": "rceil", "global_scale": None}),
                    (["--scheme", "nvfp4", "--global-scale", "3"], {"scale_format": "e4m3", "global_scale": 3.0})):
                kind = [] if "--scheme" in options else ["--quant-dtype", "fp8"]
                subprocess.run([KQBENCH, "--backend", "host", "--num-tokens", "8", "--hidden-size", "512", "--dtype", "bfloat16",
                                *kind, "--cache", "hot", "--no-ceiling", "--max-time", "0.01", "--quiet", "--json", ours,
                                *options], check=True, stdout=subprocess.DEVNULL)
                one = work_of(json.loads(ours.read_text())["rows"][0])
                for name, value in expected.items():
                    self.assertEqual(getattr(one, name), value, options)
                x, operands = (make(one, torch.bfloat16, "cpu") for make in (producers.make_input, producers.make_operands))
                columns = 256 if one.quant_dtype == "fp4_e2m1" else 512
                self.assertEqual(worker.own_codes(one, x, (), operands).shape, (8, columns))


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
        compared = subprocess.run([KQBENCH, "compare", ours, theirs, "--allow-unequal-threads", "--json", "-"], check=True,
                                  capture_output=True)
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
