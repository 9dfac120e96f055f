# SPDX-License-Identifier: Apache-2.0
"""What PyTorch and the driver tell of the device here, for a result file's setting."""

import contextlib
import importlib.metadata

import torch

from result_file import host_cpu, output_of

PACKAGES = ("torch", "triton", "pytorch-triton-rocm", "vllm", "sglang", "sgl-kernel", "flashinfer-python", "transformer_engine",
            "torchao", "numpy")


def libraries():
    """The versions of what the peers may be made of, as far as it is installed."""
    found = {"torch": torch.__version__}
    for package in PACKAGES[1:]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


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


def device_name(device_type):
    """As kqbench names it, or empty."""
    return torch.cuda.get_device_name() if device_type == "cuda" else host_cpu()


def device_context(device_type):
    """Members that are not told are left out."""
    told = {"libraries": libraries(), "host_threads_used": 1 if device_type == "cuda" else torch.get_num_threads()}
    if device_type != "cuda":
        told.update(runtime=f"PyTorch {torch.__version__}", compute_units=torch.get_num_threads())
        return told
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    told.update(memory_bytes=properties.total_memory, compute_units=properties.multi_processor_count)
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
