# SPDX-License-Identifier: Apache-2.0
"""kqbench's own codes for a tensor, through its C library (capi/kq.h)."""

import ctypes

import torch

ELEMENTS = {"half": 0, "bfloat16": 1, "float": 2}
FORMATS = {"int8": 0, "fp8_e4m3fn": 1, "fp8_e5m2": 2}
GRANULARITIES = {"tensor": 0, "token": 1, "channel": 2, "group": 3}


ALIGNMENT = 256


def aligned(count):
    return (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class Request(ctypes.Structure):
    _fields_ = ([("struct_size", ctypes.c_size_t)] +
                [(name, ctypes.c_int32) for name in ("element", "format", "granularity", "static_scale", "asymmetric",
                                                     "scale_format", "scale_layout", "reserved")] +
                [(name, ctypes.c_int64) for name in ("num_tokens", "hidden_size", "input_stride", "codes_stride",
                                                     "group_size")] +
                [(name, ctypes.c_float) for name in ("qmax", "scale_ub")])


class Buffers(ctypes.Structure):
    _fields_ = ([("struct_size", ctypes.c_size_t)] +
                [(name, ctypes.c_void_p) for name in ("input", "codes", "scales", "zero_points", "workspace")] +
                [("workspace_bytes", ctypes.c_size_t)])


class BufferSizes(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("input_bytes", ctypes.c_size_t), ("codes_bytes", ctypes.c_size_t),
                ("num_scales", ctypes.c_int64), ("scales_bytes", ctypes.c_size_t),
                ("zero_points_bytes", ctypes.c_size_t), ("workspace_bytes", ctypes.c_size_t)]


def sized(kind, **fields):
    return kind(struct_size=ctypes.sizeof(kind), **fields)


class LibKq:
    def __init__(self, path, device_type):
        """Raises OSError where the library cannot be loaded or was built for something else than `device_type`."""
        self.library = ctypes.CDLL(path)
        self.library.kq_backend.restype = ctypes.c_char_p
        self.library.kq_last_error.restype = ctypes.c_char_p
        self.library.kq_quantize.argtypes = [ctypes.POINTER(Request), ctypes.POINTER(Buffers), ctypes.c_void_p]
        backend = self.library.kq_backend().decode()
        if (backend == "host") != (device_type == "cpu"):
            raise OSError(f"{path} was built for {backend}, and the tensors are on {device_type}")
        self.on_host = backend == "host"

    def request(self, work):
        return sized(Request, element=ELEMENTS[work.dtype], format=FORMATS[work.quant_dtype],
                     granularity=GRANULARITIES[work.scheme[1]], static_scale=work.static_scale,
                     asymmetric=work.asymmetric, num_tokens=work.num_tokens, hidden_size=work.hidden_size,
                     group_size=work.group_size)

    def quantize(self, request, buffers):
        stream = None if self.on_host else torch.cuda.current_stream().cuda_stream
        self.check(self.library.kq_quantize(ctypes.byref(request), ctypes.byref(buffers), stream))

    def codes(self, work, x, given):
        """The codes [num_tokens, hidden_size] as uint8. Raises RuntimeError with the library's message."""
        request = self.request(work)
        sizes = sized(BufferSizes)
        self.check(self.library.kq_sizes(ctypes.byref(request), ctypes.byref(sizes)))

        def room(count, dtype):
            return torch.zeros(count, dtype=dtype, device=x.device)

        codes = torch.full(x.shape, 0x55, dtype=torch.uint8, device=x.device)
        scales, zero_points = given if given else (room(sizes.num_scales, torch.float32),
                                                   room(sizes.num_scales, torch.int32))
        workspace = room(max(sizes.workspace_bytes, 1), torch.uint8)
        buffers = sized(Buffers, input=x.data_ptr(), codes=codes.data_ptr(), scales=scales.data_ptr(),
                        zero_points=zero_points.data_ptr() if work.asymmetric else None,
                        workspace=workspace.data_ptr(), workspace_bytes=sizes.workspace_bytes)
        self.quantize(request, buffers)
        if not self.on_host:
            torch.cuda.synchronize()
        return codes

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.library.kq_last_error().decode())


class StaticCall:
    """The library's static fp8 call from half over copies in turn, laid out as kqbench's: a candidate like a peer's."""

    def __init__(self, library, num_tokens, hidden_size, copies, device_type):
        elements = num_tokens * hidden_size
        scales = aligned(2 * elements)
        inputs, outputs = scales + ALIGNMENT, aligned(elements) + ALIGNMENT  # bytes of a copy
        self.library, self.copies = library, copies
        self.request = sized(Request, element=ELEMENTS["half"], format=FORMATS["fp8_e4m3fn"],
                             granularity=GRANULARITIES["tensor"], static_scale=True, num_tokens=num_tokens,
                             hidden_size=hidden_size)
        self.memory = torch.empty(copies * (inputs + outputs), dtype=torch.uint8, device=device_type)
        blocks = self.memory[:copies * inputs].view(copies, inputs)
        values = torch.randn(elements, device=device_type, dtype=torch.half)
        blocks[:, :2 * elements] = values.view(torch.uint8)
        blocks[:, scales:scales + 4] = torch.full((1,), 0.01, device=device_type).view(torch.uint8)
        begin = self.memory.data_ptr()
        self.buffers = [sized(Buffers, input=begin + copy * inputs, scales=begin + copy * inputs + scales,
                              codes=begin + copies * inputs + copy * outputs) for copy in range(copies)]

    def launch(self, copy):
        self.library.quantize(self.request, self.buffers[copy])

    def forget(self):
        """Its outputs' memory is its own."""
