# SPDX-License-Identifier: Apache-2.0
"""Tensors where kq works, of a framework that is chosen by its name: NumPy on a host, PyTorch, CuPy on a GPU. What
`verify`, `bench` and kq.testing make, copy and compare."""

from __future__ import annotations

import importlib.util
from typing import Any

from kq import _arrays, _kq
from kq._errors import InvalidArgument


def _integers(array, signed=False):
    return array.view(f"{'' if signed else 'u'}int{8 * array.dtype.itemsize}")


class NumPy:
    """NumPy's arrays, those of ml_dtypes' types among them."""

    name = "numpy"

    def tensor(self, array: Any) -> Any:
        """A NumPy array as a tensor."""
        return array

    def copy(self, tensor: Any) -> Any:
        return tensor.copy()

    def poison(self, tensor: Any) -> None:
        """Fills a tensor with a pattern of bits, whatever its strides are."""
        _integers(tensor)[...] = 0x5A5A5A5A & ((1 << 8 * tensor.dtype.itemsize) - 1)

    def same(self, a: Any, b: Any) -> bool:
        """Whether all bits are equal, elements counted in the order of their indices. False where their number differs."""
        if a.size != b.size or a.dtype.itemsize != b.dtype.itemsize:
            return False
        return bool((_integers(a).ravel() == _integers(b).ravel()).all())

    def bytes(self, count: int) -> Any:
        """Memory, as a tensor of `count` bytes."""
        import numpy

        return numpy.empty(count, numpy.uint8)

    def typed(self, memory: Any, dtype: str, shape: tuple[int, ...]) -> Any:
        """Bytes as a tensor of a type in the same memory. FP8 codes are bytes here."""
        return memory.view("uint8" if dtype.startswith("float8") else dtype).reshape(shape)

    def use_stream(self, handle: int) -> Any:
        """A context manager in which the framework's work goes to this stream; a host has none."""
        raise InvalidArgument("make", "NumPy's arrays are on a host, where there are no streams")

    def start(self) -> None:
        """Makes the device ready."""


class CuPy(NumPy):
    """CuPy's arrays."""

    name = "cupy"

    def tensor(self, array: Any) -> Any:
        import cupy

        return cupy.asarray(array)

    def bytes(self, count: int) -> Any:
        import cupy

        return cupy.empty(count, cupy.uint8)

    def use_stream(self, handle: int) -> Any:
        import cupy

        return cupy.cuda.ExternalStream(handle)

    def start(self) -> None:
        import cupy

        cupy.cuda.runtime.deviceSynchronize()


class Torch:
    """PyTorch's tensors, on the device of this build unless another one is named."""

    name = "torch"

    def __init__(self, device: str | None = None) -> None:
        self.device = device or ("cpu" if _kq.backend() == "host" else "cuda")

    def tensor(self, array: Any) -> Any:
        import numpy
        import torch

        plain, dtype = _arrays.bits(array)
        plain = numpy.ascontiguousarray(plain)
        if dtype in _arrays._BITS:
            return torch.from_numpy(_integers(plain, signed=plain.itemsize > 1)).to(self.device).view(getattr(torch, dtype))
        return torch.from_numpy(plain).to(self.device)

    def copy(self, tensor: Any) -> Any:
        return tensor.clone()

    def poison(self, tensor: Any) -> None:
        self._integers(tensor).fill_(0x5A5A5A5A & ((1 << 8 * tensor.element_size()) - 1))

    def same(self, a: Any, b: Any) -> bool:
        import torch

        if a.numel() != b.numel() or a.element_size() != b.element_size():
            return False
        return torch.equal(self._integers(a).reshape(-1), self._integers(b).reshape(-1))

    def bytes(self, count: int) -> Any:
        import torch

        return torch.empty(count, dtype=torch.uint8, device=self.device)

    def typed(self, memory: Any, dtype: str, shape: tuple[int, ...]) -> Any:
        import torch

        return memory.view(getattr(torch, dtype)).view(shape)

    def use_stream(self, handle: int) -> Any:
        import torch

        return torch.cuda.stream(torch.cuda.ExternalStream(handle))

    def start(self) -> None:
        import torch

        if self.device != "cpu":
            torch.cuda.init()
            torch.cuda.synchronize()  # the device's context is this thread's from here on

    def _integers(self, tensor):
        import torch

        return tensor.detach().view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[tensor.element_size()])


_ALL = {kind.name: kind for kind in (NumPy, Torch, CuPy)}


def framework(name: str | None = None) -> NumPy | Torch:
    """The framework of this name; None: NumPy for a host build, for a GPU's PyTorch or CuPy, whichever is installed.

    Raises InvalidArgument naming `make` where there is none of this name, or none is installed.
    """
    if name is None:
        wanted = ("numpy",) if _kq.backend() == "host" else ("torch", "cupy")
        name = next((one for one in wanted if importlib.util.find_spec(one)), None)
        if name is None:
            raise InvalidArgument("make", f"tensors of {_kq.backend()} are PyTorch's or CuPy's, and neither is installed")
    if name not in _ALL:
        raise InvalidArgument("make", f'"{name}" is not known; there are {", ".join(_ALL)}')
    return _ALL[name]()


def of(x: Any) -> NumPy | Torch:
    """The framework of a tensor; NumPy's functions for those of others."""
    if _arrays._is_torch(x):
        return Torch(x.device.type)
    return CuPy() if _arrays._module(x) == "cupy" else NumPy()


def where_kq_works(x: Any) -> Any:
    """x, or where it is elsewhere a copy: on the host for a host build, on the device for a GPU's."""
    if x is None or _kq.backend() == "host":
        return _arrays.on_host(x)
    if not hasattr(x, "__dlpack_device__") or x.__dlpack_device__()[0] not in (1, 3, 11):
        return x
    if _arrays._is_torch(x):
        return x.new_empty_strided(x.shape, x.stride(), device="cuda").copy_(x)
    import numpy

    return framework().tensor(x if isinstance(x, numpy.ndarray) else numpy.asarray(x))
