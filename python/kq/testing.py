# SPDX-License-Identifier: Apache-2.0
"""For tests of quantization kernels, with pytest or without:

    codes, scales = my_kernel(x)
    kq.testing.assert_matches(codes, scales, x, "int8 token", "vllm")
"""

from __future__ import annotations

from typing import Any

from kq import _compare
from kq._kq import Scheme
from kq._types import Quantized, TwoLevelQuantized

__all__ = ["assert_matches"]


def assert_matches(codes: Any, scales: Any, x: Any, scheme: Scheme | str, dialect: str | None = None, *,
                   zero_points: Any = None, global_scale: Any = None) -> None:
    """Passes where codes, scales and zero points are, bit for bit, what `scheme` gives for `x` in `dialect`.

    Tensors are of any framework that `kq.quantize` takes. Scales may have any shape with the right number of elements,
    counted in the order of their indices. With `dialect=None` the scheme's own counts, which is kqbench's where it names
    none. The scales of a static scheme are taken as given, and the codes compared. `global_scale` is the tensor's, of NVFP4.

    Raises AssertionError with the first difference of each tensor, how many there are, and the dialects that do give
    these bytes; InvalidArgument where a tensor is missing or is not of the scheme's shape.
    """
    __tracebackhide__ = True
    chosen = _compare.scheme_of(scheme, dialect)
    found = (TwoLevelQuantized(codes, scales, zero_points, global_scale) if chosen.has_global_scale
             else Quantized(codes, scales, zero_points))
    wrong = _compare.differences(found, _compare.wanted(x, chosen, found))
    if not wrong:
        return
    others = _compare.matching(found, x, chosen)
    raise AssertionError("\n".join([*map(str, wrong), f"not the bytes of {chosen.dialect}; "
                                    + (f"they are those of {', '.join(others)}" if others else "they are no dialect's")]))
