# SPDX-License-Identifier: Apache-2.0
"""torchao and compressed-tensors read the files of `kqbench quantize`, and make the same numbers of them.

They are not among requirements.txt: a test is skipped where what it needs is not installed.
"""

import subprocess

import numpy as np
import pytest

from kq import _program

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def weights():
    x = torch.randn(48, 256, generator=torch.Generator().manual_seed(7))
    x[3] = 0
    x[5] *= 1e-4
    x[7, :16] *= 300
    return x.to(torch.bfloat16)


def quantized(folder, *options):
    """The tensors of the file that the program makes of `weights`, by name."""
    safetensors.save_file({"layer.weight": weights()}, folder / "x.safetensors")
    command = [_program.program(), "quantize", folder / "x.safetensors", "-o", folder / "q.safetensors", "--dequantize", *options]
    subprocess.run(command, check=True, capture_output=True)
    return safetensors.load_file(folder / "q.safetensors")


def unpacked(codes):
    return E2M1[torch.stack((codes & 15, codes >> 4), -1).flatten(-2).long()]


def own_numbers(codes, scales, group_size):
    return codes * scales.repeat_interleave(group_size, -1)


def test_torchao_reads_nvfp4(tmp_path):
    nvfp4 = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="torchao is not installed")
    q = quantized(tmp_path, "--scheme", "nvfp4", "--names", "modelopt")
    assert {name: t.dtype for name, t in q.items()} == {
        "layer.weight": torch.uint8, "layer.weight_scale": torch.float8_e4m3fn, "layer.weight_scale_2": torch.float32}
    codes, scales, tensor_scale = q["layer.weight"], q["layer.weight_scale"], q["layer.weight_scale_2"]
    read = nvfp4.NVFP4Tensor(codes, scales, 16, torch.float32, per_tensor_scale=tensor_scale.squeeze())
    expected = own_numbers(unpacked(codes), scales.float() * tensor_scale, 16)
    assert torch.equal(read.dequantize(torch.float32), expected)
    error = (expected - weights().float()).norm() / weights().float().norm()
    assert error < 0.15


@pytest.mark.parametrize("scheme", ["mxfp8", "mxfp4"])
def test_torchao_reads_mx(scheme, tmp_path):
    mx = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="torchao is not installed")
    q = quantized(tmp_path, "--scheme", scheme)
    codes, scales = q["layer.weight"], q["layer.weight.scale"]
    assert scales.dtype == torch.float8_e8m0fnu
    elements = torch.float4_e2m1fn_x2 if scheme == "mxfp4" else torch.float8_e4m3fn
    read = mx.to_dtype(codes, scales, elements, 32, torch.float32)
    numbers = unpacked(codes) if scheme == "mxfp4" else codes.float()
    expected = own_numbers(numbers, scales.float(), 32)
    assert torch.equal(read, expected)
    assert (expected - weights().float()).norm() / weights().float().norm() < 0.15


def test_compressed_tensors_reads_nvfp4(tmp_path):
    helpers = pytest.importorskip("compressed_tensors.compressors.nvfp4.helpers", reason="compressed-tensors is not installed")
    missing = "compressed-tensors is not installed"
    forward = pytest.importorskip("compressed_tensors.quantization.lifecycle.forward", reason=missing)
    quantization = pytest.importorskip("compressed_tensors.quantization", reason="compressed-tensors is not installed")
    q = quantized(tmp_path, "--scheme", "nvfp4", "--names", "compressed-tensors")
    packed, scales = q["layer.weight_packed"], q["layer.weight_scale"]
    g = q["layer.weight_global_scale"]
    assert packed.dtype == torch.uint8 and scales.dtype == torch.float8_e4m3fn and g.dtype == torch.float32
    assert g.item() == np.float32(2688) / np.float32(weights().float().abs().max().item())
    arguments = quantization.QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16)
    codes = helpers.unpack_fp4_from_uint8(packed, 48, 256, dtype=torch.float32)
    read = forward.dequantize(x_q=codes, scale=scales.float(), args=arguments, global_scale=g, dtype=torch.float32)
    assert torch.equal(codes, unpacked(packed))
    # It divides by g, where its file has g; kqbench multiplies by 1 / g.
    assert torch.equal(read, own_numbers(codes, scales.float() / g, 16))
