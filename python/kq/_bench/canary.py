# SPDX-License-Identifier: Apache-2.0
"""The canary: libkq's own call, timed in a process before and after what is timed there, and by kqbench in its own. A
process in which it takes longer than in kqbench's takes longer for everything else, too."""

import json
import subprocess

import kq

from . import measure
from .medians import median

TOLERANCE = 0.02
GRAPH_SHAPES = [(1, 4096), (4096, 8192)]  # a launch that is all beginning and end, and one that is all memory
WALL_SHAPE = (4096, 8192)  # a shorter one is Python's time
HOST_SHAPE = (256, 4096)


def calls(timings, device_type):
    """What is timed where the works have these timings: the members of a canary that say so."""
    found = []
    for timing in sorted(timings):
        shapes = [HOST_SHAPE] if device_type == "cpu" else GRAPH_SHAPES if timing == "graph" else [WALL_SHAPE]
        found += [{"impl": "kokkos", "operation": "static tensor", "num_tokens": num_tokens, "hidden_size": hidden_size,
                   "dtype": "half", "quant_dtype": "fp8_e4m3fn", "static_scale": True, "granularity": "tensor",
                   "timing": timing, "cache": "hot" if device_type == "cpu" else "cold"}
                  for num_tokens, hidden_size in shapes]
    return found


def copies(call, cache_bytes):
    """Of the tensors: for cold so many that more than twice the cache is touched between two uses."""
    if call["cache"] == "hot":
        return 1
    elements = call["num_tokens"] * call["hidden_size"]
    return 2 * cache_bytes // (2 * elements + elements + 4) + 2


ALIGNMENT = 256


def aligned(count):
    return (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class StaticCall:
    """The library's static fp8 call from half over copies in turn, laid out as kqbench's: a candidate like any other.
    `framework` (kq._frameworks) has the memory."""

    def __init__(self, framework, num_tokens, hidden_size, copies):
        import numpy

        elements, self.copies = num_tokens * hidden_size, copies
        scales = aligned(2 * elements)
        inputs, outputs = scales + ALIGNMENT, aligned(elements) + ALIGNMENT  # bytes of a copy
        self.memory = framework.bytes(copies * (inputs + outputs))
        values = numpy.random.default_rng(0).standard_normal(elements, numpy.float32).astype(numpy.float16)
        blocks = self.memory[:copies * inputs].reshape(copies, inputs)
        blocks[:, :2 * elements] = framework.tensor(values.view(numpy.uint8))
        blocks[:, scales:scales + 4] = framework.tensor(numpy.array([0.01], numpy.float32).view(numpy.uint8))
        self.scheme, self.tensors = kq.Scheme("static fp8 tensor"), []
        for copy in range(copies):
            begin, codes = copy * inputs, copies * inputs + copy * outputs
            self.tensors.append((
                framework.typed(self.memory[begin:begin + 2 * elements], "float16", (num_tokens, hidden_size)),
                framework.typed(self.memory[begin + scales:begin + scales + 4], "float32", (1,)),
                framework.typed(self.memory[codes:codes + elements], "float8_e4m3fn", (num_tokens, hidden_size))))

    def launch(self, copy):
        x, scales, codes = self.tensors[copy]
        kq.quantize(x, self.scheme, out=codes, scales=scales)

    def forget(self):
        """Its outputs' memory is its own."""


def times(found, cache_bytes, framework, make_sampler, max_seconds):
    """(median in microseconds, launches per sample) of each call, here. `make_sampler` makes, for a timing, what makes
    samplers."""
    limits, medians = measure.Limits(max_seconds=max_seconds), []
    for call in found:
        candidate = StaticCall(framework, call["num_tokens"], call["hidden_size"], copies(call, cache_bytes))
        sampler = make_sampler(call["timing"])(candidate, limits)
        try:
            (samples,), _ = measure.take_turns([sampler], limits, 5)
            medians.append((median(samples), sampler.launches))
        finally:
            sampler.close()
        del candidate, sampler  # before the next one needs memory
    return medians


def kqbench_medians(kqbench, found, backend, max_seconds):
    """kqbench's own median for each of the calls. Raises OSError, with the command, where it does not give them."""
    medians = []
    for call in found:
        command = [kqbench, "run", "--backend", backend, "--impl", call["impl"], "--num-tokens", str(call["num_tokens"]),
                   "--hidden-size", str(call["hidden_size"]), "--dtype", call["dtype"], "--quant-dtype",
                   call["quant_dtype"], "--static-scale", "--granularity", call["granularity"], "--timing",
                   call["timing"], "--cache", call["cache"], "--max-time", str(max_seconds), "--no-ceiling", "--quiet",
                   "--json", "-"]
        done = subprocess.run(command, capture_output=True, text=True)
        try:
            medians.append(json.loads(done.stdout)["rows"][0]["time_us"]["median"])
        except (ValueError, LookupError, TypeError):
            said = (done.stderr or done.stdout).strip().splitlines()
            raise OSError(f"{' '.join(command)}: gives no time: {said[-1] if said else 'it prints nothing'}") from None
    return medians


def members(call, peer, before, after, launches_per_sample, kqbench):
    """One entry of the setting's member `canary`. `kqbench` has that program's medians, shortly before and after; `peer` is
    empty where one canary is that of all rows."""
    entry = dict(call, median_us_before=before, median_us_after=after, launches_per_sample=launches_per_sample)
    if peer:
        entry["peer"] = peer
    if kqbench:
        entry["kqbench_median_us"] = median(kqbench)
    return entry


def departure(entry):
    """How far a canary is from kqbench's, as a part of it; where that is not known, how far its two times are apart."""
    before, after = entry["median_us_before"], entry["median_us_after"]
    true = entry.get("kqbench_median_us", before)
    return max((before / true - 1, after / true - 1), key=abs)


def complaint(entries):
    """One line on the entry that is furthest out; None if all agree."""
    worst = max(entries, key=lambda entry: abs(departure(entry)), default=None)
    if worst is None or abs(departure(worst)) <= TOLERANCE:
        return None
    true = worst.get("kqbench_median_us")
    return (f"the canary is out by {abs(departure(worst)):.1%}, so that the times say nothing: libkq's "
            f"{worst['operation']} {worst['quant_dtype']}, {worst['num_tokens']}x{worst['hidden_size']}, takes "
            f"{worst['median_us_before']:.3f} us before and {worst['median_us_after']:.3f} us after the rows of "
            f"{worst.get('peer', 'all functions')}"
            + (f", {true:.3f} us in kqbench" if true else "") + "; measure again on an idle machine")
