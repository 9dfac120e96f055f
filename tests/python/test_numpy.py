# SPDX-License-Identifier: Apache-2.0
"""The package on NumPy arrays: what it computes against recorded outputs of vLLM's kernels (tests/golden) and NumPy's own
arithmetic, shapes and strides, given outputs, and every error that names an argument."""

import pathlib
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import kq

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
INPUTS = sorted(path.parent for path in GOLDEN.glob("*_*x*/input.npy"))
DTYPES = {"half": np.float16, "bfloat16": None, "float": np.float32}


def random(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def golden_input(folder):
    """An input that NumPy has a type for; bfloat16 through ml_dtypes."""
    bits = np.load(folder / "input.npy")
    if folder.name.startswith("bfloat16"):
        return bits.view(pytest.importorskip("ml_dtypes").bfloat16)
    return bits


# --- what is computed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme, name", [("fp8 token", "dynamic_token_fp8"), ("int8 token", "dynamic_token_int8"),
                                          ("fp8 tensor", "dynamic_tensor_fp8")])
@pytest.mark.parametrize("folder", INPUTS, ids=lambda folder: folder.name)
def test_gives_recorded_bytes(folder, scheme, name):
    if not (folder / f"{name}.npy").exists():
        pytest.skip(f"{folder.name} has no {name}")
    codes, scales, zero_points = kq.quantize(golden_input(folder), scheme)
    wanted = np.load(folder / f"{name}.npy")
    np.testing.assert_array_equal(np.asarray(codes).view(np.uint8), wanted.view(np.uint8))
    np.testing.assert_array_equal(scales.ravel(), np.load(folder / f"{name}_scale.npy").ravel())
    assert zero_points is None


def test_some_input_was_recorded():
    assert len(INPUTS) >= 6


def test_a_group_is_numpys_arithmetic():
    x = random(5, 3, 256)
    codes, scales, _ = kq.quantize(x, "int8 group:64")
    groups = x.reshape(5, 3, 4, 64)
    wanted = np.maximum(np.abs(groups).max(-1), np.float32(1e-10)) / np.float32(127)
    np.testing.assert_array_equal(scales, wanted)
    np.testing.assert_array_equal(codes, np.rint(groups / wanted[..., None]).reshape(x.shape).astype(np.int8))


def test_dequantize_is_code_times_scale():
    x = random(4, 96)
    codes, scales, zero_points = kq.quantize(x, "int8 token asymmetric")
    wanted = (codes.astype(np.int32) - zero_points).astype(np.float32) * scales
    np.testing.assert_array_equal(kq.dequantize(codes, scales, zero_points, scheme="int8 token asymmetric"), wanted)


def test_error_report_is_numpys_arithmetic():
    x = random(16, 128)
    quantized = kq.quantize(x, "fp8 token")
    error = x.astype(np.float64) - kq.dequantize(*quantized, scheme="fp8 token")
    report = kq.error_report(x, *quantized, scheme="fp8 token")
    assert report.max_error == np.abs(error).max()
    assert report.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    assert report.sqnr_db == pytest.approx(10 * np.log10((x.astype(np.float64)**2).sum() / (error**2).sum()), rel=1e-12)
    assert (report.elements, report.not_finite, report.lost) == (x.size, 0, 0)


def test_error_report_counts_what_is_not_finite():
    x = random(2, 32)
    x[0, 3], x[1, 5] = np.nan, np.inf
    report = kq.error_report(x, *kq.quantize(x, "fp8 token"), scheme="fp8 token")
    assert (report.elements, report.not_finite) == (64, 2)


def test_static_scales_are_read_and_kept():
    x = random(3, 64)
    scales = np.array([0.25], np.float32)
    scales.flags.writeable = False
    codes, same, _ = kq.quantize(x, "static int8 tensor", scales=scales)
    assert same is scales
    np.testing.assert_array_equal(codes, np.clip(np.rint(x / np.float32(0.25)), -128, 127).astype(np.int8))


# --- shapes -----------------------------------------------------------------------------------------------------------

SHAPES = [  # scheme, shape of scales for [2, 3, 256], their strides counted in elements
    ("fp8 tensor", (1,), (1,)),
    ("fp8 token", (2, 3, 1), None),
    ("int8 channel", (256,), (1,)),
    ("fp8 group:128", (2, 3, 2), (6, 2, 1)),
    ("fp8 group:128 ue8m0", (2, 3, 2), (6, 2, 1)),
    ("fp8 group:64 column", (2, 3, 4), (3, 1, 6)),
    ("fp8 group:64 column_aligned", (2, 3, 4), (3, 1, 8)),
    ("fp8 group:32 ue8m0 packed", (2, 3, 2), (3, 1, 8)),
    ("fp8 block:4x64", (2, 4), (4, 1)),
    ("fp8 block:2x64 ue8m0 packed", (3, 1), (1, 4)),
]


@pytest.mark.parametrize("scheme, shape, strides", SHAPES)
def test_scales_have_their_shape(scheme, shape, strides):
    x = random(2, 3, 256)
    codes, scales, _ = kq.quantize(x, scheme)
    assert codes.shape == x.shape
    assert scales.shape == shape
    sizes = {"packed": np.int32, "ue8m0": np.uint8}
    assert scales.dtype == next((sizes[word] for word in sizes if word in scheme), np.float32)
    if strides is not None:
        given = [stride // scales.itemsize for stride in scales.strides]
        assert [g for g, n in zip(given, shape, strict=True) if n > 1] == [
            s for s, n in zip(strides, shape, strict=True) if n > 1]
    report = kq.error_report(x, codes, scales, scheme=scheme)
    assert 20 < report.sqnr_db < 60


@pytest.mark.parametrize("shape", [(256,), (1, 256), (7, 256), (2, 1, 3, 256), (0, 256), (2, 0, 256)])
@pytest.mark.parametrize("scheme", [scheme for scheme, _, _ in SHAPES] + ["int8 token asymmetric"])
def test_any_leading_dimensions(shape, scheme):
    x = random(*shape)
    quantized = kq.quantize(x, scheme)
    flat = kq.quantize(x.reshape(-1, 256), scheme)
    assert quantized.codes.shape == shape
    np.testing.assert_array_equal(quantized.codes.reshape(-1, 256), flat.codes)
    np.testing.assert_array_equal(quantized.scales.reshape(flat.scales.shape), flat.scales)
    assert kq.dequantize(*quantized, scheme=scheme).shape == shape


def test_scales_of_no_tokens_are_zero():
    assert kq.quantize(random(0, 64), "fp8 tensor").scales.tolist() == [0.0]
    assert not kq.quantize(random(0, 64), "int8 channel").scales.any()


def test_rows_may_lie_apart():
    wide = random(6, 300)
    x = wide[:, 10:266]
    out = np.zeros((6, 400), np.int8)
    scales = np.zeros((6, 1), np.float32)
    result = kq.quantize(x, "int8 token", out=out[:, :256], scales=scales)
    wanted = kq.quantize(x.copy(), "int8 token")
    np.testing.assert_array_equal(out[:, :256], wanted.codes)
    np.testing.assert_array_equal(scales, wanted.scales)
    assert not out[:, 256:].any()
    assert result.scales is scales
    np.testing.assert_array_equal(kq.dequantize(out[:, :256], scales, scheme="int8 token"),
                                  kq.dequantize(*wanted, scheme="int8 token"))
    every_second = kq.quantize(wide[::2, :256], "int8 token")
    np.testing.assert_array_equal(every_second.codes, kq.quantize(wide[::2, :256].copy(), "int8 token").codes)


def test_columns_of_scales_may_lie_apart():
    x = random(5, 256)
    memory = np.full((4, 9), -1, np.float32)
    kq.quantize(x, "fp8 group:64 column", out=np.empty((5, 256), np.uint8), scales=memory.T[:5])
    np.testing.assert_array_equal(memory[:, :5].T, kq.quantize(x, "fp8 group:64").scales)
    assert (memory[:, 5:] == -1).all()


# --- other kinds of tensors -------------------------------------------------------------------------------------------


class Exported:
    """A tensor of a framework that has DLPack and nothing else; its arrays are NumPy's."""

    def __init__(self, array, versioned=True):
        self.array, self.versioned = array, versioned

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **how):
        if not self.versioned and "max_version" in how:
            raise TypeError("unexpected keyword")
        return self.array.__dlpack__(**how)


@pytest.mark.parametrize("versioned", [True, False])
def test_any_dlpack_tensor(versioned):
    x = random(4, 64)
    codes, _scales, _ = kq.quantize(Exported(x, versioned), "fp8 token")
    np.testing.assert_array_equal(codes, kq.quantize(x, "fp8 token").codes)
    out, scales = np.zeros((4, 64), np.uint8), np.zeros((4, 1), np.float32)
    kq.quantize(Exported(x, versioned), "fp8 token", out=Exported(out, versioned), scales=scales)
    np.testing.assert_array_equal(out, codes)


def test_read_only_input_and_memoryview():
    x = random(4, 64)
    x.flags.writeable = False
    np.testing.assert_array_equal(kq.quantize(memoryview(x), "fp8 token").codes, kq.quantize(x, "fp8 token").codes)


def test_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = random(4, 64).astype(ml_dtypes.bfloat16)
    codes, scales, _ = kq.quantize(x, "fp8 token")
    assert codes.dtype == np.uint8
    typed = codes.view(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(kq.dequantize(typed, scales, scheme="fp8 token"), typed.astype(np.float32) * scales)
    out = np.zeros((4, 64), ml_dtypes.float8_e4m3fn)
    kq.quantize(x, "fp8 token", out=out)
    np.testing.assert_array_equal(out.view(np.uint8), codes)


# --- errors -----------------------------------------------------------------------------------------------------------


def refused(function, field, reason=""):
    with pytest.raises(kq.InvalidArgument) as caught:
        function()
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert str(caught.value) == f"{field}: {caught.value.reason}"


X = random(4, 64)
Q = kq.quantize(X, "fp8 token")


@pytest.mark.parametrize("call, field, reason", [
    (lambda: kq.quantize(X.astype(np.float64), "fp8 token"), "x", "not float64"),
    (lambda: kq.quantize(X[:, ::2], "fp8 token"), "x", "2 apart"),
    (lambda: kq.quantize(random(2, 3, 64).swapaxes(0, 1), "fp8 token"), "x", "one distance"),
    (lambda: kq.quantize(np.broadcast_to(X[0], (4, 64)), "fp8 token"), "x", "0 apart"),
    (lambda: kq.quantize(X[::-1], "fp8 token"), "x", "-64 apart"),
    (lambda: kq.quantize(np.float32(1.0).reshape(()), "fp8 token"), "x", "dimension"),
    (lambda: kq.quantize(X[:, :0], "fp8 token"), "hidden_size", "1 or more"),
    (lambda: kq.quantize(X, "fp8 token", out=np.empty((4, 63), np.uint8)), "out", "[4, 64]"),
    (lambda: kq.quantize(X, "fp8 token", out=np.empty((4, 64), np.int8)), "out", "float8_e4m3fn"),
    (lambda: kq.quantize(X, "int8 token", out=np.empty((4, 64), np.uint8)), "out", "int8"),
    (lambda: kq.quantize(X, "fp8 token", scales=np.empty(5, np.float32)), "scales", "[4, 1]"),
    (lambda: kq.quantize(X, "fp8 token", scales=np.empty((4, 1))), "scales", "float32"),
    (lambda: kq.quantize(X, "fp8 group:16 column", scales=np.empty((4, 4), np.float32)), "scales", "strides"),
    (lambda: kq.quantize(X, "fp8 token", zero_points=np.empty(4, np.int32)), "zero_points", "asymmetric"),
    (lambda: kq.quantize(X, "static fp8 token"), "scales", "must be given"),
    (lambda: kq.quantize(X, "static int8 token asymmetric", scales=Q.scales), "zero_points", "must be given"),
    (lambda: kq.quantize(X.view(np.uint8).view(np.float32), "int8 token", out=X.view(np.int8)[:, :64]), "out", "shares memory"),
    (lambda: kq.dequantize(Q.codes, Q.scales[:3], scheme="fp8 token"), "scales", "[4, 1]"),
    (lambda: kq.dequantize(Q.codes, Q.scales, scheme="int8 token"), "codes", "int8"),
    (lambda: kq.dequantize(*Q, scheme="fp8 token", out=np.empty((4, 64))), "out", "float32"),
    (lambda: kq.error_report(X[:3], *Q, scheme="fp8 token"), "codes", "[3, 64]"),
    (lambda: kq.Scheme("fp8"), "scheme", "granularity"),
    (lambda: kq.Scheme("token"), "scheme", "format"),
    (lambda: kq.Scheme("fp8 int8 token"), "scheme", "two formats"),
    (lambda: kq.Scheme("fp8 token tensor"), "scheme", "two granularities"),
    (lambda: kq.Scheme("fp8 token qmax=many"), "scheme", "number"),
    (lambda: kq.Scheme("fp8 token nothing"), "scheme", "'nothing'"),
    (lambda: kq.Scheme("fp8 group:8"), "group_size", "16 or more"),
    (lambda: kq.Scheme("fp8 token asymmetric"), "asymmetric", "int8"),
    (lambda: kq.Scheme("fp8 token ue8m0"), "scale_format", "groups"),
    (lambda: kq.Scheme("fp8 token", dialect="none"), "dialect", "'none'"),
    (lambda: kq.Scheme(format="fp8", granularity="row"), "granularity", "'row'"),
    (lambda: kq.Scheme("fp8 token", qmax=500), "qmax", "448"),
    (lambda: kq.schemes("none"), "dialect", "'none'"),
])
def test_errors_name_the_argument(call, field, reason):
    refused(call, field, reason)


def test_read_only_outputs_are_refused():
    out = np.empty((4, 64), np.uint8)
    out.flags.writeable = False
    refused(lambda: kq.quantize(X, "fp8 token", out=out), "out", "read-only")


def test_outputs_of_jax_are_refused():
    """Its arrays never change. Its capsules, unversioned, do not say so; Exported stands in for them."""
    of_jax = type("ArrayImpl", (Exported,), {"__module__": "jaxlib._jax"})
    out = np.zeros((4, 64), np.uint8)
    refused(lambda: kq.quantize(X, "fp8 token", out=of_jax(out, False)), "out", "read-only, as JAX's arrays are")
    assert not out.any()


def test_jax():
    jax = pytest.importorskip("jax")
    if kq.backend() != "host":
        pytest.skip("the arrays are on a host")
    x = random(2, 3, 64)
    made, wanted = kq.quantize(jax.numpy.asarray(x), "int8 group:64"), kq.quantize(x, "int8 group:64")
    assert isinstance(made.codes, jax.Array) and isinstance(made.scales, jax.Array)
    np.testing.assert_array_equal(made.codes, wanted.codes)
    np.testing.assert_array_equal(made.scales, wanted.scales)
    out = jax.numpy.zeros(x.shape, jax.numpy.int8)
    refused(lambda: kq.quantize(x, "int8 group:64", out=out), "out", "read-only, as JAX's arrays are")


@pytest.mark.parametrize("call", [lambda: kq.quantize([1.0], "fp8 token"), lambda: kq.quantize(None, "fp8 token"),
                                  lambda: kq.quantize(X, 3), lambda: kq.quantize(X, "fp8 token", out=[1])])
def test_what_is_no_tensor_is_a_type_error(call):
    with pytest.raises(TypeError):
        call()


def test_streams_are_a_devices():
    if kq.backend() == "host":
        refused(lambda: kq.quantize(X, "fp8 token", stream=1), "stream", "host")
        refused(lambda: kq.prepare_stream(1), "stream", "host")
    kq.prepare_stream()
    with pytest.raises(TypeError, match="stream"):
        kq.prepare_stream("default")


def test_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(kq.InvalidArgument("x", "is wrong")))
    assert (error.field, error.reason) == ("x", "is wrong")


# --- schemes and dialects ---------------------------------------------------------------------------------------------


def test_a_scheme_is_its_text():
    scheme = kq.Scheme("vllm fp8 group:128 static")
    assert str(scheme) == "static fp8_e4m3fn group:128 vllm-0.33.0"
    assert scheme == kq.Scheme(str(scheme)) == pickle.loads(pickle.dumps(scheme))
    assert hash(scheme) == hash(kq.Scheme(str(scheme)))
    assert scheme.replace(dialect="kqbench") == kq.Scheme(format="fp8", granularity="group:128", static_scale=True)
    facts = (scheme.format, scheme.granularity, scheme.shares, scheme.group_size, scheme.static_scale, scheme.dialect)
    assert facts == ("fp8_e4m3fn", "group:128", "group", 128, True, "vllm-0.33.0")
    assert (scheme.qmax, scheme.scale_ub) == (448, None)
    assert kq.Scheme("fp8 token scale_ub=0.1").scale_ub == np.float32(0.1)
    assert str(kq.Scheme("int8 block:2x32 qmax=7 ue8m0 packed")) == "dynamic int8 block:2x32 ue8m0 packed qmax=7"


def go_together(format, scale_format, granularity):
    """Whether a row's format of codes and of scales are those of one scheme: codes of four bits have scales of one byte."""
    if format != "fp4_e2m1":
        return scale_format != "e4m3"
    return scale_format == "e4m3" or (scale_format == "ue8m0" and granularity == "group")


def test_every_scheme_of_every_dialect_can_be_named():
    sizes = {"group": "group:128", "block": "block:128x128"}
    count = 0
    for dialect in kq.dialects():
        for info in kq.schemes(dialect.name):
            for format in info.formats:
                for scale_format in info.scale_formats:
                    if not go_together(format, scale_format, info.granularity):
                        continue
                    own_exponents = dialect.name == "kqbench" and format == "fp4_e2m1" and scale_format == "ue8m0"
                    rounding = "rceil" if own_exponents and not info.static_scale else None
                    scheme = kq.Scheme(format=format, granularity=sizes.get(info.granularity, info.granularity),
                                       static_scale=info.static_scale, asymmetric=info.asymmetric,
                                       scale_format=scale_format, scale_rounding=rounding, dialect=dialect.name)
                    assert kq.Scheme(str(scheme)) == scheme
                    count += 1
    assert count > 100


def test_dialects():
    names = [dialect.name for dialect in kq.dialects()]
    assert names[0] == "kqbench"
    assert "vllm-0.33.0" in names
    assert kq.Scheme("fp8 token vllm") == kq.Scheme("fp8 token", dialect="vllm-0.33.0")


# --- bounds in memory, graphs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["kqbench", "vllm"])
@pytest.mark.parametrize("bound", [0.5, 1e-30, float("inf")])
def test_a_bound_that_the_kernels_read(dialect, bound):
    x = random(33, 200)
    text = "" if np.isinf(bound) else f" scale_ub={bound!r}"
    wanted = kq.quantize(x, f"fp8 token{text} {dialect}")
    given = np.array([bound], np.float32)
    for shape in ((), (1,), (1, 1)):
        got = kq.quantize(x, f"fp8 token {dialect}", scale_ub=given.reshape(shape))
        for a, b in zip(got[:2], wanted[:2], strict=True):
            np.testing.assert_array_equal(a, b)
    given.setflags(write=False)
    kq.quantize(x, f"fp8 token {dialect}", scale_ub=given)


def test_a_bound_is_refused():
    x, one = random(4, 64), np.ones(1, np.float32)
    scales = np.ones((4, 1), np.float32)
    for scheme, bound, said in [("int8 token", one, "only dynamic token scales of fp8"),
                                ("fp8 tensor", one, "only dynamic token scales of fp8"),
                                ("fp8 group:64", one, "only dynamic token scales of fp8"),
                                ("fp8 token sglang", one, "sglang-0.5.23 has no upper bound"),
                                ("fp8 token scale_ub=2", one, "must be a number of the request or a buffer, not both"),
                                ("fp8 token", np.ones(2, np.float32), "must have one element, not 2"),
                                ("fp8 token", np.ones(1), "must be float32, not float64"),
                                ("fp8 token", scales.reshape(-1)[:1], "scales")]:
        with pytest.raises(kq.InvalidArgument, match=said) as caught:
            kq.quantize(x, scheme, scale_ub=bound, scales=scales if scheme == "fp8 token" else None)
        assert caught.value.field in ("scale_ub", "scales")


def test_overlap_graph_is_cudas():
    with pytest.raises(kq.InvalidArgument) as caught:
        kq.overlap_graph(0)
    assert caught.value.field == "graph"
    if kq.backend() != "cuda":
        assert f"this library works on {kq.backend()}" in caught.value.reason
    with pytest.raises(TypeError, match=r"graph: must be a torch\.cuda\.CUDAGraph"):
        kq.overlap_graph("graph")


# --- threads, processes, the program ----------------------------------------------------------------------------------


def test_threads():
    x = random(64, 512)
    wanted = kq.quantize(x, "fp8 tensor")
    wrong = []

    def work():
        for _ in range(50):
            codes, scales, _ = kq.quantize(x, "fp8 tensor")
            if not (np.array_equal(codes, wanted.codes) and np.array_equal(scales, wanted.scales)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_lock_is_released():
    """Another thread goes on while a call works."""
    x = random(8192, 8192)
    calls, seen = threading.Event(), []

    def work():
        calls.set()
        kq.quantize(x, "fp8 token")
        calls.clear()

    thread = threading.Thread(target=work)
    thread.start()
    calls.wait()
    while calls.is_set():
        seen.append(1)
    thread.join()
    assert len(seen) > 1000


def test_import_asks_for_no_framework():
    code = "import kq, sys; print(sorted({'torch', 'numpy', 'jax', 'cupy'} & set(sys.modules)), kq.backend())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {kq.backend()}\n"
    assert done.stderr == ""


def test_the_package_has_the_library_and_the_program():
    assert kq.library().is_file()
    assert (kq.include_dir() / "kq.h").is_file()
    done = subprocess.run([sys.executable, "-c", "from kq._program import main; main()", "list"], capture_output=True, text=True)
    assert done.returncode == 0
    assert kq.backend() in done.stdout
    assert kq.architecture() in done.stdout  # one loader chose for both
    mapped = pathlib.Path("/proc/self/maps").read_text()
    assert f"{kq.library().resolve()}\n" in mapped, "the file in use"
