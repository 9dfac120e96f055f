# SPDX-License-Identifier: Apache-2.0
"""The schemes written once more, in Triton, with the formulas of docs/numerics.md: what the portable kernels are in Kokkos.
A kernel's tile is chosen by Triton's autotuner for each size. With PDL each launch may start while the one in front of it
ends: it waits, loads, and lets the next one start (programmatic dependent launch)."""

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

from work import LARGEST, NotServed

CODES = {"int8": torch.int8, "fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
SMALLEST_SCALE = 1 / (448 * 512)
# What a kernel computes: the name of the scale's formula.
FP8_PRODUCT, FP8_QUOTIENT, INT8_PRODUCT, INT8_QUOTIENT, INT8_AFFINE = range(5)


def tiles(*pairs):
    return [triton.Config({"BLOCK": block}, num_warps=warps) for block, warps in pairs]


def warps(*numbers):
    return [triton.Config({}, num_warps=number) for number in numbers]


def tuned(configs, **how):
    """triton.autotune with a fifth of its default time, which is enough to tell tiles apart."""
    def milliseconds(call, quantiles):
        return triton.testing.do_bench(call, warmup=5, rep=20, quantiles=quantiles)
    return triton.autotune(configs, do_bench=milliseconds, **how)


@triton.jit
def wait(PDL: tl.constexpr):
    if PDL:
        tl.extra.cuda.gdc_wait()


@triton.jit
def let_next_start(PDL: tl.constexpr):
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def encoded(x, scale, factor, zero_point, KIND: tl.constexpr, LARGEST_CODE: tl.constexpr, CODE: tl.constexpr):
    """The codes of elements: `scale` or `factor`, as the kind has it."""
    if KIND == 0 or KIND == 2:
        value = x * factor
    elif KIND == 4:
        value = libdevice.rint(x * factor) + zero_point
    else:
        value = tl.div_rn(x, scale)
    if KIND >= 2:
        value = tl.minimum(tl.maximum(libdevice.rint(value), -LARGEST_CODE - 1), LARGEST_CODE)
        return value.to(tl.int32).to(CODE)
    return tl.minimum(tl.maximum(value, -LARGEST_CODE), LARGEST_CODE).to(CODE)


@tuned(tiles((1024, 4), (2048, 4), (2048, 8), (4096, 8), (8192, 8)), key=["size", "PDL"])
@triton.jit
def static_kernel(x, scales, zero_points, codes, size, KIND: tl.constexpr, LARGEST_CODE: tl.constexpr, PDL: tl.constexpr,
                  BLOCK: tl.constexpr):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    wait(PDL)
    values = tl.load(x + index, mask=inside, other=0.0).to(tl.float32)
    scale = tl.load(scales)
    zero_point = tl.load(zero_points).to(tl.float32) if KIND == 4 else 0.0
    let_next_start(PDL)
    factor = tl.div_rn(1.0, scale)
    tl.store(codes + index, encoded(values, scale, factor, zero_point, KIND, LARGEST_CODE, codes.dtype.element_ty), mask=inside)


@tuned(warps(1, 2, 4, 8, 16), key=["columns", "GROUPS", "PDL"])
@triton.jit
def span_kernel(x, codes, scales, zero_points, spans, columns, KIND: tl.constexpr, LARGEST_CODE: tl.constexpr,
                SMALLEST: tl.constexpr, GROUPS: tl.constexpr, WIDTH: tl.constexpr, PDL: tl.constexpr):
    """Spans of `columns` elements that follow each other, GROUPS of them a program: rows, or groups of a row."""
    span = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    column = tl.arange(0, WIDTH)
    index = span[:, None] * columns + column[None, :]
    inside = (span < spans)[:, None] & (column < columns)[None, :]
    wait(PDL)
    values = tl.load(x + index, mask=inside, other=0.0).to(tl.float32)
    let_next_start(PDL)
    if KIND == 4:
        low = tl.min(tl.where(inside, values, float("inf")), axis=1)
        high = tl.max(tl.where(inside, values, float("-inf")), axis=1)
        scale = tl.div_rn(high - low, 2 * LARGEST_CODE + 1.0)
        zero_point = libdevice.rint(-LARGEST_CODE - 1.0 - tl.div_rn(low, scale))
        factor = tl.div_rn(1.0, scale)
        tl.store(zero_points + span, zero_point.to(tl.int32), mask=span < spans)
    else:
        amax = tl.max(tl.abs(values), axis=1)
        if KIND == 2:
            scale = tl.div_rn(amax, LARGEST_CODE)
            factor = tl.div_rn(LARGEST_CODE, amax)
        elif SMALLEST == 0:  # a group
            scale = tl.div_rn(tl.maximum(amax, 1e-10), LARGEST_CODE)
            factor = scale
        else:
            scale = tl.maximum(tl.div_rn(amax, LARGEST_CODE), SMALLEST)
            factor = scale
        zero_point = scale
    tl.store(codes + index,
             encoded(values, scale[:, None], factor[:, None], zero_point[:, None], KIND, LARGEST_CODE,
                     codes.dtype.element_ty), mask=inside)  # fmt: skip
    tl.store(scales + span, scale, mask=span < spans)


@tuned(tiles((2048, 4), (4096, 8), (8192, 8)), key=["size", "PDL"], reset_to_zero=["amax"])
@triton.jit
def amax_kernel(x, amax, size, PDL: tl.constexpr, BLOCK: tl.constexpr):
    """The greatest magnitude of a tensor, as the bits of a float, which order as integers do."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    wait(PDL)
    values = tl.load(x + index, mask=index < size, other=0.0).to(tl.float32)
    let_next_start(PDL)
    tl.atomic_max(amax, tl.max(tl.abs(values), axis=0).to(tl.int32, bitcast=True))


@tuned(tiles((1024, 4), (2048, 4), (4096, 8), (8192, 8)), key=["size", "PDL"])
@triton.jit
def tensor_kernel(x, amax, codes, scales, size, LARGEST_CODE: tl.constexpr, PDL: tl.constexpr, BLOCK: tl.constexpr):
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    wait(PDL)
    values = tl.load(x + index, mask=inside, other=0.0).to(tl.float32)
    greatest = tl.load(amax).to(tl.float32, bitcast=True)
    let_next_start(PDL)
    scale = tl.div_rn(greatest, LARGEST_CODE)
    factor = tl.div_rn(1.0, scale)
    tl.store(codes + index, encoded(values, scale, factor, 0.0, 0, LARGEST_CODE, codes.dtype.element_ty), mask=inside)
    tl.store(scales, scale, mask=tl.program_id(0) == 0)


@triton.jit
def made(x, weight, residual, residual_out, row, columns, inside, PRODUCER: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
         WIDTH: tl.constexpr):
    """The values of a row behind a producer, rounded to the element's type: 1 rms_norm, 2 add_rms_norm, 3 silu_mul."""
    column = tl.arange(0, WIDTH)
    element: tl.constexpr = x.dtype.element_ty
    if PRODUCER == 3:
        wait(PDL)
        gate = tl.load(x + row * 2 * columns + column, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(x + row * 2 * columns + columns + column, mask=inside, other=0.0).to(tl.float32)
        let_next_start(PDL)
        values = tl.div_rn(gate, 1.0 + tl.exp(-gate)).to(element).to(tl.float32) * up
    else:
        weights = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
        wait(PDL)
        values = tl.load(x + row * columns + column, mask=inside, other=0.0).to(tl.float32)
        if PRODUCER == 2:
            values += tl.load(residual + row * columns + column, mask=inside, other=0.0).to(tl.float32)
            values = values.to(element).to(tl.float32)
        let_next_start(PDL)
        if PRODUCER == 2:
            tl.store(residual_out + row * columns + column, values.to(element), mask=inside)
        reciprocal = tl.div_rn(1.0, tl.sqrt_rn(tl.div_rn(tl.sum(values * values, axis=0), columns.to(tl.float32)) + EPS))
        values = values * reciprocal * weights
    return values.to(element).to(tl.float32)


@tuned(warps(2, 4, 8, 16), key=["columns", "KIND", "GROUP", "PRODUCER", "PDL"])
@triton.jit
def fused_kernel(x, weight, residual, residual_out, codes, scales, zero_points, columns, KIND: tl.constexpr,
                 LARGEST_CODE: tl.constexpr, SMALLEST: tl.constexpr, STATIC: tl.constexpr, GROUP: tl.constexpr,
                 PRODUCER: tl.constexpr, EPS: tl.constexpr, WIDTH: tl.constexpr, PDL: tl.constexpr):
    """A row a program: a producer, and static scales, a scale of the row, or of groups of GROUP elements."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    inside = column < columns
    values = made(x, weight, residual, residual_out, row, columns, inside, PRODUCER, EPS, PDL, WIDTH)
    code: tl.constexpr = codes.dtype.element_ty
    if STATIC:
        scale = tl.load(scales)
        zero_point = tl.load(zero_points).to(tl.float32) if KIND == 4 else 0.0
        coded = encoded(values, scale, tl.div_rn(1.0, scale), zero_point, KIND, LARGEST_CODE, code)
    elif GROUP > 0:
        groups = tl.reshape(values, (WIDTH // GROUP, GROUP))
        scale = tl.div_rn(tl.maximum(tl.max(tl.abs(groups), axis=1), 1e-10), LARGEST_CODE)
        coded = tl.reshape(encoded(groups, scale[:, None], scale[:, None], 0.0, KIND, LARGEST_CODE, code), (WIDTH,))
        group = tl.arange(0, WIDTH // GROUP)
        tl.store(scales + row * (columns // GROUP) + group, scale, mask=group < columns // GROUP)
    else:
        amax = tl.max(tl.abs(values), axis=0)
        factor = tl.div_rn(LARGEST_CODE, amax)
        scale = tl.div_rn(amax, LARGEST_CODE)
        if KIND != 2:
            scale = tl.maximum(scale, SMALLEST)
        coded = encoded(values, scale, factor, 0.0, KIND, LARGEST_CODE, code)
        tl.store(scales + row, scale)
    tl.store(codes + row * columns + column, coded, mask=inside)


@tuned(tiles((1024, 2), (2048, 4), (4096, 4), (4096, 8), (8192, 8)), key=["size", "PDL"])
@triton.jit
def mxfp8_kernel(x, codes, scales, size, RCEIL: tl.constexpr, PDL: tl.constexpr, BLOCK: tl.constexpr):
    """MXFP8: groups of 32, exponents by the bits of the largest magnitude, with rounding floor or rceil. NaN and infinity
    are not told apart."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    wait(PDL)
    values = tl.load(x + index, mask=index < size, other=0.0).to(tl.float32)
    let_next_start(PDL)
    blocks = tl.reshape(values, (BLOCK // 32, 32))
    amax = tl.max(tl.abs(blocks), axis=1)
    bits = (amax * (1.0 / 448.0) if RCEIL else amax).to(tl.int32, bitcast=True)
    exponent = (bits + 0x7FFFFF) >> 23 if RCEIL else tl.maximum((bits >> 23) - 8, 0)
    exponent = tl.minimum(exponent, 254)
    factor = tl.where(exponent == 254, 5.877471754111438e-39, ((254 - exponent) << 23).to(tl.float32, bitcast=True))
    coded = tl.minimum(tl.maximum(blocks * factor[:, None], -448.0), 448.0).to(codes.dtype.element_ty)
    tl.store(codes + index, tl.reshape(coded, (BLOCK,)), mask=index < size)
    block = tl.program_id(0).to(tl.int64) * (BLOCK // 32) + tl.arange(0, BLOCK // 32)
    tl.store(scales + block, exponent.to(tl.uint8), mask=block < size // 32)


def launched(pdl):
    """Options of a launch. Only NVIDIA's devices have the first one."""
    return {"launch_pdl": True} if pdl else {}


def static(work, kind, pdl):
    def quantize(x, scale, zero_point):
        codes = torch.empty(x.shape, dtype=CODES[work.quant_dtype], device=x.device)
        size = x.numel()
        static_kernel[lambda meta: (triton.cdiv(size, meta["BLOCK"]),)](
            x, scale, zero_point, codes, size, KIND=kind, LARGEST_CODE=LARGEST[work.quant_dtype], PDL=pdl, **launched(pdl))
        return (codes,)

    return quantize


def spans(work, kind, columns, smallest, pdl):
    width = triton.next_power_of_2(columns)
    if width > 65536:
        raise NotServed("a program holds a row of 65536 elements at most")
    groups = max(1, 1024 // width)  # of a program

    def quantize(x):
        count = x.numel() // columns
        codes = torch.empty(x.shape, dtype=CODES[work.quant_dtype], device=x.device)
        scales = torch.empty(count, dtype=torch.float32, device=x.device)
        zero_points = torch.empty(count, dtype=torch.int32, device=x.device) if kind == INT8_AFFINE else scales
        span_kernel[(triton.cdiv(count, groups),)](
            x, codes, scales, zero_points, count, columns, KIND=kind, LARGEST_CODE=LARGEST[work.quant_dtype],
            SMALLEST=smallest, GROUPS=groups, WIDTH=width, PDL=pdl, **launched(pdl))
        return codes, scales, zero_points

    return quantize


def tensor(work, pdl):
    def quantize(x):
        codes = torch.empty(x.shape, dtype=CODES[work.quant_dtype], device=x.device)
        amax = torch.zeros(1, dtype=torch.int32, device=x.device)
        scale = torch.empty(1, dtype=torch.float32, device=x.device)
        size = x.numel()
        amax_kernel[lambda meta: (triton.cdiv(size, meta["BLOCK"]),)](x, amax, size, PDL=pdl, **launched(pdl))
        tensor_kernel[lambda meta: (triton.cdiv(size, meta["BLOCK"]),)](
            x, amax, codes, scale, size, LARGEST_CODE=LARGEST[work.quant_dtype], PDL=pdl, **launched(pdl))
        return codes, scale

    return quantize


def fused(work, pdl):
    """The function for a work with a producer; NotServed if it is none of these."""
    fp8, static, span = work.quant_dtype != "int8", work.static_scale, work.scheme[1]
    if (work.asymmetric and not static) or (static, span) not in ((True, "tensor"), (False, "token"), (False, "group")):
        raise NotServed("not written in Triton here")
    columns, group = work.hidden_size, work.group_size
    width = triton.next_power_of_2(columns)
    if width > 65536 or (group and columns % group != 0) or group & (group - 1):
        raise NotServed("a program holds a row of 65536 elements at most, and groups that are a power of two")
    if static:
        kind = FP8_PRODUCT if fp8 else INT8_AFFINE if work.asymmetric else INT8_QUOTIENT
    else:
        kind = FP8_QUOTIENT if fp8 else INT8_QUOTIENT if group else INT8_PRODUCT
    producer = ("rms_norm", "add_rms_norm", "silu_mul").index(work.producer) + 1

    def quantize(x, *others):
        scale, zero_point = others[:2] if static else (None, None)
        weight, residual = (*others[2 if static else 0:], x, x)[:2]
        codes = torch.empty(x.shape[0], columns, dtype=CODES[work.quant_dtype], device=x.device)
        if not static:
            scale = torch.empty(x.shape[0] * (columns // group if group else 1), dtype=torch.float32, device=x.device)
        residual_out = torch.empty_like(residual) if producer == 2 else residual
        fused_kernel[(x.shape[0],)](
            x, weight, residual, residual_out, codes, scale, scale if zero_point is None else zero_point, columns,
            KIND=kind, LARGEST_CODE=LARGEST[work.quant_dtype], SMALLEST=SMALLEST_SCALE, STATIC=static, GROUP=group,
            PRODUCER=producer, EPS=work.eps or 0.0, WIDTH=width, PDL=pdl, **launched(pdl))
        return codes, scale, residual_out

    return quantize


def block_format(work, pdl):
    """The function for a block format; NotServed if it is not MXFP8."""
    if (work.quant_dtype, work.scale_format, work.group_size) != ("fp8_e4m3fn", "ue8m0", 32) or \
            work.scale_rounding not in ("floor", "rceil") or work.hidden_size % 32 != 0:
        raise NotServed("of block formats only MXFP8 with floor and rceil is written in Triton here")

    def quantize(x):
        size = x.numel()
        codes = torch.empty(x.shape, dtype=CODES[work.quant_dtype], device=x.device)
        scales = torch.empty(x.shape[0], work.hidden_size // 32, dtype=torch.uint8, device=x.device)
        mxfp8_kernel[lambda meta: (triton.cdiv(size, meta["BLOCK"]),)](
            x, codes, scales, size, RCEIL=work.scale_rounding == "rceil", PDL=pdl, **launched(pdl))
        return codes, scales

    return quantize


def function(work, pdl):
    """The function for a work; NotServed if it is none of these."""
    fp8 = work.quant_dtype != "int8"
    match work.scheme:
        case True, "tensor", asymmetric:
            return static(work, FP8_PRODUCT if fp8 else INT8_AFFINE if asymmetric else INT8_QUOTIENT, pdl)
        case False, "token", asymmetric:
            kind = FP8_QUOTIENT if fp8 else INT8_AFFINE if asymmetric else INT8_PRODUCT
            return spans(work, kind, work.hidden_size, SMALLEST_SCALE, pdl)
        case False, "group", False:
            if work.hidden_size % work.group_size != 0:
                raise NotServed(f"hidden size {work.hidden_size} is no multiple of the group")
            return spans(work, FP8_QUOTIENT if fp8 else INT8_QUOTIENT, work.group_size, 0, pdl)
        case False, "tensor", False if fp8:
            return tensor(work, pdl)
    raise NotServed("not written in Triton here")
