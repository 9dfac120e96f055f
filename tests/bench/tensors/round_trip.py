# SPDX-License-Identifier: Apache-2.0
"""Files between Python and `kqbench quantize`: NumPy, safetensors and PyTorch write and read them, and agree.

usage: round_trip.py KQBENCH

Needs NumPy; ml_dtypes or PyTorch for fp8, and safetensors for its files, are used where they are importable. What is left
out for want of them is said. Exit status 77 (skipped) without NumPy. With KQ_PYTHON_COMPLETE=1 in the environment each of
them must be there.
"""

import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

MUST_BE_COMPLETE = os.environ.get("KQ_PYTHON_COMPLETE") == "1"

try:
    import numpy as np
except ImportError:
    if MUST_BE_COMPLETE:
        raise
    print("skipped: NumPy is not installed (pip install -r tests/python/requirements.txt)")
    sys.exit(77)


def importable(name):
    try:
        return __import__(name, fromlist=["x"])
    except ImportError:
        if MUST_BE_COMPLETE:
            raise
        print(f"left out: what needs {name}, which is not installed (pip install -r tests/python/requirements.txt)")
        return None


ml_dtypes = importable("ml_dtypes")
safetensors_numpy = importable("safetensors.numpy")
torch = importable("torch")
safetensors_torch = importable("safetensors.torch") if torch and safetensors_numpy else None

FP8 = ["fp8_e4m3fn", "fp8_e5m2", "fp8_e4m3fnuz", "fp8_e5m2fnuz"]
LARGEST = {"int8": 127, "fp8_e4m3fn": 448, "fp8_e5m2": 57344, "fp8_e4m3fnuz": 240, "fp8_e5m2fnuz": 57344}
KQBENCH = None


def decode(codes, fmt):
    """Codes as NumPy loads them (int8, or uint8 for fp8) to float32, by ml_dtypes or PyTorch."""
    if fmt == "int8":
        return codes.astype(np.float32)
    name = fmt.replace("fp8_", "float8_")
    if ml_dtypes:
        return codes.view(getattr(ml_dtypes, name)).astype(np.float32)
    return torch.from_numpy(codes).view(getattr(torch, name)).float().numpy()


def encode(values, fmt):
    """Float32 within the format's range to codes."""
    if fmt == "int8":
        return np.rint(values).astype(np.int8)
    name = fmt.replace("fp8_", "float8_")
    if ml_dtypes:
        return values.astype(getattr(ml_dtypes, name)).view(np.uint8)
    return torch.from_numpy(values).to(getattr(torch, name)).view(torch.uint8).numpy()


def formats():
    return ["int8"] + (FP8 if ml_dtypes or torch else [])


def activations(shape, seed):
    """Numbers of many sizes, a row of zeros and an outlier among them."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(shape).astype(np.float32) * np.exp(random.standard_normal((shape[0], 1))).astype(np.float32)
    x[1] = 0
    x[2, 3] = 60
    return x


def as_bfloat16_bits(x):
    """Float32 rounded to bfloat16, ties to even, as uint16."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def bfloat16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def quantize(source, target, *options):
    done = subprocess.run([KQBENCH, "quantize", str(source), "-o", str(target), "--dequantize", *options],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"kqbench ended with {done.returncode}: {done.stderr}")
    return done.stdout


def knows_fnuz(folder):
    """Whether the safetensors installed here (0.8 does) knows AMD's formats."""
    header = json.dumps({"x": {"dtype": "F8_E4M3FNUZ", "shape": [1], "data_offsets": [0, 1]}})
    file = folder / "fnuz.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode() + b"\0")
    try:
        with safetensors_numpy.safe_open(file, framework="numpy"):
            return True
    except Exception:  # of a class that versions call differently
        if MUST_BE_COMPLETE:
            raise
        print("left out: fnuz codes, which this version of safetensors does not know")
        return False


def printed_errors(output):
    """(max error, RMSE, SQNR in dB) of the first tensor in the output."""
    number = r"(-?(?:[0-9.]+(?:e[+-]?[0-9]+)?|inf))"
    found = re.search(rf"max error {number}, RMSE {number}, SQNR {number} dB", output)
    assert found, output
    return [float(text) for text in found.groups()]


class RoundTrip(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = pathlib.Path(self.scratch.name)

    def check_errors(self, x, y, output):
        """What kqbench printed is what Python finds between input and dequantized output."""
        error = x.astype(np.float64) - y.astype(np.float64)
        max_error, rmse, sqnr = printed_errors(output)
        np.testing.assert_allclose(max_error, np.abs(error).max(), rtol=1e-4)
        np.testing.assert_allclose(rmse, np.sqrt((error**2).mean()), rtol=1e-4)
        np.testing.assert_allclose(sqnr, 10 * np.log10((x.astype(np.float64)**2).sum() / (error**2).sum()), rtol=1e-3)

    def run_npy(self, x_file, fmt, *options):
        np.save(self.folder / "in.npy", x_file)
        output = quantize(self.folder / "in.npy", self.folder / "out.npy", "--quant-dtype", fmt, *options)
        return output, np.load(self.folder / "out.npy"), np.load(self.folder / "out.scale.npy")

    def test_dynamic_token_from_every_element(self):
        x32 = activations((37, 129), seed=1)
        bits = as_bfloat16_bits(x32)
        for fmt in formats():
            for name, stored, x in [("half", x32.astype(np.float16), x32.astype(np.float16).astype(np.float32)),
                                    ("float", x32, x32), ("bfloat16", bits, bfloat16_values(bits))]:
                with self.subTest(format=fmt, element=name):
                    output, codes, scale = self.run_npy(stored, fmt, "--dtype", name, "--granularity", "token")
                    self.assertEqual(codes.shape, x.shape)
                    self.assertEqual(scale.shape, (37, 1))
                    amax = np.abs(x).max(axis=1, keepdims=True)
                    bound = np.float32(LARGEST[fmt])
                    if fmt == "int8":
                        expected_scale = amax / bound
                        with np.errstate(divide="ignore"):
                            inverse = np.where(amax == 0, np.float32(0), bound / amax)
                        scaled = x * inverse
                    else:
                        expected_scale = np.maximum(amax / bound, np.float32(1 / (448 * 512)))
                        scaled = x / expected_scale
                    np.testing.assert_array_equal(scale, expected_scale)
                    np.testing.assert_array_equal(codes, encode(np.clip(scaled, -bound, bound), fmt))
                    self.check_errors(x, decode(codes, fmt) * scale, output)

    def test_groups_broadcast(self):
        x = activations((16, 256), seed=2)
        for fmt in formats():
            with self.subTest(format=fmt):
                output, codes, scale = self.run_npy(x, fmt, "--granularity", "group:64")
                y = decode(codes, fmt).reshape(16, 4, 64) * scale[:, :, np.newaxis]
                self.check_errors(x, y.reshape(x.shape), output)

    def test_group_scales_as_exponents_in_columns(self):
        x = activations((16, 256), seed=3)
        output, codes, scale = self.run_npy(x, "int8", "--granularity", "group:64", "--scale-format", "ue8m0",
                                            "--scale-layout", "column")
        self.assertEqual((scale.dtype, scale.shape), (np.uint8, (4, 16)))
        powers = np.exp2(scale.T.astype(np.float32) - 127)
        y = codes.astype(np.float32).reshape(16, 4, 64) * powers[:, :, np.newaxis]
        self.check_errors(x, y.reshape(x.shape), output)

    def test_asymmetric(self):
        x = activations((20, 100), seed=4) + np.float32(3)
        for granularity in ["tensor", "token"]:
            with self.subTest(granularity=granularity):
                output, codes, scale = self.run_npy(x, "int8", "--asymmetric", "--granularity", granularity)
                zero_point = np.load(self.folder / "out.zero_point.npy")
                self.assertEqual((zero_point.dtype, zero_point.shape), (np.int32, scale.shape))
                y = (codes.astype(np.int32) - zero_point).astype(np.float32) * scale
                self.check_errors(x, y, output)

    def test_static_channel(self):
        x = activations((20, 100), seed=5)
        output, codes, scale = self.run_npy(x, "int8", "--static-scale", "--granularity", "channel")
        np.testing.assert_array_equal(scale, np.abs(x).max(axis=0, keepdims=True) / np.float32(127))
        self.check_errors(x, codes.astype(np.float32) * scale, output)

    def test_more_dimensions(self):
        x = activations((24, 40), seed=6).reshape(2, 3, 4, 40)
        output, codes, scale = self.run_npy(x, "int8", "--granularity", "token")
        self.assertEqual((codes.shape, scale.shape), (x.shape, (2, 3, 4, 1)))
        self.check_errors(x, codes.astype(np.float32) * scale, output)

    def test_every_npy_version(self):
        x = activations((6, 20), seed=7)
        for version in [(1, 0), (2, 0), (3, 0)]:
            with open(self.folder / "in.npy", "wb") as file:
                np.lib.format.write_array(file, x, version=version)
            quantize(self.folder / "in.npy", self.folder / "out.npy")
            self.assertEqual(np.load(self.folder / "out.npy").shape, x.shape)

    @unittest.skipUnless(safetensors_numpy, "safetensors is not installed")
    def test_safetensors_by_numpy(self):
        x = {"layer.0": activations((12, 64), seed=8), "layer.1": activations((7, 33), seed=9).astype(np.float16),
             "norm": np.ones(64, np.float32), "ids": np.arange(6, dtype=np.int64).reshape(2, 3)}
        safetensors_numpy.save_file(x, self.folder / "in.safetensors")
        output = quantize(self.folder / "in.safetensors", self.folder / "out.safetensors", "--asymmetric")
        y = safetensors_numpy.load_file(self.folder / "out.safetensors")
        self.assertEqual(sorted(y), [f"layer.{i}{part}" for i in range(2) for part in ["", ".scale", ".zero_point"]])
        for name in ["layer.0", "layer.1"]:
            codes, scale, zero_point = y[name], y[name + ".scale"], y[name + ".zero_point"]
            self.assertEqual((codes.dtype, scale.dtype, zero_point.dtype), (np.int8, np.float32, np.int32))
            back = (codes.astype(np.int32) - zero_point).astype(np.float32) * scale
            self.assertLessEqual((np.abs(x[name].astype(np.float32) - back) / scale).max(), 0.5001)
        self.check_errors(x["layer.0"], (y["layer.0"].astype(np.int32) - y["layer.0.zero_point"]).astype(np.float32) *
                          y["layer.0.scale"], next(line for line in output.splitlines() if "layer.0" in line))

    @unittest.skipUnless(safetensors_torch, "PyTorch is not installed")
    def test_safetensors_by_torch(self):
        x = {"half": torch.from_numpy(activations((12, 64), seed=10)).half(),
             "bfloat16": torch.from_numpy(activations((9, 80), seed=11)).bfloat16()}
        safetensors_torch.save_file(x, self.folder / "in.safetensors")
        for fmt, dtype in [("fp8_e4m3fn", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)]:
            quantize(self.folder / "in.safetensors", self.folder / "out.safetensors", "--quant-dtype", fmt,
                     "--granularity", "token")
            y = safetensors_torch.load_file(self.folder / "out.safetensors")
            for name, tensor in x.items():
                self.assertEqual(y[name].dtype, dtype)
                scaled = tensor.float() / y[name + ".scale"]
                expected = scaled.clamp(-LARGEST[fmt], LARGEST[fmt]).to(dtype)
                self.assertTrue(torch.equal(y[name].view(torch.uint8), expected.view(torch.uint8)))

    @unittest.skipUnless(torch, "PyTorch is not installed")
    def test_npy_codes_by_torch(self):
        x = activations((12, 64), seed=12)
        for fmt in FP8:
            _, codes, scale = self.run_npy(x, fmt, "--granularity", "token")
            typed = torch.from_numpy(codes).view(getattr(torch, fmt.replace("fp8_", "float8_")))
            expected = (torch.from_numpy(x) / torch.from_numpy(scale)).clamp(-LARGEST[fmt], LARGEST[fmt]).to(typed.dtype)
            self.assertTrue(torch.equal(typed.view(torch.uint8), expected.view(torch.uint8)), fmt)

    @unittest.skipUnless(safetensors_numpy, "safetensors is not installed")
    def test_safetensors_opens_what_is_written(self):
        """Types and shapes by safetensors' own reader, also of formats that NumPy has no type for."""
        from safetensors import safe_open
        safetensors_numpy.save_file({"w": activations((5, 48), seed=13)}, self.folder / "in.safetensors")
        for fmt, dtype in [("int8", "I8"), ("fp8_e4m3fn", "F8_E4M3"), ("fp8_e5m2", "F8_E5M2"),
                           ("fp8_e4m3fnuz", "F8_E4M3FNUZ"), ("fp8_e5m2fnuz", "F8_E5M2FNUZ")]:
            quantize(self.folder / "in.safetensors", self.folder / "out.safetensors", "--quant-dtype", fmt)
            if "FNUZ" in dtype and not knows_fnuz(self.folder):
                continue
            with safe_open(self.folder / "out.safetensors", framework="numpy") as file:
                self.assertEqual(sorted(file.keys()), ["w", "w.scale"])
                self.assertEqual(file.get_slice("w").get_dtype(), dtype)
                self.assertEqual(file.get_slice("w").get_shape(), [5, 48])
                self.assertEqual(file.metadata()["kqbench.quant_dtype"], fmt)
                self.assertEqual(file.metadata()["format"], "pt")

    def test_fortran_order(self):
        x = activations((24, 50), seed=14)
        for shape in [(24, 50), (2, 3, 4, 50), (1200, 1), (1, 1200), (4, 6, 50)]:
            with self.subTest(shape=shape):
                fortran = np.asfortranarray(x.reshape(shape))
                output, codes, scale = self.run_npy(fortran, "int8", "--granularity", "token")
                self.check_errors(fortran, codes.astype(np.float32) * scale, output)
                _, codes_of_c, scale_of_c = self.run_npy(np.ascontiguousarray(fortran), "int8", "--granularity", "token")
                np.testing.assert_array_equal(codes, codes_of_c)
                np.testing.assert_array_equal(scale, scale_of_c)

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not installed")
    def test_bfloat16_by_ml_dtypes(self):
        x = activations((11, 48), seed=15).astype(ml_dtypes.bfloat16)
        output, codes, scale = self.run_npy(x, "int8", "--granularity", "token")
        self.assertIn("bfloat16 to dynamic token int8", output)
        self.check_errors(x.astype(np.float32), codes.astype(np.float32) * scale, output)
        np.save(self.folder / "again.npy", np.load(self.folder / "in.npy"))  # as |V2, where ml_dtypes is not known
        _, codes_again, _ = self.run_npy(np.load(self.folder / "again.npy"), "int8", "--granularity", "token")
        np.testing.assert_array_equal(codes, codes_again)

    def test_scales_from_a_file(self):
        x = activations((10, 64), seed=16)
        for granularity, shape in [("tensor", (1,)), ("token", (10, 1)), ("channel", (1, 64))]:
            with self.subTest(granularity=granularity):
                calibrated = np.random.default_rng(17).uniform(0.02, 0.1, shape).astype(np.float32)
                np.save(self.folder / "calibrated.npy", calibrated)
                output, codes, scale = self.run_npy(x, "int8", "--static-scale", "--granularity", granularity, "--scales",
                                                    str(self.folder / "calibrated.npy"))
                np.testing.assert_array_equal(scale.reshape(shape), calibrated)
                np.testing.assert_array_equal(codes, np.clip(np.rint(x / calibrated), -128, 127).astype(np.int8))
                self.check_errors(x, codes.astype(np.float32) * scale, output)

    @unittest.skipUnless(safetensors_numpy, "safetensors is not installed")
    def test_scales_by_name(self):
        x = {"a": activations((10, 64), seed=18), "b": activations((6, 32), seed=19)}
        safetensors_numpy.save_file(x, self.folder / "in.safetensors")
        given = {"a_scale": np.float32([0.05]), "a_zero_point": np.int32([3]), "b.scale": np.float32([[0.07]]),
                 "b.zero_point": np.int32([-9])}
        safetensors_numpy.save_file(given, self.folder / "given.safetensors")
        quantize(self.folder / "in.safetensors", self.folder / "out.safetensors", "--static-scale", "--asymmetric",
                 "--scales", str(self.folder / "given.safetensors"))
        y = safetensors_numpy.load_file(self.folder / "out.safetensors")
        for name, scale, zero_point in [("a", 0.05, 3), ("b", 0.07, -9)]:
            inverse = np.float32(1) / np.float32(scale)
            expected = np.clip(np.rint(x[name] * inverse).astype(np.int32) + zero_point, -128, 127)
            np.testing.assert_array_equal(y[name], expected.astype(np.int8))
            self.assertEqual((y[name + ".scale"][0], y[name + ".zero_point"][0]), (np.float32(scale), zero_point))

    def write_model(self):
        """A model in two shards, as Hugging Face's libraries write it, and its tensors."""
        shards = {
            "model-00001-of-00002.safetensors": {"a.weight": activations((12, 64), seed=20), "norm": np.ones(64, np.float32)},
            "model-00002-of-00002.safetensors": {"b.weight": activations((7, 32), seed=21).astype(np.float16)},
        }
        weight_map = {}
        for name, tensors in shards.items():
            safetensors_numpy.save_file(tensors, self.folder / name, metadata={"format": "pt", "of": name})
            weight_map.update(dict.fromkeys(tensors, name))
        index = {"metadata": {"total_size": sum(t.nbytes for s in shards.values() for t in s.values())},
                 "weight_map": weight_map}
        (self.folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
        return {name: tensor for tensors in shards.values() for name, tensor in tensors.items() if tensor.ndim == 2}

    def load_shards(self, index_file):
        """All tensors that an index names, each from the shard that it says; and every shard has no others."""
        index = json.loads(index_file.read_text())
        tensors, size = {}, 0
        for shard in sorted(set(index["weight_map"].values())):
            here = safetensors_numpy.load_file(index_file.parent / shard)
            self.assertEqual(sorted(here), sorted(n for n, s in index["weight_map"].items() if s == shard))
            tensors.update(here)
            size += sum(tensor.nbytes for tensor in here.values())
        self.assertEqual(index["metadata"]["total_size"], size)
        return tensors

    @unittest.skipUnless(safetensors_numpy, "safetensors is not installed")
    def test_a_model_in_shards(self):
        from safetensors import safe_open
        x = self.write_model()
        source = self.folder / "model.safetensors.index.json"
        quantize(source, self.folder / "q.safetensors.index.json", "--granularity", "token")
        shards = self.load_shards(self.folder / "q.safetensors.index.json")
        quantize(source, self.folder / "one.safetensors", "--granularity", "token")
        one = safetensors_numpy.load_file(self.folder / "one.safetensors")
        (self.folder / "folder").mkdir()
        quantize(source, self.folder / "folder", "--granularity", "token")
        again = self.load_shards(self.folder / "folder/model.safetensors.index.json")
        self.assertEqual(sorted(one), ["a.weight", "a.weight.scale", "b.weight", "b.weight.scale"])
        for name, tensor in one.items():
            np.testing.assert_array_equal(shards[name], tensor)
            np.testing.assert_array_equal(again[name], tensor)
        for name, tensor in x.items():
            error = tensor.astype(np.float32) - one[name].astype(np.float32) * one[name + ".scale"]
            self.assertLessEqual(np.abs(error).max(), 0.5001 * one[name + ".scale"].max())
        for number in (1, 2):
            with safe_open(self.folder / f"q-0000{number}-of-00002.safetensors", framework="numpy") as file:
                self.assertEqual((file.metadata()["format"], file.metadata()["of"]),
                                 ("pt", f"model-0000{number}-of-00002.safetensors"))

    @unittest.skipUnless(safetensors_numpy, "safetensors is not installed")
    def test_metadata_may_be_null(self):
        x = activations((5, 16), seed=22)
        header = json.dumps({"__metadata__": None, "x": {"dtype": "F32", "shape": [5, 16], "data_offsets": [0, 320]}})
        (self.folder / "in.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode() + x.tobytes())
        quantize(self.folder / "in.safetensors", self.folder / "out.safetensors")
        self.assertEqual(safetensors_numpy.load_file(self.folder / "out.safetensors")["x"].shape, (5, 16))


if __name__ == "__main__":
    KQBENCH = sys.argv.pop(1)
    unittest.main()
