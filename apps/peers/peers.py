# SPDX-License-Identifier: Apache-2.0
"""The peers: each has a name, a description with its version, a function for the works that it serves, and where it has them
`fused` for those with a producer and `block_format` for MXFP8, MXFP4 and NVFP4; `overlaps` where its launches can overlap
(programmatic dependent launch). What a peer needs is imported when it is made."""

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

    def fused(self, work):
        return self.functions.fused(work)


class Compiled:
    name = "torch.compile"
    mode = "default"

    def __init__(self):
        import torch

        import torch_functions
        self.torch, self.functions = torch, torch_functions
        self.description = f"PyTorch {torch.__version__}, torch.compile (inductor), shapes static, mode {self.mode}"

    def function(self, work):
        return self.compiled(self.functions.function(work))

    def fused(self, work):
        return self.compiled(self.functions.fused(work))

    def compiled(self, function):
        self.torch._dynamo.reset()  # each shape is compiled for itself, without an end to their number
        return self.torch.compile(function, fullgraph=True, dynamic=False, mode=self.mode)


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

    def fused(self, work):
        return self.functions.fused(work, pdl=work.launch == "overlapped")

    def block_format(self, work):
        return self.functions.block_format(work, pdl=work.launch == "overlapped")


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

    def fused(self, work):
        """Its fused operators. Those with a residual add to it in place."""
        import torch
        ops, operators, eps = self.ops, torch.ops._C, work.eps
        fp8, int8 = work.quant_dtype == "fp8_e4m3fn", work.quant_dtype == "int8"
        if not (fp8 or int8) or work.asymmetric:
            raise NotServed("no such fused operator")
        kind = torch.float8_e4m3fn if fp8 else torch.int8

        def codes_like(x, columns):
            return torch.empty(x.shape[0], columns, dtype=kind, device=x.device)

        match work.producer, work.static_scale, work.scheme[1]:
            case "rms_norm", True, "tensor" if fp8:
                def norm(x, scale, zero_point, weight):
                    codes = codes_like(x, x.shape[1])
                    operators.rms_norm_static_fp8_quant(codes, x, weight, scale.view(1), eps)
                    return (codes,)
                return norm
            case "add_rms_norm", True, "tensor" if fp8:
                def add_norm(x, scale, zero_point, weight, residual):
                    codes = codes_like(x, x.shape[1])
                    operators.fused_add_rms_norm_static_fp8_quant(codes, x, residual, weight, scale.view(1), eps)
                    return (codes,)
                return add_norm
            case "silu_mul", True, "tensor" if fp8:
                def silu(x, scale, zero_point):
                    codes = codes_like(x, x.shape[1] // 2)
                    operators.silu_and_mul_quant(codes, x, scale.view(1))
                    return (codes,)
                return silu
            case ("rms_norm" | "add_rms_norm"), False, "token":
                return lambda x, weight, residual=None: ops.rms_norm_dynamic_per_token_quant(
                    x, weight, eps, kind, residual=residual)
            case ("rms_norm" | "add_rms_norm"), False, "group":
                return lambda x, weight, residual=None: ops.rms_norm_per_block_quant(
                    x, weight, eps, kind, [1, work.group_size], residual=residual)
            case "silu_mul", False, "group":
                return lambda x: ops.silu_and_mul_per_block_quant(x, work.group_size, kind)
        raise NotServed("no such fused operator")


class VllmTriton:
    """vLLM's Triton kernels: of int8 rows, and of groups, of which a row can be one."""

    name = "vllm.triton"

    def __init__(self):
        from vllm.model_executor.layers.quantization.utils import fp8_utils, int8_utils
        self.fp8, self.int8 = fp8_utils, int8_utils
        self.description = f"vLLM {version_of('vllm')}, per_token_quant_int8 and _per_token_group_quant_fp8 (Triton)"

    def function(self, work):
        if (work.quant_dtype, work.scheme) == ("int8", (False, "token", False)):
            return lambda x: self.int8.per_token_quant_int8(x)
        if work.quant_dtype != "fp8_e4m3fn" or work.scheme not in ((False, "token", False), (False, "group", False)):
            raise NotServed("only token int8, token fp8 and group fp8 are timed")
        import torch
        import triton
        group = work.group_size or work.hidden_size
        block = triton.next_power_of_2(group)
        warps = min(max(block // 256, 1), 8)

        def quantize(x):  # vLLM's function calls its CUDA kernel where there is one
            codes = torch.empty(x.shape, device=x.device, dtype=torch.float8_e4m3fn)
            scales = torch.empty((x.shape[0], x.shape[1] // group), device=x.device, dtype=torch.float32)
            self.fp8._per_token_group_quant_fp8[(x.numel() // group,)](
                x, codes, scales, group, x.shape[1], x.stride(0), 1e-10, fp8_min=-448.0, fp8_max=448.0, use_ue8m0=False,
                BLOCK=block, num_warps=warps, num_stages=1)
            return codes, scales
        return quantize


class Sglang:
    name = "sglang"
    overlaps = True  # some of its functions always do

    def __init__(self):
        try:
            from sglang.kernels.ops.quantization import fp8_kernel, int8_kernel
        except ImportError:  # before its kernels had a package of their own
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

    def fused(self, work):
        if (work.producer, work.quant_dtype, work.scheme) == ("silu_mul", "fp8_e4m3fn", (False, "group", False)):
            return lambda x: self.fp8.sglang_per_token_group_quant_fp8(x, work.group_size, fuse_silu_and_mul=True)
        raise NotServed("no such fused function")


class SglangTriton:
    """SGLang's Triton kernel of static scales, which overlaps, beside its CUDA ones."""

    name = "sglang.triton"
    overlaps = True

    def __init__(self):
        from sglang.kernels.ops.quantization import fp8_kernel
        self.fp8 = fp8_kernel
        self.description = f"SGLang {version_of('sglang')}, static_quant_fp8"

    def function(self, work):
        if (work.quant_dtype, work.scheme) != ("fp8_e4m3fn", (True, "tensor", False)):
            raise NotServed("only static fp8 is timed")
        return lambda x, scale, zero_point: self.fp8.static_quant_fp8(x, scale.view(1))


class SglangRows:
    """SGLang's Triton kernel of groups, a group a row."""

    name = "sglang.rows"

    def __init__(self):
        from sglang.kernels.ops.quantization import fp8_kernel
        self.fp8 = fp8_kernel
        self.description = f"SGLang {version_of('sglang')}, _per_token_group_quant_8bit_raw (Triton), a group a row"

    def function(self, work):
        if (work.quant_dtype, work.scheme) != ("fp8_e4m3fn", (False, "token", False)):
            raise NotServed("only token fp8 is timed")
        return lambda x: self.fp8._per_token_group_quant_8bit_raw(x, work.hidden_size)


class SglangBlocks:
    """SGLang's Triton kernel of MXFP8."""

    name = "sglang.mxfp8"

    def __init__(self):
        from sglang.kernels.ops.quantization import mxfp8_quant
        self.quantize = mxfp8_quant.to_mxfp8
        self.description = f"SGLang {version_of('sglang')}, to_mxfp8 (Triton)"

    def block_format(self, work):
        kind = (work.quant_dtype, work.scale_format, work.group_size, work.scale_rounding)
        if kind != ("fp8_e4m3fn", "ue8m0", 32, "rceil"):
            raise NotServed("only MXFP8, rceil, is timed")
        return lambda x: self.quantize(x)


class FlashInfer:
    """Its CUDA kernels for groups of 128 and for norms in front of a static scale, which are compiled when they are first
    called; the norms overlap. FLASHINFER_USE_CUDA_NORM=1 chooses CUDA in place of CuTe DSL for them."""

    name = "flashinfer"
    overlaps = True

    def __init__(self):
        import torch
        from flashinfer.quantization import per_token_group_quant_8bit
        self.torch, self.quantize = torch, per_token_group_quant_8bit
        self.description = (f"FlashInfer {version_of('flashinfer-python')}, per_token_group_quant_8bit, backend cuda; "
                            "rmsnorm_quant, fused_add_rmsnorm_quant")

    def fused(self, work):
        """Those with a residual add to it in place."""
        from flashinfer import norm
        overlapped, kind, eps = work.launch == "overlapped", self.torch.float8_e4m3fn, work.eps
        if work.quant_dtype != "fp8_e4m3fn" or work.scheme != (True, "tensor", False) or work.dtype == "float":
            raise NotServed("only static fp8 from half and bfloat16 is timed behind a producer")

        def rms_norm(x, scale, zero_point, weight):
            codes = self.torch.empty_like(x, dtype=kind)
            norm.rmsnorm_quant(codes, x, weight, scale.view(1), eps, enable_pdl=overlapped)
            return (codes,)

        def add_rms_norm(x, scale, zero_point, weight, residual):
            codes = self.torch.empty_like(x, dtype=kind)
            norm.fused_add_rmsnorm_quant(codes, x, residual, weight, scale.view(1), eps, enable_pdl=overlapped)
            return (codes,)

        functions = {"rms_norm": rms_norm, "add_rms_norm": add_rms_norm}
        if work.producer not in functions:
            raise NotServed("no such fused function")
        return functions[work.producer]

    def function(self, work):
        if work.launch == "overlapped":
            raise NotServed("its launches do not overlap")
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


class TorchaoBlocks:
    """torchao's block formats: its functions in PyTorch, compiled."""

    name = "torchao.compile"

    def __init__(self):
        import torch
        from torchao.prototype.mx_formats import mx_tensor, nvfp4_tensor
        from torchao.prototype.mx_formats.config import ScaleCalculationMode
        self.torch, self.mx, self.nvfp4, self.modes = torch, mx_tensor, nvfp4_tensor, ScaleCalculationMode
        self.description = f"torchao {version_of('torchao')}, to_mx and nvfp4_quantize, torch.compile"

    def block_format(self, work):
        torch = self.torch
        if work.dtype == "half":
            raise NotServed("it takes bfloat16 and float")
        if work.scale_format == "e4m3":
            tensor_scale = self.tensor_scale(work)

            def quantize(x):
                scales, codes = self.nvfp4.nvfp4_quantize(x, 16, tensor_scale(x))
                return codes, scales
        else:
            kind = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp4_e2m1": torch.float4_e2m1fn_x2}.get(work.quant_dtype)
            mode = getattr(self.modes, work.scale_rounding.upper(), None)
            if kind is None or mode is None:
                raise NotServed("no such block format")

            def quantize(x):
                scales, codes = self.mx.to_mx(x, kind, work.group_size, mode)
                return codes, scales
        torch._dynamo.reset()
        return torch.compile(quantize, fullgraph=True, dynamic=False)

    def tensor_scale(self, work):
        """What blocks' scales are divided by: given, or found in the tensor."""
        if work.global_scale is None:
            return lambda x: self.nvfp4.per_tensor_amax_to_scale(x.abs().amax())
        given = self.torch.tensor(1 / work.global_scale, device="cuda" if self.torch.cuda.is_available() else "cpu")
        return lambda x: given


class TorchaoTriton:
    """torchao's Triton kernel of MXFP8 along rows. Its rceil needs instructions of compute capability 10."""

    name = "torchao.triton"

    def __init__(self):
        from torchao.prototype.mx_formats.kernels import triton_to_mxfp8_dim0
        self.quantize = triton_to_mxfp8_dim0
        self.description = f"torchao {version_of('torchao')}, triton_to_mxfp8_dim0"

    def block_format(self, work):
        if (work.quant_dtype, work.scale_format, work.group_size, work.dtype) != ("fp8_e4m3fn", "ue8m0", 32, "bfloat16"):
            raise NotServed("only MXFP8 from bfloat16 is timed")
        if work.scale_rounding not in ("floor", "rceil"):
            raise NotServed("it has floor and rceil")
        return lambda x: self.quantize(x, 32, work.scale_rounding)


ALL = {kind.name: kind for kind in (Eager, Compiled, Triton, Vllm, VllmTriton, Sglang, SglangTriton, SglangRows, SglangBlocks,
                                  FlashInfer, TransformerEngine, Torchao, TorchaoBlocks, TorchaoTriton)}
