# SPDX-License-Identifier: Apache-2.0
"""What only a GPU shows: graphs that are replayed with other bounds and scales, launches that overlap in a graph, and code that
torch.compile has compiled. tests/python/run_in_build runs these and the others on a machine that has no pip."""

import pytest

torch = pytest.importorskip("torch")

import kq  # noqa: E402
import kq.torch  # noqa: E402
from kq.compat import vllm  # noqa: E402

if kq.backend() == "host" or not torch.cuda.is_available():
    pytest.skip("this build is for a host, or there is no GPU", allow_module_level=True)

DEVICE = "cuda"
has_overlap = pytest.mark.skipif(kq.backend() != "cuda" or torch.cuda.get_device_capability()[0] < 9,
                                 reason="programmatic launches need compute capability 9.0")


def random(*shape, dtype=torch.bfloat16, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype).to(DEVICE)


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride()
    kind = {1: torch.uint8, 4: torch.int32}[a.dtype.itemsize]
    assert torch.equal(a.contiguous().view(kind), b.contiguous().view(kind))


def captured(function, **graph_options):
    """(graph, what the function returned) on a stream that kq knows."""
    stream = torch.cuda.Stream()
    kq.prepare_stream(stream)
    graph = torch.cuda.CUDAGraph(**graph_options)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        result = function()
    return graph, result


# --- bounds and scales in memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["kqbench", "vllm"])
def test_a_replayed_graph_reads_the_bound_anew(dialect):
    x, bound = random(257, 1000), torch.tensor([float("inf")], device=DEVICE)
    graph, (codes, scales, _) = captured(lambda: kq.torch.quantize(x, f"fp8 token {dialect}", scale_ub=bound))
    for value in (float("inf"), 1.5, 1e-30, 2.5):
        bound.fill_(value)
        graph.replay()
        torch.cuda.synchronize()
        text = "" if value == float("inf") else f" scale_ub={value}"
        wanted = kq.quantize(x, f"fp8 token{text} {dialect}")
        same(codes, wanted.codes)
        same(scales, wanted.scales)


def test_vllms_bound_is_captured():
    x, bound = random(64, 512), torch.tensor(1.25, device=DEVICE)
    graph, (codes, scale) = captured(lambda: vllm.scaled_fp8_quant(x, scale_ub=bound, use_per_token_if_dynamic=True))
    graph.replay()
    torch.cuda.synchronize()
    wanted = kq.quantize(x, "fp8 token scale_ub=1.25 vllm")
    same(codes, wanted.codes)
    same(scale, wanted.scales)


@pytest.mark.parametrize("scheme, shape", [("static fp8 tensor", (1,)), ("static fp8 token", (64, 1)),
                                           ("static int8 channel", (512,)), ("static fp8 group:128", (64, 4))])
def test_a_replayed_graph_reads_static_scales_anew(scheme, shape):
    x, scales = random(64, 512), torch.full(shape, 0.02, device=DEVICE)
    graph, codes = captured(lambda: kq.torch.quantize(x, scheme, scales=scales).codes)
    for value in (0.02, 0.125, 0.5):
        scales.fill_(value)
        graph.replay()
        torch.cuda.synchronize()
        same(codes, kq.quantize(x, scheme, scales=scales).codes)


# --- launches that overlap ----------------------------------------------------------------------------------------------


@has_overlap
@pytest.mark.parametrize("scheme", ["fp8 token", "int8 group:128", "static fp8 tensor"])
def test_overlapped_graphs_give_what_calls_give(scheme):
    """Each call but the first comes right after another, so all edges between them become programmatic."""
    static = scheme.startswith("static")
    scales = torch.full((1,), 0.03125, device=DEVICE) if static else None
    inputs = [random(4096, 1024, seed=seed) for seed in range(6)]
    outputs = [kq.quantize(x, scheme, scales=scales) for x in inputs]
    wanted = [(made.codes.clone(), made.scales.clone()) for made in outputs]
    given = [{"out": made.codes, "scales": made.scales} for made in outputs]

    def calls():
        for x, out in zip(inputs, given, strict=True):
            kq.quantize(x, scheme, **out)

    graph, _ = captured(calls, keep_graph=True)
    assert kq.overlap_graph(graph) == len(inputs) - 1
    graph.instantiate()
    for _ in range(20):
        for made in outputs:
            made.codes.view(torch.uint8).zero_()
        graph.replay()
        torch.cuda.synchronize()
        for made, (codes, of_codes) in zip(outputs, wanted, strict=True):
            same(made.codes, codes)
            same(made.scales, of_codes)


@has_overlap
def test_a_graph_of_nothing_of_kqs_is_left_as_it_is():
    x = random(64, 64)
    graph, _ = captured(lambda: x.mul_(2).add_(1), keep_graph=True)
    assert kq.overlap_graph(graph.raw_cuda_graph()) == 0
    graph.instantiate()
    graph.replay()
    torch.cuda.synchronize()


@has_overlap
def test_no_graph_is_refused():
    with pytest.raises(kq.InvalidArgument, match="graph: must not be NULL"):
        kq.overlap_graph(0)


# --- torch.compile --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_inductors_code_gives_the_same_bytes(mode):
    pytest.importorskip("triton")
    bound = torch.tensor(1.5, device=DEVICE)

    def layer(x):
        codes, scales, _ = kq.torch.quantize(x * 2, "fp8 token", scale_ub=bound)
        groups = kq.torch.quantize(x, "fp8 group:128 ue8m0 column_aligned")
        return codes, scales, groups.codes, kq.torch.dequantize(codes, scales, scheme="fp8 token") + 1

    torch._dynamo.reset()
    compiled = torch.compile(layer, mode=mode, fullgraph=True)
    for seed in range(5):
        x = random(32, 512, seed=seed)
        got = [tensor.clone() for tensor in compiled(x)]
        for pair in zip(got, layer(x), strict=True):
            same(*pair)


# --- identify --------------------------------------------------------------------------------------------------------------


def test_identify_takes_tensors_of_the_device():
    x = random(64, 512)
    codes, scales, _ = kq.quantize(x, "fp8 group:128 column sglang")
    found = kq.identify(x, codes, scales, granularity="group:128")
    assert [match["dialect"] for match in found["matches"]] == ["sglang-0.5.23"]


# --- bench -----------------------------------------------------------------------------------------------------------------


def test_functions_are_timed_in_graphs():
    """Outputs that are returned, made anew within a graph, and given ones; one that synchronizes cannot be captured, and costs
    the others nothing."""
    pytest.importorskip("ml_dtypes")

    def returned(x):
        return kq.quantize(x * 1, "fp8 group:128")

    def given(x, codes, scales):
        kq.quantize(x, "fp8 group:128", out=codes, scales=scales)

    def wrong(x):
        made = kq.quantize(x, "fp8 group:128")
        made.codes.view(torch.uint8)[3, 5] ^= 1
        return made

    def waits(x):
        made = kq.quantize(x, "fp8 group:128")
        torch.cuda.synchronize()
        return made

    made = kq.bench([returned, given, wrong, waits], "fp8 group:128", (64, 1024), max_time=0.2, with_canary=False)
    assert [(row["impl"], row["timing"], row["verified"]) for row in made.rows] == [
        ("returned", "graph", True), ("given", "graph", True), ("wrong", "graph", False), ("kq", "graph", True)], str(made)
    assert [(name, shape) for name, shape, _ in made.left_out] == [("waits", (64, 1024))]
    own, = (row["time_us"]["median"] for row in made.rows if row["impl"] == "kq")
    theirs = {row["impl"]: row["time_us"]["median"] for row in made.kqbench["rows"]}
    assert 0.5 * theirs["kokkos"] < own < 2 * theirs["kokkos"]


# --- functions of other compilers, as they are verified and timed -----------------------------------------------------


def int8_token(x):
    """vLLM's arithmetic: the codes are products with 127 / amax."""
    x = x.float()
    amax = x.abs().amax(dim=-1, keepdim=True)
    inverse = torch.where(amax == 0, torch.zeros_like(amax), torch.div(torch.full_like(amax, 127), amax))
    return torch.clamp(torch.round(x * inverse), -128, 127).to(torch.int8), (amax / 127).squeeze(-1)


def test_a_compiled_function_is_timed_and_checked():
    made = kq.bench({"compiled": torch.compile(int8_token, dynamic=False)}, "int8 token vllm", [(64, 1024)],
                    make="torch", dtype="bfloat16", max_time=0.05)
    assert "compiled" in str(made)
    [row] = [row for row in made.rows if row["impl"] == "compiled"]
    assert row["time_us"]["median"] > 0


# CuPy's compiler makes zeros of subnormal numbers, which is found, too.
CUPY_KERNEL = r"""
extern "C" __global__ void quantize(const float* x, signed char* codes, float* scales, int size) {
  __shared__ float largest;
  x += (long long)blockIdx.x * size;
  codes += (long long)blockIdx.x * size;
  if (threadIdx.x == 0) {
    largest = 0;
    for (int i = 0; i < size; ++i) largest = fmaxf(largest, fabsf(x[i]));
    scales[blockIdx.x] = __fdiv_rn(largest, 127.0f);
  }
  __syncthreads();
  const float inverse = largest == 0 ? 0 : __fdiv_rn(127.0f, largest);
  for (int i = threadIdx.x; i < size; i += blockDim.x) {
    const float code = rintf(__fmul_rn(x[i], inverse));
    codes[i] = isnan(code) ? 0 : (signed char)fminf(fmaxf(code, LEAST), 127.0f);
  }
}
"""


@pytest.mark.parametrize("least, right", [("-128.0f", True), ("-100.0f", False)])
def test_a_raw_kernel_of_cupy_is_verified(least, right):
    cupy = pytest.importorskip("cupy")
    kernel = cupy.RawKernel(CUPY_KERNEL.replace("LEAST", least), "quantize")

    def quantize(x, codes, scales):
        rows, size = x.shape
        kernel((rows,), (128,), (x, codes, scales, size))

    found = kq.verify(quantize, "int8 token vllm", make="cupy", shapes=[(1, 7), (3, 1023), (16, 512)])
    fills = {failure.fill for failure in found.failures}
    assert (fills <= {"subnormals"}) == right, str(found)
