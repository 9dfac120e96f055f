# SPDX-License-Identifier: Apache-2.0
"""What comes in front of a quantizer, in PyTorch: the tensors of a work with a producer, and the values it makes of them
(docs/numerics.md, "Producers")."""

import torch

SEED_OF_WEIGHT = 1
# x of add_rms_norm is so small that a residual to which peers add it in place, launch after launch, stays what it is:
# it is below half of the residual's last digit. With half some of the residual's least elements change.
IN_PLACE = {torch.float16: 1e-7, torch.bfloat16: 1e-30, torch.float32: 1e-30}


def make_input(work, dtype, device):
    columns = 2 * work.hidden_size if work.producer == "silu_mul" else work.hidden_size
    x = torch.randn(work.num_tokens, columns, device=device, dtype=dtype)
    return x * IN_PLACE[dtype] if work.producer == "add_rms_norm" else x


def make_operands(work, dtype, device):
    """The tensors behind the input: a weight, and a residual."""
    if work.producer not in ("rms_norm", "add_rms_norm"):
        return ()
    operands = [1 + 0.1 * torch.randn(work.hidden_size, device=device, dtype=dtype)]
    if work.producer == "add_rms_norm":
        operands.append(torch.randn(work.num_tokens, work.hidden_size, device=device, dtype=dtype))
    return tuple(operands)


def normed(z, weight, eps):
    reciprocal = torch.rsqrt(z.float().square().mean(dim=-1, keepdim=True) + eps)
    return (z.float() * reciprocal * weight.float()).to(z.dtype)


def values_of(work):
    """The producer as a function of the input and the operands: the values, and what else it stores."""
    match work.producer:
        case "none":
            return lambda x: (x,)
        case "rms_norm":
            return lambda x, weight: (normed(x, weight, work.eps),)
        case "add_rms_norm":
            def add(x, weight, residual):
                total = x + residual
                return normed(total, weight, work.eps), total
            return add
        case "silu_mul":
            def silu(x):
                gate, up = x.chunk(2, dim=-1)
                return (torch.nn.functional.silu(gate) * up,)
            return silu
    raise ValueError(work.producer)
