# SPDX-License-Identifier: Apache-2.0
"""Result files of kqbench, schema kqbench/1: read for the sweep, and written with the peers' times."""

import datetime
import json
import os
import platform
import shlex
import subprocess
import sys

from kq._bench.result_file import SCHEMA, BadFile, Output, row

__all__ = ["SCHEMA", "BadFile", "Output", "host_cpu", "output_of", "read", "row", "setting"]


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadFile(f"{path}: {error}; give a file written by kqbench run --json") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise BadFile(f"{path}: is no result file of schema {SCHEMA}; give a file written by kqbench run --json")
    return result


def output_of(*command):
    """The first line that a command prints, without a trace of it where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip().splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return ""


def host_cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return ""


def setting(sweep):
    """What is there at this moment, but for what the peers' processes tell. From the run whose sweep this was come the
    backend's name and the ceilings: the rows are held against these, and they are not measured again."""
    before = sweep["setting"]
    here = os.path.dirname(os.path.abspath(__file__))
    return {
        "program": "kqbench peers", "version": "", "build_type": "",
        "commit": output_of("git", "-C", here, "rev-parse", "--short=12", "HEAD") or "unknown",
        "compiler": f"Python {platform.python_version()}",
        "libraries": {}, "implementations": {},
        "backend": before["backend"], "device": before["device"],
        "ceilings_gbps": before.get("ceilings_gbps", {}),
        "host_cpu": host_cpu(), "host_threads": os.cpu_count() or 0,
        "operating_system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command_line": shlex.join(sys.argv), "canary": []}
