# SPDX-License-Identifier: Apache-2.0
"""Codes and scales of somebody's, held against those that a scheme gives, bit for bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import kq
from kq import _arrays, _frameworks
from kq._kq import Scheme
from kq._types import Quantized, beside_codes


class Difference(NamedTuple):
    """A tensor that is not what it must be. Values are bit patterns, as hexadecimal text."""

    tensor: str  #: "codes", "scales", "zero_points" or "global_scale"
    index: tuple[int, ...]  #: of the first number that differs, in the tensor that is right
    found: str
    wanted: str
    differ: int  #: numbers that differ
    compared: int

    def __str__(self) -> str:
        place = ", ".join(map(str, self.index))
        return (f"{self.tensor}[{place}] is {self.found} and must be {self.wanted}; "
                f"{self.differ} of {self.compared} differ")


def scheme_of(scheme: Scheme | str, dialect: str | None) -> Scheme:
    chosen = Scheme(scheme) if isinstance(scheme, str) else scheme
    return chosen if dialect is None else chosen.replace(dialect=dialect)


def wanted(x: Any, scheme: Scheme, given: Quantized) -> Quantized:
    """What x becomes, where kq works. The scales of a static scheme are those given."""
    x = _frameworks.where_kq_works(x)
    if not scheme.static_scale:
        return kq.quantize(x, scheme)
    moved = {name: _frameworks.where_kq_works(tensor) for name, tensor in beside_codes(given).items()}
    return kq.quantize(x, scheme, **moved)


def differences(found: Quantized, right: Quantized) -> list[Difference]:
    """One for each tensor that differs. Raises InvalidArgument for one that is missing, or has another number of elements
    or another number of bytes per element."""
    all_of_them = []
    for name, ours in right._asdict().items():
        theirs = getattr(found, name, None)
        if ours is None:
            continue
        if theirs is None:
            raise kq.InvalidArgument(name, "is missing; the scheme has it")
        all_of_them += _difference(name, _bits(theirs), _bits(ours))
    return all_of_them


def matching(found: Quantized, x: Any, scheme: Scheme) -> list[str]:
    """The dialects that give these very bytes for x."""
    names = []
    for dialect in kq.dialects():
        try:
            one = scheme.replace(dialect=dialect.name)
            same = not differences(found, wanted(x, one, found))
        except kq.InvalidArgument:  # which has no such scheme
            continue
        if same:
            names.append(dialect.name)
    return names


def _difference(name, found, right) -> list[Difference]:
    import numpy as np

    if found.size != right.size or found.itemsize != right.itemsize:
        raise kq.InvalidArgument(name, f"must have {right.size} numbers of {right.itemsize} bytes, as "
                                       f"{list(right.shape)}; it has {found.size} of {found.itemsize}")
    wrong = np.flatnonzero(found.ravel() != right.ravel())
    if wrong.size == 0:
        return []
    first = wrong[0]
    digits = 2 * right.itemsize
    values = (f"0x{int(bits.ravel()[first]):0{digits}x}" for bits in (found, right))
    index = tuple(int(i) for i in np.unravel_index(first, right.shape))
    return [Difference(name, index, *values, int(wrong.size), int(right.size))]


def _bits(x):
    """The numbers of a tensor as unsigned integers on the host, in the order of its indices."""
    import numpy as np

    if _arrays._is_torch(x):
        import torch

        plain = x.detach().cpu().contiguous()
        array = plain.view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[plain.element_size()]).numpy()
    else:
        array = np.ascontiguousarray(_arrays.bits(x)[0] if _arrays.bits(x) else np.asarray(_arrays.on_host(x)))
    return array.view(np.dtype(f"uint{8 * array.itemsize}"))
