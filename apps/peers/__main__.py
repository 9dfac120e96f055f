# SPDX-License-Identifier: Apache-2.0
"""Times other projects' quantization (PyTorch eager and compiled; Triton, vLLM, SGLang, FlashInfer, Transformer Engine and
torchao where they can be imported) at what a result file of kqbench timed, in the same way, and writes a result file of the
same schema:

    kqbench --sweep llm --quant-dtype fp8,int8 --dtype bfloat16 --json ours.json
    python3 apps/peers ours.json --json peers.json
    kqbench compare ours.json peers.json

The package kq (docs/python.md), built for the file's device, has the codes that the peers' are held against, and the canary.
"""

import argparse
import itertools
import shutil
import signal
import sys

try:
    from kq import _program
    from kq._bench import canary
except ImportError as error:
    sys.exit(print(f"peers: {error}; install the package kq, docs/python.md", file=sys.stderr) or 2)

import peers
import processes
import result_file
from work import NotServed, work_of
from worker import EXIT_INTERRUPTED, EXIT_SYSTEM, reason

EXIT_CANARY, EXIT_USAGE = 1, 2
CANARY_SECONDS = 0.5  # at most, a call


def say(message):
    print(f"peers: {message}", file=sys.stderr)


def numbers(text):
    return {int(part) for part in text.split(",")}


def parse_arguments():
    known = list(peers.ALL)
    parser = argparse.ArgumentParser(prog="python3 apps/peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", metavar="RESULT.json", nargs="+",
                        help="files of `kqbench run --json`, all of one device: what to time")
    parser.add_argument("--json", metavar="FILE", default="-", help="where the results go [-: standard output]")
    parser.add_argument("--kqbench", metavar="PROGRAM", help="kqbench, which times the canary in its own process [the "
                        "package's]")
    parser.add_argument("--peers", metavar="NAME,...", default=",".join(known), help="which [%(default)s]")
    parser.add_argument("--num-tokens", type=numbers, metavar="N,...", help="only these of the file's [all]")
    parser.add_argument("--hidden-size", type=numbers, metavar="N,...", help="only these of the file's [all]")
    parser.add_argument("--compile-mode", default="default", metavar="MODE",
                        help="of torch.compile: default, max-autotune-no-cudagraphs [%(default)s]")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="[cpu for files of the host backend, else cuda]")
    parser.add_argument("--num-warmup-iters", type=int, default=5, metavar="N", help="launches [%(default)s]")
    parser.add_argument("--num-iters", type=int, default=100, metavar="N", help="launches, at least [%(default)s]")
    parser.add_argument("--max-time", type=float, default=1.0, metavar="SECONDS", help="a peer and row [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the random input [%(default)s]")
    arguments = parser.parse_args()
    arguments.peers = arguments.peers.split(",")
    for name in arguments.peers:
        if name not in known:
            parser.error(f"--peers: {name} is not known; there are {', '.join(known)}")
    return arguments


def chosen_rows(sweeps, arguments):
    """The first row of each work in the files, with the work; what peers are not timed at is said once."""
    found, refusals = {}, set()
    for row in itertools.chain.from_iterable(sweep["rows"] for sweep in sweeps):
        if arguments.num_tokens and row["num_tokens"] not in arguments.num_tokens:
            continue
        if arguments.hidden_size and row["hidden_size"] not in arguments.hidden_size:
            continue
        try:
            found.setdefault(work_of(row), row)
        except NotServed as refusal:
            refusals.add(str(refusal))
    for refusal in sorted(refusals):
        say(f"rows are left out: {refusal}")
    return found


def check_device(here, sweeps, arguments):
    """The files' ceilings and copies are those of their device, so it must be the one at hand."""
    for name, sweep in zip(arguments.sweeps, sweeps, strict=True):
        there = sweep["setting"]["device"]
        if here and here != there:
            raise result_file.BadFile(f"{name}: was measured on {there}, not on {here}; measure it here first")


def find_kqbench(arguments):
    """Its path. Raises BadFile where the one that was asked for cannot be run."""
    found = shutil.which(arguments.kqbench or _program.program())
    if not found:
        raise result_file.BadFile(f"--kqbench: {arguments.kqbench or _program.program()} is no program; give kqbench's path")
    return found


class Reference:
    """kqbench's own medians of the canary, taken between any two peers."""

    def __init__(self, kqbench, calls, backend):
        self.kqbench, self.calls, self.backend = kqbench, calls, backend

    def medians(self):
        """One a call."""
        return canary.kqbench_medians(self.kqbench, self.calls, self.backend, CANARY_SECONDS)


def job_of(peer, works, calls, sweep, arguments):
    """What worker.py is told."""
    return {"peer": peer, "works": works, "canary": calls, "canary_seconds": min(CANARY_SECONDS, arguments.max_time),
            "cache_bytes": sweep["setting"].get("cache_bytes") or 64 << 20, "device": arguments.device,
            "compile_mode": arguments.compile_mode, "seed": arguments.seed,
            "num_warmup_iters": arguments.num_warmup_iters, "num_iters": arguments.num_iters,
            "max_seconds": arguments.max_time}


def merge(setting, told):
    """Adds what a peer's process told to the file's setting."""
    for name, value in told.items():
        if isinstance(value, dict):
            setting.setdefault(name, {}).update(value)
        else:
            setting[name] = value


def add_peer(result, outcome, peer, calls, before, after):
    """Adds what a peer's process gave; `before` and `after` are kqbench's medians, or None."""
    merge(result["setting"], outcome.setting)
    result["rows"] += outcome.rows
    for i, (call, (first, second, launches)) in enumerate(zip(calls, outcome.canary, strict=False)):
        reference = [medians[i] for medians in (before, after) if medians]
        result["setting"]["canary"].append(canary.members(call, peer, first, second, launches, reference))


def time_all(works, calls, sweeps, arguments, result, reference):
    """Adds the rows of all peers. Returns the status; the result is complete if that is 0."""
    status, present = 0, 0
    try:
        before = reference.medians()
        for peer in arguments.peers:
            outcome = processes.run_peer(job_of(peer, works, calls, sweeps[0], arguments), say,
                                         lambda here: check_device(here, sweeps, arguments))
            if outcome.is_absent:
                continue
            present += 1
            after = reference.medians() if outcome.status != EXIT_INTERRUPTED else None
            add_peer(result, outcome, peer, calls, before, after)
            before = after
            status = outcome.status or status
            if status == EXIT_INTERRUPTED:
                break
        if not present:
            raise result_file.BadFile("--peers: none of them can be imported here")
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    result["complete"] = status == 0
    return status


def run(arguments):
    sweeps = [result_file.read(name) for name in arguments.sweeps]
    if arguments.device is None:
        arguments.device = "cpu" if sweeps[0]["setting"].get("backend") == "host" else "cuda"
    found = chosen_rows(sweeps, arguments)
    if not found:
        raise result_file.BadFile(f"{', '.join(arguments.sweeps)}: no row that peers can be timed at")
    result = {"schema": result_file.SCHEMA, "complete": False, "setting": result_file.setting(sweeps[0]), "rows": []}
    calls = canary.calls({work.timing for work in found}, arguments.device)
    reference = Reference(find_kqbench(arguments), calls, result["setting"]["backend"])
    with result_file.Output(arguments.json) as output:  # what cannot be written is refused before anything is timed
        status = time_all(list(found.values()), calls, sweeps, arguments, result, reference)
        output.write(result)
    complaint = canary.complaint(result["setting"]["canary"])
    if complaint:
        say(complaint)
        return status if status == EXIT_INTERRUPTED else EXIT_CANARY
    return status


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupt)  # what was measured so far is written
    try:
        return run(parse_arguments())
    except result_file.BadFile as error:
        say(error)
        return EXIT_USAGE
    except (OSError, RuntimeError) as error:
        say(reason(error))
        return EXIT_SYSTEM


if __name__ == "__main__":
    sys.exit(main())
