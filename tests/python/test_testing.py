# SPDX-License-Identifier: Apache-2.0
"""kq.testing.assert_matches and kq.verify, on NumPy functions that are right and on ones that are not. The arrays are on the
host, for builds for a GPU too: kq's own tensors are made where it works, and both functions take arrays of any place."""

import functools
import subprocess
import sys

import numpy as np
import pytest

import kq
import kq.testing
from kq import _compare, _frameworks

verify = functools.partial(kq.verify, make="numpy")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def on_host(x):
    """A NumPy array of a tensor; FP8 codes and exponents are uint8."""
    if x is None or isinstance(x, np.ndarray):
        return x
    bits = _compare._bits(x)
    return bits.view({"float32": np.float32, "int32": np.int32, "int8": np.int8}.get(str(x.dtype).split(".")[-1], bits.dtype))


def quantize(x, scheme, **given):
    """kq.quantize of NumPy arrays, wherever kq works."""
    given = {name: _frameworks.where_kq_works(tensor) for name, tensor in given.items()}
    return kq.Quantized(*map(on_host, kq.quantize(_frameworks.where_kq_works(x), scheme, **given)))


LEAST = np.float32(2.0**-126)


def int8_token(x, *, divide=True, least=LEAST, step=np.rint):
    """int8 with a scale for each token, in NumPy's arithmetic; kqbench multiplies by qmax / amax."""
    amax = np.nanmax(np.where(np.isnan(x), 0, np.abs(x)), axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        scales = np.where(amax == 0, 0, np.maximum(amax / np.float32(127), least)).astype(np.float32)
        inverse = np.where(amax == 0, 0, np.minimum(np.float32(127) / amax, 1 / least)).astype(np.float32)
        exact = x / scales if divide else x * inverse
        codes = np.clip(np.nan_to_num(step(exact), nan=0.0), -128, 127).astype(np.int8)
    return codes, scales


def right(x):
    return int8_token(x, divide=False)


def test_it_needs_no_import_of_its_own():
    found = "import kq, sys; assert 'kq.testing' not in sys.modules; print(kq.testing.assert_matches.__module__)"
    ended = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert ended.stdout == "kq.testing\n"


def test_what_kq_gives_matches():
    x = random(5, 256)
    for scheme in ("fp8 token", "int8 group:64", "int8 token asymmetric", "fp8 group:128 ue8m0 packed"):
        codes, scales, zero_points = quantize(x, scheme)
        kq.testing.assert_matches(codes, scales, x, scheme, zero_points=zero_points)


def test_scales_of_another_shape_match():
    x = random(5, 256)
    codes, scales, _ = quantize(x, "fp8 token")
    kq.testing.assert_matches(codes, scales.ravel(), x, "fp8 token")


def test_a_wrong_code_is_named():
    x = random(5, 256)
    codes, scales, _ = quantize(x, "fp8 token")
    codes[3, 17] ^= 1
    with pytest.raises(AssertionError) as error:
        kq.testing.assert_matches(codes, scales, x, "fp8 token")
    found, wanted = int(codes[3, 17]), int(codes[3, 17]) ^ 1
    assert str(error.value).splitlines() == [
        f"codes[3, 17] is 0x{found:02x} and must be 0x{wanted:02x}; 1 of 1280 differ",
        "not the bytes of kqbench; they are no dialect's"]


def test_the_dialect_that_matches_is_named():
    x = random(64, 512)
    codes, scales, _ = quantize(x, kq.Scheme("int8 group:64", dialect="vllm-0.33.0"))
    kq.testing.assert_matches(codes, scales, x, "int8 group:64", "vllm")
    with pytest.raises(AssertionError, match=r"not the bytes of kqbench; they are those of .*vllm-0\.33\.0"):
        kq.testing.assert_matches(codes, scales, x, "int8 group:64")


def test_static_scales_are_taken_as_given():
    x = random(5, 256)
    scales = np.full(1, 0.02, np.float32)
    codes, _, _ = quantize(x, "fp8 static tensor", scales=scales)
    kq.testing.assert_matches(codes, scales, x, "fp8 static tensor")
    codes[0, 0] ^= 1
    with pytest.raises(AssertionError, match=r"codes\[0, 0\]"):
        kq.testing.assert_matches(codes, scales, x, "fp8 static tensor")


def test_a_tensor_of_another_size_is_refused():
    x = random(5, 256)
    codes, scales, _ = quantize(x, "fp8 token")
    with pytest.raises(kq.InvalidArgument, match="scales: must have 5 numbers of 4 bytes"):
        kq.testing.assert_matches(codes, scales[:3], x, "fp8 token")
    with pytest.raises(kq.InvalidArgument, match="codes: "):
        kq.testing.assert_matches(codes.astype(np.int32), scales, x, "fp8 token")
    with pytest.raises(kq.InvalidArgument, match="zero_points: is missing"):
        kq.testing.assert_matches(*quantize(x, "int8 token asymmetric")[:2], x, "int8 token asymmetric")


def test_verify_of_a_right_function():
    found = verify(right, "int8 token")
    assert found, str(found)
    assert found.cases >= 50 and "kqbench" in found.matches
    assert str(found) == f"{found.cases} cases, no mismatch with kqbench"


@pytest.mark.parametrize("wrong, fill", [
    (lambda x: int8_token(x, divide=True), "ties"),  # another dialect's quotient
    (lambda x: int8_token(x, divide=False, step=np.trunc), "normal"),
    (lambda x: int8_token(x, divide=False, least=np.float32(0)), "subnormals"),
    (lambda x: (int8_token(x, divide=False)[0], int8_token(x, divide=False)[1] * 2), "normal"),
])
def test_verify_finds_what_is_wrong(wrong, fill):
    found = verify(wrong, "int8 token")
    assert not found
    assert fill in {failure.fill for failure in found.failures}, str(found)
    assert "FAILED " in str(found) and "must be 0x" in str(found)


def test_verify_names_the_dialect_that_matches():
    def as_vllm(x):
        return quantize(x, kq.Scheme("int8 group:64", dialect="vllm"))

    found = verify(as_vllm, "int8 group:64")
    assert not found and "vllm-0.33.0" in found.matches
    assert "its bytes are those of" in str(found)
    assert verify(as_vllm, "int8 group:64", dialect="vllm")


def test_verify_of_a_function_that_raises():
    def failing(x):
        if x.shape == (3, 17):
            raise RuntimeError("no kernel for 17 columns")
        return right(x)

    found = verify(failing, "int8 token")
    assert {failure.shape for failure in found.failures} == {(3, 17)}
    assert "3x17, filled with normal: RuntimeError: no kernel for 17 columns" in str(found)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_verify_of_other_types(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.float16 if dtype == "float16" else ml_dtypes.bfloat16
    found = verify(lambda x: right(x.astype(np.float32)), "int8 token", dtype=kind)
    assert found, str(found)


def test_verify_of_a_function_that_is_given_its_outputs():
    def writes(x, codes, scales):
        codes[...], scales[...] = right(x)

    if kq.backend() == "host":
        assert verify(writes, "int8 token")

    def forgets(x, codes, scales):
        made = right(x)
        codes[..., :-1], scales[...] = made[0][..., :-1], made[1]

    found = verify(forgets, "int8 token")
    assert len(found.failures) >= found.cases // 2
    if kq.backend() == "host":
        assert "is 0x5a and must be 0x" in str(found)


def test_a_function_of_other_parameters_is_refused():
    with pytest.raises(kq.InvalidArgument, match=r"functions: function must take \(x\) and return what it makes, or take "
                                                 r"\(x, codes, scales\); it takes x, y"):
        verify(lambda x, y: None, "int8 token")
    with pytest.raises(kq.InvalidArgument, match="make: \"jax\" is not known; there are numpy, torch, cupy"):
        verify(right, "int8 token", make="jax")


def test_verify_by_the_name_of_a_type():
    pytest.importorskip("ml_dtypes")
    assert verify(lambda x: right(x.astype(np.float32)), "int8 token", dtype="bfloat16", shapes=[(3, 17)])


def test_verify_of_torchs_tensors():
    torch = pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    seen = []

    def quantized(x):
        seen.append((x.dtype, x.device.type))
        return kq.quantize(x, "fp8 group:16 ue8m0")

    assert kq.verify(quantized, "fp8 group:16 ue8m0", make="torch", dtype="bfloat16", shapes=[(3, 64)])
    assert set(seen) == {(torch.bfloat16, "cpu" if kq.backend() == "host" else "cuda")}

    def writes(x, codes, scales):
        kq.quantize(x, "fp8 group:16 column", out=codes, scales=scales)

    found = kq.verify(writes, "fp8 group:16 column", make="torch", shapes=[(3, 64), (5, 32)])
    assert found, str(found)


def test_tensors_of_another_place_are_taken_along(monkeypatch):
    """What a build for a GPU does with arrays of a host, with a device that is pretended."""
    made = []

    class Device(_frameworks.NumPy):
        def tensor(self, array):
            made.append(array.shape)
            return array

    monkeypatch.setattr(_frameworks._kq, "backend", lambda: "cuda")
    monkeypatch.setattr(_frameworks, "framework", lambda name=None: Device())
    x = random(5, 256)
    assert _frameworks.where_kq_works(x) is x and made == [(5, 256)]
    assert _frameworks.where_kq_works(None) is None
