# SPDX-License-Identifier: Apache-2.0
"""kq.identify on NumPy arrays: what the program prints, for layouts, types and shapes that only tensors have."""

import json
import subprocess

import numpy as np
import pytest

import kq
from kq import _program


def random(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def on_host(scheme, x):
    if kq.backend() != "host":
        pytest.skip("NumPy's arrays are on a host")
    return kq.quantize(x, scheme)


def only_match(found):
    assert found["identified"] and found["nearest"] is None
    assert len(found["matches"]) == 1, [match["dialect"] for match in found["matches"]]
    return found["matches"][0]


@pytest.mark.parametrize("dialect", ["kqbench", "sglang-0.5.23", "te-d0067d0"])  # others may give these bytes, too
@pytest.mark.parametrize("layout", ["row", "column", "column_aligned"])
def test_names_dialect_scheme_and_layout(dialect, layout):
    x = random(101, 512)
    x[3, :128] = 0
    quantized = on_host(f"fp8 group:128 {layout} {dialect}", x)
    found = kq.identify(x, quantized.codes, quantized.scales)
    assert found["identified"] and found["nearest"] is None
    match, = [match for match in found["matches"] if match["dialect"] == dialect]
    assert {match["granularity"] for match in found["matches"]} == {"group:128"}
    assert match["quant_dtype"] == "fp8_e4m3fn"
    # Columns of 101 scales, 104 apart, are those of either layout.
    assert match["scale_layout"] == layout or (layout == "column_aligned" and match["scale_layout"] == "column")


def test_is_what_the_program_prints(tmp_path):
    x = random(16, 256, dtype=np.float16)
    codes, scales, _ = on_host("int8 group:64", x)
    codes[5, 7] += 1
    for name, array in (("x", x), ("codes", codes), ("scales", scales)):
        np.save(tmp_path / f"{name}.npy", array)
    files = [tmp_path / f"{name}.npy" for name in ("x", "codes", "scales")]
    ran = subprocess.run([_program.program(), "identify", *files, "--json"], capture_output=True, text=True)
    assert ran.returncode == 1
    found = kq.identify(x, codes, scales)
    assert found == json.loads(ran.stdout)
    assert not found["identified"] and found["nearest"]["codes_differ"] == 1
    assert found["nearest"]["first_codes"][0]["token"] == 5


def test_shapes_rows_apart_and_padded_codes():
    x = random(2, 7, 300)[:, :, :256]
    codes, scales, _ = on_host("fp8 token", x)
    padded = np.zeros((17, 256), np.uint8)
    padded[:14] = codes.reshape(14, 256)
    for given in (codes, padded):
        match = only_match(kq.identify(x, given, scales, dialect="kqbench"))
        assert (match["granularity"], match["num_tokens"]) == ("token", 14)


def test_bfloat16_and_exponents():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = random(16, 256).astype(ml_dtypes.bfloat16)
    codes, scales, _ = on_host("fp8_e5m2 group:32 ue8m0", x)
    bytes_of = codes.view(ml_dtypes.float8_e5m2), scales.view(ml_dtypes.float8_e8m0fnu)
    # OCP's "rceil" gives the bytes of the quotient rounded up, but for one rounding of the quotient.
    assert {match["scale_rounding"] for match in kq.identify(x, *bytes_of)["matches"]} >= {"quotient", "rceil"}
    match = only_match(kq.identify(x, *bytes_of, dialect="kqbench", scale_rounding="quotient"))
    assert (match["dtype"], match["quant_dtype"], match["scale_format"]) == ("bfloat16", "fp8_e5m2", "ue8m0")


def test_two_columns_of_codes_of_four_bits():
    x = random(16, 2)
    codes, scales, _ = on_host("mxfp4", x)
    assert codes.shape == (16, 1)
    assert {match["quant_dtype"] for match in kq.identify(x, codes, scales)["matches"]} == {"fp4_e2m1"}


def test_types_of_scales_and_of_pairs_of_codes_are_told():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = random(16, 256)
    codes, scales, _ = on_host("mxfp4", x)
    found = kq.identify(x, codes, scales.view(ml_dtypes.float8_e8m0fnu))
    assert found["identified"] and {match["scale_format"] for match in found["matches"]} == {"ue8m0"}
    with pytest.raises(kq.InvalidArgument, match="scale"):  # exponents beside a known format that has none
        kq.identify(x, codes, scales.view(ml_dtypes.float8_e8m0fnu), format="fp8", scale_format="e4m3")


def test_packed_scales():
    x = random(9, 512)
    codes, scales, _ = on_host("fp8 group:128 ue8m0 packed deepgemm", x)
    assert scales.dtype == np.int32
    names = {match["dialect"] for match in kq.identify(x, codes, scales, granularity="group:128")["matches"]}
    assert "deepgemm-54e2261" in names


def test_zero_points_bounds_and_what_is_known():
    x = random(16, 256)
    codes, scales, zero_points = on_host("int8 token asymmetric", x)
    assert only_match(kq.identify(x, codes, scales, zero_points, dialect="kqbench"))["asymmetric"] is True
    quantized = on_host("int8 token qmax=100", x)
    assert only_match(kq.identify(x, *quantized[:2]))["qmax"] == 100
    quantized = on_host("fp8 token scale_ub=1.5", x)
    match = only_match(kq.identify(x, *quantized[:2], scale_ub=1.5, dialect="kqbench"))
    assert match["scale_ub"] == 1.5
    assert not kq.identify(x, *quantized[:2], format="fp8_e5m2")["identified"]


def test_a_mixture_is_told_apart():
    x = random(512, 512, dtype=np.float16)  # a quotient and a product differ in one of some thousand codes
    codes = on_host("fp8 group:128", x).codes
    scales = on_host("fp8 group:128 sglang", x).scales
    nearest = kq.identify(x, codes, scales, granularity="group:128")["nearest"]
    assert "kqbench" in nearest["dialects_of_codes"] and nearest["dialects_of_scales"] == ["sglang-0.5.23"]


def test_errors_name_the_argument():
    x = random(4, 64)
    codes, scales = np.zeros((4, 64), np.int8), np.ones((4, 1), np.float32)
    for call, field in [(lambda: kq.identify(x.astype(np.float64), codes, scales), "x"),
                        (lambda: kq.identify(np.zeros((0, 64), np.float32), codes, scales), "x"),
                        (lambda: kq.identify(x, codes[:3], scales), "codes"),
                        (lambda: kq.identify(x, codes.astype(np.int32), scales), "codes"),
                        (lambda: kq.identify(x, codes, scales.astype(np.float64)), "scales"),
                        (lambda: kq.identify(x, codes, np.ones(7, np.float32)), "scales"),
                        (lambda: kq.identify(x, codes, scales, np.zeros(4, np.float32)), "zero_points"),
                        (lambda: kq.identify(x, codes, scales, granularity="rows"), "granularity"),
                        (lambda: kq.identify(x, codes, scales, scale_layout="diagonal"), "scale_layout"),
                        (lambda: kq.identify(x, codes, scales, format="int7"), "format"),
                        (lambda: kq.identify(x, codes, scales, dialect="nobody"), "dialect")]:
        with pytest.raises(kq.InvalidArgument) as caught:
            call()
        assert caught.value.field == field, caught.value
    with pytest.raises(TypeError):
        kq.identify([[1.0]], codes, scales)


def write_safetensors(path, tensors):
    """name: (dtype as the format spells it, array of those bytes)"""
    header, data = {}, b""
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("codes_type, scales_type, ending", [
    ("F8_E4M3", "F8_E8M0", "_scale_inv"), ("F8_E4M3", "U8", ".scale"), ("U8", "U8", "_scale"), ("U8", "F8_E8M0", ".scale_inv")])
def test_names_and_types_of_model_files(tmp_path, codes_type, scales_type, ending):
    x = random(16, 256)
    codes, scales, _ = on_host("fp8 group:32 ue8m0", x)
    np.save(tmp_path / "x.npy", x)
    write_safetensors(tmp_path / "model.safetensors", {"w": (codes_type, codes), f"w{ending}": (scales_type, scales)})
    ran = subprocess.run([_program.program(), "identify", tmp_path / "x.npy", tmp_path / "model.safetensors", "--json"],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "kqbench" in [match["dialect"] for match in json.loads(ran.stdout)["matches"]]
