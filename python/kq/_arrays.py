# SPDX-License-Identifier: Apache-2.0
"""What kq._kq asks of frameworks in Python: those without DLPack's table of C functions, NumPy first of all."""

import sys

_workspaces: dict = {}

# ml_dtypes' names, and NumPy's for the same bytes.
_BITS = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8", "float8_e4m3fnuz": "uint8",
         "float8_e5m2fnuz": "uint8", "float8_e8m0fnu": "uint8"}


def _is_torch(x) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def _module(x) -> str:
    return type(x).__module__.partition(".")[0]


def bits(x):
    """(array of plain integers, name of the type) for a NumPy array of a type that ml_dtypes adds; None for others."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(x, numpy.ndarray):
        return None
    name = x.dtype.name
    return (x.view(_BITS[name]), name) if name in _BITS else (x, name)


def export(x):
    """A DLPack capsule of x, ready to be used on the stream that x's framework works on now."""
    stream = {} if x.__dlpack_device__()[0] in (1, 3, 11) else {"stream": _dlpack_stream(x)}
    try:
        return x.__dlpack__(max_version=(1, 0), **stream)
    except TypeError:  # an exporter from before DLPack 1.0
        return x.__dlpack__(**stream)


def _dlpack_stream(x) -> int:
    """As the protocol counts streams: 1 is CUDA's default stream, 0 is ROCm's."""
    handle = current_stream(x)
    return 1 if handle == 0 and x.__dlpack_device__()[0] == 2 else handle


def current_stream(x) -> int:
    """The handle of the stream that x's framework works on now; 0, the default stream, where it does not tell."""
    if _is_torch(x):
        return sys.modules["torch"].cuda.current_stream(x.device).cuda_stream
    if _module(x) == "cupy":
        return sys.modules["cupy"].cuda.get_current_stream().ptr
    return 0


def stream_handle(stream) -> int:
    """The handle of a stream that a caller gave: an int, or a stream object of torch, CuPy or cuda.core."""
    if isinstance(stream, int):
        return stream
    if hasattr(stream, "__cuda_stream__"):
        return stream.__cuda_stream__()[1]
    for name in ("cuda_stream", "ptr"):
        if hasattr(stream, name):
            return int(getattr(stream, name))
    raise TypeError(f"stream: must be a handle (an int) or a stream object, not {type(stream).__name__}")


def graph_handle(graph) -> int:
    """The cudaGraph_t of a graph that a caller gave: an int, or torch's CUDAGraph(keep_graph=True)."""
    if isinstance(graph, int):
        return graph
    if hasattr(graph, "raw_cuda_graph"):
        return int(graph.raw_cuda_graph())
    raise TypeError(f"graph: must be a torch.cuda.CUDAGraph or a handle (an int), not {type(graph).__name__}")


def empty(x, dtype, shape, strides, stored):
    """A new tensor of x's framework and device. `strides` count elements; None: rows one behind the other."""
    if _is_torch(x):
        torch = sys.modules["torch"]
        made = torch.empty(shape if strides is None else (stored,), dtype=getattr(torch, dtype), device=x.device)
        return made if strides is None else made.as_strided(shape, strides)
    if x.__dlpack_device__()[0] in (1, 3, 11) if hasattr(x, "__dlpack_device__") else True:
        import numpy

        if strides is None:
            return numpy.empty(shape, dtype)
        flat = numpy.empty(stored, dtype)
        return numpy.ndarray(shape, dtype, flat, strides=[s * flat.itemsize for s in strides])
    if _module(x) == "cupy":
        cupy = sys.modules["cupy"]
        with x.device:
            if strides is None:
                return cupy.empty(shape, dtype)
            flat = cupy.empty(stored, dtype)
            return cupy.ndarray(shape, dtype, flat.data, strides=[s * flat.itemsize for s in strides])
    raise TypeError(f"out: {_module(x)} has no tensors that can be written on this device; give out and scales")


def finished(x, made):
    """The tensor that the caller gets for a NumPy array that `empty` made in place of another framework's."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(made, numpy.ndarray) or isinstance(x, numpy.ndarray):
        return made
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__().from_dlpack(made)
    return made


def room(x) -> int:
    """Bytes from x's first element to the end of the memory that it is a part of; 0 where that is not known."""
    if _is_torch(x):
        return x.untyped_storage().nbytes() - x.storage_offset() * x.element_size()
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(x, numpy.ndarray):
        whole = x
        while isinstance(whole.base, numpy.ndarray):
            whole = whole.base
        end = numpy.lib.array_utils.byte_bounds if hasattr(numpy.lib, "array_utils") else numpy.byte_bounds
        return end(whole)[1] - x.ctypes.data
    return 0


def on_host(x):
    """x, or where it is on a device a copy of it on the host, with its strides where it is torch's."""
    if not hasattr(x, "__dlpack_device__") or x.__dlpack_device__()[0] in (1, 3, 11):
        return x
    if hasattr(x, "new_empty_strided"):
        return x.new_empty_strided(x.shape, x.stride(), device="cpu").copy_(x)
    return x.get() if hasattr(x, "get") else x


def clear(made) -> None:
    """Sets all elements to 0."""
    if hasattr(made, "zero_"):
        made.zero_()
    else:
        made[...] = 0


def workspace(x, size, stream):
    """Device memory that was 0 before its first use, one for each stream; of a graph that is being captured, its own."""
    if _is_torch(x):
        torch = sys.modules["torch"]
        if torch.cuda.is_current_stream_capturing():
            return torch.zeros(size, dtype=torch.uint8, device=x.device)
        key = "torch", x.device, stream
        make = lambda: torch.zeros(size, dtype=torch.uint8, device=x.device)  # noqa: E731
    elif _module(x) == "cupy":
        cupy = sys.modules["cupy"]
        key = "cupy", x.device.id, stream
        make = lambda: cupy.zeros(size, cupy.uint8)  # noqa: E731
    else:
        raise TypeError(f"scheme: needs device memory to work in, which {_module(x)} is not asked for; "
                        "take a scheme with a scale for each token or group, or a torch or CuPy tensor")
    known = _workspaces.get(key)
    if known is None or known.nbytes < size:
        known = _workspaces[key] = make()
    return known
