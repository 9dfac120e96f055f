# SPDX-License-Identifier: Apache-2.0
"""kq.compat.vllm: shapes, strides and values of vLLM's functions, against vLLM's recorded outputs and its formulas in
PyTorch."""

import inspect
import pathlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kq  # noqa: E402
from kq.compat import vllm  # noqa: E402

DEVICE = "cpu" if kq.backend() == "host" else "cuda"
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*_*x*/input.npy"))


def random(*shape, dtype=torch.bfloat16, seed=0):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 8).to(dtype).to(DEVICE)


def quotient(numerator, denominator):
    """A division. By a number in Python, PyTorch's CUDA kernels multiply by its reciprocal: half of the quotients differ."""
    return numerator / torch.tensor(denominator, dtype=torch.float32, device=DEVICE)


def recorded(folder, name):
    values = np.load(folder / f"{name}.npy")
    return torch.from_numpy(values.view(np.int16) if values.dtype == np.uint16 else values).to(DEVICE)


def recorded_input(folder):
    values = recorded(folder, "input")
    return values.view(torch.bfloat16) if folder.name.startswith("bfloat16") else values


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_recorded_outputs(folder):
    x = recorded_input(folder)
    codes, scale = vllm.scaled_fp8_quant(x, use_per_token_if_dynamic=True)
    assert torch.equal(codes.view(torch.uint8), recorded(folder, "dynamic_token_fp8"))
    assert torch.equal(scale.flatten(), recorded(folder, "dynamic_token_fp8_scale").flatten())
    codes, scale = vllm.scaled_fp8_quant(x)
    assert torch.equal(codes.view(torch.uint8), recorded(folder, "dynamic_tensor_fp8"))
    assert torch.equal(scale.flatten(), recorded(folder, "dynamic_tensor_fp8_scale").flatten())
    codes, scale, zero_points = vllm.scaled_int8_quant(x)
    assert torch.equal(codes, recorded(folder, "dynamic_token_int8"))
    assert torch.equal(scale.flatten(), recorded(folder, "dynamic_token_int8_scale").flatten())
    assert zero_points is None


def cases():
    """Of engines/index.txt, those that these functions compute: (a name, the line's words)."""
    for line in (GOLDEN / "engines" / "index.txt").read_text().splitlines():
        words = line.split()
        if words[0] == "vllm-0.33.0" and words[3] == "dynamic" and words[5] == "symmetric" and words[-1] == "0":
            _, element, format, _, granularity, _, scale_format, layout = words[:8]
            if granularity in ("token", "tensor") or (format == "fp8_e4m3fn" or layout == "row"):
                yield pytest.param(words, id=f"{words[10].removeprefix('inputs/')} {element} {format} {granularity} "
                                             f"{scale_format} {layout} {words[8]}")


@pytest.mark.parametrize("words", list(cases()))
def test_recorded_engine(words):
    _, _, format, _, granularity, _, scale_format, layout, bound, _, *files, _, _ = words
    x, wanted_scales, wanted = [recorded(GOLDEN / "engines", name) for name in files]
    if words[1] == "bfloat16":
        x = x.view(torch.bfloat16)
    group = int(granularity.partition(":")[2] or 0)
    if granularity == "tensor":
        codes, scales = vllm.scaled_fp8_quant(x)
    elif granularity == "token" and format == "int8":
        codes, scales, _ = vllm.scaled_int8_quant(x)
    elif granularity == "token":
        bound = None if bound == "-" else torch.tensor(float(bound), device=DEVICE)
        codes, scales = vllm.scaled_fp8_quant(x, scale_ub=bound, use_per_token_if_dynamic=True)
    elif format == "int8":
        codes, scales = vllm.per_token_group_quant_int8(x, group)
    elif layout == "packed":
        codes, scales = vllm.per_token_group_quant_fp8_packed_for_deepgemm(x, group)
    else:
        codes, scales = vllm.per_token_group_quant_fp8(x, group, column_major_scales=layout != "row",
                                                       tma_aligned_scales=layout == "column_aligned",
                                                       use_ue8m0=scale_format == "ue8m0_float")
    tokens = x.shape[0]
    assert torch.equal(codes.view(torch.uint8), wanted.view(torch.uint8).flatten()[:x.numel()].view(x.shape))
    wanted_scales = wanted_scales.flatten().view(torch.int32)
    stride = (tokens + 3) // 4 * 4
    if layout != "row":
        wanted_scales = wanted_scales.as_strided(scales.shape, (1, stride))
    assert torch.equal(scales.view(torch.int32), wanted_scales.view(scales.shape) if layout == "row" else wanted_scales)


def fused_cases():
    """Those behind a producer that the fused functions compute: (a name, the line's words and its NAME=VALUE ones)."""
    for line in (GOLDEN / "engines" / "index.txt").read_text().splitlines():
        words = line.split()
        more = dict(word.split("=") for word in words if "=" in word)
        if words[0] != "vllm-0.33.0" or "producer" not in more or words[3] != "dynamic" or words[14] != "0":
            continue
        if words[1] == "float":  # the reciprocal square root is the device's
            continue
        if words[8] != "-" and words[4] != "token":  # a bound that is no tensor's
            continue
        if words[4].startswith("group") or (words[4] == "token" and more["producer"] != "silu_mul"):
            yield pytest.param(words, more, id=words[12].removeprefix("vllm-0.33.0/"))


@pytest.mark.parametrize("words, more", list(fused_cases()))
def test_recorded_fused(words, more):
    engines = GOLDEN / "engines"
    element = {"bfloat16": torch.bfloat16, "half": torch.float16}[words[1]]
    x, weight, residual, wanted_residual = [recorded(engines, name).view(element) if name else None for name in (
        words[10], more.get("weight"), more.get("residual"), more.get("residual_out"))]
    scales, codes = recorded(engines, words[11]), recorded(engines, words[12])
    kind = torch.int8 if words[2] == "int8" else torch.float8_e4m3fn
    bound = None if words[8] == "-" else torch.tensor(float(words[8]), device=DEVICE)
    group = int(words[4].partition(":")[2] or 0)
    if residual is not None:
        residual = residual.clone()
    if more["producer"] == "silu_mul":
        made = vllm.silu_and_mul_per_block_quant(x, group, kind, is_scale_transposed=words[7] != "row")
    elif group:
        made = vllm.rms_norm_per_block_quant(x, weight, 1e-6, kind, [1, group], None, residual, words[7] != "row")
    else:
        made = vllm.rms_norm_dynamic_per_token_quant(x, weight, 1e-6, kind, bound, residual)
    assert torch.equal(made[0].view(torch.uint8), codes.view(torch.uint8).view(made[0].shape))
    stored = made[1] if words[7] == "row" else made[1].t()
    differ = (stored.contiguous().flatten().view(torch.int32) != scales.flatten().view(torch.int32)).sum()
    assert differ <= int(more.get("scales", 0))
    if residual is not None:
        assert torch.equal(residual.view(torch.int16), wanted_residual.view(torch.int16).view(x.shape))


def test_fused_functions_name_what_is_wrong():
    x, weight = random(4, 256), random(256)
    kind = torch.float8_e4m3fn
    for field, call in (
            ("weight", lambda: vllm.rms_norm_dynamic_per_token_quant(x, weight[:128], 1e-6, kind)),
            ("weight", lambda: vllm.rms_norm_dynamic_per_token_quant(x, weight.float(), 1e-6, kind)),
            ("residual", lambda: vllm.rms_norm_dynamic_per_token_quant(x, weight, 1e-6, kind, residual=x[:2])),
            ("eps", lambda: vllm.rms_norm_dynamic_per_token_quant(x, weight, -1.0, kind)),
            ("quant_dtype", lambda: vllm.rms_norm_dynamic_per_token_quant(x, weight, 1e-6, torch.uint8)),
            ("group_size", lambda: vllm.rms_norm_per_block_quant(x, weight, 1e-6, kind, [2, 128])),
            ("scale_ub", lambda: vllm.rms_norm_per_block_quant(x, weight, 1e-6, kind, [1, 128], scale_ub=weight[:1])),
            ("tma_alignment", lambda: vllm.rms_norm_per_block_quant(x, weight, 1e-6, kind, [1, 128], tma_alignment=8)),
            ("x", lambda: vllm.silu_and_mul_per_block_quant(x[:, :255], 128, kind)),
            ("producer", lambda: kq.quantize(x, "fp8 token", producer="gelu")),
            ("weight", lambda: kq.quantize(x, "fp8 token", producer="rms_norm")),
            ("weight", lambda: kq.quantize(x, "fp8 token", weight=weight)),
            ("residual_out", lambda: kq.quantize(x, "fp8 token", producer="add_rms_norm", weight=weight, residual=x)),
            ("residual_out", lambda: kq.quantize(x, "fp8 token", producer="add_rms_norm", weight=weight, residual=x.clone(),
                                                 residual_out=random(4, 512)[:, :256]))):
        with pytest.raises(kq.InvalidArgument) as caught:
            call()
        assert caught.value.field == field


@pytest.mark.parametrize("producer", ["rms_norm", "add_rms_norm", "silu_mul"])
@pytest.mark.parametrize("scheme", ["fp8 token", "int8 tensor asymmetric", "fp8 group:64", "static fp8 tensor", "mxfp8"])
def test_a_fused_operation_gives_what_its_steps_give(producer, scheme):
    """Through each way of giving tensors: outputs made or given, rows of x apart, several leading dimensions."""
    wide = random(2, 3, 1024)
    x = wide[..., :512] if producer == "silu_mul" else wide[..., :256]
    weight, residual = random(256, seed=1), random(2, 3, 256, seed=2)
    how, total = {"producer": producer}, x.float()
    if producer == "silu_mul":
        gate, up = x.double().chunk(2, dim=-1)
        values = (gate / (1 + torch.exp(-gate))).to(x.dtype).float() * up.float()
    else:
        how.update(weight=weight, eps=1e-5)
        if producer == "add_rms_norm":
            how.update(residual=residual, residual_out=torch.empty_like(residual))
            total = (total + residual.float()).to(x.dtype).float()
        reciprocal = (1 / (total.double().square().mean(-1, keepdim=True) + 1e-5).sqrt()).float()
        values = total * reciprocal * weight.float()
    scales = {"scales": torch.full((1,), 0.05, device=DEVICE)} if scheme.startswith("static") else {}
    wanted = kq.quantize(values.to(x.dtype), scheme, **scales)
    made = kq.quantize(x, scheme, **scales, **how)
    given = kq.quantize(x, scheme, out=torch.empty_like(made.codes), **scales, **how)
    for one in (made, given):
        assert torch.equal(one.codes.view(torch.uint8), wanted.codes.view(torch.uint8))
        assert torch.equal(one.scales.view(torch.uint8), wanted.scales.view(torch.uint8))
    if producer == "add_rms_norm":
        assert torch.equal(how["residual_out"].float(), total)


def test_cases_are_found():
    assert len(list(cases())) >= 40
    assert len(list(fused_cases())) >= 20


def test_padding_and_given_outputs():
    x = random(5, 64)
    codes, scale = vllm.scaled_fp8_quant(x, num_token_padding=17, use_per_token_if_dynamic=True)
    assert codes.shape == (17, 64) and scale.shape == (17, 1) and codes.dtype == torch.float8_e4m3fn
    wanted = vllm.scaled_fp8_quant(x, use_per_token_if_dynamic=True)
    assert torch.equal(codes[:5].view(torch.uint8), wanted[0].view(torch.uint8)) and torch.equal(scale[:5], wanted[1])
    output = torch.empty(5, 64, dtype=torch.float8_e4m3fn, device=DEVICE)
    assert vllm.scaled_fp8_quant(x, output=output)[0] is output
    with pytest.raises(kq.InvalidArgument, match="num_token_padding"):
        vllm.scaled_fp8_quant(x, output=output, num_token_padding=17)


def test_an_upper_bound():
    x = random(5, 64).abs()
    bound = x.float().mean()
    _, scale = vllm.scaled_fp8_quant(x, scale_ub=bound, use_per_token_if_dynamic=True)
    wanted = quotient(torch.minimum(x.float().amax(-1, keepdim=True), bound), 448)
    torch.testing.assert_close(scale, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("group_shape, one_dimension", [
    ((-1, -1), False), ((-1, 1), False), ((1, -1), False), ((-1, 1), True), ((1, -1), True), ((-1, 64), False),
    ((1, 64), False), ((4, 64), False), ((2, 256), False), (None, False)])
def test_static_scales(group_shape, one_dimension):
    x = random(8, 256)
    rows, columns = [size if of == -1 else of for of, size in zip(group_shape or (4, 64), x.shape, strict=True)]
    scale = torch.linspace(0.05, 0.1, 8 // rows * (256 // columns), device=DEVICE).view(8 // rows, 256 // columns)
    codes, same = vllm.scaled_fp8_quant(x, scale.flatten() if one_dimension else scale, group_shape=group_shape)
    assert same.numel() == scale.numel()
    spread = scale.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    wanted = (x.float() * spread.reciprocal()).clamp(-448, 448).to(torch.float8_e4m3fn)
    assert torch.equal(codes.view(torch.uint8), wanted.view(torch.uint8))


def test_static_scales_that_do_not_fit():
    x = random(8, 256)
    for scale, group_shape, field in [(torch.ones(8), None, "group_shape"), (torch.ones(3, 4), None, "scale"),
                                      (torch.ones(8, 4), (3, 64), "group_shape"), (torch.ones(7), (1, -1), "scales")]:
        with pytest.raises(kq.InvalidArgument) as caught:
            vllm.scaled_fp8_quant(x, scale.to(DEVICE), group_shape=group_shape)
        assert caught.value.field == field


@pytest.mark.parametrize("tokens", [1, 3, 4, 31])
@pytest.mark.parametrize("ue8m0", [False, True])
@pytest.mark.parametrize("column_major, aligned", [(False, False), (True, False), (True, True)])
def test_groups(tokens, ue8m0, column_major, aligned):
    x = random(tokens, 256)
    codes, scale = vllm.per_token_group_quant_fp8(x, 64, column_major_scales=column_major, tma_aligned_scales=aligned,
                                                  use_ue8m0=ue8m0)
    wanted = quotient(x.float().view(tokens, 4, 64).abs().amax(-1).clamp(min=1e-10), 448)
    if ue8m0:
        wanted = torch.exp2(torch.ceil(torch.log2(wanted.double()))).float()
    torch.testing.assert_close(scale, wanted, rtol=0, atol=0)
    stride = ((tokens + 3) // 4 * 4 if aligned else tokens) if column_major else 1
    assert scale.shape == (tokens, 4) and (scale.stride(1) == stride or tokens == 1)
    back = codes.float().view(tokens, 4, 64) * wanted.unsqueeze(-1)
    torch.testing.assert_close(back.view(tokens, 256), x.float(), rtol=0.0626, atol=float(wanted.max()) / 512)


def test_groups_of_batches():
    x = random(2, 5, 256)
    codes, scale = vllm.per_token_group_quant_fp8(x, 64, column_major_scales=True, tma_aligned_scales=True)
    assert scale.shape == (2, 5, 4) and scale.stride() == (32, 1, 8)
    plain = vllm.per_token_group_quant_fp8(x, 64)
    assert torch.equal(scale, plain[1]) and torch.equal(codes.view(torch.uint8), plain[0].view(torch.uint8))


@pytest.mark.parametrize("tokens, hidden_size", [(4, 7168), (1, 384), (3, 640), (5, 768)])
def test_packed(tokens, hidden_size):
    x = random(tokens, hidden_size)
    codes, packed = vllm.per_token_group_quant_fp8_packed_for_deepgemm(x, 128, use_ue8m0=True)
    wanted, scale = vllm.per_token_group_quant_fp8(x, 128, use_ue8m0=True)
    groups, columns = hidden_size // 128, (hidden_size // 128 + 3) // 4
    assert packed.shape == (tokens, columns) and packed.dtype == torch.int32
    assert columns == 1 or packed.stride() == (1, (tokens + 3) // 4 * 4)
    exponents = torch.zeros(tokens, columns * 4, dtype=torch.int32, device=DEVICE)
    exponents[:, :groups] = scale.view(torch.int32) >> 23
    shifts = torch.tensor([0, 8, 16, 24], device=DEVICE, dtype=torch.int32)
    assert torch.equal(packed, (exponents.view(tokens, columns, 4) << shifts).sum(-1).to(torch.int32))
    assert torch.equal(codes.view(torch.uint8), wanted.view(torch.uint8))
    given = torch.empty_like(codes)
    assert vllm.per_token_group_quant_fp8_packed_for_deepgemm(x, 128, out_q=given)[0] is given
    assert torch.equal(given.view(torch.uint8), codes.view(torch.uint8))


def test_int8():
    x = random(6, 256)
    scale, azp = torch.tensor([0.5], device=DEVICE), torch.tensor([7], dtype=torch.int32, device=DEVICE)
    codes, same_scale, same_azp = vllm.scaled_int8_quant(x, scale, azp, symmetric=False)
    assert same_scale is scale and same_azp is azp
    assert torch.equal(codes, ((x.float() / 0.5).round() + 7).clamp(-128, 127).to(torch.int8))
    codes, _, _ = vllm.scaled_int8_quant(x, scale)
    assert torch.equal(codes, (x.float() / 0.5).round().clamp(-128, 127).to(torch.int8))
    codes, scales, azps = vllm.scaled_int8_quant(x.view(2, 3, 256), symmetric=False)
    assert codes.shape == (2, 3, 256) and scales.shape == (6, 1) and azps.shape == (6, 1) and azps.dtype == torch.int32
    codes, scales = vllm.per_token_group_quant_int8(x, 64)
    assert codes.dtype == torch.int8 and scales.shape == (6, 4)
    with pytest.raises(kq.InvalidArgument, match="azp"):
        vllm.scaled_int8_quant(x, scale, azp)


def test_empty_batches():
    x = random(0, 256)
    assert vllm.scaled_fp8_quant(x)[0].shape == (0, 256)
    assert vllm.scaled_fp8_quant(x, torch.ones(1, device=DEVICE))[0].shape == (0, 256)
    assert vllm.per_token_group_quant_fp8(x, 64)[1].shape == (0, 4)
    assert vllm.scaled_int8_quant(x)[1].shape == (0, 1)


def test_signatures():
    """In vLLM 0.33.0's order, with its defaults."""
    wanted = {
        "scaled_fp8_quant": "input, scale=None, num_token_padding=None, scale_ub=None, use_per_token_if_dynamic=False, "
                            "output=None, group_shape=None",
        "scaled_int8_quant": "input, scale=None, azp=None, symmetric=True",
        "per_token_group_quant_fp8": "x, group_size, eps=1e-10, dtype=None, column_major_scales=False, "
                                     "tma_aligned_scales=False, out_q=None, use_ue8m0=None",
        "per_token_group_quant_fp8_packed_for_deepgemm": "x, group_size, eps=1e-10, use_ue8m0=None, out_q=None",
        "per_token_group_quant_int8": "x, group_size, eps=1e-10, dtype=torch.int8",
    }
    for name, text in wanted.items():
        parameters = inspect.signature(getattr(vllm, name)).parameters.values()
        assert ", ".join(str(p.replace(annotation=p.empty)) for p in parameters) == text
