# SPDX-License-Identifier: Apache-2.0
"""`identify`: the program's `kqbench identify --json` on tensors."""

from __future__ import annotations

import json
import math
import pathlib
import subprocess
import tempfile
from typing import Any

from kq import _kq, _program
from kq._arrays import on_host
from kq._errors import DeviceError, InvalidArgument

# How a .npy file names a type; what has no name there goes as plain integers, with an option that says what they are.
_NPY = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "int8": "|i1", "uint8": "|u1", "int32": "<i4",
        "float8_e8m0fnu": "|u1", "float8_e4m3fn": "|u1"}
_ELEMENTS = {"float16": "half", "bfloat16": "bfloat16", "float32": "float"}
_SCALE_FORMATS = {"float8_e8m0fnu": "ue8m0", "float8_e4m3fn": "e4m3"}
_FP8 = {f"float8_{name}": f"fp8_{name}" for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")}


def _write_npy(path: pathlib.Path, descr: str, shape: tuple[int, ...], data: bytes) -> None:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data)


def _matrix(tensor: Any, field: str, types: dict[str, str]) -> tuple[str, tuple[int, int], bytes]:
    """(type, [tokens, hidden_size], rows without gaps)"""
    kind, shape, data = _kq.stored(on_host(tensor), field, False)
    if kind not in types:
        raise InvalidArgument(field, f"must be {', '.join(types)}, not {kind}")
    if not data:
        raise InvalidArgument(field, f"must have elements, not the shape {shape}")
    return kind, (math.prod(shape[:-1]), shape[-1]), data


def _write_list(path: pathlib.Path, tensor: Any, field: str, types: tuple[str, ...]) -> str:
    """Writes numbers as they lie in memory, gaps of columns included. Returns their type."""
    kind, _, data = _kq.stored(on_host(tensor), field, True)
    if kind not in types:
        raise InvalidArgument(field, f"must be {', '.join(types)}, not {kind}")
    descr = _NPY[kind]
    _write_npy(path, descr, (len(data) // int(descr[-1]),), data)
    return kind


def identify(
    x: Any,
    codes: Any,
    scales: Any,
    zero_points: Any | None = None,
    *,
    format: str | None = None,
    granularity: str | None = None,
    scale_format: str | None = None,
    scale_rounding: str | None = None,
    scale_layout: str | None = None,
    qmax: float | None = None,
    scale_ub: float | None = None,
    dialect: str | None = None,
) -> dict[str, Any]:
    """Which dialect, scheme and scale layout gave codes and scales; and where none did, the nearest and what differs.

    x: [*leading, hidden_size] of float16, bfloat16 or float32, with one row at least.
    codes: of x's shape; engines may pad rows. int8, an FP8 type, or uint8, which stands for any of them. With half as many
        columns as x, of uint8 or torch's float4_e2m1fn_x2, they are codes of four bits.
    scales: as many as the scheme has, as they lie in memory: float32, float16, bfloat16, uint8 (exponents, or E4M3 of codes
        of four bits), float8_e8m0fnu, float8_e4m3fn, int32 (four exponents each). Strides tell columns from rows.
    zero_points: int32 or int8, as many as scales, for asymmetric codes.
    format, granularity, scale_format, scale_rounding, scale_layout, qmax, scale_ub, dialect: what is known, as kq.Scheme has
        it.

    Returns what `kqbench identify --json` prints (docs/identify.md): `["identified"]`; `["matches"]`, each with the members
    `dialect`, `operation`, `granularity`, `quant_dtype`, `scale_layout`, ...; `["nearest"]`, None where there is a match.
    Tensors on a device are copied to the host (torch, CuPy); all of them are written to temporary files.

    Raises InvalidArgument naming the argument that is wrong; TypeError for what is no tensor; DeviceError where the program
    that the package brought does not run.
    """
    element, shape, rows = _matrix(x, "x", _ELEMENTS)
    code_types = {**_FP8, "int8": "int8", "uint8": "", "float4_e2m1fn_x2": "fp4_e2m1"}
    code_type, codes_shape, code_rows = _matrix(codes, "codes", code_types)
    is_pairs = code_type == "float4_e2m1fn_x2"
    is_half = (is_pairs or (code_type == "uint8" and shape[1] > 1)) and codes_shape[1] == (shape[1] + 1) // 2
    is_whole = not is_pairs and codes_shape[1] == shape[1]
    if not (is_half or is_whole) or codes_shape[0] < shape[0]:
        raise InvalidArgument("codes", f"must be codes of x, {list(shape)}, not {list(codes_shape)}")
    known = {"dtype": _ELEMENTS[element], "quant-dtype": format or _FP8.get(code_type), "granularity": granularity,
             "scale-format": scale_format, "scale-rounding": scale_rounding, "scale-layout": scale_layout, "qmax": qmax,
             "scale-ub": scale_ub, "dialect": dialect}
    options = [f"--{name}={value}" for name, value in known.items() if value is not None]
    with tempfile.TemporaryDirectory(prefix="kq-") as name:
        folder = pathlib.Path(name)
        _write_npy(folder / "x.npy", _NPY[element], shape, rows)
        _write_npy(folder / "codes.npy", "|i1" if code_type == "int8" else "|u1", codes_shape, code_rows)
        kind = _write_list(folder / "scales.npy", scales, "scales",
                           ("float32", "float16", "bfloat16", "uint8", "float8_e8m0fnu", "float8_e4m3fn", "int32"))
        if scale_format is None and kind in _SCALE_FORMATS:
            options.append(f"--scale-format={_SCALE_FORMATS[kind]}")
        if zero_points is not None:
            _write_list(folder / "zero_points.npy", zero_points, "zero_points", ("int32", "int8"))
            options.append(f"--zero-points={folder / 'zero_points.npy'}")
        files = [str(folder / f"{field}.npy") for field in ("x", "codes", "scales")]
        ran = subprocess.run([_program.program(), "identify", *files, *options, "--json"], capture_output=True, text=True)
    if ran.returncode in (0, 1) and ran.stdout:
        return json.loads(ran.stdout)
    raise _error(ran.returncode, ran.stderr.strip().removeprefix("kqbench: "))


def _error(status: int, message: str) -> Exception:
    """What the program says, as an error of the argument that it is about."""
    if status != 2:
        return DeviceError(f"kqbench identify: {message or f'ended with status {status}'}")
    for field in ("x", "codes", "scales", "zero_points"):
        if f"/{field}.npy" in message:
            return InvalidArgument(field, message.partition(".npy")[2].lstrip("'\": "))
    if message.startswith("--"):
        option, _, reason = message.partition(": ")
        field = {"--quant-dtype": "format", "--dtype": "x"}.get(option, option[2:].replace("-", "_"))
        return InvalidArgument(field, reason)
    return InvalidArgument("scales", message)
