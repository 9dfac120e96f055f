# SPDX-License-Identifier: Apache-2.0
"""`kqbench fleet` over two thousand result files of as many devices, three of them slow or fast: it names these and no other, in
little memory, and says so by its exit status.

usage: test_many_files.py KQBENCH
       KQ_FLEET_FILES is another number than two thousand

KQBENCH measures once; each device has the rows of that, all its times changed by up to 1 % at random, and so that the file stays
free of contradictions. Prints the time and memory that it took.
"""

import csv
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

FILES = int(os.environ.get("KQ_FLEET_FILES", "2000"))
SLOW = {7: 1.2, FILES // 2: 1.3, FILES - 1: 0.8}  # device to factor
MOST_MEGABYTES = 200
TIMES = ("median", "min", "max")
RUN = "--backend host --num-tokens 1,2,3,4,5,6,7,8 --hidden-size 64 --max-time 0.02 --cache hot --no-ceiling --json - --quiet"


def device(result, number, factor):
    """The file of one device: every time of it is `factor` times as long."""
    result = json.loads(json.dumps(result))
    setting = result["setting"]
    host = f"node{number // 8:04}"
    setting.update(host=host, node=host, device_id=f"GPU-{number:08x}", rank=number, size=FILES)
    for row in result["rows"]:
        times = row["time_us"]
        for name in TIMES:
            times[name] *= factor
        for name in ("ci95", "samples", "rounds"):
            times[name] = [value * factor for value in times.get(name, [])]
        row["gbps"] /= factor
        row["clocks"].update(core_mhz_before=1980.0 / factor, core_mhz_after=1980.0 / factor, dropped=False)
    return result


def main(kqbench):
    result = json.loads(subprocess.run([kqbench, *RUN.split()], check=True, capture_output=True, text=True, timeout=60).stdout)
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number in range(FILES):
            factor = SLOW.get(number, random.uniform(0.99, 1.01))
            names.append(f"{folder}/{number}.json")
            pathlib.Path(names[-1]).write_text(json.dumps(device(result, number, factor)))
        size = os.path.getsize(names[0])
        begin = time.monotonic()
        ended = subprocess.run(
            [kqbench, "fleet", *names, "--fail-outside", "5%", "--json", f"{folder}/fleet.json", "--csv", f"{folder}/fleet.csv"],
            capture_output=True,
            text=True,
            timeout=600,
        )
        seconds = time.monotonic() - begin
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        assert ended.returncode == 1, (ended.returncode, ended.stderr)
        assert ended.stderr.startswith("kqbench: --fail-outside: "), ended.stderr
        fleet = json.loads(pathlib.Path(f"{folder}/fleet.json").read_text())
        assert len(fleet["devices"]) == FILES
        outside = {fleet["devices"][outlier["device"]]["device_id"] for outlier in fleet["outliers"]}
        assert outside == {f"GPU-{number:08x}" for number in SLOW}, outside
        for number in SLOW:
            assert f"node{number // 8:04} GPU-{number:08x}: " in ended.stdout, ended.stdout
        assert "core clock" in ended.stdout
        with open(f"{folder}/fleet.csv", newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        assert len(lines) == len(result["rows"]) * FILES and all(line["status"] == "timed" for line in lines)
        print(f"{FILES} files of {size} bytes, {len(result['rows'])} rows each: {seconds:.1f} s, {megabytes:.0f} MB")
        assert megabytes < MOST_MEGABYTES

        healthy = [name for number, name in enumerate(names) if number not in SLOW]
        subprocess.run([kqbench, "fleet", *healthy[:200], "--fail-outside", "5%"], check=True, capture_output=True, timeout=600)


if __name__ == "__main__":
    main(*sys.argv[1:])
