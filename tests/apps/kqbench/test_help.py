# SPDX-License-Identifier: Apache-2.0
"""The help of every subcommand, held to what the program does and to docs/command_line.md.

usage: test_help.py KQBENCH

- A subcommand takes the options that its help lists, and no others.
- The defaults that help states are those of a table here; where a default can be seen in what is printed or written, giving it
  changes nothing, and giving something else does.
- Every value that help lists for `sharded` can be sharded.
- The tables of docs/command_line.md have the options that help lists, subcommand by subcommand, with the same defaults.

Needs Python alone.
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/command_line.md"

# What an option needs beside a value: each line is accepted by every subcommand that has its first option.
USES = """
--num-tokens 3
--hidden-size 64
--dtype half
--quant-dtype fp8
--scheme mxfp8
--static-scale
--granularity token
--asymmetric --quant-dtype int8
--scale-format ue8m0_float --granularity group:32 --quant-dtype fp8
--scale-layout column --granularity group:32 --quant-dtype fp8
--scale-rounding rceil --granularity group:32 --quant-dtype fp8 --scale-format ue8m0
--scale-stride 4 --scale-layout column --granularity group:32 --quant-dtype fp8
--input-stride 128
--codes-stride 128
--qmax 100 --quant-dtype int8
--global-scale 1 --scheme nvfp4
--scale-ub 1 --quant-dtype fp8 --granularity token
--dialect vllm
--producer rms_norm
--eps 1e-5 --producer rms_norm
--residual-stride 128 --producer add_rms_norm
--seed 1
--scale 1 --static-scale
--scales one_scale.npy --static-scale --granularity tensor
--zero-point 1 --static-scale --asymmetric --quant-dtype int8
--input x.npy
--tensor x --input x.safetensors
--sweep quick
--impl native
--backend host
--device 0
--host-threads 1
--num-warmup-iters 1
--num-iters 1
--max-time 0.01
--rounds 1
--timing wall
--launch plain
--cache hot
--allow-unequal-threads
--no-ceiling
--profile
--json out.json
--csv out.csv
--markdown out.md
--fom
--quiet
--no-progress
--no-color
--num-samples 6
--dequantize
--names kqbench
--output out.safetensors
--zero-points zero.npy --asymmetric
--dialects
--margin 3
--ignore-canary
--ignore-timing
--fail-above 2
--fail-ambiguous
--fail-outside 5%
--baseline kokkos
--format md
--conformance conformance.json
"""
USES = {line.split()[0]: line.split() for line in USES.split("\n") if line}
# Without another machine or program they are refused: the tests of jobs and of plug-ins have them.
ELSEWHERE = {"--together", "--alone", "--rendezvous", "--plugin"}

# What each subcommand is given beside the option that is tried, unless that is the same option.
SMALL = "--backend host --num-tokens 3 --hidden-size 64"
TIMED = f"run {SMALL} --impl native --cache hot --no-ceiling --num-iters 20 --max-time 0.01"
BASES = {
    "run": f"{SMALL} --profile",
    "verify": f"{SMALL} --granularity token --quant-dtype int8 --dtype half --dialect kqbench --producer none",
    "list": "",
    "quantize": "x.npy --output out.npy --backend host",
    "identify": "x.npy codes.npy scales.npy",
    "compare": "ours.json ours.json",
    "fleet": "ours.json others.json",
    "sharded": f"{SMALL} --num-samples 6",
    "report": "ours.json --format md",
    "completion": "",
    "help": "",
}
# Uses that need another command line than that, of the subcommands to which they are new.
BLOCKS = "--granularity group:32 --quant-dtype fp8"
OTHER_USES = """
run --fom: {timed}
run --input: run --backend host --profile --input x.npy
run --tensor: run --backend host --profile --input x.safetensors --tensor x
verify --global-scale: verify {small} --scheme nvfp4 --global-scale 1
verify --scheme: verify {small} --scheme mxfp8
verify --input: verify --backend host --granularity token --dialect kqbench --input x.npy
verify --tensor: verify --backend host --granularity token --dialect kqbench --input x.safetensors --tensor x
list --json: list --json
quantize --dtype: quantize x.npy --output out.npy --backend host --dtype float
quantize --tensor: quantize x.safetensors --output out.safetensors --backend host --tensor x
identify --dtype: identify x.npy codes.npy scales.npy --dtype float
identify --tensor: identify x.safetensors codes.npy scales.npy --tensor x
identify --asymmetric: identify x.npy codes.npy scales.npy --asymmetric --zero-points zero.npy
identify --quant-dtype: identify x.npy codes.npy scales.npy --quant-dtype int8
identify --global-scale: identify x.npy fp4.npy fp4_scales.npy --scale-format e4m3 --global-scale 1
identify --json: identify x.npy codes.npy scales.npy --json
identify --scale-format: identify x.npy blocks.npy block_scales.npy --scale-format float {blocks}
identify --scale-layout: identify x.npy blocks.npy block_scales.npy --scale-layout row {blocks}
identify --scale-rounding: identify x.npy blocks.npy block_scales.npy --scale-rounding quotient {blocks}
"""
OTHER_USES = OTHER_USES.format(timed=f"{TIMED} --fom", small=SMALL, blocks=BLOCKS)
OTHER_USES = dict(line.split(": ") for line in OTHER_USES.split("\n") if line)

# --- what help says -----------------------------------------------------------------------------------------------------


class Option:
    def __init__(self, names, takes):
        self.names, self.takes, self.text = names, takes, ""

    @property
    def name(self):
        return self.names[-1]

    @property
    def default(self):
        found = re.findall(r"\[([^\]]*)\]", self.text)
        return found[-1] if found else None

    @property
    def values(self):
        """Those that "What: a, b (why) [a]" lists."""
        plain = re.sub(r" \([^)]*\)| \[[^\]]*\]", "", self.text)
        return [value.strip() for value in plain.partition(": ")[2].split(",")]


def options_in(text):
    """By the last of its names. A newer CLI11 breaks lines, and puts blanks between and before names."""
    options, last = {}, None
    for line in text.splitlines():
        found = re.match(r" {2,12}(?:(-\w), *)?(--[a-z-]+)(?: ([A-Z,.]+)(?= |$))?(?: REQUIRED| \.\.\.)*(?: +(.*))?$", line)
        if found:
            short, name, takes, said = found.groups()
            last = options[name] = Option([short, name] if short else [name], takes)
            last.text = (said or "").strip()
        elif last and re.match(r" {20,}\S", line):
            last.text = f"{last.text} {line.strip()}".strip()
        else:
            last = None
    return options


class Program:
    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def __call__(self, arguments):
        return subprocess.run([self.path, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=300, encoding="utf-8")

    def help(self, *subcommand):
        ended = self(["help", *subcommand])
        assert ended.returncode == 0, ended
        return ended.stdout


mistakes = []


def expect(holds, what):
    if not holds:
        mistakes.append(what)


def without(base, taken):
    """The words of `base`, less the options in `taken` and their values."""
    left, skip = [], False
    for word in base.split():
        if word.startswith("--"):
            skip = word in taken
        if not skip:
            left.append(word)
    return left


# --- listed and taken ---------------------------------------------------------------------------------------------------


def check_taken(program, helps):
    listed = {name for options in helps.values() for name in options} - {"--help"}
    expect(listed == set(USES) | ELSEWHERE, f"USES: {sorted(listed ^ (set(USES) | ELSEWHERE))} are in it or in help alone")
    script = program(["completion"]).stdout  # has every option that the program's parser takes, listed or not
    for subcommand, options in helps.items():
        taken = set(re.search(rf"^    {subcommand}\)\n +options='(.*)'$", script, flags=re.MULTILINE).group(1).split())
        expect(taken == set(options), f"{subcommand}: {sorted(taken ^ set(options))} are taken, or in its help, alone")
        for name in options:
            if name in USES:
                other = OTHER_USES.get(f"{subcommand} {name}")
                use = other.split() if other else [subcommand, *without(BASES[subcommand], USES[name]), *USES[name]]
                ended = program(use)
                may_fail = subcommand == "identify" or name.startswith("--fail-")
                done = ended.returncode == 0 or (may_fail and ended.returncode == 1)
                expect(done and name in use, f"{' '.join(use)}: {name} is in its help, and: {ended.stderr}")
    for name, option in helps["sharded"].items():
        if option.takes == "LIST" and option.values != [""]:
            for value in option.values:
                ended = program(["sharded", *without(BASES["sharded"], [name]), name, value])
                expect(ended.returncode == 0, f"sharded {name} {value}: is in its help, and: {ended.stderr}")


# --- defaults -----------------------------------------------------------------------------------------------------------

REQUEST = {
    "--num-tokens": "4096", "--hidden-size": "8192", "--dtype": "half", "--quant-dtype": "int8",
    "--granularity": "token for dynamic int8, else tensor", "--scale-format": "float", "--scale-layout": "row",
    "--scale-rounding": "quotient", "--scale-stride": "the rows of scales", "--input-stride": "the length of a row",
    "--codes-stride": "the length of a row", "--qmax": "the format's largest", "--global-scale": "computed from the input",
    "--scale-ub": "inf: no bound", "--dialect": "kqbench", "--producer": "none", "--eps": "1e-6",
    "--residual-stride": "the hidden size", "--seed": "0", "--scale": "the smallest that holds the input",
    "--zero-point": "those that suit the input",
}
LISTS = ["--dtype", "--quant-dtype", "--granularity", "--scale-format", "--scale-layout", "--scale-rounding", "--dialect",
         "--producer"]
INPUT = {"--input": "random numbers", "--tensor": "the only one"}
DEVICE = {"--device": "in a job the process's local rank, else 0", "--host-threads": "as many as Kokkos uses"}
WITH_PLUGINS = {"--impl": "kokkos,native, and the kernels of --plugin",
                "--backend": "that of the plug-ins, else the best that is there"}
OF_A_FILE = ["--num-tokens", "--hidden-size", "--scale-stride", "--input-stride", "--codes-stride", "--producer", "--eps",
             "--residual-stride", "--seed"]
OF_FILE = {name: value for name, value in REQUEST.items() if name not in OF_A_FILE}
ELEMENT = {"--dtype": "the file's; bfloat16 also where it has uint16"}
DEFAULTS = {
    "run": {**REQUEST, **INPUT, **DEVICE, **WITH_PLUGINS, "--num-warmup-iters": "5", "--num-iters": "100",
            "--max-time": "1; 0.5 with --sweep quick", "--rounds": "3", "--timing": "graph on a GPU, else wall",
            "--launch": "plain", "--cache": "cold"},
    "verify": {**REQUEST, **dict.fromkeys(LISTS, "all"), **INPUT, **DEVICE, **WITH_PLUGINS,
               "--producer": "all, before some of the schemes", "--num-tokens": "ragged sizes", "--hidden-size": "ragged sizes"},
    "list": {},
    "quantize": {**OF_FILE, **ELEMENT, **DEVICE, "--tensor": "all in two dimensions", "--impl": "kokkos, else native",
                 "--backend": "the best that is there", "--names": "kqbench"},
    "identify": {**dict.fromkeys(set(LISTS) - {"--producer"}, "all"), **ELEMENT,
                 **dict.fromkeys(["--qmax", "--global-scale", "--scale-ub"], "found from the data"),
                 "--tensor": "the only one", "--zero-points": "in the file of the codes, if anywhere"},
    "compare": {"--baseline": "the same implementation in the first file; kokkos where the files have none in common",
                "--impl": "all", "--margin": "2"},
    "fleet": {},
    "sharded": {name: REQUEST[name] for name in ["--num-tokens", "--hidden-size", "--dtype", "--qmax", "--scale-ub", "--dialect",
                                                 "--seed"]}
    | DEVICE | {"--quant-dtype": "fp8", "--granularity": "tensor,token", "--backend": "the best that is there",
                "--num-samples": "51"},
    "report": {"--output": "-", "--format": "html", "--margin": "2"},
    "completion": {},
    "help": {},
}

RUN = f"run {BASES['run']} --json -"
QUANTIZE = "quantize x.npy --output out.safetensors --backend host --quiet"
SHARDED = f"sharded {BASES['sharded']} --json -"
VERIFY = f"verify {BASES['verify']} --scale-format float --json - --quiet"
COMPARE = f"compare {BASES['compare']} --json -"
# A command line, an option, its default as help has it or a value that it stands for, another value. Where one of the two
# is None, it cannot be given here.
SEEN = [
    (RUN, "--num-tokens", "4096", "4"), (RUN, "--hidden-size", "8192", "32"), (RUN, "--dtype", "half", "float"),
    (RUN, "--quant-dtype", "int8", "fp8"), (RUN, "--granularity", "token", "tensor"),
    (RUN + " --quant-dtype fp8", "--granularity", "tensor", "token"),
    (RUN + " --static-scale", "--granularity", "tensor", "channel"),
    (f"{RUN} {BLOCKS}", "--scale-format", "float", "ue8m0_float"), (f"{RUN} {BLOCKS}", "--scale-layout", "row", "column"),
    (f"{RUN} {BLOCKS} --scale-format ue8m0", "--scale-rounding", "quotient", "even"),
    (RUN, "--input-stride", "64", "128"), (RUN, "--codes-stride", "64", "128"),
    (RUN + " --producer silu_mul", "--input-stride", "128", "256"),
    (RUN + " --producer add_rms_norm", "--residual-stride", "64", "128"),
    (RUN, "--qmax", "127", "100"), (RUN + " --quant-dtype fp8", "--qmax", "448", "100"),
    (RUN + " --quant-dtype fp8 --granularity token", "--scale-ub", "inf", "2"),
    (RUN, "--dialect", "kqbench", "vllm"), (RUN, "--producer", "none", "rms_norm"),
    (RUN + " --producer rms_norm", "--eps", "1e-6", "1e-5"), (RUN, "--seed", "0", "1"),
    (RUN, "--impl", "kokkos,native", "native"),
    (RUN, "--cache", "cold", "hot"), (TIMED + " --json -", "--rounds", "3", "2"),
    (TIMED + " --json -", "--timing", "wall", None), (TIMED + " --json -", "--launch", "plain", None),
    (RUN, "--device", "0", None),
    (QUANTIZE, "--quant-dtype", "int8", "fp8"), (QUANTIZE, "--granularity", "token", "tensor"),
    (QUANTIZE, "--names", "kqbench", "modelopt"), (QUANTIZE, "--dialect", "kqbench", "vllm-torch"),
    (f"{QUANTIZE} {BLOCKS}", "--scale-format", "float", "ue8m0"), (f"{QUANTIZE} {BLOCKS}", "--scale-layout", "row", "column"),
    (QUANTIZE, "--dtype", "float", None), (QUANTIZE, "--qmax", "127", "100"),
    (SHARDED, "--num-tokens", "4096", "4"), (SHARDED, "--hidden-size", "8192", "32"), (SHARDED, "--dtype", "half", "float"),
    (SHARDED, "--quant-dtype", "fp8", "int8"), (SHARDED, "--granularity", "tensor,token", "token"),
    (SHARDED, "--dialect", "kqbench", "vllm"), (SHARDED, "--num-samples", "51", "6"),
    (VERIFY, "--dtype", "all", "half"), (VERIFY, "--quant-dtype", "all", "int8"), (VERIFY, "--dialect", "all", "kqbench"),
    (VERIFY, "--producer", None, "none"),
    (COMPARE, "--margin", "2", "3"), (COMPARE, "--impl", "all", "native"),
    ("report ours.json --output -", "--format", "html", "md"), ("report ours.json --format md", "--output", "-", None),
]


def shown(program, arguments):
    """What a command line prints or writes, less times and what they decide."""
    for file in program.folder.glob("out.*"):
        file.unlink()
    ended = program(arguments)
    if ended.returncode != 0:
        return f"{ended.returncode}: {ended.stderr}"
    written = {file.name: file.read_bytes() for file in program.folder.glob("out.*")}
    if "--json" not in arguments:
        return ended.stdout if arguments[0] == "report" else written
    result = json.loads(ended.stdout)
    if arguments[0] in ("verify", "compare"):
        return result
    names = ["impl", "num_tokens", "hidden_size", "dtype", "quant_dtype", "static_scale", "granularity", "scale_format",
             "scale_layout", "scale_rounding", "input_stride", "codes_stride", "qmax", "scale_ub", "dialect", "producer", "eps",
             "residual_stride", "timing", "launch", "cache", "samples"]
    rows = [{name: row[name] for name in names if name in row} for row in result["rows"]]
    if arguments[0] == "sharded":
        for row in rows:
            del row["cache"]  # which a larger shape decides
    rounds = [len(row["time_us"]["rounds"]) for row in result["rows"] if row.get("time_us")]
    return rows, rounds, result.get("setting", {}).get("seed")


def check_defaults(program, helps):
    for subcommand, options in helps.items():
        stated = {name: option.default for name, option in options.items() if option.default is not None}
        for name in sorted(set(stated) | set(DEFAULTS[subcommand])):
            left, right = stated.get(name), DEFAULTS[subcommand].get(name)
            expect(left == right, f"{subcommand} {name}: the default in its help is {left!r}, not {right!r}")
    for command, name, usual, other in SEEN:
        subcommand = command.split()[0]
        stated = helps[subcommand][name].default
        if usual and re.fullmatch(r"[\w.,-]+", stated):  # a value, not words for one
            expect(stated == usual, f"SEEN: {subcommand} {name} is tried with {usual}, and its help says {stated}")
        all_values = "kokkos,native" if name == "--impl" else ",".join(helps[subcommand][name].values)
        given = all_values if usual == "all" else usual
        base = without(command, [name])
        by_default = shown(program, base)
        expect(not str(by_default).startswith(("1:", "2:", "3:")), f"{' '.join(base)}: {by_default}")
        if given:
            expect(shown(program, [*base, name, given]) == by_default, f"{' '.join(base)}: {name} {given} is not its default")
        if other:
            expect(shown(program, [*base, name, other]) != by_default, f"{' '.join(base)}: {name} {other} changes nothing to see")


# --- the page -----------------------------------------------------------------------------------------------------------

OPTION = re.compile(r"`(-[a-z-]+)`")


def rows_of(text):
    """The cells of the rows of each table, in order."""
    tables, inside = [], False
    for line in text.splitlines():
        if line.startswith("| "):
            if not inside:
                tables.append([])
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            tables[-1].append(cells)
        inside = line.startswith("|")
    return [table[2:] if len(table) > 2 else table for table in tables]


def groups_of(run_rows):
    """The words with which the page names several options of `run`: the options, in the order of the page."""
    of_run = [name for cells in run_rows for name in OPTION.findall(cells[0])]
    first, last = of_run.index("--num-tokens"), of_run.index("--residual-stride")
    return {
        "request": {*of_run[first : last + 1], "--seed"},
        "input": {"--input", "--tensor"},
        "device": {"--impl", "--plugin", "--backend", "--device", "--host-threads"},
        "shape": {"--num-tokens", "--hidden-size"},
        "strides": {name for name in of_run if name.endswith("-stride")},
        "producers": {"--producer", "--eps", "--residual-stride"},
        "seed": {"--seed"},
        "given scales": {"--scale", "--scales", "--zero-point"},
    }


def options_of(cell, groups):
    """The options that a cell of the page's second table names: `--x`*, or "request, input", "device, without `--plugin`"."""
    with_, _, without_ = cell.partition("without ")
    named = []
    for part in (with_, without_):
        names = set(OPTION.findall(part))
        words = re.split(r", | and ", OPTION.sub("", part).replace("*", ""))
        for word in filter(None, (word.strip(" ,") for word in words)):
            if word in groups:
                names |= groups[word]
            else:
                expect(word == "one value each", f"{PAGE.name}: {cell!r} has the unknown word {word!r}")
        named.append(names)
    return named[0] - named[1]


def check_page(helps):
    text = PAGE.read_text(encoding="utf-8")
    of_run = rows_of(text.partition("## Options of `run`")[2].partition("\n## ")[0])[0]
    others = rows_of(text.partition("## Options of the other subcommands")[2].partition("\n## ")[0])[0]
    groups = groups_of(of_run)
    page = {"run": [(set(OPTION.findall(cells[0])), cells) for cells in of_run]}
    subcommand = ""
    for cells in others:
        subcommand = cells[0].strip("`") or subcommand
        page.setdefault(subcommand, []).append((options_of(cells[1], groups), cells[1:]))
    subcommands = set(re.findall(r"^\| `([a-z]+)", text.partition("## Options of")[0], flags=re.MULTILINE))
    expect(subcommands == set(helps), f"{PAGE.name}: lists {sorted(subcommands)} as subcommands, help {sorted(helps)}")
    for subcommand, options in helps.items():
        listed = {name for option in options.values() for name in option.names} - {"-h", "--help"}
        named = set().union(*(names for names, _ in page.get(subcommand, [])))
        expect(named >= listed, f"{PAGE.name}: {subcommand}'s {sorted(listed - named)} are missing")
        expect(named <= listed, f"{PAGE.name}: {subcommand} has no {sorted(named - listed)}")
        for names, cells in page.get(subcommand, []):
            if "as in `" in cells[1] + cells[2] or OPTION.findall(cells[0]) == []:
                continue  # several options, of several defaults
            for name in sorted(names & set(options)):
                default = options[name].default or ""
                shown_alike = default in cells[2] or not re.fullmatch(r"[\w.,-]+", default)
                expect(shown_alike, f"{PAGE.name}: {subcommand} {name}: the default is {default}, the page has {cells[2]!r}")
    expect(set(page) <= set(helps), f"{PAGE.name}: {sorted(set(page) - set(helps))} are no subcommands")


# --- files --------------------------------------------------------------------------------------------------------------


def npy(descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def write_files(program):
    folder = program.folder
    values = struct.pack("<512f", *(index / 7 - 30 for index in range(512)))
    header = json.dumps({"x": {"dtype": "F32", "shape": [8, 64], "data_offsets": [0, 2048]}}).encode()
    (folder / "x.npy").write_bytes(npy("<f4", (8, 64), values))
    (folder / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + values)
    (folder / "one_scale.npy").write_bytes(npy("<f4", (1,), struct.pack("<f", 1)))
    (folder / "zero.npy").write_bytes(npy("<i4", (8, 1), bytes(32)))
    made = ["quantize x.npy -o codes.npy --backend host", f"quantize x.npy -o blocks.npy --backend host {BLOCKS}",
            "quantize x.npy -o fp4.npy --backend host --scheme nvfp4",
            f"verify {BASES['verify']} --json conformance.json", f"{TIMED} --impl kokkos --json ours.json"]
    for command in made:
        ended = program(command.split())
        assert ended.returncode == 0, ended
    for codes, scales in [("codes", "scales"), ("blocks", "block_scales"), ("fp4", "fp4_scales")]:
        (folder / f"{codes}.scale.npy").rename(folder / f"{scales}.npy")
    result = json.loads((folder / "ours.json").read_text(encoding="utf-8"))
    result["setting"].update(host="another", node="another")
    (folder / "others.json").write_text(json.dumps(result), encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        program = Program(str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(folder))
        subcommands = re.findall(r"^  ([a-z]+)  ", re.split("(?i)subcommands:", program.help())[1], flags=re.MULTILINE)
        helps = {subcommand: options_in(program.help(subcommand)) for subcommand in subcommands}
        assert set(helps) == set(BASES) == set(DEFAULTS), subcommands
        write_files(program)
        check_page(helps)
        check_defaults(program, helps)
        check_taken(program, helps)
    for mistake in mistakes:
        print(mistake)
    count = sum(map(len, helps.values()))
    print(f"{count} options of {len(helps)} subcommands, {len(mistakes)} mistakes")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
