# SPDX-License-Identifier: Apache-2.0
"""One peer's process: times it at the works of a job, which comes as JSON on standard input, and writes messages to
standard output, one JSON object a line. Not called by hand: processes.py starts it and says what the messages are."""

import json
import os
import signal
import sys

from work import NotServed, work_of

EXIT_SYSTEM, EXIT_INTERRUPTED = 3, 130


class Channel:
    """Messages to the program. Whatever else is printed in this process goes to standard error."""

    def __init__(self):
        self.file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, **message):
        self.file.write(json.dumps(message) + "\n")
        self.file.flush()


def reason(error):
    return (str(error) or type(error).__name__).splitlines()[0]


class Clock:
    """How time is taken on the device: all work goes to one stream."""

    def __init__(self, torch, device_type):
        self.stream = None
        if device_type == "cuda":
            import graphs
            torch.cuda.init()
            torch.cuda.synchronize()  # the device's context is this thread's from here on
            self.stream = graphs.Stream(graphs.Driver(torch.version.hip is not None))
            torch.cuda.set_stream(torch.cuda.ExternalStream(self.stream.handle.value))

    def synchronize(self):
        if self.stream is not None:
            self.stream.synchronize()

    def make_sampler(self, timing):
        """For a timing, what makes a sampler of a candidate and limits."""
        import measure
        if timing == "graph":
            return lambda candidate, limits: measure.GraphSampler(candidate, limits, self.stream)
        return lambda candidate, limits: measure.WallSampler(candidate, limits, self.synchronize)


def time_call(candidate, make_sampler, limits):
    """(median in microseconds a launch, launches a sample)"""
    import measure
    from medians import median
    sampler = make_sampler(candidate, limits)
    try:
        return median(measure.take_samples(sampler, limits, 5)[0]), sampler.launches
    finally:
        sampler.close()


def canaries(job, library, clock):
    """(median, launches a sample) of each call of the job's canary."""
    import canary
    import measure
    from libkq import StaticCall
    limits = measure.Limits(max_seconds=job["canary_seconds"])
    found = []
    for call in job["canary"]:
        candidate = StaticCall(library, call["num_tokens"], call["hidden_size"], canary.copies(call, job["cache_bytes"]),
                               job["device"])
        found.append(time_call(candidate, clock.make_sampler(call["timing"]), limits))
        del candidate  # before the next one needs memory
    return found


def time_row(like, peer, job, library, clock):
    """The peer's row at the work of the row `like`."""
    import torch

    import measure
    import result_file
    import torch_functions
    work = work_of(like)
    if work.launch == "overlapped" and not getattr(peer, "overlaps", False):
        raise NotServed("its launches do not overlap")
    limits = measure.Limits(min_launches=job["num_iters"], max_seconds=job["max_seconds"])
    torch.manual_seed(job["seed"])
    x = torch.randn(work.num_tokens, work.hidden_size, device=job["device"], dtype=torch_functions.DTYPES[work.dtype])
    given = torch_functions.given_scale(work, x)
    expected = library.codes(work, x, given) if library else None
    inputs = [x] + [x.clone() for _ in range(work.copies - 1)]
    candidate = measure.Candidate(peer.function(work), inputs, given)
    with torch.no_grad():
        timed = measure.measure(candidate, clock.make_sampler(work.timing), expected, limits, job["num_warmup_iters"])
    return result_file.row(like, peer.name, timed)


def release(job):
    """Gives back what a work needed. Raises RuntimeError where the device is lost, as after an illegal access: then there
    is no use in going on."""
    import torch
    if job["device"] == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.synchronize()


def time_rows(job, time_one, channel, give_back):
    """Sends the row of each work. A work that fails, of memory for example, costs its own row only. Returns the status."""
    status = 0
    for number, like in enumerate(job["works"], 1):
        work = work_of(like)
        channel.send(work=str(work), number=number)
        try:
            channel.send(row=time_one(like))
        except NotServed as refusal:
            channel.send(say=f"{job['peer']} is left out of {work}: {refusal}")
        except Exception as error:
            channel.send(say=f"{job['peer']} is left out of {work}: {reason(error)}")
            status = EXIT_SYSTEM
        give_back()  # after the except clause: an exception holds on to the tensors of its frames
    return status


def run(job, channel):
    try:
        import torch
    except ImportError:
        channel.send(refused="PyTorch is not installed; every peer needs it (pip install torch)")
        return
    if job["device"] == "cuda" and not torch.cuda.is_available():
        channel.send(refused="--device cuda: PyTorch finds no GPU; files of a GPU need it, those of the host backend "
                             "--device cpu")
        return
    clock = Clock(torch, job["device"])
    import device_context
    import peers
    peers.Compiled.mode = job["compile_mode"]
    try:
        peer = peers.ALL[job["peer"]]()
    except Exception as error:  # a package that is there but broken is absent, too
        channel.send(absent=reason(error))
        return
    library = None
    if job["libkq"]:
        from libkq import LibKq
        try:
            library = LibKq(job["libkq"], job["device"])
        except (OSError, AttributeError) as error:
            channel.send(refused=f"--libkq: {reason(error)}")
            return
    channel.send(setting=dict(device_context.device_context(job["device"]),
                              implementations={peer.name: peer.description}),
                 device=device_context.device_name(job["device"]))
    before = canaries(job, library, clock)
    release(job)
    try:
        status = time_rows(job, lambda like: time_row(like, peer, job, library, clock), channel, lambda: release(job))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what was measured is worth something with the canary after it only
    release(job)
    after = canaries(job, library, clock)
    channel.send(canary=[[first, second, launches] for (first, launches), (second, _) in zip(before, after, strict=True)])
    channel.send(done=status)


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    channel = Channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program passes on what it is to end by
    signal.signal(signal.SIGTERM, interrupt)
    try:
        run(json.load(sys.stdin), channel)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        channel.send(failed=reason(error))
        return EXIT_SYSTEM
    return 0


if __name__ == "__main__":
    sys.exit(main())
