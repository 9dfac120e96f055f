# SPDX-License-Identifier: Apache-2.0
"""What one row of a result file did, so that peers can do the same."""

import dataclasses

LARGEST = {"int8": 127.0, "fp8_e4m3fn": 448.0, "fp8_e5m2": 57344.0, "fp4_e2m1": 6.0}
ELEMENT_BYTES = {"half": 2, "bfloat16": 2, "float": 4}


class NotServed(Exception):
    """A peer does not do this work; the message says why."""


@dataclasses.dataclass(frozen=True)
class Work:
    num_tokens: int
    hidden_size: int
    dtype: str  # half, bfloat16, float
    quant_dtype: str  # int8, fp8_e4m3fn, ...
    static_scale: bool
    granularity: str  # tensor, token, channel, group:G
    asymmetric: bool
    timing: str  # graph, wall
    hot: bool
    copies: int  # of the tensors, used in turn
    bytes: int  # that one launch must move at least
    launch: str = "plain"  # or overlapped: programmatic dependent launch
    scale_format: str = "float"  # ue8m0 and e4m3 are those of block formats
    scale_rounding: str = "quotient"  # of ue8m0: rceil, floor, even, ceil
    global_scale: float | None = None  # of e4m3 scales, where it is given
    producer: str = "none"  # rms_norm, add_rms_norm, silu_mul: what makes the values that are quantized
    eps: float | None = None  # of producers that norm

    @property
    def is_block_format(self):
        """MXFP8, MXFP4, NVFP4: scales of a byte."""
        return self.scale_format != "float"

    @property
    def scheme(self):
        """(static?, tensor / token / channel / group, asymmetric?)"""
        return self.static_scale, self.granularity.split(":")[0], self.asymmetric

    def kq_scheme(self):
        """What kq calls it."""
        import kq
        how = {}
        if self.is_block_format:
            how = {"scale_format": self.scale_format, "scale_rounding": self.scale_rounding}
        if self.global_scale is not None:
            how["global_scale"] = self.global_scale
        return kq.Scheme(format=self.quant_dtype, granularity=self.granularity, static_scale=self.static_scale,
                         asymmetric=self.asymmetric, **how)

    @property
    def group_size(self):
        return int(self.granularity.split(":")[1]) if ":" in self.granularity else 0

    def __str__(self):
        asymmetric = " asymmetric" if self.asymmetric else ""
        kind = "static" if self.static_scale else "dynamic"
        scales = f" {self.scale_format} {self.scale_rounding}" if self.is_block_format else ""
        producer = f"{self.producer}, " if self.producer != "none" else ""
        return (f"{producer}{kind} {self.granularity}{asymmetric}{scales} {self.quant_dtype} from {self.dtype}, "
                f"{self.num_tokens}x{self.hidden_size}")


def work_of(row):
    """The work of a row; NotServed if it is none that peers are timed at."""
    hidden = row["hidden_size"]
    if row["quant_dtype"] not in LARGEST:
        raise NotServed(f"no peer writes {row['quant_dtype']}")
    if row["scale_format"] not in ("float", "ue8m0", "e4m3") or row["scale_layout"] != "row":
        raise NotServed("peers are timed with scales of float, ue8m0 and e4m3 in rows only")
    if row["scale_format"] != "float" and row["static_scale"]:
        raise NotServed("peers compute the scales of block formats")
    producer = row.get("producer", "none")
    columns = 2 * hidden if producer == "silu_mul" else hidden
    if row.get("input_stride") not in (None, 0, columns) or \
            any(row.get(stride) not in (None, 0, hidden) for stride in ("codes_stride", "residual_stride")):
        raise NotServed("peers are timed on dense rows only")
    if row.get("scale_ub") is not None or row.get("qmax", LARGEST[row["quant_dtype"]]) != LARGEST[row["quant_dtype"]]:
        raise NotServed("peers are timed without --qmax and --scale-ub only")
    if row["timing"] not in ("graph", "wall"):
        raise NotServed("peers are timed with --timing graph or wall only")
    return Work(row["num_tokens"], hidden, row["dtype"], row["quant_dtype"], row["static_scale"], row["granularity"],
                row["asymmetric"], row["timing"], row["cache"] == "hot", row.get("copies", 1), row["bytes"],
                row.get("launch", "plain"), row["scale_format"], row.get("scale_rounding", "quotient"),
                row.get("global_scale"), producer, row.get("eps"))
