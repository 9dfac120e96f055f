# SPDX-License-Identifier: Apache-2.0
"""kq.bench on NumPy functions on a host: what is timed, checked, shown and saved, and what kqbench makes of the file."""

import json
import subprocess
import types

import numpy as np
import pytest

import kq
from kq import _bench, _functions, _program
from kq._bench import measure, medians

on_a_host = pytest.mark.skipif(kq.backend() != "host", reason="NumPy's arrays are on a host")

SHAPES = [(4, 8192), (16, 8192)]  # of which 32768 copies, the most there are, do not fit in a cache of 480 MiB


def int8_token(x):
    """int8 in NumPy's arithmetic, as kqbench has it."""
    amax = np.abs(x).max(axis=-1, keepdims=True)
    scales = amax / np.float32(127)
    return np.clip(np.rint(x * (np.float32(127) / amax)), -128, 127).astype(np.int8), scales


def writes(x, codes, scales):
    codes[...], scales[...] = int8_token(x)


def quick(functions, scheme="int8 token", shapes=SHAPES, **options):
    return kq.bench(functions, scheme, shapes, **{"dtype": "float32", "max_time": 0.02, "cache": "hot", "with_canary": False,
                                                  **options})


@pytest.fixture(scope="module")
def timed():
    """One measurement that several tests look at, with a wrong function, one that fails, and the canary."""
    if kq.backend() != "host":
        pytest.skip("NumPy's arrays are on a host")

    def wrong(x):
        codes, scales = int8_token(x)
        codes[1, 7] ^= 1
        return codes, scales

    def fails(x):
        raise RuntimeError("no kernel")

    return quick({"numpy": int8_token, "given": writes, "wrong": wrong, "fails": fails}, with_canary=True, cache="cold")


@on_a_host
def test_rows_are_of_functions_and_of_kqs_own_call(timed):
    assert [(row["impl"], row["num_tokens"], row["hidden_size"]) for row in timed.rows] == [
        (name, *shape) for shape in SHAPES for name in ("numpy", "given", "wrong", "kq")]
    for row in timed.rows:
        time = row["time_us"]
        assert time["ci95"][0] <= time["median"] <= time["ci95"][1] and len(time["samples"]) >= 6
        assert row["copies"] > 1 and row["cache"] == "cold"
        assert row["codes_checked"]["compared"] == row["copies"] * row["num_tokens"] * row["hidden_size"]
    assert {len(row["time_us"]["samples"]) for row in timed.rows if row["num_tokens"] == 4} == {
        len(timed.rows[0]["time_us"]["samples"])}  # in turns
    assert len({row["launches_per_sample"] for row in timed.rows if row["num_tokens"] == 4}) == 1


@on_a_host
def test_wrong_bytes_are_named_and_not_timed(timed):
    for row in timed.rows:
        assert row["verified"] == (row["impl"] != "wrong")
    wrong = timed.rows[2]
    assert wrong["codes_checked"]["differ"] == wrong["copies"]
    assert wrong["failure"].startswith("codes[1, 7] is 0x") and wrong["failure"].endswith("1 of 32768 differ")
    line, = (line for line in str(timed).splitlines() if "wrong" in line and "FAILED: codes[1, 7]" in line and "32768" in line)
    assert line.split()[1:3] == ["-", "-"]
    assert not timed


@on_a_host
def test_what_fails_is_left_out_with_why(timed):
    assert timed.left_out == [("fails", shape, "RuntimeError: no kernel") for shape in SHAPES]
    assert "fails" in str(timed) and "LEFT OUT: RuntimeError: no kernel" in str(timed)
    assert timed.result["complete"] is False


@on_a_host
def test_the_table(timed):
    lines = str(timed).splitlines()
    assert lines[0] == "dynamic int8 token from float (wall timing, cold cache)"
    assert lines[1].split() == ["shape", "function", "median", "us", "±", "GB/s", "ceiling", "vs", "kq", "verified"]
    assert "16x8192" in str(timed) and "kokkos (kqbench)" in str(timed) and "native (kqbench)" in str(timed)
    own, = (line for line in lines if line.split()[0] == "kq" and "1.000" in line and line.endswith("ok") and "LEFT" not in line
            and lines.index(line) < lines.index(next(one for one in lines if "16x8192" in one)))
    assert own.count("%") >= 2
    assert ("the canary is out by" in str(timed)) == (timed.complaint is not None)


@on_a_host
def test_ratios_are_of_pairs(timed):
    row, own = timed.rows[0], timed.rows[3]
    middle, (low, high) = timed.ratio(row)
    pairs = [a / b for a, b in zip(row["time_us"]["samples"], own["time_us"]["samples"], strict=True)]
    assert middle == medians.median(pairs) and low <= middle <= high
    assert timed.ratio(own) == (1, (1, 1))


@on_a_host
def test_kqbench_reads_what_is_saved(timed, tmp_path):
    timed.save(tmp_path / "mine.json", tmp_path / "ours.json")
    saved = json.loads((tmp_path / "mine.json").read_text())
    canary, = saved["setting"]["canary"]
    assert canary["kqbench_median_us"] > 0 and "peer" not in canary
    assert saved["setting"]["implementations"]["numpy"] == "int8 in NumPy's arithmetic, as kqbench has it."
    files = [tmp_path / "ours.json", tmp_path / "mine.json"]
    ignore = ["--ignore-canary"] if timed.complaint else []
    compared = subprocess.run([_program.program(), "compare", *files, *ignore, "--json", "-"], capture_output=True, text=True)
    assert compared.returncode == 0, compared.stderr
    assert {(row["impl"], row["baseline_impl"]) for row in json.loads(compared.stdout)["rows"]} >= {
        ("numpy", "kokkos"), ("given", "kokkos"), ("kq", "kokkos")}
    page = subprocess.run([_program.program(), "report", *files, *ignore, "-o", tmp_path / "page.html"], capture_output=True,
                          text=True)
    assert page.returncode == 0, page.stderr
    assert "numpy" in (tmp_path / "page.html").read_text()


@on_a_host
def test_without_a_canary_times_are_refused(tmp_path):
    made = quick(int8_token, shapes=(4, 256))
    assert made and made.complaint is None and [row["impl"] for row in made.rows] == ["int8_token", "kq"]
    made.save(tmp_path / "mine.json", tmp_path / "ours.json")
    compared = subprocess.run([_program.program(), "compare", tmp_path / "ours.json", tmp_path / "mine.json"],
                              capture_output=True, text=True)
    assert compared.returncode == 2 and "canary" in compared.stderr
    with pytest.raises(OSError, match="cannot be created"):
        made.save(tmp_path / "none" / "mine.json")


@on_a_host
def test_it_is_drawn(timed):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    axes = timed.plot()
    assert [line.get_label() for line in axes.lines] == ["numpy", "given", "wrong", "kq", "kokkos, kqbench", "native, kqbench"]
    assert [line.get_fillstyle() for line in axes.lines][:3] == ["full", "full", "none"]
    assert timed.plot(axes) is axes


@on_a_host
@pytest.mark.parametrize("scheme", ["fp8 token vllm", "int8 token asymmetric", "fp8 group:64 column_aligned",
                                    "fp8 group:64 ue8m0 packed", "static fp8 tensor", "static int8 token asymmetric",
                                    "fp8 block:4x64", "int8 tensor"])
def test_every_kind_of_scheme_returned_and_given(scheme):
    kind = kq.Scheme(scheme)
    if kind.static_scale:
        def returns(x, scales, *zero_points):
            return kq.quantize(x, scheme, scales=scales, zero_points=zero_points[0] if zero_points else None).codes
    else:
        def returns(x):
            return kq.quantize(x, scheme)
    if kind.asymmetric:
        def given(x, codes, scales, zero_points):
            kq.quantize(x, scheme, out=codes, scales=scales, zero_points=zero_points)
    else:
        def given(x, codes, scales):
            kq.quantize(x, scheme, out=codes, scales=scales)
    made = quick([returns, given], scheme, (8, 256))
    assert made, str(made)
    assert len(made.rows) == 3


@on_a_host
def test_an_output_that_is_not_written_is_noticed():
    def forgets(x, codes, scales):
        made = int8_token(x)
        codes[:, :-1], scales[...] = made[0][:, :-1], made[1]

    def nothing(x, codes, scales):
        pass

    made = quick([forgets, nothing], shapes=(4, 256))
    assert [row["failure"].partition(" and")[0] for row in made.rows] == ["codes[0, 255] is 0x5a", "codes[0, 0] is 0x5a", ""]


@on_a_host
def test_what_is_wrong_with_arguments_is_named():
    for arguments, options, field in [
            ((lambda x, y: None, "int8 token", SHAPES), {}, "functions"),
            (([int8_token, int8_token], "int8 token", SHAPES), {}, "functions"),
            (({"kq": int8_token}, "int8 token", SHAPES), {}, "functions"),
            (({}, "int8 token", SHAPES), {}, "functions"),
            ((int8_token, "int8 token", []), {}, "shapes"),
            ((int8_token, "int8 token", [(4, 0)]), {}, "shapes"),
            ((int8_token, "int8 token", SHAPES), {"dtype": "float64"}, "dtype"),
            ((int8_token, "int8 token", SHAPES), {"timing": "graph"}, "timing"),
            ((int8_token, "int8 token", SHAPES), {"cache": "warm"}, "cache"),
            ((int8_token, "int8 token", SHAPES), {"make": "jax"}, "make")]:
        with pytest.raises(kq.InvalidArgument) as caught:
            quick(*arguments, **options)
        assert caught.value.field == field, str(caught.value)


@on_a_host
def test_torchs_tensors():
    pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    made = quick({"returned": lambda x: kq.quantize(x, "fp8 group:64"),
                  "given": lambda x, codes, scales: kq.quantize(x, "fp8 group:64", out=codes, scales=scales)}, "fp8 group:64",
                 (8, 256), make="torch", dtype="bfloat16", cache="cold")
    assert made, str(made)


# --- parts of it ------------------------------------------------------------------------------------------------------


def test_how_a_function_is_called():
    dynamic, asymmetric, static = map(kq.Scheme, ("int8 token", "int8 token asymmetric", "static int8 tensor asymmetric"))

    def takes(function, scheme):
        return _functions.takes_outputs(function, scheme, "f")

    assert not takes(lambda x: None, dynamic) and not takes(lambda x, eps=1: None, dynamic)
    assert not takes(lambda *tensors: None, dynamic)
    assert takes(lambda x, codes, scales: None, dynamic) and takes(lambda x, codes, scales, zero_points: None, asymmetric)
    assert not takes(lambda x, scales, zero_points: None, static) and takes(lambda x, c, s, z: None, static)
    assert not takes(max, dynamic)  # tells nothing of its parameters, or takes any number
    for function in (lambda x, codes: None, lambda: None):
        with pytest.raises(kq.InvalidArgument):
            takes(function, dynamic)


def test_turns_are_random_and_of_equal_numbers():
    order, seconds = [], iter(range(10000))

    def sampler(name, time):
        return types.SimpleNamespace(launches=10, sample=lambda: order.append(name) or time)

    samples, stop = measure.take_turns([sampler("a", 1.0), sampler("b", 2.0)],
                                       measure.Limits(min_launches=10, min_samples=8, max_seconds=100), 5,
                                       clock=lambda: next(seconds))
    assert stop == "interval" and len(samples[0]) >= 8 and samples == [[1.0] * len(samples[0]), [2.0] * len(samples[0])]
    turns = [tuple(order[i:i + 2]) for i in range(len(order) - 2 * len(samples[0]), len(order), 2)]
    assert set(turns) <= {("a", "b"), ("b", "a")}


def test_time_counts_before_the_least_numbers_but_six_samples_are_taken():
    seconds, sampler = iter(range(10000)), types.SimpleNamespace(launches=1, sample=lambda: 1.0)
    limits = measure.Limits(min_launches=1000, min_samples=500, max_seconds=0.5)
    (samples,), stop = measure.take_turns([sampler], limits, 5, clock=lambda: next(seconds))
    assert (len(samples), stop) == (6, "max_time")


def test_a_candidate_that_cannot_be_timed_costs_the_others_nothing():
    def make_sampler(candidate, limits):
        if candidate.function is None:
            raise RuntimeError("cannot be captured")
        return measure.WallSampler(candidate, limits, lambda: None)

    events = []
    right, broken = measure.Candidate(lambda x: (x,), [(1,)]), measure.Candidate(None, [(1,)])
    found = measure.measure([broken, right], make_sampler, measure.Limits(max_seconds=0.01), 5,
                            lambda outputs: events.append(("poison", outputs)),
                            lambda candidate: events.append("check") or ((0, 1), ""))
    assert str(found[0]) == "cannot be captured" and found[1].codes_checked == (0, 1)
    assert events == [("poison", (1,)), "check"]


def test_a_scheme_is_timed_with_its_rounding():
    options = _bench._options(kq.Scheme("fp8 group:32 ue8m0 rceil"), "float16", None, None, None)
    assert "--scale-rounding=rceil" in options
    assert "--global-scale=700.0" in _bench._options(kq.Scheme("nvfp4 global_scale=700"), "float16", None, None, None)
    assert kq.Scheme("fp8 group:32 ue8m0", scale_rounding="floor").scale_rounding == "floor"


def test_kqbenchs_refusals_are_of_arguments():
    for message, field in [("--num-tokens: too large", "shapes"), ("--dialect: has no such scheme", "scheme"),
                           ("--max-time: must be above 0", "max_time")]:
        error = _bench._error(2, message)
        assert isinstance(error, kq.InvalidArgument) and error.field == field
    assert isinstance(_bench._error(3, "no device"), kq.DeviceError)
