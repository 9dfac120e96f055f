# SPDX-License-Identifier: Apache-2.0
"""vLLM's own tests of quantization, with kq.compat.vllm in place of its kernels.

usage: run_vllm_tests.py VLLM [pytest options]

VLLM is a checkout of vLLM; nothing of it is changed, and vLLM need not be installed. Its test files are copied to a
temporary folder beside stand-ins for the modules that they import: kernels and operators are kq's, references vLLM's own
PyTorch code, those in Triton rewritten in PyTorch below. On a host build "cuda" becomes "cpu" in the copies, and a test is
left out that needs 20 GB.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import kq

TESTS = ["test_fp8_quant.py", "test_int8_quant.py", "test_per_token_group_quant.py"]

STAND_INS = {
    "vllm/__init__.py": "",
    "vllm/_custom_ops.py": "from kq.compat.vllm import scaled_fp8_quant, scaled_int8_quant\n",
    "vllm/platforms.py": """
import torch

class Platform:
    def is_cuda(self): return True
    def is_rocm(self): return False
    def is_fp8_fnuz(self): return False
    def fp8_dtype(self): return torch.float8_e4m3fn

current_platform = Platform()
""",
    "vllm/utils/__init__.py": "",
    "vllm/utils/torch_utils.py": "import torch\n\ndef set_random_seed(seed):\n    torch.manual_seed(seed)\n",
    "vllm/utils/math_utils.py": "def round_up(x, y):\n    return -(-x // y) * y\n",
    "vllm/utils/deep_gemm.py": """
import torch

def is_deep_gemm_e8m0_used(): return False
def _ceil_to_ue8m0(x): return torch.exp2(torch.ceil(torch.log2(x.abs())))
""",
    "vllm/model_executor/__init__.py": "",
    "vllm/model_executor/layers/__init__.py": "",
    "vllm/model_executor/layers/quantization/__init__.py": "",
    "vllm/model_executor/layers/quantization/utils/__init__.py": "",
    "vllm/model_executor/layers/quantization/utils/fp8_utils.py": """
import torch
from kq.compat import vllm as kq_vllm
from vllm.platforms import current_platform
per_token_group_quant_fp8_packed_for_deepgemm = kq_vllm.per_token_group_quant_fp8_packed_for_deepgemm

def per_token_group_quant_fp8(x, group_size, **how):
    if current_platform.is_cuda():
        return kq_vllm.per_token_group_quant_fp8(x, group_size, **how)
    groups = x.float().unflatten(-1, (-1, group_size))
    scale = groups.abs().amax(-1).clamp(min=1e-10) / 448
    if how.get("use_ue8m0"):
        scale = torch.exp2(torch.ceil(torch.log2(scale.double()))).float()
    return (groups / scale.unsqueeze(-1)).clamp(-448, 448).to(torch.float8_e4m3fn).flatten(-2), scale
""",
    "vllm/model_executor/layers/quantization/utils/int8_utils.py": """
import torch
from kq.compat import vllm as kq_vllm
from vllm.platforms import current_platform

def per_token_group_quant_int8(x, group_size):
    if current_platform.is_cuda():
        return kq_vllm.per_token_group_quant_int8(x, group_size)
    groups = x.float().unflatten(-1, (-1, group_size))
    scale = groups.abs().amax(-1).clamp(min=1e-10) / 127
    return (groups / scale.unsqueeze(-1)).clamp(-128, 127).to(torch.int8).flatten(-2), scale
""",
    "tests/__init__.py": "",
    "tests/kernels/__init__.py": "",
    "tests/kernels/utils.py": pathlib.Path(__file__).with_name("opcheck.py").read_text(),
    "conftest.py": """
import torch
import kq
from kq.compat import vllm

library = torch.library.Library("_C", "DEF")

def operator(schema, function):
    name = schema.partition("(")[0]
    library.define(schema)
    for key in ("CPU", "CUDA"):
        library.impl(name, function, key)
    torch.library.register_fake("_C::" + name, lambda *arguments: None, lib=library)

def fp8_token(out, x, scale, bound=None):
    kq.quantize(x, "fp8 token vllm", out=out, scales=scale, scale_ub=bound)

def fp8_tensor(out, x, scale):
    kq.quantize(x, "fp8 tensor vllm", out=out, scales=scale.flatten()[:1])

def fp8_static(out, x, scale, group_shape=None):
    vllm.scaled_fp8_quant(x, scale, output=out, group_shape=group_shape)

def int8_static(out, x, scale, azp=None):
    scheme = "static int8 tensor" + ("" if azp is None else " asymmetric")
    kq.quantize(x, scheme, out=out, scales=scale, zero_points=azp)

def int8_dynamic(out, x, scale, azp=None):
    kq.quantize(x, "int8 token vllm" if azp is None else "int8 token asymmetric", out=out, scales=scale, zero_points=azp)

def fp8_packed(x, out, scales, group_size, eps, low, high):
    tokens = x.shape[0]
    made = kq.quantize(x, f"fp8 group:{group_size} ue8m0 packed vllm", out=out[:tokens]).scales
    end = tokens + (scales.shape[1] - 1) * scales.stride(1)
    scales.as_strided((end,), (1,)).copy_(made.as_strided((end,), (1,)))
    out[tokens:].view(torch.uint8).zero_()

operator("dynamic_per_token_scaled_fp8_quant(Tensor(a!) out, Tensor x, Tensor(b!) scale, Tensor? bound) -> ()", fp8_token)
operator("dynamic_scaled_fp8_quant(Tensor(a!) out, Tensor x, Tensor(b!) scale) -> ()", fp8_tensor)
operator("static_scaled_fp8_quant(Tensor(a!) out, Tensor x, Tensor scale, int[]? group_shape=None) -> ()", fp8_static)
operator("static_scaled_int8_quant(Tensor(a!) out, Tensor x, Tensor scale, Tensor? azp) -> ()", int8_static)
operator("dynamic_scaled_int8_quant(Tensor(a!) out, Tensor x, Tensor(b!) scale, Tensor(c!)? azp) -> ()", int8_dynamic)
operator("per_token_group_fp8_quant_packed(Tensor x, Tensor(a!) out, Tensor(b!) scales, int group_size, float eps, "
         "float low, float high) -> ()", fp8_packed)
""",
}

# vLLM's own modules, as they are.
TAKEN = ["vllm/scalar_type.py", "vllm/model_executor/layers/quantization/utils/quant_utils.py"]


def lay_out(vllm: pathlib.Path, folder: pathlib.Path) -> None:
    for name, text in STAND_INS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in TAKEN:
        shutil.copy(vllm / name, folder / name)
    on_host = kq.backend() == "host"
    for name in ["tests/kernels/quant_utils.py", *(f"tests/kernels/quantization/{name}" for name in TESTS)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (vllm / name).read_text()
        if on_host:
            text = text.replace('"cuda"', '"cpu"').replace("not torch.cuda.is_available()", "False")
        path.write_text(text)


def main() -> int:
    if len(sys.argv) < 2 or not (pathlib.Path(sys.argv[1]) / "vllm").is_dir():
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lay_out(pathlib.Path(sys.argv[1]), folder)
        left_out = ["--deselect=tests/kernels/quantization/test_fp8_quant.py::test_fp8_quant_large"]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sys.argv[2:],
                   *(left_out if kq.backend() == "host" else []), "tests/kernels/quantization"]
        return subprocess.run(command, cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
