# SPDX-License-Identifier: Apache-2.0
"""Functions of a caller's that quantize, whether they return their outputs or are given them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import kq
from kq._errors import InvalidArgument
from kq._kq import Scheme
from kq._types import Quantized, TwoLevelQuantized, beside_codes


def takes_outputs(function: Callable[..., Any], scheme: Scheme, name: str) -> bool:
    """Whether a function is to be called with (x, codes, scales[, zero_points]) and writes to them, or with (x), and with
    (x, scales[, zero_points]) where the scheme is static, and returns what it has made. In place of zero points a scheme
    may have a global_scale. A function that does not tell its parameters, or takes any number, returns.

    Raises InvalidArgument where its parameters are neither.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    least, most = sum(one.default is one.empty for one in positional), len(positional)
    named = ", zero_points" if scheme.asymmetric else ", global_scale" if scheme.has_global_scale else ""
    read = f"(x, scales{named})" if scheme.static_scale else "(x)"
    written = f"(x, codes, scales{named})"
    if least <= read.count(",") + 1 <= most:
        return False
    if least <= written.count(",") + 1 <= most:
        return True
    raise InvalidArgument("functions", f"{name} must take {read} and return what it makes, or take {written}; it takes "
                                       f"{', '.join(one.name for one in positional) or 'nothing'}")


class Function:
    """A function with its name, and how it is called for a scheme."""

    def __init__(self, name: str, function: Callable[..., Any], scheme: Scheme) -> None:
        self.name, self.function, self.scheme = name, function, scheme
        self.takes_outputs = takes_outputs(function, scheme, name)

    def given(self, x: Any) -> Quantized:
        """Scales of x and what goes with them, for a static scheme to read; nothing for a dynamic one."""
        if not self.scheme.static_scale:
            return Quantized(None, None)
        changes = {"scale_rounding": "rceil"} if self.scheme.code_bits == 4 and self.scheme.scale_format == "ue8m0" else {}
        found = kq.quantize(x, self.scheme.replace(static_scale=False, dialect="kqbench", **changes))
        return found._replace(codes=None)

    def outputs(self, x: Any, given: Quantized, framework: Any) -> Quantized | None:
        """Tensors for it to write to, filled with a pattern; static scales are those given. None if it makes its own."""
        if not self.takes_outputs:
            return None
        made = kq.quantize(x, self.scheme, **beside_codes(given))
        for tensor in made if not self.scheme.static_scale else made[:1]:
            if tensor is not None:
                framework.poison(tensor)
        return made

    def arguments(self, x: Any, given: Quantized, outputs: Quantized | None) -> tuple[Any, ...]:
        """What it is called with."""
        return (x, *(tensor for tensor in (given if outputs is None else outputs) if tensor is not None))

    def quantized(self, returned: Any, given: Quantized, outputs: Quantized | None) -> Quantized:
        """What it has made. Raises TypeError where what it returned is neither a tensor nor some of them."""
        if outputs is not None:
            return outputs
        several = isinstance(returned, (tuple, list))
        if not several and (returned is None or not self.scheme.static_scale):
            raise TypeError(f"{self.name} must return codes and scales, not {type(returned).__name__}")
        codes, *others = returned if several else (returned,)
        if self.scheme.static_scale:
            return given._replace(codes=codes)
        if self.scheme.has_global_scale:
            return TwoLevelQuantized(codes, *others[:1], None, *others[1:2])
        return Quantized(codes, *others[:2 if self.scheme.asymmetric else 1])

    def once(self, x: Any, framework: Any) -> Quantized:
        """Calls it for x."""
        given = self.given(x)
        outputs = self.outputs(x, given, framework)
        return self.quantized(self.function(*self.arguments(x, given, outputs)), given, outputs)
