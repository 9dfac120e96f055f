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
            from kq._bench import graphs
            torch.cuda.init()
            torch.cuda.synchronize()  # the device's context is this thread's from here on
            self.stream = graphs.Stream(graphs.Driver(torch.version.hip is not None))
            torch.cuda.set_stream(torch.cuda.ExternalStream(self.stream.handle.value))

    def synchronize(self):
        if self.stream is not None:
            self.stream.synchronize()

    def make_sampler(self, timing):
        """For a timing, what makes a sampler of a candidate and limits."""
        from kq._bench import measure
        if timing == "graph":
            return lambda candidate, limits: measure.GraphSampler(candidate, limits, self.stream)
        return lambda candidate, limits: measure.WallSampler(candidate, limits, self.synchronize)


def canaries(job, clock):
    """(median, launches per sample) of each call of the job's canary."""
    from kq import _frameworks
    from kq._bench import canary
    return canary.times(job["canary"], job["cache_bytes"], _frameworks.Torch(job["device"]), clock.make_sampler,
                        job["canary_seconds"])


def own_codes(work, x, given, operands=()):
    """kqbench's own codes for x, as bytes. `given` has scale and zero point where they are static, `operands` what a
    producer needs."""
    import torch

    import kq
    how = {}
    if work.producer != "none":
        how["producer"] = work.producer
    if operands:
        how.update(weight=operands[0], eps=work.eps)
    if len(operands) == 2:
        how.update(residual=operands[1], residual_out=torch.empty_like(operands[1]))
    if given:
        scale, zero_point = given if work.scheme[1] == "token" else (tensor.flatten() for tensor in given)
        how.update(scales=scale, zero_points=zero_point if work.asymmetric else None)
    return kq.quantize(x, work.kq_scheme(), **how).codes.view(torch.uint8)


def counted(candidate, expected):
    """((codes that differ, codes compared), what is wrong) over all copies that were timed."""
    differ, compared = 0, 0
    for outputs in candidate.outputs:
        if outputs is not None:
            codes = outputs[0].view(expected.dtype).view(expected.shape)
            differ = differ + (codes != expected).sum()  # added up on the device
            compared += codes.numel()
    differ = int(differ)
    return (differ, compared), f"{differ} of {compared} codes differ from kqbench's" if differ else ""


def function_of(peer, work):
    """What a peer does for a work: `function`; behind a producer `fused`; for block formats `block_format`. It is called
    with the input, scale and zero point where they are static, weight and residual where the producer has them."""
    if work.is_block_format and work.producer != "none":
        raise NotServed("peers have no fused block formats")
    name = "block_format" if work.is_block_format else "fused" if work.producer != "none" else "function"
    if not hasattr(peer, name):
        raise NotServed("no block formats" if work.is_block_format else "no fused operations")
    return getattr(peer, name)(work)


def time_row(like, peer, job, clock):
    """The peer's row at the work of the row `like`."""
    import torch

    import producers
    import result_file
    import torch_functions
    from kq._bench import measure
    work = work_of(like)
    if work.launch == "overlapped" and not getattr(peer, "overlaps", False):
        raise NotServed("its launches do not overlap")
    limits = measure.Limits(min_launches=job["num_iters"], max_seconds=job["max_seconds"])
    torch.manual_seed(job["seed"])
    dtype = torch_functions.DTYPES[work.dtype]
    x = producers.make_input(work, dtype, job["device"])
    operands = producers.make_operands(work, dtype, job["device"])
    given = torch_functions.given_scale(work, producers.values_of(work)(x, *operands)[0] if work.static_scale else x)
    expected = own_codes(work, x, given, operands)
    function = function_of(peer, work)
    # The weight is small, and one for all copies; x and the residual are each copy's own.
    copies = [(x, *given, *operands)]
    for _ in range(work.copies - 1):
        copies.append((x.clone(), *given, *operands[:1], *(residual.clone() for residual in operands[1:])))
    candidate = measure.Candidate(function, copies)
    with torch.no_grad():
        timed, = measure.measure([candidate], clock.make_sampler(work.timing), limits, job["num_warmup_iters"],
                                 lambda outputs: outputs[0].view(torch.uint8).fill_(0x5A),
                                 lambda candidate: counted(candidate, expected))
    if isinstance(timed, Exception):
        raise timed
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
    backend = kq_backend()
    if (backend == "host") != (job["device"] == "cpu"):
        channel.send(refused=f"the package kq was built for {backend}, and the file is of {job['device']}; install it for that")
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
    channel.send(setting=dict(device_context.device_context(job["device"]),
                              implementations={peer.name: peer.description}),
                 device=device_context.device_name(job["device"]))
    before = canaries(job, clock)
    release(job)
    try:
        status = time_rows(job, lambda like: time_row(like, peer, job, clock), channel, lambda: release(job))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what was measured is worth something with the canary after it only
    release(job)
    after = canaries(job, clock)
    channel.send(canary=[[first, second, launches] for (first, launches), (second, _) in zip(before, after, strict=True)])
    channel.send(done=status)


def kq_backend():
    import kq
    return kq.backend()


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
