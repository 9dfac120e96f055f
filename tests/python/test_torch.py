# SPDX-License-Identifier: Apache-2.0
"""The package on PyTorch tensors: kq.quantize, the operators of kq.torch (opcheck, torch.compile, and CUDA graphs where
there is a GPU), and how tensors are read."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from opcheck import opcheck  # noqa: E402

import kq  # noqa: E402
import kq.torch  # noqa: E402
from kq.compat import vllm  # noqa: E402

DEVICE = "cpu" if kq.backend() == "host" else "cuda"
on_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="this build is for a host")

SCHEMES = ["fp8 tensor", "fp8 token", "fp8_e5m2 token", "int8 channel", "fp8 group:128", "fp8 group:64 ue8m0",
           "fp8 group:64 column", "fp8 group:64 ue8m0 column_aligned", "fp8 group:32 ue8m0 packed", "fp8 block:4x64",
           "fp8 block:2x64 ue8m0 packed", "int8 token asymmetric"]
SHAPES = [(5, 256), (2, 3, 256), (256,), (0, 256)]


def random(*shape, dtype=torch.bfloat16, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype).to(DEVICE)


def same(a, b):
    assert (a is None) == (b is None)
    if a is not None:
        assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride()
        size = {1: torch.uint8, 4: torch.int32}[a.dtype.itemsize]
        assert torch.equal(a.contiguous().view(size), b.contiguous().view(size))


# --- kq.quantize ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, torch.float])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gives_what_numpy_gets(dtype, scheme, shape):
    x = random(*shape, dtype=dtype)
    got = kq.quantize(x, scheme)
    assert got.codes.dtype == kq.torch._FORMATS[kq.Scheme(scheme).format]
    if kq.backend() != "host":
        return
    bits = x.view(torch.int16).numpy() if dtype == torch.bfloat16 else x.numpy()
    if dtype == torch.bfloat16:
        bits = bits.view(pytest.importorskip("ml_dtypes").bfloat16)
    wanted = kq.quantize(bits, scheme)
    for of_torch, of_numpy in zip(got, wanted, strict=True):
        if of_numpy is not None:
            plain = of_torch.view(torch.uint8) if of_torch.dtype.itemsize == 1 else of_torch
            np.testing.assert_array_equal(plain.numpy().view(of_numpy.dtype), of_numpy)


def test_outputs_work_as_tensors():
    """What is made has memory of its own, which outlives the call and goes with the tensor."""
    x = random(33, 256)
    codes, scales, _ = kq.quantize(x, "fp8 group:64 column")
    for _ in range(100):
        kq.quantize(random(33, 256, seed=1), "fp8 group:64 column")
    back = codes.float().view(33, 4, 64) * scales.unsqueeze(-1)
    torch.testing.assert_close(back.view(33, 256), kq.dequantize(codes, scales, scheme="fp8 group:64 column"), rtol=0, atol=0)
    scales.mul_(2)
    assert scales.untyped_storage().nbytes() >= 33 * 4 * 4


def test_exponents_are_torchs():
    x = random(4, 256)
    codes, scales, _ = kq.quantize(x, "fp8 group:64 ue8m0")
    assert scales.dtype == torch.float8_e8m0fnu
    torch.testing.assert_close((codes.float().view(4, 4, 64) * scales.float().unsqueeze(-1)).view(4, 256),
                               kq.dequantize(codes, scales, scheme="fp8 group:64 ue8m0"), rtol=0, atol=0)


@pytest.mark.parametrize("scheme", ["static fp8 tensor", "static int8 token", "static fp8 group:64"])
def test_static_scales(scheme):
    x = random(4, 256)
    shape = {"tensor": (), "token": (4, 1), "group": (4, 4)}[kq.Scheme(scheme).shares]
    scales = torch.full(shape, 0.03125, device=DEVICE)
    codes = kq.quantize(x, scheme, scales=scales).codes
    torch.testing.assert_close(kq.dequantize(codes, scales, scheme=scheme), x.float(), rtol=0.0626, atol=0.016)


def test_a_tensor_that_needs_a_gradient_is_refused_or_read():
    x = random(4, 64, dtype=torch.float).requires_grad_()
    same(kq.torch.quantize(x, "fp8 token").codes, kq.quantize(x.detach(), "fp8 token").codes)


def test_errors_name_the_argument():
    for call, field in [(lambda: kq.quantize(random(4, 64, dtype=torch.double), "fp8 token"), "x"),
                        (lambda: kq.quantize(random(4, 64).t(), "fp8 token"), "x"),
                        (lambda: kq.quantize(random(4, 64), "fp8 token", out=torch.empty(4, 64)), "out"),
                        (lambda: kq.torch.quantize(random(4, 64), "static fp8 token"), "scales"),
                        (lambda: kq.torch.quantize(random(4, 64), "fp8 token", scales=random(4, 1)), "out"),
                        (lambda: kq.torch.quantize(random(4, 64), "fp8 group:8"), "group_size")]:
        with pytest.raises(kq.InvalidArgument) as caught:
            call()
        assert caught.value.field == field


# --- operators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_opcheck(scheme, shape):
    x = random(*shape)
    asymmetric = kq.Scheme(scheme).asymmetric
    opcheck(torch.ops.kq.quantize_asymmetric if asymmetric else torch.ops.kq.quantize, (x, scheme))
    codes, scales, zero_points = kq.torch.quantize(x, scheme)
    if "packed" not in scheme:  # opcheck clones arguments, without the gaps between columns and the padding behind
        opcheck(torch.ops.kq.dequantize, (codes, scales, zero_points, scheme))
    if scales.is_contiguous() and "packed" not in scheme and "aligned" not in scheme:
        opcheck(torch.ops.kq.quantize_out, (x, scheme, codes, scales, zero_points))
        opcheck(torch.ops.kq.quantize_static, (x, scales, zero_points, f"static {scheme}"))
        opcheck(torch.ops.kq.quantize_static_out, (x, scales, zero_points, f"static {scheme}", codes))


def test_a_bound_is_a_tensor():
    x = random(5, 256)
    for bound in (0.5, 1e9):
        given = torch.tensor(bound, device=DEVICE)
        wanted = kq.quantize(x, f"fp8 token scale_ub={bound}")
        for got in zip(kq.torch.quantize(x, "fp8 token", scale_ub=given), wanted, strict=True):
            same(*got)
        out, scales = torch.zeros_like(wanted.codes), torch.zeros_like(wanted.scales)
        kq.torch.quantize(x, "fp8 token", out=out, scales=scales, scale_ub=given)
        same(out, wanted.codes)
        same(scales, wanted.scales)
        opcheck(torch.ops.kq.quantize, (x, "fp8 token", given))
        opcheck(torch.ops.kq.quantize_out, (x, "fp8 token", out, scales, None, given))
    for scheme in ("static fp8 token", "int8 token asymmetric", "int8 token"):
        with pytest.raises(kq.InvalidArgument) as caught:
            kq.torch.quantize(x, scheme, scale_ub=given, scales=scales if "static" in scheme else None)
        assert caught.value.field == "scale_ub"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_operators_are_the_functions(scheme):
    x = random(2, 3, 256)
    wanted = kq.quantize(x, scheme)
    for got in zip(kq.torch.quantize(x, scheme), wanted, strict=True):
        same(*got)
    outputs = {name: torch.zeros(1024 * 1024, dtype=tensor.dtype, device=DEVICE).as_strided(tensor.shape, tensor.stride())
               for name, tensor in zip(("out", "scales", "zero_points"), wanted, strict=True) if tensor is not None}
    kq.torch.quantize(x, kq.Scheme(scheme), **outputs)
    for got in zip(outputs.values(), wanted, strict=False):
        same(*got)
    same(kq.torch.dequantize(*wanted, scheme=scheme), kq.dequantize(*wanted, scheme=scheme))


@pytest.mark.parametrize("scheme", ["fp8 group:64 column_aligned", "fp8 group:64 ue8m0 column_aligned"])
def test_nothing_is_written_behind_given_scales(scheme):
    """Memory that ends with the last scale has no room for the padding of its column."""
    x = random(5, 256)
    wanted = kq.quantize(x, scheme).scales
    rows = wanted.stride(1)
    memory = torch.full((4 * rows,), -2.0, device=DEVICE).to(wanted.dtype)
    end = 3 * rows + 5
    scales = torch.empty_strided((5, 4), (1, rows), dtype=wanted.dtype, device=DEVICE)
    assert scales.untyped_storage().nbytes() == end * wanted.element_size()
    kq.quantize(x, scheme, scales=scales)
    same(scales.contiguous(), wanted.contiguous())
    whole = memory.clone()
    kq.quantize(x, scheme, scales=whole.as_strided((5, 4), (1, rows)))
    assert not whole.as_strided((rows - 5, 4), (1, rows), 5).float().gt(2.0**-120).any()


def test_packed_scales_need_room():
    x = random(5, 256)
    with pytest.raises(kq.InvalidArgument, match=r"scales: must have room for 8 "):
        kq.quantize(x, "fp8 group:64 ue8m0 packed", scales=torch.empty_strided((5, 1), (1, 8), dtype=torch.int32,
                                                                               device=DEVICE))
    scales = torch.full((8,), -1, dtype=torch.int32, device=DEVICE)
    kq.quantize(x, "fp8 group:64 ue8m0 packed", scales=scales.as_strided((5, 1), (1, 8)))
    assert not scales[5:].any() and scales[:5].all()


def graph_of(function, *arguments):
    """What torch.compile captures, in one graph without a break, and what the compiled function returns."""
    graphs = []

    def keep(graph, _inputs):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    result = torch.compile(function, backend=keep, fullgraph=True)(*arguments)
    assert len(graphs) == 1
    return [str(node.target) for node in graphs[0].graph.nodes], result


def test_compile_keeps_the_operators():
    def layer(x, scales, out, bound):
        codes, token_scales, _ = kq.torch.quantize(x * 2, "fp8 token", scale_ub=bound)
        kq.torch.quantize(x, "static int8 tensor", scales=scales, out=out)
        return kq.torch.dequantize(codes, token_scales, scheme="fp8 token") + 1, out

    x, scales, out = random(4, 256), torch.tensor([0.05], device=DEVICE), torch.zeros(4, 256, dtype=torch.int8, device=DEVICE)
    bound = torch.tensor(1.5, device=DEVICE)
    targets, got = graph_of(layer, x, scales, out, bound)
    assert {"kq.quantize", "kq.quantize_static_out", "kq.dequantize"} <= set(targets)
    for pair in zip(got, layer(x, scales, torch.zeros_like(out), bound), strict=True):
        same(*pair)


@pytest.mark.parametrize("scheme", ["fp8 token", "fp8 group:64 ue8m0 column_aligned", "fp8 block:4x64"])
def test_compiled_code_gives_the_same_bytes(scheme):
    """Through AOTAutograd, which needs the fakes' shapes and the declared mutation, with tokens that vary."""
    def layer(x):
        codes, scales, _ = kq.torch.quantize(x + 1, scheme)
        return codes, scales, kq.torch.dequantize(codes, scales, scheme=scheme) * 2

    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for tokens in (3, 8, 17):
        x = random(tokens, 256, seed=tokens)
        for pair in zip(compiled(x), layer(x), strict=True):
            same(*pair)


# --- GPUs -------------------------------------------------------------------------------------------------------------


@on_a_gpu
@pytest.mark.parametrize("scheme", SCHEMES)
def test_graphs_capture_the_operators(scheme):
    x = random(16, 256)
    side = torch.cuda.Stream()
    kq.prepare_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        got = kq.torch.quantize(x, scheme)
    for seed in (1, 2):
        x.copy_(random(16, 256, seed=seed))
        graph.replay()
        torch.cuda.synchronize()
        for pair in zip(got, kq.quantize(x, scheme), strict=True):
            same(*pair)


@on_a_gpu
def test_work_is_on_the_current_stream():
    """A call on a stream comes after what the stream was given before."""
    x, large = random(64, 4096), torch.randn(4096, 4096, device=DEVICE)
    wanted = kq.quantize(random(64, 4096, seed=5), "fp8 token").codes.clone()
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(20):
            large = large @ large / 64
        x.copy_(random(64, 4096, seed=5) + 0 * large[:64].nan_to_num(0, 0, 0).bfloat16())
        got = kq.quantize(x, "fp8 token").codes
    torch.cuda.synchronize()
    same(got, wanted)


@on_a_gpu
def test_scales_and_bounds_are_not_waited_for():
    x, scales = random(64, 256), torch.tensor([0.05], device=DEVICE)
    kq.torch.quantize(x, "static fp8 tensor", scales=scales)
    torch.cuda.set_sync_debug_mode("error")
    try:
        kq.torch.quantize(x, "static fp8 tensor", scales=scales)
        kq.torch.quantize(x, "fp8 token")
        kq.torch.quantize(x, "fp8 token", scale_ub=scales)
        vllm.scaled_fp8_quant(x, scale_ub=scales, use_per_token_if_dynamic=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"), reason="this PyTorch has no table of C functions")
def test_tensors_are_read_without_python(monkeypatch):
    """By DLPack's table of C functions: __dlpack__ alone would cost more than a call does (docs/python.md has its time)."""
    x, scheme = random(1, 16), kq.Scheme("fp8 token")
    expected = kq.quantize(x, scheme)

    def refuse(*_, **__):
        raise AssertionError("a tensor was asked for by __dlpack__")

    monkeypatch.setattr(torch.Tensor, "__dlpack__", refuse)
    codes, scales, _ = kq.quantize(x, scheme)
    assert torch.equal(codes.view(torch.uint8), expected[0].view(torch.uint8)) and torch.equal(scales, expected[1])
    kq.quantize(x, scheme, out=codes, scales=scales)
