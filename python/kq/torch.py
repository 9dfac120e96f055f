# SPDX-License-Identifier: Apache-2.0
"""Operators for PyTorch: `torch.compile` keeps them in its graph, and CUDA graphs capture them, on a stream that kq has
used or kq.prepare_stream was given.

    import kq.torch
    codes, scales, zero_points = kq.torch.quantize(x, "fp8 group:128")
    y = kq.torch.dequantize(codes, scales, scheme="fp8 group:128")

They are registered as torch.ops.kq.*; `quantize` and `dequantize` here choose among them:

    quantize(Tensor x, str scheme, Tensor? scale_ub=None) -> (Tensor codes, Tensor scales)
    quantize_asymmetric(Tensor x, str scheme) -> (Tensor codes, Tensor scales, Tensor zero_points)
    quantize_static(Tensor x, Tensor scales, Tensor? zero_points, str scheme) -> Tensor codes
    quantize_out(Tensor x, str scheme, Tensor(a!) codes, Tensor(b!) scales, Tensor(c!)? zero_points,
                 Tensor? scale_ub=None) -> ()
    quantize_static_out(Tensor x, Tensor scales, Tensor? zero_points, str scheme, Tensor(a!) codes) -> ()
    dequantize(Tensor codes, Tensor scales, Tensor? zero_points, str scheme) -> Tensor

Shapes and errors are those of kq.quantize and kq.dequantize. Static scales and zero points are tensors on the input's
device and are never read on the host; so is an upper bound (scale_ub), where it is not a number of the scheme. Nothing here
has a gradient.
"""

from __future__ import annotations

import functools

import torch

import kq
from kq import Quantized, Scheme

_FORMATS = {"int8": torch.int8, "fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2,
            "fp8_e4m3fnuz": torch.float8_e4m3fnuz, "fp8_e5m2fnuz": torch.float8_e5m2fnuz, "fp4_e2m1": torch.uint8}

# What rows and columns of scales are rounded up to.
_TILES = {"swizzled_128x4": (128, 4), "swizzled_8x4": (8, 4), "shuffled_32x8": (256, 8)}

_library = torch.library.Library("kq", "DEF")


# --- what shapes operators return, with sizes that may be symbols -----------------------------------------------------


def _ceil(size, step):
    return (size + step - 1) // step


@functools.lru_cache(maxsize=4096)
def _require_one_level(scheme: str) -> None:
    """Raises InvalidArgument unless scales are all that codes need. Parsing a scheme takes longer than to look it up here."""
    if Scheme(scheme).has_global_scale:
        raise kq.InvalidArgument("scheme", "has a scale of the tensor, for which operators have no place; take kq.quantize")


def _fake_codes(x, scheme):
    *leading, hidden_size = x.shape
    shape = (*leading, _ceil(hidden_size, 2)) if scheme.code_bits == 4 else x.shape
    return torch.empty(shape, dtype=_FORMATS[scheme.format], device=x.device)


def _fake_scales(x, scheme, dtype=None):
    """As kq makes them: the scales of a scheme, or of another type zero points."""
    *leading, hidden_size = x.shape
    tokens = 1
    for size in leading:
        tokens = tokens * size
    packed = scheme.scale_layout == "packed"
    if dtype is None:
        dtype = (torch.int32 if packed else torch.float8_e8m0fnu if scheme.scale_format == "ue8m0" else torch.float32)

    def consecutive(*shape):
        return torch.empty(shape, dtype=dtype, device=x.device)

    if scheme.shares == "tensor":
        return consecutive(1)
    if scheme.shares == "token":
        return consecutive(*leading, 1)
    if scheme.shares == "channel":
        return consecutive(hidden_size)
    if scheme.shares == "block":
        tokens = _ceil(tokens, scheme.block_rows)
        leading = [tokens]
    groups = _ceil(hidden_size, scheme.group_size)
    if scheme.scale_layout in _TILES:
        rows_to, columns_to = _TILES[scheme.scale_layout]
        return consecutive(_ceil(tokens, rows_to) * rows_to, _ceil(groups, columns_to) * columns_to)
    columns = _ceil(groups, 4) if packed else groups
    if scheme.scale_layout == "row":
        return consecutive(*leading, columns)
    step = {"column": 1, "packed": 4, "column_aligned": 16 // dtype.itemsize}[scheme.scale_layout]
    strides, below = [_ceil(tokens, step) * step], 1
    for size in reversed(leading):
        strides.insert(0, below)
        below = below * size
    return torch.empty_strided((*leading, columns), strides, dtype=dtype, device=x.device)


# --- the operators ----------------------------------------------------------------------------------------------------


def _define(schema):
    """Defines an operator; the function computes it, on a host and on GPUs, and its attribute `fake` gives the shapes."""
    name = schema.partition("(")[0]

    def decorate(function):
        _library.define(schema)
        for key in ("CPU", "CUDA"):
            _library.impl(name, function, key)
        return function

    return decorate


def _fake(name):
    return torch.library.register_fake(f"kq::{name}", lib=_library)


def _plain(x):
    return x.detach() if x.requires_grad else x


@_define("quantize(Tensor x, str scheme, Tensor? scale_ub=None) -> (Tensor, Tensor)")
def _quantize(x, scheme, scale_ub=None):
    _require_one_level(scheme)
    codes, scales, _ = kq.quantize(_plain(x), scheme, scale_ub=scale_ub)
    return codes, scales


@_fake("quantize")
def _(x, scheme, scale_ub=None):
    scheme = Scheme(scheme)
    return _fake_codes(x, scheme), _fake_scales(x, scheme)


@_define("quantize_asymmetric(Tensor x, str scheme) -> (Tensor, Tensor, Tensor)")
def _quantize_asymmetric(x, scheme):
    return tuple(kq.quantize(_plain(x), scheme))


@_fake("quantize_asymmetric")
def _(x, scheme):
    scheme = Scheme(scheme)
    return _fake_codes(x, scheme), _fake_scales(x, scheme), _fake_scales(x, scheme, torch.int32)


@_define("quantize_static(Tensor x, Tensor scales, Tensor? zero_points, str scheme) -> Tensor")
def _quantize_static(x, scales, zero_points, scheme):
    return kq.quantize(_plain(x), scheme, scales=_plain(scales), zero_points=zero_points)[0]


@_fake("quantize_static")
def _(x, scales, zero_points, scheme):
    return _fake_codes(x, Scheme(scheme))


@_define("quantize_out(Tensor x, str scheme, Tensor(a!) codes, Tensor(b!) scales, Tensor(c!)? zero_points, "
         "Tensor? scale_ub=None) -> ()")
def _quantize_out(x, scheme, codes, scales, zero_points, scale_ub=None):
    _require_one_level(scheme)
    kq.quantize(_plain(x), scheme, out=codes, scales=scales, zero_points=zero_points, scale_ub=scale_ub)


@_fake("quantize_out")
def _(x, scheme, codes, scales, zero_points, scale_ub=None):
    return None


@_define("quantize_static_out(Tensor x, Tensor scales, Tensor? zero_points, str scheme, Tensor(a!) codes) -> ()")
def _quantize_static_out(x, scales, zero_points, scheme, codes):
    kq.quantize(_plain(x), scheme, out=codes, scales=_plain(scales), zero_points=zero_points)


@_fake("quantize_static_out")
def _(x, scales, zero_points, scheme, codes):
    return None


@_define("dequantize(Tensor codes, Tensor scales, Tensor? zero_points, str scheme) -> Tensor")
def _dequantize(codes, scales, zero_points, scheme):
    return kq.dequantize(codes, _plain(scales), zero_points, scheme=scheme)


@_fake("dequantize")
def _(codes, scales, zero_points, scheme):
    *leading, columns = codes.shape
    columns = 2 * columns if Scheme(scheme).code_bits == 4 else columns
    return torch.empty((*leading, columns), dtype=torch.float32, device=codes.device)


# --- what users call --------------------------------------------------------------------------------------------------


@torch.compiler.assume_constant_result
def _kind(scheme: str) -> tuple[bool, bool]:
    _require_one_level(scheme)
    parsed = Scheme(scheme)
    return parsed.static_scale, parsed.asymmetric


def quantize(x: torch.Tensor, scheme: Scheme | str, *, out: torch.Tensor | None = None,
             scales: torch.Tensor | None = None, zero_points: torch.Tensor | None = None,
             scale_ub: torch.Tensor | None = None) -> Quantized:
    """kq.quantize as an operator. Give `out` and `scales` (and `zero_points` of an asymmetric scheme) both, or neither; a
    static scheme needs `scales` and can have `out`. `scale_ub` is one float32 on x's device, which the kernels read. Within
    torch.compile the scheme is a text.

    Raises kq.InvalidArgument as kq.quantize does; under torch.compile when the compiled code runs.
    """
    text = scheme if isinstance(scheme, str) else str(scheme)
    static_scale, asymmetric = _kind(text)
    if scale_ub is not None and (static_scale or asymmetric):
        raise kq.InvalidArgument("scale_ub", "only dynamic token scales of fp8 have an upper bound; leave it out")
    if static_scale:
        if scales is None:
            raise kq.InvalidArgument("scales", "must be given to a static scheme")
        if out is None:
            out = torch.ops.kq.quantize_static(x, scales, zero_points, text)
        else:
            torch.ops.kq.quantize_static_out(x, scales, zero_points, text, out)
    elif out is None and scales is None:
        if asymmetric:
            return Quantized(*torch.ops.kq.quantize_asymmetric(x, text))
        return Quantized(*torch.ops.kq.quantize(x, text, scale_ub), None)
    else:
        if out is None or scales is None or (asymmetric and zero_points is None):
            missing = "out" if out is None else "scales" if scales is None else "zero_points"
            raise kq.InvalidArgument(missing, "must be given where other outputs are")
        torch.ops.kq.quantize_out(x, text, out, scales, zero_points, scale_ub)
    return Quantized(out, scales, zero_points)


def dequantize(codes: torch.Tensor, scales: torch.Tensor, zero_points: torch.Tensor | None = None, *,
               scheme: Scheme | str) -> torch.Tensor:
    """kq.dequantize as an operator: float32, of the codes' shape, or of twice as many columns where a byte has two codes."""
    return torch.ops.kq.dequantize(codes, scales, zero_points, scheme if isinstance(scheme, str) else str(scheme))
