# SPDX-License-Identifier: Apache-2.0
"""Somebody's function against a scheme, on shapes and numbers made to find mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kq import _arrays, _compare, _frameworks, _functions
from kq._kq import Scheme
from kq._types import Quantized

SHAPES = ((1, 1), (1, 7), (3, 17), (3, 1023), (83, 1025), (16, 1024))
SHOWN = 10


class Failure(NamedTuple):
    """A case that came out wrong."""

    shape: tuple[int, ...]
    fill: str
    message: str  #: the first difference of each tensor, or what the function raised

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))}, filled with {self.fill}: {self.message}"


class Verification(NamedTuple):
    """What `verify` found. True where nothing was wrong; printed, it shows the first failures."""

    scheme: Scheme
    cases: int
    failures: list[Failure]
    matches: list[str]  #: the dialects whose bytes the function gave in every case

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        if not self.failures:
            return f"{self.cases} cases, no mismatch with {self.scheme.dialect}"
        lines = [f"FAILED {failure}" for failure in self.failures[:SHOWN]]
        if len(self.failures) > SHOWN:
            lines.append(f"{len(self.failures) - SHOWN} more are counted, not shown")
        known = f"its bytes are those of {', '.join(self.matches)}" if self.matches else "its bytes are no dialect's"
        lines.append(f"{self.cases} cases, {len(self.failures)} wrong for {self.scheme.dialect}; {known}")
        return "\n".join(lines)


def verify(function: Callable[..., Any], scheme: Scheme | str, *, dialect: str | None = None, dtype: Any = "float32",
           shapes: Iterable[tuple[int, ...]] = SHAPES, make: Callable[[Any], Any] | str | None = None,
           seed: int = 0) -> Verification:
    """Calls `function(x)` for every shape, filled in every way, and compares what it returns with `scheme`, bit for bit.

    `function` returns (codes, scales) or (codes, scales, zero_points), of any framework that `kq.quantize` takes, on a host
    or on a device, of NVFP4 (codes, scales, global_scale); or, where it takes (x, codes, scales) or (x, codes, scales,
    zero_points), it writes to those, which are as `kq.quantize` makes them and filled with a pattern.
    x is of `make`: "numpy", "torch" or "cupy", a tensor where kq works; or what a function makes of a NumPy array,
    `torch.from_numpy`. Without it NumPy's for a host build, PyTorch's or CuPy's on a GPU. `dtype` is a floating-point type of
    NumPy's or ml_dtypes' ("bfloat16"). The scheme is a dynamic one. A case in which the function raises an Exception has
    failed.

    Raises InvalidArgument where the scheme cannot be served for a shape.
    """
    import numpy as np

    chosen = _compare.scheme_of(scheme, dialect)
    if not callable(make):
        make = _frameworks.framework(make).tensor
    called = _functions.Function("function", function, chosen)
    failures: list[Failure] = []
    matches: set[str] | None = None
    cases = 0
    for shape in shapes:
        for fill, values in _fills(shape, _dtype(dtype), np.random.default_rng(seed)):
            x = make(values)
            cases += 1
            right = _compare.wanted(x, chosen, Quantized(None, None))
            try:
                found = called.once(x, _frameworks.of(x))
                wrong = _compare.differences(found, right)
            except Exception as error:
                failures.append(Failure(shape, fill, f"{type(error).__name__}: {error}"))
                matches = set()
                continue
            if wrong:
                failures.append(Failure(shape, fill, "; ".join(map(str, wrong))))
            if matches is None or matches:
                same = set(_compare.matching(found, x, chosen))
                matches = same if matches is None else matches & same
    return Verification(chosen, cases, failures, sorted(matches or ()))


def _dtype(name):
    """A type by its name, ml_dtypes' ones too."""
    import numpy as np

    if name in _arrays._BITS:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)


def _fills(shape, dtype, random):
    """(name, array of this shape) for each way of filling one."""
    import numpy as np

    def of(values):
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(dtype).reshape(shape)

    size = int(np.prod(shape))
    normal = random.standard_normal(size)
    strewn = random.integers(0, 16, size)
    largest, least = _limits(dtype)
    yield "normal", of(normal)
    bits = random.integers(0, 2 ** (8 * dtype.itemsize), size, dtype=np.uint64).astype(f"uint{8 * dtype.itemsize}")
    with np.errstate(invalid="ignore"):  # signaling NaN
        any_size = bits.view(dtype).astype(np.float64)
    yield "every size", of(np.where(np.isfinite(any_size), any_size, normal))
    specials = np.array([np.inf, -np.inf, 0.0, -0.0, largest, -largest, least, -least])
    yield "specials", of(np.where(strewn == 0, specials[random.integers(0, len(specials), size)], normal))
    yield "NaN", of(np.where(strewn < 2, np.nan, normal))
    yield "nothing but NaN", of(np.full(size, np.nan))
    yield "zeros of both signs", of(np.where(strewn < 8, 0.0, -0.0))
    yield "subnormals", of(least * random.integers(-7, 8, size))
    yield "extremes", of(np.where(strewn < 8, largest, -largest))
    # Halves of steps, under a scale of 7/8 where the largest is 127: a quotient is exact, a product with the reciprocal not.
    yield "ties", of(0.875 * np.where(np.arange(size) % 16 == 0, 127.0, random.integers(-126, 126, size) + 0.5))


def _limits(dtype):
    """The largest finite and the least number above 0 of a type, NumPy's own or ml_dtypes'."""
    import numpy as np

    if dtype.kind == "f":
        info = np.finfo(dtype)
    else:
        import ml_dtypes

        info = ml_dtypes.finfo(dtype)
    return float(info.max), float(info.smallest_subnormal)
