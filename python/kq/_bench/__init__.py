# SPDX-License-Identifier: Apache-2.0
"""`bench`: functions timed as kqbench times kernels, beside kq's own call, and beside kqbench in a process of its own."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import kq
from kq import _arrays, _compare, _frameworks, _functions, _program
from kq._errors import DeviceError, InvalidArgument
from kq._kq import Scheme

from . import canary, measure, result_file
from .medians import ratio_of_pairs

_OWN = "kq"  # libkq's call, in this process
_DTYPES = {"float16": "half", "bfloat16": "bfloat16", "float32": "float"}
_CANARY_SECONDS = 0.5  # at most, a call


class Benchmark:
    """What `bench` measured. Printed, it is a table; true where every function was timed and gave the scheme's bytes."""

    def __init__(self, scheme: Scheme, result: dict[str, Any], ours: dict[str, Any]) -> None:
        self.scheme = scheme
        self.result = result  #: what `save` writes: a result file of kqbench's
        self.kqbench = ours  #: what kqbench measured of its own implementations at the same work, in its own process
        self.left_out: list[tuple[str, tuple[int, int], str]] = []  #: (function, shape, why it could not be timed)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each shape and function, and kq's own call, "kq": as they are in the file."""
        return self.result["rows"]

    @property
    def complaint(self) -> str | None:
        """Why the times say nothing, in a line: the canary, kq's static call, took longer here than in kqbench's process,
        or not as long before as after. None where it agrees within 2 %, and where it was not timed."""
        return canary.complaint(self.result["setting"]["canary"])

    def __bool__(self) -> bool:
        return not self.left_out and all(row["verified"] for row in self.rows)

    def ratio(self, row: dict[str, Any]) -> tuple[float, tuple[float, float]] | None:
        """(median, 95 % interval) of a row's time by that of kq's call, of samples that were taken in turns."""
        own = next((one for one in self.rows if one["impl"] == _OWN and _work(one) == _work(row)), None)
        if own is None:
            return None
        return ratio_of_pairs(row["time_us"]["samples"], own["time_us"]["samples"])

    def __str__(self) -> str:
        return _table(self)

    def save(self, path: str, kqbench: str | None = None) -> None:
        """Writes the result file that `kqbench compare` and `kqbench report` read; `kqbench` names a second one, for the times
        of kqbench's own process. Each appears whole or not at all. Raises OSError where one cannot be written; the first stays
        where the second cannot."""
        for name, result in ((path, self.result), (kqbench, self.kqbench)):
            if name is None:
                continue
            try:
                with result_file.Output(name) as output:
                    output.write(result)
            except result_file.BadFile as error:
                raise OSError(str(error)) from None

    def plot(self, axes: Any | None = None) -> Any:
        """Draws median times over the number of elements, with kqbench's; returns matplotlib's axes, new ones unless given.
        Wrong bytes have hollow marks. Needs matplotlib."""
        if axes is None:
            from matplotlib import pyplot

            axes = pyplot.subplots(layout="constrained")[1]
        for rows, style in ((self.rows, "-"), (self.kqbench["rows"], "--")):
            for name in dict.fromkeys(row["impl"] for row in rows):
                mine = sorted((row for row in rows if row["impl"] == name and row.get("time_us")), key=_elements)
                right = all(row["verified"] for row in mine)
                axes.plot([_elements(row) for row in mine], [row["time_us"]["median"] for row in mine], style, marker="o",
                          fillstyle="full" if right else "none", label=name if rows is self.rows else f"{name}, kqbench")
        axes.set(xscale="log", yscale="log", xlabel="elements", ylabel="time, µs", title=_title(self))
        axes.legend()
        return axes


def bench(functions: Callable[..., Any] | Iterable[Callable[..., Any]] | Mapping[str, Callable[..., Any]],
          scheme: Scheme | str, shapes: Iterable[tuple[int, int]], *, dialect: str | None = None, dtype: str = "bfloat16",
          make: str | None = None, timing: str | None = None, cache: str = "cold", max_time: float = 1.0,
          min_iters: int = 100, num_warmup_iters: int = 5, seed: int = 0, with_canary: bool = True) -> Benchmark:
    """Times functions that quantize, by kqbench's protocol (docs/measurement.md), and checks every byte of what was timed.

    functions: one, several, or names and functions. Each takes x, [num_tokens, hidden_size], and for a static scheme scales
        (and zero points), and returns codes, and for a dynamic scheme scales (and zero points); or it takes (x, codes, scales)
        or (x, codes, scales, zero_points), writes to those that the scheme makes, and returns nothing of use.
    scheme, dialect: whose bytes they must give, as `kq.verify` has it.
    shapes: (num_tokens, hidden_size), one or more; one pair may stand alone.
    dtype: of x: "float16", "bfloat16" or "float32". x is random, and a static scheme's scales are those of x.
    make: "numpy", "torch" or "cupy", which x is of: by default NumPy's for a host build, PyTorch's or CuPy's on a GPU.
    timing: "graph", of a GPU: device time of replayed launches; or "wall", the host's clock, all that a host has.
    cache: "cold", copies of the tensors in turn, or "hot", one.
    max_time: at most this many seconds per function and shape. min_iters, num_warmup_iters: launches, at least.
    with_canary: whether kq's static call is timed before and after, and by kqbench, to tell whether this process is as fast as
        that one; without it `kqbench compare` refuses the file's times.

    The functions of a shape take turns with kq's own call, so that their ratio to it is one of pairs. On a GPU everything
    is launched on one stream of bench's own, which is the framework's current one for the functions. A function that fails at
    a shape is left out there, with why. Takes some seconds more than `max_time` says, for kqbench's own times.

    Raises InvalidArgument naming the argument that is wrong; DeviceError where kqbench does not run here.
    """
    chosen = _compare.scheme_of(scheme, dialect)
    called = _called(functions, chosen)
    pairs = _pairs(shapes)
    if dtype not in _DTYPES:
        raise InvalidArgument("dtype", f'must be one of {", ".join(_DTYPES)}, not "{dtype}"')
    framework = _frameworks.framework(make)
    on_host = kq.backend() == "host"
    timing = timing or ("wall" if on_host else "graph")
    for name, value, known in (("timing", timing, ("wall",) if on_host else ("graph", "wall")),
                               ("cache", cache, ("cold", "hot"))):
        if value not in known:
            raise InvalidArgument(name, f'must be {" or ".join(known)} here, not "{value}"')
    ours = _kqbench(chosen, pairs, dtype, timing, cache, max_time)
    likes = {(row["num_tokens"], row["hidden_size"]): row for row in reversed(ours["rows"])}
    with _stream(framework, on_host) as stream:
        make_sampler = functools.partial(_make_sampler, stream)
        calls = canary.calls({timing}, "cpu" if on_host else "cuda") if with_canary else []
        size = ours["setting"].get("cache_bytes") or 64 << 20
        told = [canary.kqbench_medians(str(_program.program()), calls, kq.backend(), _CANARY_SECONDS)]
        before = canary.times(calls, size, framework, make_sampler, _CANARY_SECONDS)
        limits = measure.Limits(min_launches=min_iters, max_seconds=max_time)
        made = Benchmark(chosen, {"schema": result_file.SCHEMA, "complete": True, "setting": _setting(ours, called), "rows": []},
                         ours)
        for pair in pairs:
            _time_shape(made, likes[pair], called, framework, dtype, make_sampler(timing), limits, num_warmup_iters, seed)
        after = canary.times(calls, size, framework, make_sampler, _CANARY_SECONDS)
    told.append(canary.kqbench_medians(str(_program.program()), calls, kq.backend(), _CANARY_SECONDS))
    made.result["setting"]["canary"] = [
        canary.members(call, "", first, second, launches, own)
        for call, (first, launches), (second, _), own in zip(calls, before, after, zip(*told, strict=True), strict=True)]
    made.result["complete"] = not made.left_out
    return made


# --- what is asked for ------------------------------------------------------------------------------------------------


def _called(functions, scheme):
    if isinstance(functions, Mapping):
        named = dict(functions)
    else:
        several = [functions] if callable(functions) else list(functions)
        named = {getattr(one, "__name__", type(one).__name__): one for one in several}
        if len(named) != len(several):
            raise InvalidArgument("functions", "two have one name; give a dict of names and functions")
    for name, function in named.items():
        if not callable(function):
            raise InvalidArgument("functions", f"{name} is no function, but {type(function).__name__}")
        if not isinstance(name, str) or not name or name in (_OWN, "kokkos", "native", "reference"):
            raise InvalidArgument("functions", f'one is named "{name}", which is taken; give it another name')
    if not named:
        raise InvalidArgument("functions", "there must be one at least")
    return [_functions.Function(name, function, scheme) for name, function in named.items()]


def _pairs(shapes):
    given = list(shapes)
    if len(given) == 2 and all(isinstance(one, int) for one in given):
        given = [tuple(given)]
    pairs = [tuple(one) for one in given]
    if not pairs or any(len(one) != 2 or not all(isinstance(size, int) and size > 0 for size in one) for one in pairs):
        raise InvalidArgument("shapes", "must be pairs of num_tokens and hidden_size, both above 0")
    return list(dict.fromkeys(pairs))


def _options(scheme, dtype, timing, cache, max_time):
    options = {"backend": kq.backend(), "dtype": _DTYPES[dtype], "quant-dtype": scheme.format, "granularity": scheme.granularity,
               "scale-format": scheme.scale_format, "scale-rounding": scheme.scale_rounding,
               "scale-layout": scheme.scale_layout, "global-scale": scheme.global_scale, "qmax": scheme.qmax,
               "scale-ub": scheme.scale_ub, "dialect": scheme.dialect, "timing": timing, "cache": cache, "max-time": max_time}
    said = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return said + ["--static-scale"] * scheme.static_scale + ["--asymmetric"] * scheme.asymmetric


def _kqbench(scheme, pairs, dtype, timing, cache, max_time):
    """What kqbench measures of these shapes, as one result file."""
    result = None
    for hidden_size in dict.fromkeys(size for _, size in pairs):
        tokens = ",".join(str(count) for count, size in pairs if size == hidden_size)
        with tempfile.TemporaryDirectory(prefix="kq-") as folder:
            path = f"{folder}/ours.json"
            command = [str(_program.program()), "run", "--quiet", "--json", path, f"--num-tokens={tokens}",
                       f"--hidden-size={hidden_size}", *_options(scheme, dtype, timing, cache, max_time)]
            if result is not None:
                command.append("--no-ceiling")
            ran = subprocess.run(command, capture_output=True, text=True)
            try:
                with open(path, encoding="utf-8") as file:
                    found = json.load(file)
            except (OSError, ValueError):
                message = (ran.stderr or ran.stdout).strip().removeprefix("kqbench: ")
                raise _error(ran.returncode, message) from None
        if result is None:
            result = found
        else:
            result["rows"] += found["rows"]
            result["complete"] = result["complete"] and found["complete"]
    return result


def _error(status, message):
    if status != 2:
        return DeviceError(f"kqbench run: {message or f'ended with status {status}'}")
    option, _, reason = message.partition(": ")
    field = {"--num-tokens": "shapes", "--hidden-size": "shapes", "--max-time": "max_time"}.get(option, "scheme")
    return InvalidArgument(field, reason if option.startswith("--") else message)


def _setting(ours, called):
    """That of kqbench's run, for the same library, device and ceilings, with what is different here."""
    setting = {name: value for name, value in ours["setting"].items() if name != "canary"}
    libraries = dict(setting.get("libraries", {}))
    for name in ("torch", "triton", "cupy", "numpy"):
        if name in sys.modules:
            libraries[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    described = {one.name: ((getattr(one.function, "__doc__", None) or "").strip() or "a function in Python").splitlines()[0]
                 for one in called}
    setting.update(program="kq.bench", libraries=libraries, command_line=shlex.join(sys.argv), canary=[],
                   implementations={**described, _OWN: "kq.quantize, outputs given"},
                   time=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return setting


# --- where and how time is taken --------------------------------------------------------------------------------------


@functools.cache
def _own_stream():
    """One for all of a process's life: more of them make graphs slower (graphs.py)."""
    from . import graphs

    return graphs.Stream(graphs.Driver(kq.backend() == "hip"))


@contextlib.contextmanager
def _stream(framework, on_host):
    if on_host:
        yield None
        return
    framework.start()
    stream = _own_stream()
    kq.prepare_stream(stream.handle.value)
    with framework.use_stream(stream.handle.value):
        yield stream
        stream.synchronize()


def _make_sampler(stream, timing):
    """For a timing, what makes a sampler of a candidate and limits. `stream` is None on a host."""
    if timing == "graph":
        return lambda candidate, limits: measure.GraphSampler(candidate, limits, stream)
    return lambda candidate, limits: measure.WallSampler(candidate, limits, stream.synchronize if stream else lambda: None)


def candidate_of(function, inputs, given, framework):
    """A candidate that calls a Function with each input in turn."""
    outputs = [function.outputs(x, given, framework) for x in inputs]
    arguments = [function.arguments(x, given, made) for x, made in zip(inputs, outputs, strict=True)]
    return measure.Candidate(function.function, arguments, outputs if function.takes_outputs else None)


def _time_shape(made, like, called, framework, dtype, make_sampler, limits, num_warmup_iters, seed):
    """Adds the rows of one shape."""
    import numpy

    from kq._verify import _dtype

    shape = like["num_tokens"], like["hidden_size"]
    values = numpy.random.default_rng(seed).standard_normal(shape, numpy.float32).astype(_dtype(dtype))
    inputs = [framework.tensor(values)]
    inputs += [framework.copy(inputs[0]) for _ in range(like.get("copies", 1) - 1)]
    own = _functions.Function(_OWN, _own_call(made.scheme), made.scheme)
    given = own.given(inputs[0])
    right = _compare.wanted(inputs[0], made.scheme, given)
    candidates, timed_functions = [], []
    for function in (*called, own):
        try:
            _refuse_missing(function.once(inputs[0], framework), right)
            candidates.append(candidate_of(function, inputs, given, framework))
            timed_functions.append(function)
        except Exception as error:
            made.left_out.append((function.name, shape, _reason(error)))
    by_candidate = dict(zip(map(id, candidates), timed_functions, strict=True))

    def poison(outputs):
        several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        for tensor in several[:1] if made.scheme.static_scale else several:
            if tensor is not None and hasattr(tensor, "dtype"):
                _frameworks.of(tensor).poison(tensor)

    def check(candidate):
        return _check(by_candidate[id(candidate)], candidate, given, right)

    timed = measure.measure(candidates, make_sampler, limits, num_warmup_iters, poison, check)
    for function, one in zip(timed_functions, timed, strict=True):
        if isinstance(one, Exception):
            made.left_out.append((function.name, shape, _reason(one)))
        else:
            made.rows.append(result_file.row(like, function.name, one))


def _own_call(scheme):
    if scheme.asymmetric:
        return lambda x, codes, scales, zero_points: kq.quantize(x, scheme, out=codes, scales=scales, zero_points=zero_points)
    return lambda x, codes, scales: kq.quantize(x, scheme, out=codes, scales=scales)


def _refuse_missing(found, right):
    """Raises InvalidArgument for outputs that are not there or of another size."""
    for name, ours, theirs in zip(right._fields, right, found, strict=True):
        if ours is not None and theirs is None:
            raise InvalidArgument(name, "is missing; the scheme has it")
    _compare.differences(found, right)


def _check(function, candidate, given, right):
    """((codes that differ, codes compared), what is wrong) over the copies that were launched."""
    differ = compared = 0
    wrong: list[Any] = []
    for outputs in candidate.outputs:
        if outputs is None:
            continue
        found = function.quantized(outputs, given, outputs if function.takes_outputs else None)
        compared += _size(right.codes)
        for name, ours, theirs in zip(right._fields, right, found, strict=True):
            if ours is None or _frameworks.of(theirs).same(theirs, ours):
                continue
            differences = _compare.differences(found._replace(**{other: getattr(right, other) for other in right._fields
                                                                 if other != name}), right)
            differ += sum(one.differ for one in differences if name == "codes")
            wrong += differences
    return (differ, compared), str(wrong[0]) if wrong else ""


def _size(tensor):
    return tensor.numel() if _arrays._is_torch(tensor) else tensor.size


def _reason(error):
    return f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"


# --- how it is shown --------------------------------------------------------------------------------------------------


def _work(row):
    return row["num_tokens"], row["hidden_size"]


def _elements(row):
    return row["num_tokens"] * row["hidden_size"]


def _title(made):
    row = (made.rows or made.kqbench["rows"])[0]
    return f"{made.scheme} from {row['dtype']} ({row['timing']} timing, {row['cache']} cache)"


def _table(made):
    lines = [("shape", "function", "median us", "±", "GB/s", "ceiling", "vs kq", "verified")]
    for work in dict.fromkeys(map(_work, made.kqbench["rows"])):
        shown = f"{work[0]}x{work[1]}"
        rows = [row for row in made.rows if _work(row) == work]
        rows += [dict(row, impl=f"{row['impl']} (kqbench)") for row in made.kqbench["rows"] if _work(row) == work]
        for row in rows:
            lines.append((shown, row["impl"], *_numbers(made, row)))
            shown = ""
        for name, shape, why in made.left_out:
            if shape == work:
                lines.append(("", name, "-", "-", "-", "-", "-", f"LEFT OUT: {why}"))
    widths = [max(len(line[column]) for line in lines) for column in range(7)]
    text = [_title(made)]
    for shape, name, *numbers, verified in lines:
        cells = [shape.rjust(widths[0]), name.ljust(widths[1])]
        cells += [number.rjust(width) for number, width in zip(numbers, widths[2:], strict=True)]
        text.append("  ".join((*cells, verified)))
    if made.complaint:
        text.append(made.complaint)
    return "\n".join(text)


def _numbers(made, row):
    if not row["verified"] or not row.get("time_us"):
        return "-", "-", "-", "-", "-", f"FAILED: {row['failure']}"
    time = row["time_us"]
    middle, (low, high) = time["median"], time["ci95"]
    ceiling = f"{row['ceiling_fraction']:.1%}" if row.get("ceiling_fraction") else "-"
    ratio = made.ratio(row) if any(row is one for one in made.rows) else None
    return (f"{middle:.3f}", f"{max(high - middle, middle - low) / middle:.1%}", f"{row['gbps']:.1f}", ceiling,
            f"{ratio[0]:.3f}" if ratio else "-", "ok")
