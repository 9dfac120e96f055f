# SPDX-License-Identifier: Apache-2.0
from typing import Any, Literal, overload

from kq._types import Quantized, TwoLevelQuantized

class Scheme:
    def __init__(
        self,
        text: str = "",
        *,
        format: str | None = None,
        granularity: str | None = None,
        static_scale: bool | None = None,
        asymmetric: bool | None = None,
        scale_format: str | None = None,
        scale_rounding: str | None = None,
        scale_layout: str | None = None,
        qmax: float | None = None,
        scale_ub: float | None = None,
        dialect: str | None = None,
        global_scale: float | None = None,
    ) -> None: ...
    def replace(
        self,
        *,
        format: str | None = None,
        granularity: str | None = None,
        static_scale: bool | None = None,
        asymmetric: bool | None = None,
        scale_format: str | None = None,
        scale_rounding: str | None = None,
        scale_layout: str | None = None,
        qmax: float | None = None,
        scale_ub: float | None = None,
        dialect: str | None = None,
        global_scale: float | None = None,
    ) -> Scheme: ...
    @property
    def format(self) -> str: ...
    @property
    def granularity(self) -> str: ...
    @property
    def shares(self) -> str: ...
    @property
    def group_size(self) -> int: ...
    @property
    def block_rows(self) -> int: ...
    @property
    def static_scale(self) -> bool: ...
    @property
    def asymmetric(self) -> bool: ...
    @property
    def scale_format(self) -> str: ...
    @property
    def scale_rounding(self) -> str: ...
    @property
    def scale_layout(self) -> str: ...
    @property
    def qmax(self) -> float: ...
    @property
    def scale_ub(self) -> float | None: ...
    @property
    def global_scale(self) -> float | None: ...
    @property
    def has_global_scale(self) -> bool: ...
    @property
    def code_bits(self) -> int: ...
    @property
    def dialect(self) -> str: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

# Of e4m3 scales a TwoLevelQuantized is returned, and a Quantized of others; a type checker sees which only in a name.
@overload
def quantize(
    x: Any,
    scheme: Literal["nvfp4"],
    *,
    out: Any | None = None,
    scales: Any | None = None,
    zero_points: Any | None = None,
    global_scale: Any | None = None,
    scale_ub: Any | None = None,
    stream: Any | None = None,
    producer: str | None = None,
    weight: Any | None = None,
    eps: float | None = None,
    residual: Any | None = None,
    residual_out: Any | None = None,
) -> TwoLevelQuantized: ...
@overload
def quantize(
    x: Any,
    scheme: Scheme | str,
    *,
    out: Any | None = None,
    scales: Any | None = None,
    zero_points: Any | None = None,
    global_scale: Any | None = None,
    scale_ub: Any | None = None,
    stream: Any | None = None,
    producer: str | None = None,
    weight: Any | None = None,
    eps: float | None = None,
    residual: Any | None = None,
    residual_out: Any | None = None,
) -> Quantized | Any: ...
def dequantize(
    codes: Any,
    scales: Any,
    zero_points: Any | None = None,
    global_scale: Any | None = None,
    *,
    scheme: Scheme | str,
    out: Any | None = None,
    stream: Any | None = None,
) -> Any: ...
def error_report(
    x: Any, codes: Any, scales: Any, zero_points: Any | None = None, global_scale: Any | None = None, *, scheme: Scheme | str
) -> tuple[float, float, float, int, int, int]: ...
def prepare_stream(stream: Any | None = None) -> None: ...
def overlap_graph(graph: Any) -> int: ...
def stored(tensor: Any, field: str, as_it_lies: bool) -> tuple[str, list[int], bytes]: ...
def backend() -> str: ...
def architecture() -> str: ...
def api_version() -> int: ...
def scheme_rows(dialect: str) -> list[tuple[Any, ...]]: ...
def dialect_rows() -> list[tuple[Any, ...]]: ...
