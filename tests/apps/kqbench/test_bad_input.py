# SPDX-License-Identifier: Apache-2.0
"""Bad input, a line each: what kqbench says of it, and that nothing is lost or left behind.

usage: test_bad_input.py KQBENCH

Every command of the table is run in a folder of files that are broken in one way each. It must end in time, with the
exit status of the table and exactly one line on stderr, which names the program and holds the words of the table; it must
print nothing else, and leave every file as it was and no other. None may take much memory, whatever a file says of its
size or has. Then the standard streams are closed or full. Needs Python alone.
"""

import functools
import itertools
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

SECONDS = 20
MEMORY = 512 << 20  # bytes, above what `kqbench list` takes; a sanitized program takes the most
TERABYTES = 8 << 40
NOBODY = 65534
RESULT = (pathlib.Path(__file__).parents[2] / "bench/results/kqbench-1.json").read_bytes()

# --- the files --------------------------------------------------------------------------------------------------------


def npy(descr="<f4", shape=(8, 64), order="False", data=bytes(8 * 64 * 4), version=(1, 0)):
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header.encode() + data


def safetensors(header, data=bytes(2048), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype="F32", shape=(8, 64), offsets=(0, 2048)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def index(**files):
    return json.dumps({"metadata": {"total_size": 0}, "weight_map": files}).encode()


POINTER = b"version https://git-lfs.github.com/spec/v1\n" \
          b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"


def write_files(folder):
    good = npy()
    files = {
        "good.npy": good,
        "empty.npy": b"",
        "cut_in_magic.npy": good[:4],
        "cut_in_version.npy": good[:7],
        "cut_in_length.npy": good[:9],
        "cut_in_header.npy": good[:40],
        "cut_before_data.npy": good[:128],
        "cut_in_data.npy": good[:-1],
        "longer.npy": good + b"xx",
        "version9.npy": npy(version=(9, 0)),
        "int32.npy": npy("<i4"),
        "double.npy": npy("<f8", data=bytes(4096)),
        "uint16.npy": npy("<u2", data=bytes(1024)),
        "big_endian.npy": npy(">f4"),
        "fp8.npy": npy("<V1", data=bytes(512)),
        "pointer.npy": POINTER,
        "page.npy": b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n",
        "no_columns.npy": npy(shape=(64, 0), data=b""),
        "negative.npy": npy(shape=(-8, 64)),
        "huge.npy": npy(shape=(2**62, 2**62)),
        "many.npy": npy(shape=(2**40, 64)),
        "text.npy": b"hello\n",
        "text.txt": b"hello\n",
        "good.safetensors": safetensors({"x": tensor()}),
        "two.safetensors": safetensors({"x": tensor(shape=(4, 64), offsets=(0, 1024)),
                                        "y": tensor(shape=(4, 64), offsets=(1024, 2048))}),
        "empty.safetensors": b"",
        "pointer.safetensors": POINTER,
        "page.safetensors": b"\n<html lang='en'>",
        "fp8.safetensors": safetensors({"x": tensor("F8_E4M3", (8, 256)),
                                        "x.scale": tensor(shape=(8, 1), offsets=(2048, 2080))}, bytes(2080)),
        "pointer.safetensors.index.json": POINTER,
        "no_map.safetensors.index.json": b'{"metadata": {}}',
        "no_shard.safetensors.index.json": index(x="good.safetensors", y="missing.safetensors"),
        "no_tensor.safetensors.index.json": index(x="good.safetensors", y="good.safetensors"),
        "bad_shard.safetensors.index.json": index(x="cut_in_data.safetensors"),
        "pointer_shard.safetensors.index.json": index(x="pointer.safetensors"),
        "outside.safetensors.index.json": index(x="../good.safetensors"),
        "good.safetensors.index.json": index(x="good.safetensors"),
        "codes.npy": npy("|u1", data=bytes(512)),
        "nan_scale.npy": npy(shape=(3,), data=struct.pack("<3f", 1, float("nan"), 0)),
        "one_scale.npy": npy(shape=(1,), data=struct.pack("<f", 1)),
        "double_scale.npy": npy("<f8", shape=(1,), data=struct.pack("<d", 1)),
        "name\u00e9.npy": b"",
        "cut_in_length.safetensors": safetensors({"x": tensor()})[:5],
        "cut_in_header.safetensors": safetensors({"x": tensor()})[:30],
        "cut_in_data.safetensors": safetensors({"x": tensor()})[:-1],
        "long_header.safetensors": safetensors({"x": tensor()}, length=10**15),
        "short_header.safetensors": safetensors({"x": tensor()}, length=5),
        "broken_json.safetensors": safetensors(b'{"x":'),
        "list.safetensors": safetensors(b"[1,2]"),
        "no_offsets.safetensors": safetensors({"x": {"dtype": "F32", "shape": [8, 64]}}),
        "backward.safetensors": safetensors({"x": tensor(offsets=(2048, 0))}),
        "beyond.safetensors": safetensors({"x": tensor(shape=(16, 64), offsets=(0, 4096))}),
        "other_size.safetensors": safetensors({"x": tensor(shape=(8, 65))}),
        "huge.safetensors": safetensors({"x": tensor(shape=(2**62, 2**62))}),
        "double.safetensors": safetensors({"x": tensor("F64", (4, 64))}),
        "overlap.safetensors": safetensors({"x": tensor(), "y": tensor()}),
        "empty.json": b"",
        "cut.json": b'{"schema": "kqbench/1", "comp',
        "other.json": b'{"a": 1}',
        "list.json": b"[]",
        "newer.json": b'{"schema": "kqbench/2", "complete": true, "setting": {}, "rows": []}',
        "no_setting.json": b'{"schema": "kqbench/1", "complete": true, "setting": {}, "rows": []}',
        "good.json": RESULT,
        "contradicts.json": RESULT.replace(b'"gbps":3842.7358778625958', b'"gbps":3800.5'),
        "no_end.json": RESULT[:-2],
        "cut_in_text.json": RESULT[: RESULT.index(b"kqbench/1") + 3],
        "cut_in_number.json": RESULT[: RESULT.index(b"samples") + 15],
        "cut_in_row.json": RESULT[: RESULT.rindex(b'"impl"')],
        "twice.json": RESULT * 2,
        "rows_are_3.json": b'{"schema": "kqbench/1", "complete": true, "setting": {}, "rows": 3}',
        "deep.json": b"[" * 100000,
        "binary.json": bytes(range(256)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    # Files of many terabytes that take no room on the disk, for they are holes.
    long_header = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{'descr'"
    sparse = {
        "zeros.npy": b"",
        "zeros.safetensors": b"",
        "zeros.json": b"",
        "long_header.npy": long_header,
        "all_header.safetensors": struct.pack("<Q", TERABYTES - 8) + b'{"x":',
        "vast.npy": npy(shape=(2**20, TERABYTES >> 22), data=b""),
        "vast.safetensors": safetensors({"x": tensor(shape=(2**20, TERABYTES >> 22), offsets=(0, TERABYTES))}, b""),
        "vast_row.npy": npy(shape=(TERABYTES >> 2,), data=b""),
    }
    for name, begin in sparse.items():
        (folder / name).write_bytes(begin)
        os.truncate(folder / name, TERABYTES + (len(begin) if name.startswith("vast") else 0))
    (folder / "loop.npy").symlink_to("loop.npy")
    (folder / "link.json").symlink_to("text.txt")
    (folder / "folder.npy").mkdir()
    os.mkfifo(folder / "pipe.npy")  # that nobody writes into
    (folder / "unreadable.npy").write_bytes(good)
    (folder / "unreadable.npy").chmod(0)
    (folder / "read_only").mkdir()
    (folder / "read_only").chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)


# --- the table: status, what stderr says, command line ------------------------------------------------------------------

# Measured before its result cannot be written: what is cold, and the ceiling, take several times the last-level cache,
# which is larger than MEMORY on some machines.
SMALL = "--num-tokens 4 --hidden-size 8 --max-time 0.01 --cache hot --no-ceiling"
STATIC = "--static-scale"
TOKEN_FP8 = "--quant-dtype fp8 --granularity token"

TOO_LARGE = re.compile(r"\b\d+ bytes \(\d+\.\d GiB\) are needed, \d+ bytes \(\d+\.\d GiB\) are free")


def OVERFLOW(option, needed):
    return re.compile(rf"{option}: .* are {needed} bytes, more than an address can count \({2**63 - 1}\)")


TABLE = [
    # commands and options that are not there, or lack something
    (2, "'walk' is no subcommand", "walk"),
    (2, "walk", "run walk"),
    (2, "--walk", "--walk"),
    (2, "--walk", "verify --walk"),
    (2, "--num-tokens", "--num-tokens"),
    (2, "--dtype", "--dtype"),
    (2, "--json", "--json"),
    (2, "--seed", "--seed"),
    (2, "--scale", f"{STATIC} --scale"),
    (2, "IN: is missing; give it, see `kqbench quantize --help`", "quantize"),
    (2, "--output: is missing", "quantize good.npy"),
    (2, "FILE: is missing", "compare"),
    (2, "FILE: is missing", "report"),
    (2, "extra", "list extra"),
    (2, "zsh", "completion zsh"),
    (2, "--csv", "verify --csv a.csv"),
    (2, "the same place as --markdown", "verify --json a --markdown a"),
    (2, "cannot be created", "verify --json missing/a.json"),
    (2, "is no table of conformance", "report good.json --conformance good.json"),
    (2, "missing.json", "report good.json --conformance missing.json"),
    (2, "--static-scale", "--static-scale=maybe"),
    (2, "--json", "list --json=maybe"),
    (2, "1", "--asymmetric 1"),
    # numbers that are none, too small, too large, empty, given twice
    *((2, option.split()[-1] + ":", f"{option} {value}")
      for option, values in {
          "--num-tokens": ["-1", "1.5", "abc", ",", "1,,2", "99999999999999999999", "''"],
          "--hidden-size": ["0", "-5", "x", "1e3", "99999999999999999999", "''"],
          "--input-stride": ["0", "-1", "x", "10", "9223372036854775807", "99999999999999999999", "''",
                             "8192 --input-stride 8192"],
          "--seed": ["-1", "18446744073709551616", "1.5", "x", "''", "1 --seed 2"],
          "--num-warmup-iters": ["0", "-3", "x", "99999999999", "''", "1 --num-warmup-iters 2"],
          "--num-iters": ["0", "-1", "1.5", "x", "99999999999999999999", "''", "9 --num-iters 9"],
          "--max-time": ["0", "-1", "nan", "inf", "x", "1e999", "''", "1 --max-time 2"],
          "--device": ["99", "-1", "x", "1.0", "99999999999", "''", "0 --device 0"],
          "--host-threads": ["0", "-1", "x", "1000000", "99999999999999999999", "''", "1 --host-threads 1"],
          f"{STATIC} --scale": ["0", "-0", "-1", "nan", "inf", "x", "1e39", "1e-38", "1e-40", "1e-60", "''", "1 --scale 1"],
          f"{STATIC} --asymmetric --zero-point": ["1.5", "3000000000", "99999999999999999999", "x", "nan", "''",
                                                   "1 --zero-point 1"],
          f"{TOKEN_FP8} --scale-ub": ["0", "-1", "nan", "-inf", "1e39", "x", "''", "1 --scale-ub 1"],
          "--qmax": ["0", "-1", "128", "1.5", "nan", "1e39", "x", "''", "1 --qmax 2"],
          "--quant-dtype fp8 --qmax": ["449", "inf"],
      }.items() for value in values),
    # names that are not known
    *((2, option.split()[-1] + ":", f"{option} {value}")
      for option, values in {
          "--dtype": ["double", "half,", "HALF", "0", "''"],
          "--quant-dtype": ["fp4", "int8,int9", "8", "''"],
          "--granularity": ["row", "group", "group:", "group:0", "group:8", "group:-16", "group:x", "group:99999999999999999999",
                            "block", "block:128", "block:x128", "block:0x128", "block:128x8", "block:128x128x128", "''"],
          "--backend host --impl": ["vllm", "kokkos,vllm", "''"],
          "--backend": ["tpu", "host,host", "0", "''", "host --backend host"],
          "--backend host --timing": ["sundial", "graph", "''", "wall --timing wall"],
          "--cache": ["warm", "''", "hot --cache hot"],
          "--sweep": ["everything", "''", "quick --sweep quick"],
          "--granularity group:128 --scale-format": ["double", "''", "double,float"],
          "--granularity group:128 --scale-layout": ["diagonal", "''", "row,"],
      }.items() for value in values),
    (2, "--format:", "report other.json --format pdf"),
    # options that contradict each other
    (2, "--scale-layout:", "--granularity group:128 --scale-layout packed"),
    (2, "--scale-stride:", "--granularity group:128 --scale-stride 5000"),
    (2, "--scale-stride:", "--granularity group:128 --scale-layout column --num-tokens 16 --scale-stride 15"),
    (2, "--asymmetric:", "--granularity group:128 --asymmetric"),
    (2, "codes only, not fp8_e4m3fn; take int8, or leave out --asymmetric", "--asymmetric --quant-dtype fp8"),
    (2, "--scale:", "--scale 1"),
    (2, "--scale: must be a number of E4M3 that is not below 0, not", "--scheme nvfp4 --static-scale --scale 0.3"),
    (2, "--scale: must be a number of E4M3 that is not below 0, not", "--scheme nvfp4 --static-scale --scale 449"),
    (2, "--scale: must be a power of two for --scale-format ue8m0, not", "--scheme mxfp4 --static-scale --scale 0.3"),
    (2, "--zero-point:", "--zero-point 3"),
    (2, "--zero-point:", "--zero-point 3 --static-scale"),
    (2, "--scale-ub: only dynamic token scales of fp8 have an upper bound; leave it out", "--scale-ub 1"),
    (2, "--scale-ub:", f"{TOKEN_FP8} --scale-ub 1 --static-scale"),
    (2, "--scale-format:", "--scale-format ue8m0"),
    (2, "--scale-layout:", "--scale-layout column"),
    (2, "--scale:", "verify --scale 1"),
    (2, "--tensor:", "--tensor x"),
    (2, "--tensor:", "--input good.safetensors --tensor ''"),
    (2, "--tensor:", "quantize good.safetensors -o out.npy --tensor ''"),
    (2, "CODES: is missing", "identify good.npy"),
    (2, "holds codes alone", "identify good.npy codes.npy"),
    (2, "is not supported", "identify good.npy codes.npy double_scale.npy"),
    (2, "codes are int8, uint8 or an fp8 format", "identify good.npy good.npy one_scale.npy"),
    (2, "is not known", "identify good.npy codes.npy one_scale.npy --dialect nobody"),
    (2, "missing.npy", "identify good.npy codes.npy missing.npy"),
    (2, "--num-tokens: 'verify' is not a whole number", "--num-tokens 4 verify"),
    (2, "--input-stride:", "--input good.npy --input-stride 64"),
    (2, "--num-tokens:", "--input good.npy --num-tokens 8"),
    (2, "--hidden-size:", "--input good.npy --hidden-size 64"),
    (2, "--json and --csv:", f"{SMALL} --json - --csv -"),
    (2, "--json and --csv:", f"{SMALL} --json a.json --csv a.json"),
    (2, "--csv and --markdown:", f"{SMALL} --csv a --markdown a"),
    (2, "--json and --csv:", "compare other.json --json - --csv -"),
    (2, "--json and --csv:", f"{SMALL} --json a --csv ./a"),
    (2, "--csv and --markdown:", f"{SMALL} --csv folder.npy/../a --markdown a"),
    (2, "--json and --markdown:", "compare good.json --json link.json --markdown text.txt"),
    *((2, f"{option}:", f"{command} {option} {value} {option} {value}")
      for command, option, value in [
          ("run", "--input", "good.npy"), ("run --input good.safetensors", "--tensor", "x"), ("run", "--json", "a.json"),
          ("run", "--csv", "a.csv"), ("run", "--markdown", "a.md"), ("quantize good.npy", "--output", "out.npy"),
          ("quantize good.safetensors -o out.npy", "--tensor", "x"), ("compare other.json", "--baseline", "native"),
          ("compare other.json", "--fail-above", "2"), ("compare other.json", "--margin", "2"),
          ("report other.json", "--margin", "2"), ("report other.json", "--output", "a.html"),
          ("report other.json", "--format", "md")]),
    (2, "--impl: takes one value here, not 2; leave out the others", "quantize good.npy -o out.npy --impl kokkos,native"),
    (2, "--granularity:", "quantize good.npy -o out.npy --granularity token,tensor"),
    (2, "--dtype:", "quantize good.npy -o out.npy --dtype float,half"),
    (2, "--quant-dtype:", "quantize good.npy -o out.npy --quant-dtype int8,fp8"),
    (2, "--asymmetric:", "quantize good.npy -o out.npy --asymmetric --quant-dtype fp8"),
    # more than there is
    (2, OVERFLOW("--num-tokens", 2 * 2 * (2**63 - 1)), "--num-tokens 9223372036854775807 --hidden-size 2"),
    (2, OVERFLOW("--num-tokens", 2 * 2**64), "--num-tokens 4294967296 --hidden-size 4294967296"),
    (2, OVERFLOW("--num-tokens", 4 * 2**62), "verify --num-tokens 2147483648 --hidden-size 2147483648 --dtype float"),
    (2, OVERFLOW("--input-stride", 2 * (3 * 2**62 + 8)), "--num-tokens 4 --hidden-size 8 --input-stride 4611686018427387904"),
    (2, "--num-tokens: must be at most 2147483647, not 100000000000: a launch counts no further; take fewer rows",
     "--num-tokens 100000000000 --hidden-size 8192"),
    (2, "--granularity:", "--num-tokens 1000000000 --hidden-size 8192 --granularity group:16"),
    (3, TOO_LARGE, "--num-tokens 2147483647 --hidden-size 4096"),
    (3, TOO_LARGE, "--num-tokens 1000000000 --hidden-size 8192 --impl native"),
    (3, TOO_LARGE, "--num-tokens 1000000000 --hidden-size 8192 --profile"),
    (3, TOO_LARGE, "--num-tokens 4,1000000000 --hidden-size 8192"),
    (3, TOO_LARGE, "--num-tokens 2 --hidden-size 8 --input-stride 1000000000000000000"),
    (3, TOO_LARGE, "verify --num-tokens 1000000000 --hidden-size 8192"),
    *((3, TOO_LARGE, command)
      for command in ["--input vast_row.npy", "verify --input vast_row.npy", "quantize vast_row.npy -o out.npy",
                      "quantize vast_row.npy -o out.npy --quant-dtype fp8 --static-scale"]),
    # inputs
    *((2, f"'{name}':", f"{command} {name}{rest}")
      for (command, rest), name in itertools.product(
          [("--input", ""), ("quantize", " -o out.npy")],
          ["missing.npy", "empty.npy", "cut_in_magic.npy", "cut_in_version.npy", "cut_in_length.npy", "cut_in_header.npy",
           "cut_before_data.npy", "cut_in_data.npy", "longer.npy", "version9.npy", "int32.npy", "double.npy", "uint16.npy",
           "big_endian.npy", "fp8.npy", "negative.npy", "no_columns.npy", "huge.npy", "many.npy", "text.npy", "text.txt",
           "folder.npy", "unreadable.npy", "pipe.npy", "loop.npy", "/dev/zero", "/dev/null", "zeros.npy", "long_header.npy",
           "zeros.safetensors", "all_header.safetensors", "empty.safetensors", "cut_in_length.safetensors",
           "cut_in_header.safetensors", "cut_in_data.safetensors", "long_header.safetensors", "short_header.safetensors",
           "broken_json.safetensors", "list.safetensors", "no_offsets.safetensors", "backward.safetensors",
           "beyond.safetensors", "other_size.safetensors", "huge.safetensors", "double.safetensors",
           "overlap.safetensors"])),
    *((3, TOO_LARGE, f"{command} --input {name}")
      for command, name in itertools.product(["run", "verify"], ["vast.npy", "vast.safetensors"])),
    *((2, ": '' names no file; give a file name", command)
      for command in ["--input ''", "quantize '' -o out.npy", "quantize good.npy '' -o out.npy", "compare ''", "report ''"]),
    *((2, f"'{name}': is {what}", f"{command} {name}{rest}")
      for (command, rest), (name, what) in itertools.product(
          [("--input", ""), ("verify --input", ""), ("quantize", " -o out.npy"), (f"{STATIC} --scales", "")],
          [("pointer.npy", "a Git LFS pointer"), ("pointer.safetensors", "a Git LFS pointer"),
           ("pointer.safetensors.index.json", "a Git LFS pointer"), ("page.npy", "an HTML page"),
           ("page.safetensors", "an HTML page")])),
    *((2, words, f"{command} {name}{rest}")
      for (command, rest), (name, words) in itertools.product(
          [("--input", ""), ("quantize", " -o out.safetensors"), ("quantize good.npy", " -o out.safetensors.index.json")],
          [("no_map.safetensors.index.json", "'no_map.safetensors.index.json': has no weight_map"),
           ("no_shard.safetensors.index.json", "its shard 'missing.safetensors' is not there; put all 2 beside the index"),
           ("no_tensor.safetensors.index.json", "says that 'y' is in 'good.safetensors', which has no such tensor"),
           ("bad_shard.safetensors.index.json", "'cut_in_data.safetensors':"),
           ("pointer_shard.safetensors.index.json", "'pointer.safetensors': is a Git LFS pointer"),
           ("outside.safetensors.index.json", "'../good.safetensors', which is no name of a file beside it")])),
    (2, "'fp8.safetensors': is quantized already: 'x' is of fp8_e4m3fn", "quantize fp8.safetensors -o out.safetensors"),
    (2, "tensor 'x' is of fp8_e4m3fn, quantized already", "quantize fp8.safetensors -o out.safetensors --tensor x"),
    (2, "'x.scale' would be written twice", "quantize two.safetensors good.safetensors -o out.safetensors"),
    (2, "holds one tensor, not 2", "quantize good.npy good.safetensors -o out.npy"),
    (2, "'good.safetensors': is the input itself", "quantize good.safetensors.index.json -o good.safetensors"),
    (2, "'./good.safetensors.index.json': is the input itself", "quantize good.safetensors.index.json -o ."),
    (2, "'missing.npy': cannot be opened", "quantize good.npy missing.npy -o out.safetensors"),
    # scales from a file
    *((2, words, f"{command} {STATIC} --scales {rest}")
      for command, (rest, words) in itertools.product(
          ["--num-tokens 3 --hidden-size 8", "verify --num-tokens 3 --hidden-size 8"],
          [("missing.npy", "'missing.npy': cannot be opened"), ("nan_scale.npy --granularity token", "scale 1 is nan"),
           ("one_scale.npy --granularity token", "needs [3, 1]"), ("double_scale.npy", "'<f8' is not supported"),
           ("int32.npy", "'int32.npy' has shape [8, 64]"), ("one_scale.npy --scale 1", "--scales and --scale:")])),
    (2, "--scales: dynamic scales are computed", "--scales one_scale.npy"),
    (2, "'one_scale.npy': is the input itself", f"{SMALL} {STATIC} --scales one_scale.npy --json one_scale.npy"),
    (2, "'one_scale.npy': is the input itself", f"quantize good.npy {STATIC} --scales one_scale.npy -o one_scale.npy"),
    # values that are not there
    *((2, f"'{option}=': has no value after =; give one, or leave the option out", f"{command} {option}= --quiet")
      for command, option in [("run", "--json"), ("run", "--num-tokens"), ("verify", "--input"), ("compare good.json", "--csv"),
                              ("report good.json", "--output"), ("quantize good.npy -o out.npy", "--scale")]),
    (2, "'-o=out.npy': a short option's value", "quantize good.npy -o=out.npy"),
    *((2, f"{option}: has no value, --quiet after it is an option; give one, or {name}=--quiet", f"{command} {option} --quiet")
      for command, option, name in [("run", "--json", "--json"), ("", "--csv", "--csv"), ("verify", "--input", "--input"),
                                    ("quantize good.npy", "-o", "--output"),
                                    ("quantize good.npy -o x.npy", "--scales", "--scales")]),
    (2, "--json: has no value, --no-color after it is an option", "compare good.json --json --no-color"),
    # what is quoted neither breaks the line nor reaches a terminal as it is
    *((2, r"'a\x0ab\x1b[31m", f"{command} 'a\nb\x1b[31m{rest}'")
      for command, rest in [
          ("", ""), ("list", ""), ("--num-tokens", ""), ("--dtype", ""), ("--backend", ""), ("--input", ".npy"),
          ("compare", ""), ("quantize good.npy -o", ""), (f"{SMALL} --json", "/out.json")]),
    (2, r"--json = a\x1b[31m", "list '--json=a\x1b[31m'"),
    (2, "'good.npy':", "--input good.npy --dtype half"),
    (2, "'good.npy':", "--input good.npy --tensor x"),
    (2, "'good.safetensors':", "--input good.safetensors --tensor y"),
    (2, "'two.safetensors':", "--input two.safetensors"),
    (2, "'missing.npy':", "verify --input missing.npy"),
    *((2, f"'{name}':", f"{command} {name}")
      for command, name in itertools.product(
          ["compare", "compare --json -", "report"],
          ["missing.json", "empty.json", "cut.json", "other.json", "list.json", "newer.json", "no_setting.json",
           "no_end.json", "cut_in_text.json", "cut_in_number.json", "cut_in_row.json", "twice.json", "rows_are_3.json",
           "deep.json", "binary.json", "good.npy", "folder.npy", "pipe.npy", "/dev/zero", "/dev/null", "zeros.json"])),
    (2, "--fail-above:", "compare other.json --fail-above x"),
    (2, "--fail-above:", "compare other.json --fail-above 0"),
    (2, "--fail-above:", "compare other.json --fail-above -1"),
    (2, "--fail-above:", "compare other.json --fail-above nan"),
    (2, "--fail-above:", "compare other.json --fail-above ''"),
    *((2, f"--margin: {words}", f"{command} --margin {value}")
      for command, (value, words) in itertools.product(
          ["compare other.json", "report other.json"],
          [("x", ""), ("-1", "'-1' is not from 0 to 1000"), ("1001", ""), ("nan", ""), ("2%", ""), ("''", "")])),
    *((2, "'good.json': its times are not comparable: it has other programs' times and no canary", command)
      for command in ["compare good.json", "compare good.json good.json --fail-above 2", "report good.json",
                      "report good.json --format md"]),
    *((2, "'contradicts.json': rows[1]: gbps is 3800.5, and bytes / median gives 3842.735878 (native, dynamic token int8 from "
          "half, 4096x8192)",
       f"{command} contradicts.json --ignore-canary") for command in ["compare", "report"]),
    (2, "--fail-above: 'good.json' shares no implementation", "compare good.json --ignore-canary --fail-above 2"),
    (2, "--format:", "report other.json --format ''"),
    (2, "--baseline: ''", "compare good.json --baseline ''"),
    (2, "--baseline: 'nope'", "compare good.json --baseline nope"),
    (2, "--impl: ''", "compare good.json --impl ''"),
    (2, "--impl: 'nope'", "compare good.json --impl nope"),
    # outputs
    *((status, f"'{name}':", f"{SMALL} {option} {name}")
      for option, (status, name) in itertools.product(
          ["--json", "--csv", "--markdown"],
          [(2, "nowhere/out"), (2, "folder.npy"), (2, "read_only/out"), (3, "/dev/full")])),
    *((2, ": '' names no file; give a file name", f"{command} ''")
      for command in [f"{SMALL} --json", f"{SMALL} --csv", f"{SMALL} --markdown", "compare good.json --json",
                      "report good.json --format md -o"]),
    (2, "'out.txt':", "quantize good.npy -o out.txt"),
    (2, "'nowhere/out.npy':", "quantize good.npy -o nowhere/out.npy"),
    (2, "'read_only/out.npy':", "quantize good.npy -o read_only/out.npy"),
    (2, "'good.npy':", "quantize good.npy -o good.npy"),
    (2, "'./good.npy':", "quantize good.npy -o ./good.npy"),
    (2, "'good.safetensors':", "quantize good.safetensors -o good.safetensors"),
    (2, "'two.safetensors'", "quantize two.safetensors -o out.npy --tensor z"),
    *((2, f"'{name}': is the input itself", command + name)
      for command, name in [
          ("--input good.npy --json ", "good.npy"), ("--input good.npy --csv ", "./good.npy"),
          ("compare other.json --json ", "other.json"), ("compare other.json --markdown ", "other.json"),
          ("report other.json -o ", "other.json")]),
    (2, "'nowhere/out.html':", "report other.json -o nowhere/out.html"),
    (2, "'folder.npy':", "report other.json -o folder.npy"),
    (2, "'read_only/out.html':", "report other.json -o read_only/out.html"),
    (2, "'pipe.npy':", "quantize good.npy -o pipe.npy"),
    (2, "'/dev/full':", "quantize good.npy -o /dev/full"),
]  # fmt: skip

# As on a full disk: no file may become larger than ROOM bytes.
ROOM = 100
WITHOUT_ROOM = [
    *((3, f"'{name}': cannot be written", command + name)
      for command, name in [
          (f"{SMALL} --json ", "out.json"), (f"{SMALL} --csv ", "out.csv"), (f"{SMALL} --markdown ", "out.md"),
          (f"{SMALL} --csv out.csv --json ", "out.json"), ("quantize good.npy -o ", "out.npy"),
          ("quantize good.safetensors -o ", "out.safetensors"), ("quantize two.safetensors -o ", "out.safetensors"),
          ("report good.json --ignore-canary --format md -o ", "out.md"),
          ("compare good.json --ignore-canary --csv - --json ", "out.json")]),
    (3, "cannot be written", "report good.json --ignore-canary -o out.html"),  # first where its charts are drawn
]  # fmt: skip

# Streams that cannot be written: the status is the same, or says that what was to be printed is lost; and what is
# printed goes to no file that happens to have the stream's number.
STREAMS = [
    *((2, f"{command} {streams}") for command, streams in itertools.product(
        ["--walk", "--input missing.npy", f"{SMALL} --json read_only/out"], ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])),
    *((3, f"{command} {streams}") for command, streams in itertools.product(
        ["list", "--help", "completion", f"{SMALL} --json -", "compare good.json --ignore-canary",
         "compare good.json --ignore-canary --json -", "report good.json --ignore-canary --format md"],
        [">&-", ">/dev/full", "<&- >&- 2>&-"])),
    (3, f"{SMALL} --csv out.csv --json - >&-"),
]  # fmt: skip

# --- the test -----------------------------------------------------------------------------------------------------------


def state(folder):
    """Every file and what is in it; what cannot be read, or is of terabytes, by its size."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        readable = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) != 0 and status.st_size < TERABYTES
        found[str(path)] = path.read_bytes() if readable else status.st_size
    return found


def holds(words, text):
    return words.search(text) if isinstance(words, re.Pattern) else words in text


def complaints(status, words, done):
    if done.returncode != status:
        yield f"status {done.returncode}, not {status}"
    if done.stderr.count("\n") != 1 or not done.stderr.startswith("kqbench: ") or not holds(words, done.stderr):
        yield f"stderr is not one line of kqbench's with {words!r}"
    if done.stdout:
        yield "prints something on stdout"


def complaints_unheard(status, done):
    """Where stderr may be closed: it has the line, or nothing."""
    if done.returncode != status:
        yield f"status {done.returncode}, not {status}"
    if done.stdout or done.stderr.count("\n") > 1:
        yield "prints more than an error"


def leave_no_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))


LOCALES = [("C.UTF-8", "name\u00e9.npy"), ("C", r"name\xc3\xa9.npy"), ("xx_XX.UTF-8", r"name\xc3\xa9.npy")]


def not_built(program):
    """Backends that this program was built without: a build serves one vendor, so there are some."""
    listed = json.loads(subprocess.run([program, "list", "--json"], capture_output=True, check=True).stdout)
    return [backend["name"] for backend in listed["backends"] if not backend["built"]]


def most_memory():
    """Bytes that a command took so far, at the most."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def all_cases(program):
    """Of each: the arguments of a process, what to do in it first, what finds faults with how it ended."""
    for status, words, command in TABLE:
        yield [program, *shlex.split(command)], None, functools.partial(complaints, status, words)
    for status, words, command in WITHOUT_ROOM:
        yield [program, *shlex.split(command)], leave_no_room, functools.partial(complaints, status, words)
    for name in not_built(program):
        for command in ["run", "verify", "quantize good.npy -o out.npy"]:
            words = f"--backend {name}: not built"
            yield [program, *shlex.split(command), "--backend", name], None, functools.partial(complaints, 3, words)
    for locale, name in LOCALES:
        for command in ["--input", "quantize -o out.npy"]:
            yield (["env", f"LC_ALL={locale}", program, *shlex.split(command), "name\u00e9.npy"],
                   None, functools.partial(complaints, 2, f"'{name}': is empty"))  # fmt: skip
    for status, command in STREAMS:
        yield ["sh", "-c", f"exec {program} {command}"], None, functools.partial(complaints_unheard, status)


def main():
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        program = shutil.copy(sys.argv[1], scratch)
        folder = scratch / "files"
        folder.mkdir()
        write_files(folder)
        # Nothing is unreadable or read-only for root.
        user = {}
        if os.geteuid() == 0:
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            scratch.chmod(0o755)
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        before = state(folder)
        cases = list(all_cases(program))
        memory = most_memory() + MEMORY  # above what `kqbench list` took
        wrong = 0
        for command, prepare, faults in cases:
            try:
                done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=SECONDS, preexec_fn=prepare, **user)  # fmt: skip
                found = list(faults(done))
                said = done.stderr
            except subprocess.TimeoutExpired:
                found, said = [f"has not ended in {SECONDS} s"], ""
            after = state(folder)
            if after != before:
                found.append(f"changed files: {sorted({name for name, _ in set(after.items()) ^ set(before.items())})}")
                before = after
            if most_memory() > memory:
                found.append(f"took {most_memory()} bytes")
                memory = most_memory()
            if found:
                wrong += 1
                print(f"{shlex.join(map(str, command))}\n  {'; '.join(found)}\n  {said.rstrip()}")
        print(f"{len(cases)} bad inputs, {wrong} treated wrongly; {most_memory() >> 20} MiB at the most")
        (folder / "read_only").chmod(0o755)
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
