# SPDX-License-Identifier: Apache-2.0
"""MXFP8, MXFP4 and NVFP4 on NumPy arrays: recorded bytes of engines, NumPy's own arithmetic, shapes, layouts, errors; and
PyTorch's type of two codes, where it is installed."""

import pathlib

import numpy as np
import pytest

import kq
import kq.testing

ENGINES = pathlib.Path(__file__).parents[1] / "golden" / "engines"
NUMBERS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)

pytestmark = pytest.mark.skipif(kq.backend() != "host", reason="NumPy's arrays are on a host")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def numbers(codes, columns):
    """What packed codes stand for, the even column in the low half."""
    both = np.stack([codes & 15, codes >> 4], axis=-1)
    return NUMBERS[both.reshape(*codes.shape[:-1], -1)[..., :columns]]


def e4m3(scales):
    return scales.view(pytest.importorskip("ml_dtypes").float8_e4m3fn).astype(np.float32)


@pytest.mark.parametrize("scheme, case, scales", [
    ("mxfp4 aiter", "aiter-e404860/float_16x192/mxfp4_RCEIL", "aiter-e404860/float_16x192/mxfp4_RCEIL_scale"),
    ("mxfp4 floor torchao", "torchao-36027d8/float_16x192/mxfp4_FLOOR", "torchao-36027d8/float_16x192/mxfp4_FLOOR_scale"),
    ("nvfp4 te block:16x16", "te-d0067d0/float_16x192/nvfp4_2d", "te-d0067d0/float_16x192/nvfp4_2d_scale"),
    ("nvfp4 te 4over6_mae_448", "te-d0067d0/float_16x192/nvfp4_4over6_mae448",
     "te-d0067d0/float_16x192/nvfp4_4over6_mae448_scale"),
])
def test_gives_recorded_bytes(scheme, case, scales):
    lines = [line.split() for line in (ENGINES / "index.txt").read_text().splitlines() if f" {case} " in line]
    assert lines, case
    found = kq.quantize(np.load(ENGINES / f"{lines[0][10]}.npy"), scheme)
    codes = np.load(ENGINES / f"{case}.npy")
    if codes.shape[-1] == 192:  # recorded one to a byte
        codes = (codes[..., 0::2] & 15) | (codes[..., 1::2] << 4)
    np.testing.assert_array_equal(found.codes, codes)
    recorded = np.load(ENGINES / f"{scales}.npy")
    np.testing.assert_array_equal(found.scales, recorded[::16] if "block" in scheme else recorded)


@pytest.mark.parametrize("columns", [64, 47, 1])
def test_mxfp4_is_code_times_power_of_two(columns):
    x = random(2, 3, columns)
    found = kq.quantize(x, "mxfp4")
    assert len(found) == 3 and found.zero_points is None
    assert found.codes.shape == (2, 3, (columns + 1) // 2) and found.codes.dtype == np.uint8
    assert found.scales.shape == (2, 3, (columns + 31) // 32) and found.scales.dtype == np.uint8
    scale = np.repeat(np.exp2(found.scales.astype(np.float32) - 127), 32, axis=-1)[..., :columns]
    wanted = numbers(found.codes, columns) * scale
    out = np.empty((2, 3, columns), np.float32)
    np.testing.assert_array_equal(kq.dequantize(*found, scheme="mxfp4", out=out), wanted)
    np.testing.assert_array_equal(kq.dequantize(*found, scheme="mxfp4")[..., :columns], wanted)
    assert np.abs(wanted - x).max() <= np.abs(x).max() / 4
    report = kq.error_report(x, *found, scheme="mxfp4")
    assert report.max_error == np.abs(x.astype(np.float64) - wanted).max() and report.elements == x.size


def test_mxfp8_is_a_name_for_its_parts():
    assert kq.Scheme("mxfp8") == kq.Scheme("fp8 group:32 ue8m0 rceil")
    assert kq.Scheme("even mxfp8 fp8_e5m2") == kq.Scheme("fp8_e5m2 group:32 ue8m0 even")
    assert kq.Scheme("static nvfp4") == kq.Scheme("fp4_e2m1 group:16 e4m3 static")
    assert kq.Scheme("static mxfp4").scale_rounding == "quotient"
    assert kq.Scheme("mxfp4", static_scale=True) == kq.Scheme("static mxfp4")
    assert kq.Scheme(format="fp4_e2m1", granularity="group:16", scale_format="e4m3") == kq.Scheme("nvfp4")
    for text in ("mxfp4", "nvfp4 global_scale=700", "nvfp4 te 4over6_mse_256", "nvfp4 block:16x16", "mxfp4 shuffled_32x8"):
        assert kq.Scheme(str(kq.Scheme(text))) == kq.Scheme(text)
    x = random(4, 96)
    for ours, theirs in zip(kq.quantize(x, "mxfp8")[:2], kq.quantize(x, "fp8 group:32 ue8m0 rceil")[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nvfp4_has_a_scale_of_the_tensor():
    x = random(5, 80)
    found = kq.quantize(x, "nvfp4")
    assert isinstance(found, kq.TwoLevelQuantized) and found.zero_points is None
    assert found.global_scale.shape == (1,) and found.global_scale.dtype == np.float32
    g = np.float32(2688) / np.abs(x).max()
    np.testing.assert_array_equal(found.global_scale, [np.float32(1) / g])
    scale = np.repeat(e4m3(found.scales) * found.global_scale, 16, axis=-1)
    wanted = numbers(found.codes, 80) * scale
    np.testing.assert_array_equal(kq.dequantize(*found, scheme="nvfp4"), wanted)
    assert 15 < kq.error_report(x, *found, scheme="nvfp4").sqnr_db < 30

    given = kq.quantize(x, kq.Scheme("nvfp4", global_scale=float(g)))
    again = kq.quantize(x, "nvfp4 static", scales=found.scales, global_scale=found.global_scale)
    for one in (given, again):
        np.testing.assert_array_equal(one.codes, found.codes)
        np.testing.assert_array_equal(one.scales, found.scales)
        np.testing.assert_array_equal(one.global_scale, found.global_scale)
    assert again.global_scale is found.global_scale

    written = [np.zeros_like(tensor) for tensor in (found.codes, found.scales, found.global_scale)]
    kq.quantize(x, "nvfp4", out=written[0], scales=written[1], global_scale=written[2])
    for ours, theirs in zip(written, (found.codes, found.scales, found.global_scale), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rows_of_codes_may_lie_apart():
    x = random(6, 64)
    wide = np.zeros((6, 50), np.uint8)
    found = kq.quantize(x, "mxfp4", out=wide[:, :32])
    np.testing.assert_array_equal(wide[:, :32], kq.quantize(x, "mxfp4").codes)
    assert not wide[:, 32:].any()
    np.testing.assert_array_equal(kq.dequantize(wide[:, :32], found.scales, scheme="mxfp4"),
                                  kq.dequantize(*kq.quantize(x, "mxfp4"), scheme="mxfp4"))


def place(layout, t, g, columns):
    if layout == "swizzled_128x4":
        return (t // 128 * -(-columns // 4) + g // 4) * 512 + t % 32 * 16 + t // 32 % 4 * 4 + g % 4
    if layout == "swizzled_8x4":
        return (t // 8 * -(-columns // 4) + g // 4) * 32 + t % 8 * 4 + g % 4
    return (t // 32 * -(-columns // 8) + g // 8) * 256 + g % 4 * 64 + t % 16 * 4 + g % 8 // 4 * 2 + t % 32 // 16


@pytest.mark.parametrize("layout, shape", [("swizzled_128x4", (256, 8)), ("swizzled_8x4", (136, 8)),
                                           ("shuffled_32x8", (256, 8))])
@pytest.mark.parametrize("scheme", ["mxfp8", "mxfp4", "nvfp4"])
def test_scales_in_tiles(scheme, layout, shape):
    x = random(2, 65, 80 if scheme == "nvfp4" else 160)
    plain = kq.quantize(x, scheme)
    tiled = kq.quantize(x, f"{scheme} {layout}")
    assert tiled.scales.shape == shape
    np.testing.assert_array_equal(tiled.codes, plain.codes)
    wanted = np.zeros(tiled.scales.size, np.uint8)
    for t, row in enumerate(plain.scales.reshape(130, 5)):
        for g, scale in enumerate(row):
            wanted[place(layout, t, g, 5)] = scale
    np.testing.assert_array_equal(tiled.scales.ravel(), wanted)
    np.testing.assert_array_equal(kq.dequantize(*tiled, scheme=f"{scheme} {layout}"), kq.dequantize(*plain, scheme=scheme))


def test_schemes_have_their_formats():
    served = {info.name: info for info in kq.schemes()}
    assert "fp4_e2m1" in served["dynamic group"].formats and "e4m3" in served["dynamic group"].scale_formats
    assert "e4m3" in served["static group"].scale_formats
    assert "fp4_e2m1" not in served["static block"].formats
    assert any("fp4_e2m1" in info.formats for info in kq.schemes("torchao"))


def test_what_is_wrong_is_named():
    x = random(4, 64)
    found = kq.quantize(x, "nvfp4")
    for call, field in [(lambda: kq.quantize(x, "nvfp4 static", scales=found.scales), "global_scale"),
                        (lambda: kq.quantize(x, "mxfp4", global_scale=found.global_scale), "global_scale"),
                        (lambda: kq.quantize(x, "nvfp4", global_scale=np.zeros(2, np.float32)), "global_scale"),
                        (lambda: kq.quantize(x, "nvfp4", global_scale=np.zeros(1, np.float16)), "global_scale"),
                        (lambda: kq.quantize(x, "nvfp4", out=np.zeros((4, 64), np.uint8)), "out"),
                        (lambda: kq.quantize(x, "nvfp4", scales=np.zeros((4, 4), np.float32)), "scales"),
                        (lambda: kq.quantize(x, "mxfp4 swizzled_8x4", scales=np.zeros((4, 2), np.uint8)), "scales"),
                        (lambda: kq.dequantize(found.codes, found.scales, scheme="nvfp4"), "global_scale"),
                        (lambda: kq.error_report(x[:, :60], *found, scheme="nvfp4"), "codes"),
                        (lambda: kq.Scheme("mxfp4 nvfp4"), "scheme"),
                        (lambda: kq.Scheme("mxfp4 quotient"), "scale_rounding"),
                        (lambda: kq.Scheme("mxfp8 global_scale=2"), "global_scale")]:
        with pytest.raises(kq.InvalidArgument) as caught:
            call()
        assert caught.value.field == field, caught.value


@pytest.mark.parametrize("scheme", ["mxfp4", "nvfp4", "mxfp8 swizzled_128x4"])
def test_verify_and_assert_matches(scheme):
    def right(x):
        found = kq.quantize(x, scheme)
        return [tensor for tensor in found if tensor is not None]

    def wrong(x):
        codes, *others = right(x)
        return (codes ^ 1, *others)

    assert kq.verify(right, scheme)
    assert not kq.verify(wrong, scheme, shapes=[(3, 64)])
    x = random(4, 64)
    found = kq.quantize(x, scheme)
    given = {"global_scale": found.global_scale} if scheme == "nvfp4" else {}
    kq.testing.assert_matches(found.codes, found.scales, x, scheme, **given)
    with pytest.raises(AssertionError):
        kq.testing.assert_matches(found.codes ^ 1, found.scales, x, scheme, **given)


@pytest.mark.parametrize("scheme, dialect", [("mxfp4", "kqbench"), ("nvfp4", "kqbench"), ("mxfp4", "deepgemm-54e2261"),
                                             ("nvfp4", "torchao-36027d8"), ("nvfp4 swizzled_128x4", "kqbench")])
def test_identify_names_codes_of_four_bits(scheme, dialect):
    x = random(64, 256)
    x[3, :32] = 0
    x[4, :64] *= 1e-6
    found = kq.quantize(x, f"{scheme} {dialect}")
    named = kq.identify(x, found.codes, found.scales)
    assert named["identified"], named["nearest"]
    assert dialect in [match["dialect"] for match in named["matches"]]
    assert {match["quant_dtype"] for match in named["matches"]} == {"fp4_e2m1"}
    swapped = kq.identify(x, found.codes << 4 | found.codes >> 4, found.scales)
    assert not swapped["identified"]
    assert dialect in [match["dialect"] for match in swapped["nearest"]["matches_of_swapped_halves"]]


def test_torch_has_a_type_of_two_codes():
    torch = pytest.importorskip("torch")
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this PyTorch has no float4_e2m1fn_x2")
    x = torch.from_numpy(random(4, 64))
    found = kq.quantize(x, "nvfp4")
    assert found.codes.dtype == torch.uint8 and found.scales.dtype == torch.float8_e4m3fn
    named = found.codes.view(torch.float4_e2m1fn_x2)
    wanted = kq.dequantize(*found, scheme="nvfp4")
    assert torch.equal(kq.dequantize(named, *found[1:], scheme="nvfp4"), wanted)
    out = torch.empty((4, 32), dtype=torch.float4_e2m1fn_x2)
    assert kq.quantize(x, "nvfp4", out=out).codes is out
    assert torch.equal(out.view(torch.uint8), found.codes)
    assert kq.identify(x, named, found.scales)["identified"]


def test_torch_operators_have_codes_of_four_bits():
    torch = pytest.importorskip("torch")
    import kq.torch

    x = torch.from_numpy(random(3, 96))
    for scheme in ("mxfp4", "mxfp4 swizzled_8x4", "mxfp8 shuffled_32x8"):
        codes, scales, _ = kq.torch.quantize(x, scheme)
        torch.library.opcheck(torch.ops.kq.quantize, (x, scheme), test_utils="test_faketensor")
        torch.library.opcheck(torch.ops.kq.dequantize, (codes, scales, None, scheme),
                              test_utils="test_faketensor")
        wanted = kq.dequantize(*kq.quantize(x.numpy(), scheme), scheme=scheme)
        assert torch.equal(kq.torch.dequantize(codes, scales, scheme=scheme), torch.from_numpy(wanted))
    with pytest.raises(kq.InvalidArgument, match="scale of the tensor"):
        kq.torch.quantize(x, "nvfp4")
