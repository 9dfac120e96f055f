# SPDX-License-Identifier: Apache-2.0
"""FP8 and INT8 quantization of activations, bit for bit as numerics.md defines it and as engines do it.

    import kq
    q = kq.quantize(x, "fp8 group:128")       # x: a torch, NumPy, CuPy or other DLPack tensor, [*leading, hidden_size]
    y = kq.dequantize(*q, scheme="fp8 group:128")
    kq.error_report(x, *q, scheme="fp8 group:128").sqnr_db

Work is put on the stream that the tensor's framework works on now; on a host it is done when a call returns. Functions
release Python's lock while they work, and can be called by several threads. Without PyTorch nothing asks for it;
kq.torch has operators for `torch.compile`, kq.compat.vllm vLLM's functions.
"""

from __future__ import annotations

import functools
import importlib
import pathlib
from typing import TYPE_CHECKING, Any

from kq import _kq
from kq._arrays import on_host
from kq._errors import DeviceError, InvalidArgument
from kq._identify import identify
from kq._kq import Scheme, dequantize, overlap_graph, prepare_stream, quantize
from kq._types import DialectInfo, ErrorReport, Quantized, SchemeInfo, TwoLevelQuantized

if TYPE_CHECKING:
    from kq._bench import bench
    from kq._verify import verify

__all__ = ["DeviceError", "DialectInfo", "ErrorReport", "InvalidArgument", "Quantized", "Scheme", "SchemeInfo",
           "TwoLevelQuantized", "architecture", "backend", "bench", "dequantize", "dialects", "error_report", "identify",
           "include_dir", "library", "overlap_graph", "prepare_stream", "quantize", "schemes", "verify"]


def schemes(dialect: str = "kqbench") -> list[SchemeInfo]:
    """The schemes that a dialect has, with their formulas.

    Raises InvalidArgument where no dialect has this name.
    """
    return [SchemeInfo(*row) for row in _kq.scheme_rows(dialect)]


@functools.cache
def _dialects() -> tuple[DialectInfo, ...]:
    return tuple(DialectInfo(*row) for row in _kq.dialect_rows())


def dialects() -> list[DialectInfo]:
    """The dialects, whose names `Scheme(dialect=…)` takes: kqbench's own first, then engines at a version each."""
    return list(_dialects())


def backend() -> str:
    """What this package was built for: "host", "cuda" or "hip". Tensors must be where it works."""
    return _kq.backend()


def architecture() -> str:
    """The processors that the host's kernels in use are for, such as "x86-64-v3".

    A wheel can have kernels for several; the system's loader chooses by the processor that is there.
    """
    return _kq.architecture()


def library() -> pathlib.Path:
    """The file of the C library in use, libkq.so.1, for ctypes and for linking."""
    folder = pathlib.Path(_kq.__file__).parent / "lib"
    of_processor = folder / "glibc-hwcaps" / architecture() / "libkq.so.1"
    return of_processor if of_processor.exists() else folder / "libkq.so.1"


def include_dir() -> pathlib.Path:
    """The folder with kq.h and kq_plugin.h."""
    return pathlib.Path(_kq.__file__).parent / "include"


def error_report(x, codes, scales, zero_points=None, global_scale=None, *, scheme: Scheme | str) -> ErrorReport:
    """How far codes and scales are from x, which they were made of.

    The tensors are as `quantize` takes and returns them; those on a device are copied to the host (torch, CuPy).
    Raises InvalidArgument naming the argument whose type, shape or strides are not those of the scheme.
    """
    return ErrorReport(*_kq.error_report(*map(on_host, (x, codes, scales, zero_points, global_scale)), scheme=scheme))


def __getattr__(name: str) -> Any:
    """Imports bench, verify and testing when they are first used, so that programs that only quantize start faster."""
    if name in ("bench", "verify"):
        module = importlib.import_module(f"kq._{name}")
        return getattr(module, name)
    if name == "testing":
        return importlib.import_module("kq.testing")
    raise AttributeError(f"module 'kq' has no attribute {name!r}")
