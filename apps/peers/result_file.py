# SPDX-License-Identifier: Apache-2.0
"""Result files of kqbench, schema kqbench/1: read for the sweep, and written with the peers' times."""

import datetime
import json
import os
import platform
import shlex
import sys
import tempfile

import torch

from measure import median, median_interval

SCHEMA = "kqbench/1"
WORK_MEMBERS = ("backend", "operation", "num_tokens", "hidden_size", "dtype", "quant_dtype", "static_scale",
                "granularity", "asymmetric", "scale_format", "scale_layout", "input_stride", "codes_stride", "qmax",
                "scale_ub", "timing", "cache", "copies", "bytes_between_uses", "bytes", "ceiling_mix", "ceiling_gbps")


class BadFile(Exception):
    """The message says which file and what to do."""


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadFile(f"{path}: {error}; give a file written by kqbench run --json") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise BadFile(f"{path}: is no result file of schema {SCHEMA}; give a file written by kqbench run --json")
    return result


def setting(sweep, peers):
    """That of the run whose sweep this was, but for what measured here."""
    described = dict(sweep["setting"])
    described.update(
        program="kqbench peers",
        compiler=f"Python {platform.python_version()}",
        libraries={"torch": torch.__version__},
        implementations={peer.name: peer.description for peer in peers},
        time=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command_line=shlex.join(sys.argv))
    return described


def row(like, timed):
    """A peer's row, for the work of the row `like`."""
    middle = median(timed.samples)
    low, high = median_interval(timed.samples)
    made = {"impl": timed.peer.name}
    made.update((name, like[name]) for name in WORK_MEMBERS if name in like)
    made["verified"] = timed.codes_checked is not None and timed.codes_checked[0] == 0
    made["failure"] = ""
    if timed.codes_checked is not None:
        differ, compared = timed.codes_checked
        made["codes_checked"] = {"differ": differ, "compared": compared}
        if differ:
            made["failure"] = f"{differ} of {compared} codes differ from kqbench's"
    gbps = like["bytes"] / middle * 1e-3
    ceiling = like.get("ceiling_gbps")
    made.update(
        stop=timed.stop, gbps=gbps, ceiling_gbps=ceiling, ceiling_fraction=gbps / ceiling if ceiling else None,
        time_ratio_to_native=None, suspect=bool(like["cache"] == "cold" and ceiling and gbps > 1.05 * ceiling),
        launches_per_sample=timed.launches_per_sample,
        time_us={"median": middle, "ci95": [low, high], "min": min(timed.samples), "max": max(timed.samples),
                 "samples": timed.samples})
    return made


def write(path, result):
    """The file appears whole or not at all."""
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    handle, name = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".peers.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o666 & ~current_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
