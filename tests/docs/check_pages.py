#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the pages against what they are about.

usage: check_pages.py [--list]

- Every link leads to a file, and its anchor to a heading.
- A block of code that names a file of the repository, as ```cpp core/x.cpp, is part of that file; those of WHOLE are all of it.
- The figures of FIGURES are those of the result files that they come from. --list prints them, with the files and commits.
- The releases that docs/building.md names are those that cmake/ fetches.
- The dialects of core/src/dialect.cpp have a heading in docs/dialects.md, which tells how many cases were recorded, a line in
  tests/golden/README.md, and their short names in docs/command_line.md.
- README.md's kernel is there, and short.

Prints a line for each mistake, and ends with status 1 if there is one.
"""

import datetime
import functools
import json
import math
import re
import subprocess
import sys

from pages import ROOT, pages, split

mistakes = []


def mistake(where, what):
    mistakes.append(f"{where}: {what}")


def anchor_of(heading):
    """As GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def anchors(page):
    return {anchor_of(line.lstrip("#").strip()) for line in split(page)[1] if line.startswith("#")}


def check_links(page):
    for number, line in enumerate(split(page)[1], 1):
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "code", line)):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
            if not file.exists():
                mistake(f"{page}:{number}", f"{target} is not there")
            elif anchor and file.suffix == ".md" and anchor not in anchors(str(file.relative_to(ROOT))):
                mistake(f"{page}:{number}", f"{target} names no heading there")


WHOLE = [  # page, the name of its block, the file that the block shows
    ("docs/c.md", "tests/package/example/example.cpp", "tests/package/example/example.cpp"),
    ("docs/your_own_kernel.md", "mine.cpp", "examples/plugin-host/mine.cpp"),
    ("docs/your_own_kernel.md", "CMakeLists.txt", "examples/plugin-host/CMakeLists.txt"),
    ("docs/your_own_kernel.md", "cuda/mine.cu", "examples/plugin-cuda/mine.cu"),
    ("docs/your_own_kernel.md", "cuda/CMakeLists.txt", "examples/plugin-cuda/CMakeLists.txt"),
    ("docs/your_own_kernel.md", "vllm/vllm_per_token.cu", "examples/vllm_per_token/vllm_per_token.cu"),
    ("docs/your_own_kernel.md", "vllm/CMakeLists.txt", "examples/vllm_per_token/CMakeLists.txt"),
    ("docs/your_own_kernel.md", "triton/mine.py", "examples/triton/mine.py"),
]


def check_code(page):
    whole = [name for of, name, _ in WHOLE if of == page]
    for block in split(page)[0]:
        if "/" in block.name and block.name not in whole:
            file = ROOT / block.name
            if not file.is_file() or block.text not in file.read_text(encoding="utf-8"):
                mistake(f"{page}:{block.line}", f"shows other code than {block.name}")


def check_whole_files():
    for page, name, file in WHOLE:
        shown = [block.text for block in split(page)[0] if block.name == name]
        if shown != [(ROOT / file).read_text(encoding="utf-8")]:
            mistake(page, f"shows another {name} than {file}")


# --- figures ----------------------------------------------------------------------------------------------------------


class NoFigures(Exception):
    """Why a file gives none."""


@functools.cache
def read(path):
    try:
        return json.loads((ROOT / path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NoFigures(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise NoFigures(f"{path} is not JSON: {error}") from None


def timed_rows(path):
    """Of peers, also those whose codes differ from kqbench's."""
    return [row for row in read(path)["rows"] if row["time_us"]]


def rounded(microseconds):
    return f"{microseconds:.2f}" if round(microseconds, 2) < 10 else f"{microseconds:.1f}"


SPEED = "docs/results/h200/speed.json"
LAUNCHES = "docs/results/h200/launches.json"
PRODUCERS = "docs/results/h200/producers.json"
PEERS = "docs/results/h200/peers.json"
RIVALS = "docs/results/h200/rivals.json"
OURS = "docs/results/h200/ours.json"


def row_of(path, **wanted):
    rows = [row for row in timed_rows(path) if all(row[name] == value for name, value in wanted.items())]
    if len(rows) != 1:
        raise NoFigures(f"{path} has {len(rows)} timed rows of {', '.join(f'{value}' for value in wanted.values())}")
    return rows[0]


def readme_table():
    """The lines of README.md's table, 4096x8192 from half to FP8: of each project the fastest of its kernels and launches."""
    of = {"kokkos": "kokkos", "native": "native", "triton": "triton", "vllm": "vllm", "vllm.triton": "vllm", "sglang": "sglang",
          "sglang.triton": "sglang", "sglang.rows": "sglang", "torch.compile": "torch.compile"}
    for name, scheme in [("static tensor", "static fp8"), ("dynamic token", "token fp8"), ("dynamic tensor", "tensor fp8")]:
        least = {}
        for cell in read(RIVALS)["cells"]:
            if (cell["scheme"], cell["dtype"], cell["shape"]) == (scheme, "half", "4096x8192"):
                for impl, time in cell["us"].items():
                    least[of[impl]] = min(time, least.get(of[impl], time))
        yield f"| {name} | " + " | ".join(rounded(least[project]) for project in dict.fromkeys(of.values())) + " |"


def rivals():
    """The times of RIVALS, by implementation, of each scheme, type, shape and launch."""
    return {(cell["scheme"], cell["dtype"], cell["shape"], cell["launch"]): cell["us"] for cell in read(RIVALS)["cells"]}


def triton_of(times, work):
    """The faster of Triton's launches of a scheme, type and shape; None where none overlapped."""
    plain, overlapped = (times.get((*work, launch), {}).get("triton", math.inf) for launch in ("plain", "overlapped"))
    return None if overlapped == math.inf else min(plain, overlapped)


def readme_small():
    """What README.md says of small tensors and of producers: the least of the rivals' times over Kokkos', Triton's lead."""
    times = rivals()
    least = {}
    ahead = cells = 0
    for (*work, launch), us in times.items():
        behind = " + " in work[0]  # a producer
        others = [time for impl, time in us.items() if impl not in ("kokkos", "native")]
        if (work[2], launch) == ("1x4096", "plain") and others:
            least[behind] = min(min(others) / us["kokkos"], least.get(behind, math.inf))
        triton = triton_of(times, work) if behind and launch == "overlapped" else None
        if triton is not None:
            cells += 1
            ahead += triton < us["kokkos"]
    yield f"took {least[False]:.2f} of Kokkos' time at the worst scheme, and {least[True]:.2f} behind RMSNorm or SiLU"
    yield f"in {ahead} of {cells} cells"


def readme_again():
    """In how many of those cells Kokkos is behind with the times of PRODUCERS."""
    times = rivals()
    behind = again = 0
    for cell in read(PRODUCERS)["cells"]:
        triton = triton_of(times, (cell["scheme"], cell["dtype"], cell["shape"]))
        if cell["launch"] == "overlapped" and triton is not None:
            again += 1
            behind += triton < cell["us"]["kokkos"]
    yield f"behind in {behind} of the {again} cells that were measured again"


def console_table():
    """The lines of the example of a table."""
    for impl, shape in (("kokkos", "  4096x8192  "), ("native", "             ")):
        row = row_of(OURS, impl=impl, operation="dynamic token", quant_dtype="int8", dtype="bfloat16", num_tokens=4096,
                     hidden_size=8192)
        yield (f"{shape}{impl} {row['time_us']['median']:>10.3f}  "
               f"{(row['time_us']['ci95'][1] - row['time_us']['ci95'][0]) / 2 / row['time_us']['median']:.1%}  "
               f"{row['gbps']:.1f} {row['ceiling_fraction']:>8.1%} {row['time_ratio_to_native']:>10.3f}  ok")


def console_source():
    """Of what day and commit that example is."""
    setting = read(OURS)["setting"]
    day = datetime.date.fromisoformat(setting["time"][:10])
    yield f"commit {setting['commit'][:7]}, {day.day} {day:%B %Y}"


def tables(file):
    """The lines that docs/results/table makes of a file."""
    done = subprocess.run([sys.executable, "docs/results/table", file], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoFigures(done.stderr.strip().rpartition("\n")[2])
    return done.stdout.splitlines()


def mean_of(line):
    """Of the last line of a table: the mean of native over Kokkos and of how many."""
    return " of Kokkos' time in the geometric mean of ".join(
        re.search(r"native ([0-9.]+) in the geometric mean of ([0-9]+)", line).groups())


def table_of_h200():
    """Every shape of each input type, and the mean."""
    for line in tables(SPEED):
        if line.startswith("|"):
            yield line
        elif line.startswith("Over Kokkos"):
            yield mean_of(line).replace("mean of ", "mean of the ")


def table_of_launches():
    """All lines of tables."""
    yield from (line for line in tables(LAUNCHES) if line.startswith("|"))


def table_of_producers():
    """All lines of tables, and the means below them."""
    for line in tables(PRODUCERS):
        if line.startswith("|"):
            yield line
        elif line.startswith("Over Kokkos"):
            yield line.partition(": ")[2].rstrip(".")


def table_of_sweep():
    """Means over the shapes that all were timed at, and the means of native over Kokkos by tokens."""
    times, shapes, tokens = {}, {}, {}
    for row in timed_rows(OURS) + timed_rows(PEERS):
        times[row["impl"], f"{row['operation']} {row['quant_dtype']}", row["num_tokens"], row["hidden_size"]] = \
            row["time_us"]["median"]
    for impl, scheme, *shape in times:
        shapes.setdefault((impl, scheme), set()).add(tuple(shape))
        tokens.setdefault(scheme, set()).add(shape[0])

    def mean(impl, scheme, over):
        ratios = [times[(impl, scheme, *shape)] / times[("kokkos", scheme, *shape)] for shape in over]
        return f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}"

    for scheme in tokens:
        name = scheme.replace("_e4m3fn", "")
        impls = ("kokkos", "native", "torch.compile", "triton")
        common = set.intersection(*(shapes.get((impl, scheme), set()) for impl in impls))
        if not common:
            raise NoFigures(f"{OURS} and {PEERS} have no shape of {scheme} that all were timed at")
        yield f"| {name} | " + " | ".join(mean(impl, scheme, common) for impl in ("native", "torch.compile", "triton")) + " |"
        yield f"| {name} | " + " | ".join(
            mean("native", scheme, [shape for shape in shapes["native", scheme] & shapes["kokkos", scheme] if shape[0] == number])
            for number in sorted(tokens[scheme])) + " |"


def compared_codes():
    rows = read(PEERS)["rows"]
    equal = sum(row["codes_checked"]["differ"] == 0 for row in rows)
    worst = max(row["codes_checked"]["differ"] / row["codes_checked"]["compared"] for row in rows)
    yield f"equal in {equal} of {len(rows)} rows; in the others at most {worst:.2%} of the codes differ"


FIGURES = [  # page, where its figures come from, the lines that it must have
    ("README.md", [RIVALS], readme_table),
    ("README.md", [RIVALS], readme_small),
    ("README.md", [RIVALS, PRODUCERS], readme_again),
    ("README.md", [OURS], console_table),
    ("docs/getting_started.md", [OURS], console_table),
    ("docs/getting_started.md", [OURS], console_source),
    ("docs/results/h200.md", [OURS], console_source),
    ("docs/results/h200.md", [SPEED], table_of_h200),
    ("docs/results/h200.md", [LAUNCHES], table_of_launches),
    ("docs/results/h200.md", [PRODUCERS], table_of_producers),
    ("docs/results/h200.md", [OURS, PEERS], table_of_sweep),
    ("docs/results/h200.md", [PEERS], compared_codes),
]


def squeezed(text):
    return re.sub(r"\s+", " ", text).replace(" %", "%")


def check_figures(show):
    for page, sources, figures in FIGURES:
        text = squeezed((ROOT / page).read_text(encoding="utf-8"))
        try:
            lines = list(figures())
        except NoFigures as why:
            mistake(page, f"{why}")
            continue
        except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
            mistake(page, f"{' and '.join(sources)} give no figures: {type(error).__name__}: {error}")
            continue
        if not lines:
            mistake(page, f"{' and '.join(sources)} give no figures")
        for line in lines:
            if squeezed(line).strip() not in text:
                mistake(page, f"has other figures than {' and '.join(sources)}, which give: {line}")
            if show:
                files = [read(source) for source in sources]
                commits = [f"{source} ({file.get('setting', file)['commit']})"
                           for source, file in zip(sources, files, strict=True)]
                print(f"{page}: {line.strip()}\n    from {', '.join(commits)}")


def check_releases():
    """The releases that docs/building.md says are fetched are those of cmake/."""
    fetched = re.findall(r"kq_require\((\w+) [^)]*?/v?([\d.]+)(?:\.tar|/json)", (ROOT / "cmake/KqDependencies.cmake").read_text())
    fetched += re.findall(r"set\((KQ_KOKKOS)_RELEASE ([\d.]+)\)", (ROOT / "cmake/KqKokkos.cmake").read_text())
    text = (ROOT / "docs/building.md").read_text(encoding="utf-8")
    for name, release in fetched:
        if not re.search(rf"SOURCE_DIR_{name.upper().removeprefix('KQ_')}=…` \| {re.escape(release)} \|", text):
            mistake("docs/building.md", f"does not say that {name} {release} is fetched")
    if len(fetched) != 5:
        mistake("cmake/", f"has {len(fetched)} releases that can be read")


def check_dialects():
    """What pages list of dialects is what the program's table, its help and the recorded cases have."""
    table = (ROOT / "core/src/dialect.cpp").read_text(encoding="utf-8")
    names = re.findall(r'\{Dialect::\w+,\s*"([^"]+)"', table)
    if len(names) < 12 or names[0] != "kqbench":
        mistake("core/src/dialect.cpp", f"has {len(names)} dialects that can be read")
    page = "docs/dialects.md"
    headings = [name for line in split(page)[1] if line.startswith("## ") for name in line[3:].split(", ")]
    golden = (ROOT / "tests/golden/README.md").read_text(encoding="utf-8")
    for name in names[1:]:
        if name not in headings and name.removesuffix("-torch") not in headings:
            mistake(page, f"has no heading for {name}")
        family = name.rpartition("-")[0] + "-*"
        if f"`{name}/`" not in golden and f"`{family}/`" not in golden:
            mistake("tests/golden/README.md", f"does not list {name}/")
    cases = (ROOT / "tests/golden/engines/cases.txt").read_text(encoding="utf-8").splitlines()
    recorded = sum(not line.startswith("#") for line in cases)
    if not re.search(rf"\b{recorded} recorded cases", (ROOT / page).read_text(encoding="utf-8")):
        mistake(page, f"does not say that there are {recorded} recorded cases")
    parameters = re.sub(r'"\n *"', "", (ROOT / "core/src/parameters.cpp").read_text(encoding="utf-8"))
    help_text = re.search(r"list --dialects says more\): ([^\"]+)\"", parameters)
    row = re.search(r"^\| `--dialect`\* \| (.*?): ", (ROOT / "docs/command_line.md").read_text(encoding="utf-8"), re.MULTILINE)
    if not help_text or not row or row[1].replace("`", "") != help_text[1]:
        mistake("docs/command_line.md", "names other dialects than the help of --dialect in core/src/parameters.cpp")


def check_rivals():
    """Every cell of h200_rivals.md: Kokkos / native / the best other with its name. An overlapped table has the faster launch of
    that one."""
    page = "docs/results/h200_rivals.md"
    try:
        times = rivals()
    except NoFigures as why:
        return mistake(page, f"{why}")
    text = (ROOT / page).read_text(encoding="utf-8")
    cells = 0
    for dtype, launch, table in re.findall(r"^(Half|Bfloat16) input, (plain|overlapped):\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        for shape, *row in rows:
            for scheme, cell in zip(head[1:], row, strict=True):
                if not cell:
                    continue
                kokkos, native, other, name = re.match(r"([\d.]+) / ([\d.]+) / (?:([\d.]+) ([\w.]+)|-)",
                                                       cell.replace("**", "")).groups()
                for time, impl in ((kokkos, "kokkos"), (native, "native"), (other, name)):
                    launches = ("overlapped", "plain") if launch == "overlapped" and impl == name else (launch,)
                    given = [times[scheme, dtype.lower(), shape, one][impl] for one in launches
                             if impl and impl in times.get((scheme, dtype.lower(), shape, one), {})]
                    if time and float(time) != min(given, default=None):
                        mistake(page, f"{dtype}, {launch}, {shape}, {scheme}: {impl} is {given} in {RIVALS}, not {time}")
                cells += 1
    if cells < 300:
        mistake(page, f"has {cells} cells that can be read")


def main(arguments):
    if arguments not in ([], ["--list"]):
        print(__doc__, file=sys.stderr)
        return 2
    for page in pages():
        check_links(page)
        check_code(page)
    check_whole_files()
    if not any(block.name.endswith("dynamic_token.cpp") and block.text.count("\n") <= 20 for block in split("README.md")[0]):
        mistake("README.md", "shows no portable kernel")
    check_figures("--list" in arguments)
    check_releases()
    check_dialects()
    check_rivals()
    for text in mistakes:
        print(text, file=sys.stderr)
    print(f"{len(pages())} pages, {len(mistakes)} mistakes")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
