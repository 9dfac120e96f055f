# SPDX-License-Identifier: Apache-2.0
"""The peers: each has a name, a description with its version, and a function for the works that it serves; `overlaps` where
its launches can overlap (programmatic dependent launch). What a peer needs is imported when it is made."""

import importlib.metadata

from work import NotServed


def version_of(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


class Eager:
    name = "torch.eager"

    def __init__(self):
        import torch

        import torch_functions
        self.functions = torch_functions
        self.description = f"PyTorch {torch.__version__}, operator by operator"

    def function(self, work):
        return self.functions.function(work)


class Compiled:
    name = "torch.compile"
    mode = "default"

    def __init__(self):
        import torch

        import torch_functions
        self.torch, self.functions = torch, torch_functions
        self.description = f"PyTorch {torch.__version__}, torch.compile (inductor), shapes static, mode {self.mode}"

    def function(self, work):
        self.torch._dynamo.reset()  # each shape is compiled for itself, without an end to their number
        return self.torch.compile(self.functions.function(work), fullgraph=True, dynamic=False, mode=self.mode)


class Triton:
    """The schemes in Triton, written for this comparison."""

    name = "triton"
    overlaps = True

    def __init__(self):
        import triton

        import triton_functions
        self.functions = triton_functions
        self.description = f"Triton {triton.__version__}, apps/peers/triton_functions.py, autotuned for each size"

    def function(self, work):
        return self.functions.function(work, pdl=work.launch == "overlapped")


class Vllm:
    """Its CUDA operators; for groups, its function that chooses between CUDA and Triton."""

    name = "vllm"

    def __init__(self):
        from vllm import _custom_ops
        self.ops = _custom_ops
        self.description = f"vLLM {version_of('vllm')}, its quantization operators"

    def function(self, work):
        fp8, int8 = work.quant_dtype == "fp8_e4m3fn", work.quant_dtype == "int8"
        ops = self.ops
        match work.scheme:
            case True, "tensor", False if fp8:
                return lambda x, scale, zero_point: ops.scaled_fp8_quant(x, scale.view(1))
            case True, "tensor", asymmetric if int8:
                return lambda x, scale, zero_point: ops.scaled_int8_quant(
                    x, scale.view(1), zero_point.view(1) if asymmetric else None, symmetric=not asymmetric)
            case False, "tensor", False if fp8:
                return lambda x: ops.scaled_fp8_quant(x)
            case False, "token", False if fp8:
                return lambda x: ops.scaled_fp8_quant(x, use_per_token_if_dynamic=True)
            case False, "token", asymmetric if int8:
                return lambda x: ops.scaled_int8_quant(x, symmetric=not asymmetric)
            case False, "group", False if fp8:
                from vllm.model_executor.layers.quantization.utils.fp8_utils import per_token_group_quant_fp8
                return lambda x: per_token_group_quant_fp8(x, work.group_size, use_ue8m0=False)
            case False, "group", False if int8:
                from vllm.model_executor.layers.quantization.utils.int8_utils import per_token_group_quant_int8
                return lambda x: per_token_group_quant_int8(x, work.group_size)
        raise NotServed("no such operator")


class Sglang:
    name = "sglang"
    overlaps = True  # some of its functions always do

    def __init__(self):
        from sglang.srt.layers.quantization import fp8_kernel, int8_kernel
        self.fp8, self.int8 = fp8_kernel, int8_kernel
        self.description = f"SGLang {version_of('sglang')}, its quantization functions"

    def function(self, work):
        fp8, int8 = work.quant_dtype == "fp8_e4m3fn", work.quant_dtype == "int8"
        match work.scheme:
            case True, "tensor", False if fp8:
                return lambda x, scale, zero_point: self.fp8.scaled_fp8_quant(x, scale.view(1))
            case False, "tensor", False if fp8:
                return lambda x: self.fp8.scaled_fp8_quant(x)
            case False, "token", False if fp8:
                return lambda x: self.fp8.sglang_per_token_quant_fp8(x)
            case False, "token", False if int8:
                return lambda x: self.int8.per_token_quant_int8(x)
            case False, "group", False if fp8:
                return lambda x: self.fp8.sglang_per_token_group_quant_fp8(x, work.group_size)
            case False, "group", False if int8:
                return lambda x: self.int8.sglang_per_token_group_quant_int8(x, work.group_size)
        raise NotServed("no such function")


class FlashInfer:
    """Its CUDA kernel for groups of 128, which is compiled when it is first called."""

    name = "flashinfer"

    def __init__(self):
        import torch
        from flashinfer.quantization import per_token_group_quant_8bit
        self.torch, self.quantize = torch, per_token_group_quant_8bit
        self.description = f"FlashInfer {version_of('flashinfer-python')}, per_token_group_quant_8bit, backend cuda"

    def function(self, work):
        kinds = {"fp8_e4m3fn": self.torch.float8_e4m3fn, "fp8_e5m2": self.torch.float8_e5m2, "int8": self.torch.int8}
        if work.scheme != (False, "group", False) or work.group_size != 128:
            raise NotServed("only dynamic groups of 128 are timed")
        if work.dtype == "float" or work.hidden_size % 128 != 0:
            raise NotServed("it takes half and bfloat16, and whole groups")
        kind = kinds[work.quant_dtype]
        return lambda x: self.quantize(x, 128, dst_dtype=kind, backend="cuda")


class TransformerEngine:
    """Its quantizers. What they return is a tensor with the codes in `_data` or `_rowwise_data`."""

    name = "transformer_engine"

    def __init__(self):
        import torch
        import transformer_engine.pytorch as te
        import transformer_engine_torch as tex
        self.torch, self.te, self.tex = torch, te, tex
        self.description = f"Transformer Engine {version_of('transformer_engine')}, its quantizers"

    def function(self, work):
        if work.quant_dtype != "fp8_e4m3fn":
            raise NotServed("only fp8_e4m3fn is timed")
        kind = self.tex.DType.kFloat8E4M3
        match work.scheme:
            case False, "tensor", False:
                quantizer = self.te.Float8CurrentScalingQuantizer(kind, device=self.torch.device("cuda"), columnwise=False)
                return lambda x: (quantizer(x)._data,)
            case False, "group", False if work.group_size == 128:
                quantizer = self.te.Float8BlockQuantizer(kind, rowwise=True, columnwise=False, block_scaling_dim=1,
                                                         force_pow_2_scales=False)
                return lambda x: (quantizer(x)._rowwise_data,)
        raise NotServed("no such quantizer")


class Torchao:
    """How its float8 training casts activations. What it returns is a tensor with the codes in `_data`."""

    name = "torchao"

    def __init__(self):
        import torch
        from torchao.float8.config import ScalingGranularity
        from torchao.float8.float8_scaling_utils import hp_tensor_to_float8_dynamic
        from torchao.float8.float8_training_tensor import LinearMMConfig
        self.torch, self.cast, self.config, self.granularity = (torch, hp_tensor_to_float8_dynamic, LinearMMConfig(),
                                                                ScalingGranularity)
        self.description = f"torchao {version_of('torchao')}, hp_tensor_to_float8_dynamic, operator by operator"

    def function(self, work):
        if work.quant_dtype not in ("fp8_e4m3fn", "fp8_e5m2"):
            raise NotServed("only fp8_e4m3fn and fp8_e5m2 are timed")
        kind = {"fp8_e4m3fn": self.torch.float8_e4m3fn, "fp8_e5m2": self.torch.float8_e5m2}[work.quant_dtype]
        match work.scheme:
            case False, "tensor", False:
                how = {"scaling_granularity": self.granularity.TENSORWISE}
            case False, "token", False:
                how = {"scaling_granularity": self.granularity.AXISWISE, "axiswise_dim": -1}
            case _:
                raise NotServed("no such cast")
        return lambda x: (self.cast(x, kind, self.config, **how)._data,)


ALL = {kind.name: kind for kind in (Eager, Compiled, Triton, Vllm, Sglang, FlashInfer, TransformerEngine, Torchao)}
