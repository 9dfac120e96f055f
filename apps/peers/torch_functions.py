# SPDX-License-Identifier: Apache-2.0
"""The schemes as one writes them in PyTorch, with the formulas of docs/numerics.md. Each function takes the input
[num_tokens, hidden_size] and, where the scale is static, scale and zero point; it returns the codes, and whatever else
was computed. `torch.compile` gets the same functions."""

import torch

import producers
from work import LARGEST, NotServed

DTYPES = {"half": torch.float16, "bfloat16": torch.bfloat16, "float": torch.float32}
CODES = {"int8": torch.int8, "fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
SMALLEST_SCALE = 1 / (448 * 512)


def to_fp8(values, dtype, largest):
    return values.clamp(-largest, largest).to(dtype)


def to_int8(values):
    return values.round().clamp(-128, 127).to(torch.int8)


def static_fp8(dtype, largest):
    def quantize(x, scale, zero_point):
        return (to_fp8(x.float() * scale.reciprocal(), dtype, largest),)

    return quantize


def static_int8(x, scale, zero_point):
    return (to_int8(x.float() / scale),)


def static_int8_asymmetric(x, scale, zero_point):
    return (to_int8((x.float() * scale.reciprocal()).round() + zero_point),)


def dynamic_tensor_fp8(dtype, largest):
    def quantize(x):
        scale = x.abs().amax().float() / largest
        return to_fp8(x.float() * scale.reciprocal(), dtype, largest), scale

    return quantize


def dynamic_token_fp8(dtype, largest):
    def quantize(x):
        scale = (x.abs().amax(dim=-1, keepdim=True).float() / largest).clamp(min=SMALLEST_SCALE)
        return to_fp8(x.float() / scale, dtype, largest), scale

    return quantize


def dynamic_int8(dims):
    def quantize(x):
        amax = x.abs().amax(dim=dims, keepdim=True).float()
        return to_int8(x.float() * (127.0 / amax)), amax / 127.0

    return quantize


def dynamic_int8_asymmetric(dims):
    def quantize(x):
        low, high = x.amin(dim=dims, keepdim=True).float(), x.amax(dim=dims, keepdim=True).float()
        scale = (high - low) / 255.0
        zero_point = (-128.0 - low / scale).round()
        codes = to_int8((x.float() * scale.reciprocal()).round() + zero_point)
        return codes, scale, zero_point.to(torch.int32)

    return quantize


def dynamic_group(group_size, encode, largest):
    def quantize(x):
        groups = x.unflatten(-1, (-1, group_size))
        scale = groups.abs().amax(dim=-1, keepdim=True).float().clamp(min=1e-10) / largest
        return encode(groups.float() / scale).flatten(-2), scale.squeeze(-1)

    return quantize


def function(work):
    """The function for a work; NotServed if it is none of these."""
    largest, dtype = LARGEST[work.quant_dtype], CODES[work.quant_dtype]
    fp8 = work.quant_dtype != "int8"
    match work.scheme:
        case True, _, asymmetric:
            return static_fp8(dtype, largest) if fp8 else static_int8_asymmetric if asymmetric else static_int8
        case False, "tensor", False if fp8:
            return dynamic_tensor_fp8(dtype, largest)
        case False, "token", False if fp8:
            return dynamic_token_fp8(dtype, largest)
        case False, ("tensor" | "token") as span, asymmetric:
            dims = (0, 1) if span == "tensor" else (1,)
            return dynamic_int8_asymmetric(dims) if asymmetric else dynamic_int8(dims)
        case False, "group", False:
            if work.hidden_size % work.group_size != 0:
                raise NotServed(f"hidden size {work.hidden_size} is no multiple of the group")
            encode = (lambda values: to_fp8(values, dtype, largest)) if fp8 else to_int8
            return dynamic_group(work.group_size, encode, largest)
    raise NotServed("not written in PyTorch here")


def fused(work):
    """The producer and the scheme, as one function of x, scale and zero point where they are static, and the operands."""
    values, quantize, given = producers.values_of(work), function(work), 2 if work.static_scale else 0

    def both(x, *others):
        made, *stored = values(x, *others[given:])
        return *quantize(made, *others[:given]), *stored

    return both


def given_scale(work, x):
    """Scale and zero point for static schemes, found in the input, as float32 and int32 tensors that broadcast over it;
    nothing for dynamic ones."""
    if not work.static_scale:
        return ()
    dims = {"tensor": (0, 1), "token": (1,), "channel": (0,)}[work.granularity]
    low, high = x.amin(dim=dims, keepdim=True).float(), x.amax(dim=dims, keepdim=True).float()
    if not work.asymmetric:
        scale = torch.maximum(low.abs(), high.abs()) / LARGEST[work.quant_dtype]
        return scale, torch.zeros_like(scale, dtype=torch.int32)
    scale = (high - low) / 255.0
    return scale, (-128.0 - low / scale).round().to(torch.int32)
