# SPDX-License-Identifier: Apache-2.0
"""Time, taken as kqbench takes it (docs/measurement.md): copies of the tensors in turn, so many launches in a CUDA graph
that it lasts milliseconds, samples of all peers in turns, the median with its 95 % interval, and the very outputs that
were timed held against kqbench's own."""

import dataclasses
import math
import time

import torch

SAMPLE_SECONDS = 2e-3  # a sample lasts about as long, or longer
RELATIVE_INTERVAL = 0.01


@dataclasses.dataclass
class Limits:
    min_launches: int = 100
    min_samples: int = 20
    max_seconds: float = 1.0  # a peer and row


# --- statistics -----------------------------------------------------------------------------------------------------


def median(samples):
    values, middle = sorted(samples), len(samples) // 2
    return values[middle] if len(values) % 2 else 0.5 * (values[middle - 1] + values[middle])


def median_interval(samples):
    """95 % confidence interval of the median: order statistics, whose ranks are binomial."""
    values, count = sorted(samples), len(samples)

    def chance(k):
        return math.exp(math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) -
                        count * math.log(2))

    low, below = 0, chance(0)
    while 2 * (low + 2) <= count + 1:
        below += chance(low + 1)
        if below > 0.025:
            break
        low += 1
    return values[low], values[count - 1 - low]


def is_narrow(samples):
    low, high = median_interval(samples)
    middle = median(samples)
    return max(middle - low, high - middle) <= RELATIVE_INTERVAL * middle


def synchronize():
    """Streams other than the default one do not wait for it by themselves."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# --- one peer at one work -------------------------------------------------------------------------------------------


class Contestant:
    """Runs a function over the copies in turn, and keeps the outputs of each copy, so that no two share memory."""

    def __init__(self, peer, function, inputs, given):
        self.peer, self.function, self.inputs, self.given = peer, function, inputs, given
        self.outputs = [None] * len(inputs)
        self.samples = []

    def launch(self, copy):
        self.outputs[copy] = self.function(self.inputs[copy], *self.given)

    def codes(self):
        """The codes of each copy, as bytes."""
        return [outputs[0].view(torch.uint8) for outputs in self.outputs if outputs is not None]


def rounded_up(launches, copies):
    """Whole rotations, so that one sample takes up where the last one ended."""
    return (max(launches, 1) + copies - 1) // copies * copies


class WallSampler:
    """The host's clock around a loop."""

    def __init__(self, contestant, limits):
        self.contestant = contestant
        for copy in range(len(contestant.inputs)):
            contestant.launch(copy)
        self.launches = len(contestant.inputs)
        seconds = self.sample() * 1e-6
        least = math.ceil(limits.min_launches / limits.min_samples)
        self.launches = rounded_up(max(least, math.ceil(SAMPLE_SECONDS / seconds)), len(contestant.inputs))

    def sample(self):
        synchronize()
        begin = time.perf_counter()
        for launch in range(self.launches):
            self.contestant.launch(launch % len(self.contestant.inputs))
        synchronize()
        return (time.perf_counter() - begin) * 1e6 / self.launches


class GraphSampler:
    """Device time of a replayed CUDA graph. The replay that is timed follows one that is not and keeps the device busy,
    so that the time to launch a graph is not in between the events."""

    def __init__(self, contestant, limits):
        self.contestant = contestant
        self.stream = torch.cuda.Stream()
        self.begin, self.end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        synchronize()
        with torch.cuda.stream(self.stream):  # what is compiled or allocated once, before anything is captured
            for _ in range(3):
                contestant.launch(0)
        synchronize()
        contestant.outputs[0] = None
        least = math.ceil(limits.min_launches / limits.min_samples)
        self.capture(rounded_up(least, len(contestant.inputs)))
        seconds = self.sample() * 1e-6
        enough = rounded_up(math.ceil(SAMPLE_SECONDS / seconds), len(contestant.inputs))
        if enough > self.launches:
            self.capture(enough)

    def capture(self, launches):
        self.graph = None
        self.contestant.outputs = [None] * len(self.contestant.inputs)
        self.launches = launches
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            for launch in range(launches):
                self.contestant.launch(launch % len(self.contestant.inputs))

    def sample(self):
        with torch.cuda.stream(self.stream):
            self.graph.replay()
            self.begin.record()
            self.graph.replay()
            self.end.record()
        self.end.synchronize()
        return self.begin.elapsed_time(self.end) * 1e3 / self.launches


# --- all peers at one work ------------------------------------------------------------------------------------------


def sample_in_turns(samplers, contestants, limits, warmup_launches):
    """Fills the contestants' samples, always as many of each; says why it ended."""
    begin, launches = time.perf_counter(), 0
    while launches < warmup_launches or time.perf_counter() - begin < 0.1 * limits.max_seconds * len(samplers):
        for sampler in samplers:
            sampler.sample()
        launches += min(sampler.launches for sampler in samplers)
    begin, launches, rounds, next_look = time.perf_counter(), 0, 0, limits.min_samples
    while True:
        for sampler, contestant in zip(samplers, contestants):
            contestant.samples.append(sampler.sample())
        rounds += 1
        launches += min(sampler.launches for sampler in samplers)
        if rounds < limits.min_samples or launches < limits.min_launches:
            continue
        if rounds >= next_look:  # not every round: an interval chosen for being narrow is too narrow
            next_look = rounds + max(1, rounds // 4)
            if all(is_narrow(contestant.samples) for contestant in contestants):
                return "interval"
        if time.perf_counter() - begin >= limits.max_seconds * len(samplers):
            return "max_time"


def poison(contestants):
    for contestant in contestants:
        for codes in contestant.codes():
            codes.fill_(0x5A)
    synchronize()


def count_different(contestant, expected):
    """(codes that differ, codes compared) over all copies that were timed."""
    differ = torch.zeros((), dtype=torch.int64, device=expected.device)
    compared = 0
    for codes in contestant.codes():
        differ += (codes.view(expected.shape) != expected).sum()
        compared += codes.numel()
    return int(differ), compared


@dataclasses.dataclass
class Timed:
    """One peer's part of a work."""

    peer: object
    samples: list  # microseconds a launch, in the order taken
    launches_per_sample: int
    stop: str
    codes_checked: tuple | None  # (differ, compared); None without kqbench's own


def measure(work, peers, inputs, given, expected, limits, warmup_launches, say):
    """Times the peers that serve the work, side by side. `inputs` are the copies; `expected` has kqbench's codes, or is
    None. A peer that fails is left out, which is said."""
    contestants, samplers = [], []
    make_sampler = GraphSampler if work.timing == "graph" else WallSampler
    for peer in peers:
        try:
            contestant = Contestant(peer, peer.function(work), inputs, given)
            samplers.append(make_sampler(contestant, limits))
            contestants.append(contestant)
        except Exception as error:
            say(f"{peer.name} is left out of {work}: {(str(error) or type(error).__name__).splitlines()[0]}")
    if not contestants:
        return []
    poison(contestants)
    stop = sample_in_turns(samplers, contestants, limits, warmup_launches)
    return [
        Timed(contestant.peer, contestant.samples, sampler.launches, stop,
              None if expected is None else count_different(contestant, expected))
        for contestant, sampler in zip(contestants, samplers)
    ]
