# SPDX-License-Identifier: Apache-2.0
"""The named tuples that kq's functions return."""

from typing import Any, NamedTuple


class Quantized(NamedTuple):
    """What `quantize` returns. Shapes, for an input `[*leading, hidden_size]` of `tokens` rows:

    - codes: the input's shape; int8, or the FP8 format (uint8 in frameworks that have no FP8, such as NumPy). `fp4_e2m1`:
      uint8, `[*leading, ceil(hidden_size / 2)]`, the even column in the low half of a byte
      (`codes.view(torch.float4_e2m1fn_x2)` is torch's type of the same).
    - scales: float32; or for `ue8m0` bytes (torch.float8_e8m0fnu; elsewhere uint8); or for `packed` int32, four of them in
      each. Layouts of tiles: `[rows, columns]` of bytes, their padding included. tensor: `[1]`; token: `[*leading, 1]`;
      channel: `[hidden_size]`; group: `[*leading, groups]`, packed `[*leading, ceil(groups / 4)]`; block: `[ceil(tokens /
      block_rows), groups]`. The layouts but `row` show in the strides: the last dimension's is the distance from one column
      of scales to the next.
    - zero_points: int32, of the scales' shape; None unless the scheme is asymmetric.
    """

    codes: Any
    scales: Any
    zero_points: Any = None


class TwoLevelQuantized(NamedTuple):
    """What `quantize` returns of `e4m3` scales (NVFP4): as `Quantized` has them, and a scale of the tensor beside them.

    - scales: E4M3 (torch.float8_e4m3fn; elsewhere uint8).
    - global_scale: float32, `[1]`. A code stands for code * scale * global_scale.
    """

    codes: Any
    scales: Any
    zero_points: Any = None
    global_scale: Any = None


def beside_codes(quantized: Quantized | TwoLevelQuantized) -> dict[str, Any]:
    """All but the codes, as the arguments by which `quantize` takes them."""
    return {name: tensor for name, tensor in quantized._asdict().items() if name != "codes"}


class ErrorReport(NamedTuple):
    """How far a quantized tensor is from the one it was made of: x an input, y what its code and scale stand for."""

    max_error: float  #: largest |x - y| over the finite inputs
    rmse: float  #: sqrt(mean((x - y)**2))
    sqnr_db: float  #: 10 log10(sum(x**2) / sum((x - y)**2)); inf if every y is its x
    elements: int
    not_finite: int  #: inputs that are NaN or infinite, left out
    lost: int  #: finite inputs whose y is not finite; if there is one, the errors are infinite


class SchemeInfo(NamedTuple):
    """A row of `schemes()`: what shares a scale, how the scale is found, and for which codes."""

    name: str  #: "dynamic token asymmetric"
    granularity: str  #: "tensor", "token", "channel", "group" or "block"
    static_scale: bool
    asymmetric: bool
    formats: tuple[str, ...]
    scale_formats: tuple[str, ...]
    scale_formula: str
    code_formula: str
    differs: str  #: from kqbench's own dialect, in words


class DialectInfo(NamedTuple):
    """A row of `dialects()`: an engine at one version, whose arithmetic schemes can follow."""

    name: str  #: "vllm-0.33.0"
    short_names: tuple[str, ...]  #: "vllm" means the newest version
    version: str
    source: str  #: which of the engine's functions
