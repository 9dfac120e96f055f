# SPDX-License-Identifier: Apache-2.0
"""Result files of kqbench, schema kqbench/1: read for the sweep, and written with the peers' times."""

import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
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


PACKAGES = ("torch", "triton", "pytorch-triton-rocm", "vllm", "sglang", "sgl-kernel", "transformer_engine", "numpy")


def libraries():
    """The versions of what the peers may be made of, as far as it is installed."""
    found = {"torch": torch.__version__}
    for package in PACKAGES[1:]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def output_of(*command):
    """The first line that a command prints, without a trace of it where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip().splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return ""


def nvidia_smi(field):
    uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
    which = [f"--id=GPU-{uuid}"] if uuid else []
    text = output_of("nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", *which)
    return "" if text.startswith("[") else text  # "[N/A]"


def number_or_none(text):
    try:
        return float(text)
    except ValueError:
        return None


def host_cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return ""


def device_name(device_type):
    """As kqbench names it, or empty."""
    return torch.cuda.get_device_name() if device_type == "cuda" else host_cpu()


def device_setting(device_type):
    """What PyTorch and the driver tell of the device here. Members that they do not tell are left out."""
    if device_type != "cuda":
        return {"runtime": f"PyTorch {torch.__version__}", "compute_units": torch.get_num_threads()}
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    told = {"memory_bytes": properties.total_memory, "compute_units": properties.multi_processor_count}
    if getattr(properties, "L2_cache_size", 0):
        told["cache_bytes"] = properties.L2_cache_size
    if torch.version.hip:
        told.update(architecture=properties.gcnArchName.split(":")[0], runtime=f"HIP {torch.version.hip}")
        try:
            with open("/sys/module/amdgpu/version", encoding="utf-8") as file:
                told["driver"] = file.read().strip()
        except OSError:
            pass  # the kernel's own driver has none
        return told
    told.update(architecture=f"sm_{properties.major}{properties.minor}", runtime=f"CUDA {torch.version.cuda}",
                driver=nvidia_smi("driver_version"), power_cap_watts=number_or_none(nvidia_smi("power.limit")),
                device_architectures=", ".join(torch.cuda.get_arch_list()))
    return told


def setting(sweep, peers, device_type):
    """What is there at this moment. From the run whose sweep this was come the backend's name and the ceilings: the rows
    are held against these, and they are not measured again."""
    before = sweep["setting"]
    here = os.path.dirname(os.path.abspath(__file__))
    described = {
        "program": "kqbench peers", "version": "", "build_type": "",
        "commit": output_of("git", "-C", here, "rev-parse", "--short=12", "HEAD") or "unknown",
        "compiler": f"Python {platform.python_version()}",
        "libraries": libraries(),
        "implementations": {peer.name: peer.description for peer in peers},
        "backend": before["backend"], "device": device_name(device_type) or before["device"],
        "ceilings_gbps": before.get("ceilings_gbps", {}),
        "host_cpu": host_cpu(), "host_threads": os.cpu_count() or 0,
        "host_threads_used": 1 if device_type == "cuda" else torch.get_num_threads(),
        "operating_system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command_line": shlex.join(sys.argv)}
    described.update(device_setting(device_type))
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
            self.handle, self.name = tempfile.mkstemp(dir=os.path.dirname(self.path), prefix=".peers.")
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
