# SPDX-License-Identifier: Apache-2.0
"""Result files of kqbench, schema kqbench/1: rows of other functions at what kqbench timed, written whole or not at all."""

import json
import os
import sys
import tempfile

from .medians import median, median_interval

SCHEMA = "kqbench/1"
# What a row says of one implementation's measurement. The other members say what was done, which a peer's row repeats.
MEASURED_MEMBERS = frozenset((
    "impl", "threads", "verified", "failure", "codes_checked", "stop", "gbps", "ceiling_fraction", "time_ratio_to_native",
    "time_ratio_ci95", "suspect", "drifted", "clocks", "launches_per_sample", "time_us"))


class BadFile(Exception):
    """The message says which file and what to do."""


def row(like, impl, timed):
    """The row of `impl`, whose work was that of the row `like`."""
    middle = median(timed.samples)
    low, high = median_interval(timed.samples)
    made = {"impl": impl}
    made.update((name, value) for name, value in like.items() if name not in MEASURED_MEMBERS)
    made["verified"] = timed.codes_checked is not None and not timed.failure
    made["failure"] = timed.failure
    if timed.codes_checked is not None:
        differ, compared = timed.codes_checked
        made["codes_checked"] = {"differ": differ, "compared": compared}
    gbps = like["bytes"] / middle * 1e-3
    ceiling = like.get("ceiling_gbps")
    made.update(
        stop=timed.stop, gbps=gbps, ceiling_gbps=ceiling, ceiling_fraction=gbps / ceiling if ceiling else None,
        time_ratio_to_native=None, suspect=bool(like["cache"] == "cold" and ceiling and gbps > 1.05 * ceiling),
        launches_per_sample=timed.launches_per_sample,
        time_us={"median": middle, "ci95": [low, high], "min": min(timed.samples), "max": max(timed.samples),
                 "samples": timed.samples})
    return made


class Output:
    """The place of a result file, taken before anything is measured; the file appears whole or not at all. Raises BadFile
    where it cannot be written."""

    def __init__(self, path):
        self.path, self.name = os.path.realpath(path) if path != "-" else None, None
        if self.path is None:
            return
        if os.path.exists(self.path) and not (os.path.isfile(self.path) and os.access(self.path, os.W_OK)):
            raise BadFile(f"{path}: is no file that may be replaced; choose another name")
        try:
            self.handle, self.name = tempfile.mkstemp(dir=os.path.dirname(self.path), prefix=".kq.")
        except OSError as error:
            raise BadFile(f"{path}: cannot be created: {error.strerror}; choose a folder that exists and may be written "
                          "to") from None

    def write(self, result):
        text = json.dumps(result, indent=1, allow_nan=False) + "\n"
        if self.path is None:
            sys.stdout.write(text)
            return
        with os.fdopen(self.handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.name, 0o666 & ~current_umask())
        os.replace(self.name, self.path)
        self.name = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.name is not None:  # nothing was written
            os.unlink(self.name)


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
