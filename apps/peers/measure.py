# SPDX-License-Identifier: Apache-2.0
"""Time, taken as kqbench takes it (docs/measurement.md): copies of the tensors in turn, so many launches in a graph that it
lasts milliseconds, the median of samples with its 95 % interval, and the very outputs that were timed held against
kqbench's own."""

import dataclasses
import math
import time

from medians import is_narrow

SAMPLE_SECONDS = 2e-3  # a sample lasts about as long, or longer


@dataclasses.dataclass
class Limits:
    min_launches: int = 100
    min_samples: int = 20
    max_seconds: float = 1.0  # a row


class Candidate:
    """Runs a function over the copies in turn, and keeps the outputs of each copy, so that no two share memory."""

    def __init__(self, function, inputs, given):
        self.function, self.inputs, self.given = function, inputs, given
        self.copies = len(inputs)
        self.forget()

    def launch(self, copy):
        self.outputs[copy] = self.function(self.inputs[copy], *self.given)

    def forget(self):
        """Gives the outputs' memory back."""
        self.outputs = [None] * self.copies

    def codes(self):
        """The codes of each copy, as bytes."""
        import torch
        return [outputs[0].view(torch.uint8) for outputs in self.outputs if outputs is not None]


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

    def sample(self):
        """Microseconds a launch."""
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
    too: nothing may be allocated on the device until it is closed."""

    def __init__(self, candidate, limits, stream):
        self.candidate, self.stream = candidate, stream
        self.graph = None
        for _ in range(3):  # what is compiled or allocated once, before anything is captured
            candidate.launch(0)
        stream.synchronize()
        least = math.ceil(limits.min_launches / limits.min_samples)
        self.capture(rounded_up(least, candidate.copies))
        enough = enough_launches(candidate, limits, self.sample() * 1e-6)
        if enough > self.launches:
            self.capture(enough)

    def capture(self, launches):
        self.close()
        self.candidate.forget()
        self.launches = launches

        def enqueue():
            for launch in range(launches):
                self.candidate.launch(launch % self.candidate.copies)

        self.graph = self.stream.capture(enqueue)

    def sample(self):
        """Microseconds a launch."""
        return self.graph.microseconds() / self.launches

    def close(self):
        if self.graph is not None:
            self.graph.destroy()
            self.graph = None


def take_samples(sampler, limits, warmup_launches, clock=time.perf_counter):
    """(samples in microseconds a launch, why it ended)"""
    begin, launches = clock(), 0
    while launches < warmup_launches or clock() - begin < 0.1 * limits.max_seconds:
        sampler.sample()
        launches += sampler.launches
    samples, begin, next_look = [], clock(), limits.min_samples
    while True:
        samples.append(sampler.sample())
        rounds = len(samples)
        if rounds < limits.min_samples or rounds * sampler.launches < limits.min_launches:
            continue
        if rounds >= next_look:  # not every round: an interval chosen for being narrow is too narrow
            next_look = rounds + max(1, rounds // 4)
            if is_narrow(samples):
                return samples, "interval"
        if clock() - begin >= limits.max_seconds:
            return samples, "max_time"


def poison(candidate):
    for codes in candidate.codes():
        codes.fill_(0x5A)


def count_different(candidate, expected):
    """(codes that differ, codes compared) over all copies that were timed."""
    differ, compared = 0, 0
    for codes in candidate.codes():
        differ = differ + (codes.view(expected.shape) != expected).sum()  # added up on the device
        compared += codes.numel()
    return int(differ), compared


@dataclasses.dataclass
class Timed:
    samples: list  # microseconds a launch, in the order taken
    launches_per_sample: int
    stop: str
    codes_checked: tuple | None  # (differ, compared); None without kqbench's own


def measure(candidate, make_sampler, expected, limits, warmup_launches):
    """Times a candidate. `expected` has kqbench's codes, or is None."""
    sampler = make_sampler(candidate, limits)
    try:
        poison(candidate)
        samples, stop = take_samples(sampler, limits, warmup_launches)
    finally:
        sampler.close()
    return Timed(samples, sampler.launches, stop, None if expected is None else count_different(candidate, expected))
