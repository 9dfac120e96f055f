# SPDX-License-Identifier: Apache-2.0
"""Time, taken as kqbench takes it (docs/measurement.md): copies of the tensors in turn, so many launches in a graph that it
lasts milliseconds, candidates in turns, the median of samples with its 95 % interval, and the very outputs that were timed
held against kqbench's own."""

import dataclasses
import math
import random
import time

from .medians import is_narrow

SAMPLE_SECONDS = 2e-3  # a sample lasts about as long, or longer
LEAST_SAMPLES = 6  # that a 95 % interval takes, whatever time they need


@dataclasses.dataclass
class Limits:
    min_launches: int = 100
    min_samples: int = 20
    max_seconds: float = 1.0  # per candidate and row; ends sampling even below the minima


class Candidate:
    """Calls a function with the arguments of each copy in turn. Where it returns its outputs, those of each copy are kept,
    so that no two share memory; where it is given them, `outputs` has them."""

    def __init__(self, function, arguments, outputs=None):
        self.function, self.arguments = function, arguments
        self.copies, self.are_given = len(arguments), outputs is not None
        self.outputs = outputs
        self.forget()

    def launch(self, copy):
        returned = self.function(*self.arguments[copy])
        if not self.are_given:
            self.outputs[copy] = returned

    def forget(self):
        """Gives the memory of outputs back that the function returned."""
        if not self.are_given:
            self.outputs = [None] * self.copies


def rounded_up(launches, copies):
    """Whole rotations, so that one sample takes up where the last one ended."""
    return (max(launches, 1) + copies - 1) // copies * copies


def enough_launches(candidate, limits, seconds):
    least = math.ceil(limits.min_launches / limits.min_samples)
    return rounded_up(max(least, math.ceil(SAMPLE_SECONDS / seconds)), candidate.copies)


class WallSampler:
    """The host's clock around a loop. `synchronize` waits for the device, if there is one."""

    def __init__(self, candidate, limits, synchronize, clock=time.perf_counter):
        self.candidate, self.synchronize, self.clock = candidate, synchronize, clock
        self.launches = candidate.copies
        self.sample()  # what is compiled or allocated once
        self.launches = enough_launches(candidate, limits, self.sample() * 1e-6)

    def set_launches(self, launches):
        """Launches per sample."""
        self.launches = launches

    def sample(self):
        """Microseconds per launch."""
        self.synchronize()
        begin = self.clock()
        for launch in range(self.launches):
            self.candidate.launch(launch % self.candidate.copies)
        self.synchronize()
        return (self.clock() - begin) * 1e6 / self.launches

    def close(self):
        pass


class GraphSampler:
    """Device time of a replayed graph. What the launches allocate and give back within the graph is used by its replays
    too: nothing that is to last may be allocated on the device until it is closed, but by another one's capture, whose
    replays write it anew."""

    def __init__(self, candidate, limits, stream):
        self.candidate, self.stream = candidate, stream
        self.graph = None
        for _ in range(3):  # what is compiled or allocated once, before anything is captured
            candidate.launch(0)
        stream.synchronize()
        least = math.ceil(limits.min_launches / limits.min_samples)
        self.capture(rounded_up(least, candidate.copies))
        self.set_launches(max(self.launches, enough_launches(candidate, limits, self.sample() * 1e-6)))

    def set_launches(self, launches):
        """Launches per sample."""
        if launches != self.launches:
            self.capture(launches)

    def capture(self, launches):
        self.close()
        self.candidate.forget()
        self.launches = launches

        def enqueue():
            for launch in range(launches):
                self.candidate.launch(launch % self.candidate.copies)

        self.graph = self.stream.capture(enqueue)

    def sample(self):
        """Microseconds per launch."""
        return self.graph.microseconds() / self.launches

    def close(self):
        if self.graph is not None:
            self.graph.destroy()
            self.graph = None


def take_turns(samplers, limits, warmup_launches, clock=time.perf_counter, shuffle=random.shuffle):
    """([samples of each, in microseconds per launch], why it ended). The samplers take a sample each in a random order, again
    and again, so that what slows the machine slows all alike, and ratios are those of pairs."""
    begin, launches = clock(), 0
    while launches < warmup_launches or clock() - begin < 0.1 * limits.max_seconds * len(samplers):
        for sampler in samplers:
            sampler.sample()
        launches += min(sampler.launches for sampler in samplers)
    samples, begin, next_look = [[] for _ in samplers], clock(), limits.min_samples
    order, rounds = list(range(len(samplers))), 0
    while True:
        shuffle(order)
        for which in order:
            samples[which].append(samplers[which].sample())
        rounds += 1
        if rounds >= LEAST_SAMPLES and clock() - begin >= limits.max_seconds * len(samplers):
            return samples, "max_time"
        if rounds < limits.min_samples or rounds * min(sampler.launches for sampler in samplers) < limits.min_launches:
            continue
        if rounds >= next_look:  # not every round: an interval chosen for being narrow is too narrow
            next_look = rounds + max(1, rounds // 4)
            if all(map(is_narrow, samples)):
                return samples, "interval"


@dataclasses.dataclass
class Timed:
    samples: list  # microseconds per launch, in the order taken
    launches_per_sample: int
    stop: str
    codes_checked: tuple | None = None  # (differ, compared); None where they were not
    failure: str = ""  # what is wrong with the outputs


def measure(candidates, make_sampler, limits, warmup_launches, poison, check):
    """Times candidates in turns, all with as many launches per sample. Returns for each a Timed, or the Exception that it ended
    with before it could be timed, which costs the others nothing.

    `poison(outputs)` writes over what one launch has written; `check(candidate)` says of the outputs of all copies (differ,
    compared) codes, and what is wrong: "" if nothing is. Before it is called, the outputs are poisoned and one more
    sample is taken: it sees what the timed launches write, even where another candidate's replays use the memory.
    """
    samplers, found = {}, [None] * len(candidates)
    try:
        for which, candidate in enumerate(candidates):
            try:
                samplers[which] = make_sampler(candidate, limits)
            except Exception as error:
                found[which] = error
        if not samplers:
            return found
        launches = max(sampler.launches for sampler in samplers.values())
        for which, sampler in list(samplers.items()):
            try:
                sampler.set_launches(rounded_up(launches, candidates[which].copies))
            except Exception as error:
                found[which] = error
                samplers.pop(which).close()
        if not samplers:
            return found
        all_samples, stop = take_turns(list(samplers.values()), limits, warmup_launches)
        for (which, sampler), samples in zip(samplers.items(), all_samples, strict=True):
            for outputs in candidates[which].outputs:
                if outputs is not None:
                    poison(outputs)
            sampler.sample()
            found[which] = Timed(samples, sampler.launches, stop, *check(candidates[which]))
        return found
    finally:
        for sampler in samplers.values():
            sampler.close()
