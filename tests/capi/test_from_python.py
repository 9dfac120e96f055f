# SPDX-License-Identifier: Apache-2.0
"""The C interface from Python, through ctypes: on NumPy arrays, or on PyTorch tensors where the library is for a GPU.

usage: test_from_python.py LIBKQ [KQBENCH]

Codes and scales are held against those of `kqbench quantize`, if that is given, and against NumPy's own arithmetic; on a GPU
also those of a graph that is replayed on changed input against those of a call, and on an NVIDIA GPU of compute capability
9.0 or above those of a graph whose launches overlap. Exit status 77 (skipped) if NumPy, or for a
GPU PyTorch, is not installed, unless KQ_PYTHON_COMPLETE=1 is in the environment.
"""

import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    if os.environ.get("KQ_PYTHON_COMPLETE") == "1":
        raise
    print("skipped: NumPy is not installed (pip install -r tests/python/requirements.txt)")
    sys.exit(77)

HALF, BFLOAT16, FLOAT32 = 0, 1, 2
INT8, FP8_E4M3FN, TOKEN, GROUP = 0, 1, 1, 3


class Request(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [
        (name, ctypes.c_int32) for name in ["element", "format", "granularity", "static_scale", "asymmetric",
                                            "scale_format", "scale_layout", "reserved"]] + [
        (name, ctypes.c_int64) for name in ["num_tokens", "hidden_size", "input_stride", "codes_stride", "group_size"]
    ] + [("qmax", ctypes.c_float), ("scale_ub", ctypes.c_float)]


class Buffers(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [
        (name, ctypes.c_void_p) for name in ["input", "codes", "scales", "zero_points", "workspace"]
    ] + [("workspace_bytes", ctypes.c_size_t)]


class BufferSizes(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("input_bytes", ctypes.c_size_t), ("codes_bytes", ctypes.c_size_t),
                ("num_scales", ctypes.c_int64), ("scales_bytes", ctypes.c_size_t),
                ("zero_points_bytes", ctypes.c_size_t), ("workspace_bytes", ctypes.c_size_t)]


def sized(kind, **fields):
    return kind(struct_size=ctypes.sizeof(kind), **fields)


class Memory:
    """Arrays where the library works: NumPy's on a host, PyTorch's on a GPU."""

    def __init__(self, backend):
        self.torch = None
        if backend != "host":
            import torch
            self.torch = torch

    def put(self, array):
        return array if self.torch is None else self.torch.from_numpy(array).cuda()

    def get(self, array):
        return array if self.torch is None else array.cpu().numpy()

    def address(self, array):
        return array.ctypes.data if self.torch is None else array.data_ptr()

    def stream(self):
        return None if self.torch is None else self.torch.cuda.current_stream().cuda_stream


def load(path):
    library = ctypes.CDLL(path)
    library.kq_backend.restype = ctypes.c_char_p
    library.kq_last_error.restype = ctypes.c_char_p
    library.kq_quantize.argtypes = [ctypes.POINTER(Request), ctypes.POINTER(Buffers), ctypes.c_void_p]
    return library


def succeed(library, status):
    assert status == 0, library.kq_last_error().decode()


def as_element(x, element):
    """A float32 matrix as one of another element, bfloat16 in int16, and the numbers that it then holds."""
    if element == HALF:
        return x.astype(np.float16), x.astype(np.float16).astype(np.float32)
    if element == BFLOAT16:
        bits = x.view(np.uint32) & 0xffff0000
        return (bits >> 16).astype(np.uint16).view(np.int16), bits.view(np.float32)
    return x, x


def sizes_of(library, request):
    sizes = sized(BufferSizes)
    succeed(library, library.kq_sizes(ctypes.byref(request), ctypes.byref(sizes)))
    return sizes


def quantize(library, memory, x, **scheme):
    """Codes and scales of a matrix."""
    request = sized(Request, num_tokens=x.shape[0], hidden_size=x.shape[1], **scheme)
    sizes = sizes_of(library, request)
    there = memory.put(x)
    codes = memory.put(np.full(x.shape, 0x55, np.uint8))
    scales = memory.put(np.full(sizes.num_scales, -1, np.float32))
    workspace = memory.put(np.zeros(max(sizes.workspace_bytes, 1), np.uint8))
    buffers = sized(Buffers, input=memory.address(there), codes=memory.address(codes), scales=memory.address(scales),
                    workspace=memory.address(workspace), workspace_bytes=sizes.workspace_bytes)
    succeed(library, library.kq_quantize(ctypes.byref(request), ctypes.byref(buffers), memory.stream()))
    return memory.get(codes), memory.get(scales)


def replay(library, torch, dtype, **scheme):
    """A call, captured into a graph and replayed twice on changed input, gives what the same call gives then."""
    shape = (33, 1040)
    request = sized(Request, num_tokens=shape[0], hidden_size=shape[1], **scheme)
    sizes = sizes_of(library, request)
    # Everything there is to allocate: nothing may be while a graph is captured.
    x = torch.zeros(shape, dtype=dtype, device="cuda")
    codes = torch.zeros(shape, dtype=torch.uint8, device="cuda")
    scales = torch.zeros(sizes.num_scales, dtype=torch.float32, device="cuda")
    workspace = torch.zeros(max(sizes.workspace_bytes, 1), dtype=torch.uint8, device="cuda")
    buffers = sized(Buffers, input=x.data_ptr(), codes=codes.data_ptr(), scales=scales.data_ptr(),
                    workspace=workspace.data_ptr(), workspace_bytes=sizes.workspace_bytes)
    stream = torch.cuda.Stream()

    def call():
        assert torch.cuda.current_stream() == stream
        succeed(library, library.kq_quantize(ctypes.byref(request), ctypes.byref(buffers), stream.cuda_stream))

    def outputs_of(work):
        codes.fill_(0x55)
        scales.fill_(-1)
        work()
        stream.synchronize()
        return codes.cpu(), scales.cpu()

    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        call()  # Kokkos sees the stream, and the kernel is loaded
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        call()
    torch.cuda.synchronize()
    seen = []
    for seed in [1, 2]:
        changed = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
        with torch.cuda.stream(stream):
            x.copy_(changed)
            replayed = outputs_of(graph.replay)
            called = outputs_of(call)
        assert torch.equal(replayed[0], called[0]), f"{dtype}: a graph's codes differ from a call's"
        assert torch.equal(replayed[1], called[1]), f"{dtype}: a graph's scales differ from a call's"
        seen.append(replayed)
    assert not torch.equal(seen[0][0], seen[1][0]), f"{dtype}: the graph does not look at its input again"


def overlap(library, torch):
    """A graph of calls that overlap, each of which reads what the one before has written, gives what the calls give."""
    tokens, hidden, pairs = 4096, 1024, 20
    x = [torch.randn((tokens, hidden), device="cuda", dtype=torch.float16) * (i + 1) for i in range(2)]
    codes = torch.zeros((tokens, hidden), dtype=torch.int8, device="cuda")
    scales = torch.zeros(tokens, dtype=torch.float32, device="cuda")
    codes_of_scales = torch.zeros((pairs, tokens), dtype=torch.int8, device="cuda")
    scale_of_scales = torch.zeros(pairs, dtype=torch.float32, device="cuda")
    stream = torch.cuda.Stream()
    first = sized(Request, element=HALF, format=INT8, granularity=TOKEN, num_tokens=tokens, hidden_size=hidden)
    second = sized(Request, element=FLOAT32, format=INT8, granularity=TOKEN, num_tokens=1, hidden_size=tokens)

    def call(request, given, coded, scaled):
        buffers = sized(Buffers, input=given.data_ptr(), codes=coded.data_ptr(), scales=scaled.data_ptr())
        succeed(library, library.kq_quantize(ctypes.byref(request), ctypes.byref(buffers), stream.cuda_stream))

    def calls():
        for pair in range(pairs):
            call(first, x[pair % 2], codes, scales)
            call(second, scales, codes_of_scales[pair], scale_of_scales[pair:])

    def outputs_of(work):
        outputs = [codes, scales, codes_of_scales, scale_of_scales]
        with torch.cuda.stream(stream):
            for tensor in outputs:
                tensor.fill_(99)
            work()
        torch.cuda.synchronize()
        return [tensor.clone() for tensor in outputs]

    torch.cuda.synchronize()
    called = outputs_of(calls)
    graph = torch.cuda.CUDAGraph(keep_graph=True)
    with torch.cuda.graph(graph, stream=stream):
        calls()
    overlapped = ctypes.c_size_t(0)
    raw = ctypes.c_void_p(graph.raw_cuda_graph())
    succeed(library, library.kq_overlap_graph(raw, ctypes.byref(overlapped)))
    assert overlapped.value == 2 * pairs - 1, f"{overlapped.value} of {2 * pairs - 1} edges overlap"
    succeed(library, library.kq_overlap_graph(raw, ctypes.byref(overlapped)))
    assert overlapped.value == 0, "edges were changed twice"
    graph.instantiate()
    for _ in range(20):
        for name, mine, plain in zip(["codes", "scales", "codes of scales", "scales of scales"], outputs_of(graph.replay),
                                     called, strict=True):  # fmt: skip
            assert torch.equal(mine, plain), f"{name} differ where launches overlap"
    return 2 * pairs - 1


def by_kqbench(program, x, *options):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        np.save(folder / "in.npy", x)
        subprocess.run([program, "quantize", folder / "in.npy", "-o", folder / "out.npy", *options], check=True,
                       stdout=subprocess.DEVNULL)
        return np.load(folder / "out.npy").view(np.uint8), np.load(folder / "out.scale.npy").ravel()


def main():
    library = load(sys.argv[1])
    program = sys.argv[2] if len(sys.argv) > 2 else None
    backend = library.kq_backend().decode()
    try:
        memory = Memory(backend)
    except ImportError:
        print(f"skipped: the library works on {backend}, and PyTorch is not installed")
        return 77
    x = np.random.default_rng(0).standard_normal((33, 1040)).astype(np.float32)
    compared = replayed = 0
    elements = [(HALF, "half"), (BFLOAT16, "bfloat16"), (FLOAT32, "float")]

    for element, _ in elements:
        given, numbers = as_element(x, element)
        codes, scales = quantize(library, memory, given, element=element, format=INT8, granularity=TOKEN)
        amax = np.abs(numbers).max(axis=1, keepdims=True)
        np.testing.assert_array_equal(scales, (amax / np.float32(127)).ravel())
        np.testing.assert_array_equal(codes.view(np.int8), np.rint(numbers * (np.float32(127) / amax)).astype(np.int8))

    for scheme, options in [
        (dict(format=INT8, granularity=TOKEN), ["--quant-dtype", "int8", "--granularity", "token"]),
        (dict(format=FP8_E4M3FN, granularity=TOKEN), ["--quant-dtype", "fp8", "--granularity", "token"]),
        (dict(format=FP8_E4M3FN), ["--quant-dtype", "fp8", "--granularity", "tensor"]),
        (dict(format=FP8_E4M3FN, granularity=GROUP, group_size=128), ["--quant-dtype", "fp8", "--granularity",
                                                                      "group:128"]),
    ]:
        for element, name in elements:
            given, _ = as_element(x, element)
            codes, scales = quantize(library, memory, given, element=element, **scheme)
            if program:
                in_file = given.view(np.uint16) if element == BFLOAT16 else given
                expected_codes, expected_scales = by_kqbench(program, in_file, *options, "--dtype", name)
                np.testing.assert_array_equal(codes, expected_codes)
                np.testing.assert_array_equal(scales, expected_scales)
                compared += codes.size
            if memory.torch is not None:
                dtype = getattr(memory.torch, name)
                replay(library, memory.torch, dtype, element=element, **scheme)
                replayed += 1

    overlapped = 0
    if memory.torch is not None and backend == "cuda" and memory.torch.cuda.get_device_capability() >= (9, 0):
        overlapped = overlap(library, memory.torch)

    codes, scales = quantize(library, memory, np.zeros((0, 4), np.float32), element=FLOAT32, format=INT8, granularity=TOKEN)
    assert codes.size == 0 and scales.size == 0

    refused = sized(Request, element=FLOAT32, num_tokens=-1, hidden_size=4)
    assert library.kq_sizes(ctypes.byref(refused), ctypes.byref(sized(BufferSizes))) == 1
    assert b"num_tokens" in library.kq_last_error()
    print(f"ok on {backend}: {compared} codes equal to those of kqbench quantize"
          f"{f', {replayed} graphs replayed' if replayed else ''}"
          f"{f', {overlapped} launches overlapped' if overlapped else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
