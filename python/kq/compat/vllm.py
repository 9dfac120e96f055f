# SPDX-License-Identifier: Apache-2.0
"""vLLM's quantization functions on kq's kernels, with the signatures, shapes and arithmetic of vLLM 0.33.0: a project
replaces its import of vllm._custom_ops or of vLLM's fp8_utils and int8_utils.

    from kq.compat.vllm import scaled_fp8_quant, scaled_int8_quant, per_token_group_quant_fp8

FP8 is E4M3FN. Nothing is read on the host: `scale_ub`, a tensor of one number on the input's device, is read by the kernels.
The fused functions, which norm or activate first, are no operators of PyTorch: torch.compile breaks its graph at them.
"""

from __future__ import annotations

import torch

import kq
import kq.torch

__all__ = ["per_token_group_quant_fp8", "per_token_group_quant_fp8_packed_for_deepgemm", "per_token_group_quant_int8",
           "rms_norm_dynamic_per_token_quant", "rms_norm_per_block_quant", "scaled_fp8_quant", "scaled_int8_quant",
           "silu_and_mul_per_block_quant"]

_EPS = 1e-10  # what the kernels bound a group's largest magnitude by
_DIALECT = "vllm-0.33.0"


def _require(condition: bool, field: str, reason: str) -> None:
    if not condition:
        raise kq.InvalidArgument(field, reason)


def _rows(x: torch.Tensor) -> torch.Tensor:
    """x, or a copy where the elements of a row are not one behind the other."""
    return x if x.stride(-1) == 1 or x.shape[-1] <= 1 else x.contiguous()


# --- fp8 --------------------------------------------------------------------------------------------------------------


def _static_scheme(input: torch.Tensor, scale: torch.Tensor, group_shape: tuple[int, int] | None) -> str:
    """The scheme of static scales: by the group's shape, which two-dimensional scales can tell too."""
    tokens, hidden_size = input.shape
    if scale.numel() == 1 and (group_shape is None or tuple(group_shape) == (-1, -1)):
        return f"static fp8 tensor {_DIALECT}"
    if group_shape is None:
        _require(scale.ndim == 2, "group_shape", "must be given where scales have one dimension: (-1, 1) or (1, -1)")
        for size, scales, dimension in ((tokens, scale.shape[0], 0), (hidden_size, scale.shape[1], 1)):
            _require(scales > 0 and size % scales == 0, "scale",
                     f"has {scales} scales for the {size} elements of dimension {dimension}, which they must divide")
        group_shape = (tokens // scale.shape[0], hidden_size // scale.shape[1])
    rows = tokens if group_shape[0] == -1 else group_shape[0]
    columns = hidden_size if group_shape[1] == -1 else group_shape[1]
    _require(rows > 0 and tokens % rows == 0 and columns > 0 and hidden_size % columns == 0, "group_shape",
             f"is {tuple(group_shape)}, which does not divide the input's shape {tuple(input.shape)}")
    if rows == tokens and columns == hidden_size:
        return f"static fp8 tensor {_DIALECT}"
    if rows == 1 and columns == hidden_size:
        return f"static fp8 token {_DIALECT}"
    if rows == tokens and columns == 1:
        return f"static fp8 channel {_DIALECT}"
    layout = "row"
    if scale.ndim == 2 and scale.stride(0) == 1 and scale.stride(1) >= scale.shape[0] > 1:
        layout = "column"
    granularity = f"group:{columns}" if rows == 1 else f"block:{rows}x{columns}"
    return f"static fp8 {granularity} {layout} {_DIALECT}"


def scaled_fp8_quant(
    input: torch.Tensor,
    scale: torch.Tensor | None = None,
    num_token_padding: int | None = None,
    scale_ub: torch.Tensor | None = None,
    use_per_token_if_dynamic: bool = False,
    output: torch.Tensor | None = None,
    group_shape: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """FP8 codes and scales of [tokens, hidden_size].

    Without `scale` it is computed: one, [1], or one for each token, [tokens, 1], bounded by `scale_ub`. A given `scale` has
    one element; or one for each token or channel, told apart by `group_shape` (1, -1) or (-1, 1); or is
    [tokens / rows, hidden_size / columns] for groups of (rows, columns). `num_token_padding`: at least so many rows of
    codes (and of scales) are returned; those behind the input's are not set.

    Raises kq.InvalidArgument naming the argument that is wrong.
    """
    _require(input.ndim == 2, "input", f"must have two dimensions, not {input.ndim}")
    tokens, hidden_size = input.shape
    rows = tokens
    if output is None:
        rows = max(num_token_padding or 0, tokens)
        output = torch.empty((rows, hidden_size), dtype=torch.float8_e4m3fn, device=input.device)
    else:
        _require(num_token_padding is None, "num_token_padding", "must not be given where output is")
        _require(output.dtype == torch.float8_e4m3fn, "output", f"must be float8_e4m3fn, not {output.dtype}")
    input, out = _rows(input), output[:tokens]
    if scale is not None:
        scheme = _static_scheme(input, scale, group_shape) if tokens > 0 else f"static fp8 tensor {_DIALECT}"
        kq.torch.quantize(input, scheme, out=out, scales=scale)
    elif use_per_token_if_dynamic:
        scale = torch.empty((rows, 1), dtype=torch.float32, device=input.device)
        kq.torch.quantize(input, f"fp8 token {_DIALECT}", out=out, scales=scale[:tokens], scale_ub=scale_ub)
    else:
        scale = torch.empty(1, dtype=torch.float32, device=input.device)
        kq.torch.quantize(input, f"fp8 tensor {_DIALECT}", out=out, scales=scale)
    return output, scale


def _group_arguments(x: torch.Tensor, group_size: int, eps: float) -> None:
    _require(x.ndim > 0 and x.shape[-1] % group_size == 0, "group_size",
             f"is {group_size}, which does not divide the last dimension of x, {tuple(x.shape)}")
    _require(eps == _EPS, "eps", f"must be {_EPS}, which the kernels have, not {eps}")


def per_token_group_quant_fp8(
    x: torch.Tensor,
    group_size: int,
    eps: float = 1e-10,
    dtype: torch.dtype | None = None,
    column_major_scales: bool = False,
    tma_aligned_scales: bool = False,
    out_q: torch.Tensor | None = None,
    use_ue8m0: bool | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """FP8 codes of x [*leading, hidden_size] and a float32 scale for each `group_size` elements of a row,
    [*leading, hidden_size / group_size]; with `column_major_scales` a column of them lies one behind the other, and with
    `tma_aligned_scales` too a multiple of four scales from the next. `use_ue8m0` raises scales to powers of two; None
    means False. `eps` must be 1e-10, `dtype` float8_e4m3fn.
    """
    _group_arguments(x, group_size, eps)
    _require(dtype in (None, torch.float8_e4m3fn), "dtype", f"must be torch.float8_e4m3fn, not {dtype}")
    _require(out_q is None or out_q.shape == x.shape, "out_q", "must have x's shape")
    layout = ("column_aligned" if tma_aligned_scales else "column") if column_major_scales else "row"
    scheme = f"fp8 group:{group_size} {'ue8m0_float' if use_ue8m0 else 'float'} {layout} {_DIALECT}"
    if column_major_scales and x.ndim > 2:
        return _batches(x, scheme, tma_aligned_scales, out_q)
    if out_q is None:
        return kq.torch.quantize(_rows(x), scheme)[:2]
    return kq.quantize(_rows(x), scheme, out=out_q)[:2]


def _batches(x: torch.Tensor, scheme: str, aligned: bool, codes: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales in columns: each matrix of a batch has its own."""
    *leading, tokens, hidden_size = x.shape
    if codes is None:
        codes = torch.empty(x.shape, dtype=torch.float8_e4m3fn, device=x.device)
    matrices = x.reshape(-1, tokens, hidden_size)
    groups = hidden_size // kq.Scheme(scheme).group_size
    column = (tokens + 3) // 4 * 4 if aligned else tokens
    scales = torch.empty_strided((len(matrices), tokens, groups), (column * groups, 1, column), dtype=torch.float32,
                                 device=x.device)
    for matrix, out, of_matrix in zip(matrices, codes.view(matrices.shape), scales, strict=True):
        kq.torch.quantize(_rows(matrix), scheme, out=out, scales=of_matrix)
    return codes, scales.unflatten(0, leading)


def per_token_group_quant_fp8_packed_for_deepgemm(
    x: torch.Tensor,
    group_size: int,
    eps: float = 1e-10,
    use_ue8m0: bool | None = None,
    out_q: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """FP8 codes of x [*leading, hidden_size] and the exponents of its groups' scales, four to an int32:
    [rows, ceil(groups / 4)], a column one behind the other and a multiple of four from the next. What pads them is 0.
    """
    _group_arguments(x, group_size, eps)
    _require(use_ue8m0 is not False, "use_ue8m0", "must not be False: packed scales are exponents")
    rows = x.reshape(-1, x.shape[-1])
    scheme = f"fp8 group:{group_size} ue8m0 packed {_DIALECT}"
    if out_q is None:
        codes, scales, _ = kq.torch.quantize(_rows(rows), scheme)
        return codes.view(x.shape), scales
    return out_q, kq.quantize(_rows(rows), scheme, out=out_q.view(rows.shape)).scales


# --- int8 -------------------------------------------------------------------------------------------------------------


def scaled_int8_quant(
    input: torch.Tensor,
    scale: torch.Tensor | None = None,
    azp: torch.Tensor | None = None,
    symmetric: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """INT8 codes of [*leading, hidden_size], scale and, unless `symmetric`, zero point: those given, of one element each, or
    those computed for each token, [tokens, 1]."""
    input = input.contiguous()
    if scale is not None:
        _require(symmetric == (azp is None), "azp", "must be given where symmetric is False, and only there")
        codes = kq.torch.quantize(input, f"static int8 tensor{'' if symmetric else ' asymmetric'}", scales=scale,
                                  zero_points=azp).codes
        return codes, scale, azp
    # vLLM's zero points are kqbench's own arithmetic, which no dialect but it has.
    codes, scales, zero_points = kq.torch.quantize(input, f"int8 token {_DIALECT}" if symmetric else
                                                   "int8 token asymmetric")
    return codes, scales.view(-1, 1), None if zero_points is None else zero_points.view(-1, 1)


def per_token_group_quant_int8(
    x: torch.Tensor,
    group_size: int,
    eps: float = 1e-10,
    dtype: torch.dtype = torch.int8,
) -> tuple[torch.Tensor, torch.Tensor]:
    """INT8 codes of x [*leading, hidden_size] and a float32 scale for each `group_size` elements of a row,
    [*leading, hidden_size / group_size]. Codes are truncated, as vLLM's are."""
    _group_arguments(x, group_size, eps)
    _require(dtype == torch.int8, "dtype", f"must be torch.int8, not {dtype}")
    codes, scales, _ = kq.torch.quantize(_rows(x), f"int8 group:{group_size} {_DIALECT}")
    return codes, scales


# --- fused operations -------------------------------------------------------------------------------------------------


def _format_name(quant_dtype: torch.dtype) -> str:
    _require(quant_dtype in (torch.float8_e4m3fn, torch.int8), "quant_dtype",
             f"must be float8_e4m3fn or int8, not {quant_dtype}")
    return "int8" if quant_dtype == torch.int8 else "fp8"


def _normed(epsilon: float, weight: torch.Tensor, residual: torch.Tensor | None) -> dict[str, object]:
    """The producer's arguments. A residual is replaced by its sum with the input."""
    how: dict[str, object] = {"producer": "rms_norm", "weight": weight.detach(), "eps": epsilon}
    if residual is not None:
        how.update(producer="add_rms_norm", residual=residual, residual_out=residual)
    return how


def rms_norm_dynamic_per_token_quant(
    input: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    quant_dtype: torch.dtype,
    scale_ub: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of the RMS norm of input [*leading, hidden_size] and its scales, [tokens, 1]; `weight` [hidden_size].
    `quant_dtype`: torch.float8_e4m3fn, for which `scale_ub` bounds a token's largest magnitude, or torch.int8. A `residual`
    of input's shape is added first, and replaced by the sum."""
    codes, scales, _ = kq.quantize(_rows(input), f"{_format_name(quant_dtype)} token {_DIALECT}", scale_ub=scale_ub,
                                   **_normed(epsilon, weight, residual))
    return codes, scales.view(-1, 1)


def rms_norm_per_block_quant(
    input: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    quant_dtype: torch.dtype,
    group_size: list[int],
    scale_ub: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
    is_scale_transposed: bool = False,
    tma_alignment: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As rms_norm_dynamic_per_token_quant, with a scale for each `group_size[1]` elements of a row of input
    [tokens, hidden_size]: [tokens, hidden_size / group_size[1]]. `group_size` is [1, columns]. `is_scale_transposed`: a
    column of scales lies one behind the other; with `tma_alignment` 4, not 0, a multiple of four scales from the next.
    `scale_ub` must be None.
    """
    _require(input.ndim == 2, "input", f"must have two dimensions, not {input.ndim}")
    _require(len(group_size) == 2 and group_size[0] == 1, "group_size", f"must be [1, columns], not {group_size}")
    _require(tma_alignment in (0, 4), "tma_alignment", f"must be 0 or 4, not {tma_alignment}")
    _require(scale_ub is None, "scale_ub", "must be None: kernels read bounds of tokens only")
    layout = ("column_aligned" if tma_alignment else "column") if is_scale_transposed else "row"
    codes, scales, _ = kq.quantize(_rows(input), f"{_format_name(quant_dtype)} group:{group_size[1]} {layout} {_DIALECT}",
                                   **_normed(epsilon, weight, residual))
    return codes, scales


def silu_and_mul_per_block_quant(
    input: torch.Tensor,
    group_size: int,
    quant_dtype: torch.dtype,
    scale_ub: torch.Tensor | None = None,
    is_scale_transposed: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of SiLU(gate) * up [tokens, hidden_size], of input [tokens, 2 * hidden_size] whose rows are gate and then up, and
    a scale for each `group_size` elements of a row, [tokens, hidden_size / group_size]; `is_scale_transposed`: a column of
    them lies one behind the other. `scale_ub` must be None."""
    _require(input.ndim == 2, "input", f"must have two dimensions, not {input.ndim}")
    _require(scale_ub is None, "scale_ub", "must be None: kernels read bounds of tokens only")
    layout = "column" if is_scale_transposed else "row"
    codes, scales, _ = kq.quantize(_rows(input), f"{_format_name(quant_dtype)} group:{group_size} {layout} {_DIALECT}",
                                   producer="silu_mul")
    return codes, scales
