# SPDX-License-Identifier: Apache-2.0
"""Times other projects' quantization (PyTorch eager and compiled; vLLM, SGLang and Transformer Engine where they can be
imported) at what a result file of kqbench timed, in the same way, and writes a result file of the same schema:

    kqbench --sweep llm --quant-dtype fp8,int8 --dtype bfloat16 --json ours.json
    python3 apps/peers ours.json --libkq build/cuda/capi/libkq.so --json peers.json
    kqbench compare ours.json peers.json
"""

import argparse
import itertools
import signal
import sys

try:
    import torch
except ImportError:
    sys.exit("peers: PyTorch is not installed; every peer needs it (pip install torch)")

import measure
import peers
import result_file
import torch_functions
from libkq import LibKq
from work import NotServed, work_of

EXIT_USAGE, EXIT_SYSTEM, EXIT_INTERRUPTED = 2, 3, 130


def say(message):
    print(f"peers: {message}", file=sys.stderr)


def numbers(text):
    return {int(part) for part in text.split(",")}


def parse_arguments():
    known = [peer.name for peer in peers.ALL]
    parser = argparse.ArgumentParser(prog="python3 apps/peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", metavar="RESULT.json", nargs="+",
                        help="files of `kqbench run --json`, all of one device: what to time")
    parser.add_argument("--json", metavar="FILE", default="-", help="where the results go [-: standard output]")
    parser.add_argument("--libkq", metavar="libkq.so", help="kqbench's C library (capi/): the peers' codes are held "
                        "against its own [not checked]")
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


def check_device(sweeps, arguments):
    """The files' ceilings and copies are those of their device, so it must be the one at hand."""
    if arguments.device is None:
        arguments.device = "cpu" if sweeps[0]["setting"].get("backend") == "host" else "cuda"
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise result_file.BadFile("--device cuda: PyTorch finds no GPU; files of a GPU need it, those of the host backend "
                                 "--device cpu")
    here = result_file.device_name(arguments.device) or sweeps[0]["setting"]["device"]
    for name, sweep in zip(arguments.sweeps, sweeps):
        there = sweep["setting"]["device"]
        if here != there:
            raise result_file.BadFile(f"{name}: was measured on {there}, not on {here}; measure it here first")


class Runner:
    def __init__(self, arguments, found):
        self.arguments = arguments
        self.peers = found
        self.library = LibKq(arguments.libkq, arguments.device) if arguments.libkq else None
        self.limits = measure.Limits(min_launches=arguments.num_iters, max_seconds=arguments.max_time)

    def rows(self, work, like):
        torch.manual_seed(self.arguments.seed)
        x = torch.randn(work.num_tokens, work.hidden_size, device=self.arguments.device,
                        dtype=torch_functions.DTYPES[work.dtype])
        given = torch_functions.given_scale(work, x)
        expected = self.library.codes(work, x, given) if self.library else None
        inputs = [x] + [x.clone() for _ in range(work.copies - 1)]
        with torch.no_grad():
            timed = measure.measure(work, self.peers, inputs, given, expected, self.limits,
                                    self.arguments.num_warmup_iters, say)
        return [result_file.row(like, one) for one in timed]


def reason(error):
    return (str(error) or type(error).__name__).splitlines()[0]


def release(device):
    """Gives back what a work needed. Raises RuntimeError where the device is lost, as after an illegal access: then there
    is no use in going on."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.synchronize()


def time_all(works, runner, result, device):
    """Adds the rows of all works. A work that fails, of memory for example, costs its own rows only. Returns the status;
    the result is complete if that is 0."""
    status = 0
    try:
        for number, (work, like) in enumerate(works.items(), 1):
            say(f"{number} of {len(works)}: {work}")
            try:
                result["rows"] += runner.rows(work, like)
            except Exception as error:
                say(f"{work} is left out: {reason(error)}")
                status = EXIT_SYSTEM
            release(device)  # after the except clause: an exception holds on to the tensors of its frames
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except RuntimeError as error:
        say(f"ends early: {reason(error)}")
        status = EXIT_SYSTEM
    result["complete"] = status == 0
    return status


def run(arguments):
    sweeps = [result_file.read(name) for name in arguments.sweeps]
    check_device(sweeps, arguments)
    works = chosen_rows(sweeps, arguments)
    if not works:
        raise result_file.BadFile(f"{', '.join(arguments.sweeps)}: no row that peers can be timed at")
    peers.Compiled.mode = arguments.compile_mode
    found = peers.importable(arguments.peers, say)
    if not found:
        raise result_file.BadFile("--peers: none of them can be imported here")
    if not arguments.libkq:
        say("codes are not checked; give --libkq")
    runner = Runner(arguments, found)
    result = {"schema": result_file.SCHEMA, "complete": False,
              "setting": result_file.setting(sweeps[0], found, arguments.device), "rows": []}
    with result_file.Output(arguments.json) as output:  # what cannot be written is refused before anything is timed
        status = time_all(works, runner, result, arguments.device)
        output.write(result)
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
