# SPDX-License-Identifier: Apache-2.0
"""The peers' program without PyTorch and without a device: each peer's process, the canary, how graphs are captured and
samples taken. A script stands for a peer's process, another for kqbench, objects for the driver and for PyTorch."""

import contextlib
import ctypes
import importlib.util
import io
import json
import os
import pathlib
import signal
import sys
import tempfile
import textwrap
import threading
import time
import types
import unittest
from unittest import mock

from kq._bench import canary, graphs, measure, medians

APPS_PEERS = str(pathlib.Path(__file__).parents[2] / "apps/peers")
sys.path.insert(0, APPS_PEERS)
import processes  # noqa: E402
import result_file  # noqa: E402
import worker  # noqa: E402
from work import NotServed  # noqa: E402

# --- samples --------------------------------------------------------------------------------------------------------


class Medians(unittest.TestCase):
    def test_median(self):
        self.assertEqual(medians.median([3, 1, 2]), 2)
        self.assertEqual(medians.median([4, 1, 2, 3]), 2.5)

    def test_interval_has_the_ranks_of_the_binomial(self):
        """Of 20 samples the 6th and the 15th, as tables of the sign test have them."""
        self.assertEqual(medians.median_interval([float(i) for i in range(1, 21)]), (6, 15))


class Samples(unittest.TestCase):
    def take(self, times, **limits):
        """What comes of a sampler that gives these times, each of which a second passes for."""
        seconds, remaining = iter(range(1000)), iter(times)
        sampler = types.SimpleNamespace(launches=10, sample=lambda: next(remaining))
        (samples,), stop = measure.take_turns([sampler], measure.Limits(**limits), 5, clock=lambda: next(seconds))
        return samples, stop

    def test_steady_ones_end_as_soon_as_there_are_enough(self):
        samples, stop = self.take([2.0] * 100, min_launches=100, min_samples=8, max_seconds=100)
        self.assertEqual((len(samples), stop), (10, "interval"))

    def test_others_end_when_the_time_is_spent(self):
        samples, stop = self.take([1.0, 2.0] * 100, min_launches=10, min_samples=4, max_seconds=30)
        self.assertEqual(stop, "max_time")
        self.assertGreater(len(samples), 20)

    def test_rotations_are_whole(self):
        self.assertEqual([measure.rounded_up(n, 4) for n in (0, 1, 4, 5)], [4, 4, 4, 8])


class FakeStream:
    """Captures by calling, and takes `microseconds` for each replay."""

    def __init__(self, microseconds):
        self.microseconds, self.graphs = microseconds, []

    def synchronize(self):
        pass

    def capture(self, enqueue):
        enqueue()
        graph = mock.Mock(microseconds=lambda: self.microseconds)
        self.graphs.append(graph)
        return graph


class GraphSamples(unittest.TestCase):
    def candidate(self):
        return measure.Candidate(lambda x: (x + 1,), [(0,), (1,), (2,)])

    def test_a_graph_lasts_milliseconds_and_is_made_of_whole_rotations(self):
        """Its 6 launches take 12 us, so 1000 are needed, and 1002 are three copies in turn."""
        candidate, stream = self.candidate(), FakeStream(12.0)
        sampler = measure.GraphSampler(candidate, measure.Limits(), stream)
        self.assertEqual(sampler.launches, 1002)
        self.assertEqual(candidate.outputs, [(1,), (2,), (3,)])
        stream.microseconds = 2004.0
        self.assertEqual(sampler.sample(), 2.0)

    def test_no_graph_outlives_the_next_one_or_the_sampler(self):
        stream = FakeStream(12.0)
        sampler = measure.GraphSampler(self.candidate(), measure.Limits(), stream)
        self.assertEqual([graph.destroy.called for graph in stream.graphs], [True, False])
        sampler.close()
        self.assertTrue(stream.graphs[1].destroy.called)

    def test_a_graph_is_gone_after_a_failure(self):
        stream = FakeStream(12.0)
        with self.assertRaises(ZeroDivisionError):
            measure.measure([self.candidate()], lambda one, limits: measure.GraphSampler(one, limits, stream),
                            measure.Limits(max_seconds=0.01), 5, lambda outputs: None, lambda candidate: 1 // 0)
        self.assertTrue(all(graph.destroy.called for graph in stream.graphs))


class FakeLibrary:
    """Notes the names of what is called; every handle is a number of its own. `failing` is the call that does not work."""

    def __init__(self, failing=""):
        self.calls, self.failing, self.handles = [], failing, 0

    def __getattr__(self, name):
        def function(*arguments):
            self.calls.append(name)
            if name == self.failing:
                return 700
            if "Create" in name or "EndCapture" in name or "Instantiate" in name:
                self.handles += 1
                ctypes.cast(arguments[1] if "EndCapture" in name else arguments[0],
                            ctypes.POINTER(ctypes.c_void_p))[0] = self.handles
            if "ElapsedTime" in name:
                ctypes.cast(arguments[0], ctypes.POINTER(ctypes.c_float))[0] = 0.5
            return 0

        return function


class Graphs(unittest.TestCase):
    def stream(self, failing="", is_hip=False):
        self.library = FakeLibrary(failing)
        stream = graphs.Stream(graphs.Driver(is_hip, self.library))
        self.library.calls.clear()
        return stream

    def test_what_is_enqueued_is_captured_on_the_one_stream(self):
        for is_hip, prefix in ((False, "cu"), (True, "hip")):
            with self.subTest(prefix):
                graph = self.stream(is_hip=is_hip).capture(lambda: self.library.calls.append("work"))
                calls = [call.removeprefix(prefix).removesuffix("_v2") for call in self.library.calls]
                self.assertEqual(calls, ["StreamBeginCapture", "work", "StreamEndCapture", "GraphInstantiateWithFlags",
                                         "GraphDestroy"])
                graph.destroy()
                graph.destroy()
                self.assertEqual(self.library.calls[5:], [prefix + "StreamSynchronize", prefix + "GraphExecDestroy"])

    def test_the_replay_that_is_timed_follows_one_that_is_not(self):
        graph = self.stream().capture(lambda: None)
        self.library.calls.clear()
        self.assertEqual(graph.microseconds(), 500.0)
        self.assertEqual(self.library.calls, ["cuGraphLaunch", "cuEventRecord", "cuGraphLaunch", "cuEventRecord",
                                              "cuEventSynchronize", "cuEventElapsedTime"])

    def test_a_failure_ends_the_capture(self):
        with self.assertRaises(ZeroDivisionError):
            self.stream().capture(lambda: 1 // 0)
        self.assertEqual(self.library.calls, ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"])

    def test_a_call_that_fails_is_named(self):
        with self.assertRaisesRegex(RuntimeError, "cuGraphInstantiateWithFlags failed with status 700"):
            self.stream("cuGraphInstantiateWithFlags").capture(lambda: None)
        self.assertEqual(self.library.calls[-1], "cuGraphDestroy")


# --- the canary -----------------------------------------------------------------------------------------------------


def script(folder, name, text):
    """An executable Python script."""
    path = pathlib.Path(folder) / name
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
    path.chmod(0o755)
    return path


KQBENCH = """
    import json, sys
    of = dict(zip(sys.argv, sys.argv[1:]))
    assert of["--impl"] == "kokkos" and "--static-scale" in sys.argv, sys.argv
    time = {"1": 1.5, "4096": 25.0, "256": 300.0}[of["--num-tokens"]]
    print(json.dumps({"rows": [{"time_us": {"median": time}}]}))
"""


class Canary(unittest.TestCase):
    def entry(self, before, after, *kqbench):
        return canary.members(canary.calls({"graph"}, "cuda")[0], "torch.eager", before, after, 10238, kqbench)

    def test_it_is_what_the_file_says(self):
        self.assertEqual(self.entry(1.54, 1.55, 1.5, 1.6),
                         {"impl": "kokkos", "operation": "static tensor", "num_tokens": 1, "hidden_size": 4096,
                          "dtype": "half", "quant_dtype": "fp8_e4m3fn", "static_scale": True, "granularity": "tensor",
                          "timing": "graph", "cache": "cold", "peer": "torch.eager", "median_us_before": 1.54,
                          "median_us_after": 1.55, "launches_per_sample": 10238, "kqbench_median_us": 1.55})

    def test_calls_are_long_where_python_or_a_host_takes_part(self):
        def shapes(*arguments):
            return [(call["num_tokens"], call["hidden_size"], call["cache"]) for call in canary.calls(*arguments)]

        self.assertEqual(shapes({"graph"}, "cuda"), [(1, 4096, "cold"), (4096, 8192, "cold")])
        self.assertEqual(shapes({"wall"}, "cuda"), [(4096, 8192, "cold")])
        self.assertEqual(shapes({"wall"}, "cpu"), [(256, 4096, "hot")])
        self.assertEqual(len(shapes({"wall", "graph"}, "cuda")), 3)

    def test_copies_are_those_of_kqbench(self):
        """Its own file of an H200 has 10238 of the small shape's, 3 of the large one's."""
        small, large = canary.calls({"graph"}, "cuda")
        self.assertEqual([canary.copies(call, 62914560) for call in (small, large)], [10238, 3])
        self.assertEqual(canary.copies(dict(small, cache="hot"), 62914560), 1)

    def test_what_agrees_is_not_complained_of(self):
        self.assertIsNone(canary.complaint([]))
        self.assertIsNone(canary.complaint([self.entry(1.52, 1.51, 1.5), self.entry(1.48, 1.5, 1.5)]))
        self.assertIsNone(canary.complaint([self.entry(1.50, 1.52)]))

    def test_what_does_not_is_named_in_one_line(self):
        for entry, part in ((self.entry(1.94, 1.54, 1.54), "26.0%"), (self.entry(1.54, 1.94, 1.54), "26.0%"),
                            (self.entry(1.46, 1.5, 1.5), "2.7%"), (self.entry(1.54, 1.94), "26.0%")):
            said = canary.complaint([self.entry(1.5, 1.5, 1.5), entry])
            self.assertRegex(said, f"out by {part}.*1x4096.*torch.eager")
            self.assertNotIn("\n", said)

    def test_kqbench_is_asked_for_each_call(self):
        with tempfile.TemporaryDirectory() as folder:
            kqbench = script(folder, "kqbench", KQBENCH)
            self.assertEqual(canary.kqbench_medians(str(kqbench), canary.calls({"graph"}, "cuda"), "cuda", 0.1), [1.5, 25.0])

    def test_a_kqbench_that_fails_is_named_with_its_last_line(self):
        with tempfile.TemporaryDirectory() as folder:
            kqbench = script(folder, "kqbench", "import sys; sys.exit('first\\nno device')")
            with self.assertRaisesRegex(OSError, "kqbench run .*: gives no time: no device"):
                canary.kqbench_medians(str(kqbench), canary.calls({"graph"}, "cuda"), "cuda", 0.1)


class OutputFile(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_it_appears_whole(self):
        with result_file.Output(self.folder / "out.json") as output:
            self.assertFalse((self.folder / "out.json").exists())
            output.write({"rows": []})
        self.assertEqual(json.loads((self.folder / "out.json").read_text()), {"rows": []})
        self.assertEqual([path.name for path in self.folder.iterdir()], ["out.json"])

    def test_or_not_at_all(self):
        (self.folder / "out.json").write_text("before")
        with self.assertRaises(ValueError), result_file.Output(self.folder / "out.json") as output:
            output.write({"nan": float("nan")})
        self.assertEqual((self.folder / "out.json").read_text(), "before")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["out.json"])

    def test_a_place_that_cannot_be_written_is_refused(self):
        for place in (self.folder / "none" / "out.json", self.folder, "/proc/out.json"):
            with self.assertRaisesRegex(result_file.BadFile, str(place)):
                result_file.Output(place)


# --- a peer's process -----------------------------------------------------------------------------------------------

# Stands for worker.py; what it does is in the peer's name.
WORKER = """
    import json, os, signal, sys, time

    def send(**message):
        print(json.dumps(message), flush=True)

    job = json.load(sys.stdin)
    name = job["peer"]
    if name == "torch.absent":
        send(absent="No module named 'absent'")
        sys.exit()
    if name == "torch.refused":
        send(refused="PyTorch is not installed")
        time.sleep(60)
    send(setting={"runtime": "CUDA 13.0", "implementations": {name: "a peer"}}, device="a device")
    is_ended = []
    signal.signal(signal.SIGTERM, lambda *_: is_ended.append(True))
    for number, like in enumerate(job["works"], 1):
        send(work=f"work {number}", number=number)
        if name == "torch.crashes" and number == 2:
            sys.stdout.write('{"row": {"im')
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "torch.fails" and number == 2:
            send(failed="out of luck")
            sys.exit(3)
        if name == "torch.slow":
            while not is_ended:
                time.sleep(0.01)
        if name == "torch.hangs":
            while True:
                time.sleep(0.01)
        send(row={"impl": name, "num_tokens": like["num_tokens"]})
        if is_ended:
            break
    factor = 1.3 if name == "torch.state" else 1.0
    times = {1: 1.5, 4096: 25.0, 256: 300.0}
    send(canary=[[times[call["num_tokens"]], times[call["num_tokens"]] * factor, 100] for call in job["canary"]])
    send(done=130 if is_ended else 3 if name == "torch.lacks" else 0)
"""


class WithScripts(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.worker = script(self.folder, "worker", WORKER)
        self.kqbench = script(self.folder, "kqbench", KQBENCH)
        self.said = []


class Processes(WithScripts):
    def run_peer(self, name, works=3):
        job = {"peer": name, "works": [{"num_tokens": n} for n in range(works)],
               "canary": canary.calls({"graph"}, "cuda")}
        return processes.run_peer(job, self.said.append, lambda device: self.assertEqual(device, "a device"),
                                  [str(self.worker)])

    def test_a_peer_gives_its_rows_and_its_canary(self):
        outcome = self.run_peer("torch.eager")
        self.assertEqual((outcome.status, len(outcome.rows)), (0, 3))
        self.assertEqual(outcome.canary, [[1.5, 1.5, 100], [25.0, 25.0, 100]])
        self.assertEqual(outcome.setting["runtime"], "CUDA 13.0")
        self.assertIn("torch.eager, 2 of 3: work 2", self.said)

    def test_a_peer_that_lacks_a_row_keeps_the_others(self):
        outcome = self.run_peer("torch.lacks")
        self.assertEqual((outcome.status, len(outcome.rows)), (3, 3))

    def test_a_crash_is_named_and_costs_the_peer_its_rows(self):
        """There is no canary after them."""
        outcome = self.run_peer("torch.crashes")
        self.assertEqual((outcome.status, outcome.rows, outcome.canary), (3, [], []))
        self.assertEqual(self.said[-1], "torch.crashes is left out: its process ended by SIGSEGV at work 2")

    def test_a_failure_is_named(self):
        outcome = self.run_peer("torch.fails")
        self.assertEqual((outcome.status, outcome.rows), (3, []))
        self.assertEqual(self.said[-1], "torch.fails is left out: it failed at work 2: out of luck")

    def test_a_process_that_does_not_start_is_named(self):
        self.worker.write_text(f"#!{sys.executable}\nimport sys; sys.exit(9)\n")
        self.assertEqual(self.run_peer("torch.eager", works=100000).status, 3)
        self.assertEqual(self.said, ["torch.eager is left out: its process ended with status 9"])

    def test_an_absent_peer_is_said(self):
        outcome = self.run_peer("torch.absent")
        self.assertTrue(outcome.is_absent)
        self.assertEqual((outcome.status, self.said), (0, ["torch.absent is left out: No module named 'absent'"]))

    def test_a_refusal_ends_everything_at_once(self):
        begin = time.monotonic()
        with self.assertRaisesRegex(result_file.BadFile, "PyTorch is not installed"):
            self.run_peer("torch.refused")
        self.assertLess(time.monotonic() - begin, 30)

    def interrupted(self, name, times):
        """The outcome of a peer whose program is interrupted so often."""
        def interrupt(*_):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGUSR1, interrupt)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)

        def interrupts():
            while not any("work 1" in line for line in self.said):
                time.sleep(0.01)
            for _ in range(times):
                time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=interrupts)
        thread.start()
        outcome = self.run_peer(name)
        thread.join()
        return outcome

    def test_an_interrupt_keeps_what_is_there_with_the_canary_after_it(self):
        outcome = self.interrupted("torch.slow", 1)
        self.assertEqual((outcome.status, len(outcome.rows), len(outcome.canary)), (130, 1, 2))

    def test_a_second_interrupt_ends_it_at_once(self):
        outcome = self.interrupted("torch.hangs", 2)
        self.assertEqual((outcome.status, outcome.rows), (130, []))


def row(num_tokens):
    """One of kqbench's, as much as is looked at."""
    return {"impl": "kokkos", "num_tokens": num_tokens, "hidden_size": 4096, "dtype": "half", "quant_dtype": "int8",
            "static_scale": False, "granularity": "token", "asymmetric": False, "scale_format": "float",
            "scale_layout": "row", "timing": "graph", "cache": "cold", "bytes": 1}


class Program(WithScripts):
    def setUp(self):
        super().setUp()
        (self.folder / "ours.json").write_text(json.dumps({
            "schema": result_file.SCHEMA, "rows": [row(1), row(16)],
            "setting": {"backend": "cuda", "device": "a device", "cache_bytes": 1000}}))
        spec = importlib.util.spec_from_file_location("peers_program", pathlib.Path(APPS_PEERS) / "__main__.py")
        self.program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.program)

    def run_program(self, names, *options):
        """(status, the file or None, the lines on standard error)"""
        theirs = self.folder / "peers.json"
        theirs.unlink(missing_ok=True)
        arguments = ["peers", str(self.folder / "ours.json"), "--peers", names, "--json", str(theirs), *map(str, options)]
        said = io.StringIO()
        with mock.patch.object(processes, "COMMAND", [str(self.worker)]), mock.patch.object(sys, "argv", arguments), \
                mock.patch.object(self.program.peers, "ALL", dict.fromkeys(names.split(","))), \
                contextlib.redirect_stderr(said), mock.patch.object(signal, "signal"):
            status = self.program.main()
        return status, json.loads(theirs.read_text()) if theirs.exists() else None, said.getvalue().splitlines()

    def test_each_peer_has_a_canary_that_is_held_against_kqbench(self):
        status, result, said = self.run_program("torch.eager,torch.compile", "--kqbench", self.kqbench)
        self.assertEqual(status, 0, said)
        self.assertTrue(result["complete"])
        self.assertEqual([(entry["peer"], entry["num_tokens"], entry["kqbench_median_us"])
                          for entry in result["setting"]["canary"]],
                         [("torch.eager", 1, 1.5), ("torch.eager", 4096, 25.0), ("torch.compile", 1, 1.5),
                          ("torch.compile", 4096, 25.0)])
        self.assertEqual(len(result["rows"]), 4)
        self.assertEqual(set(result["setting"]["implementations"]), {"torch.eager", "torch.compile"})
        self.assertEqual(result["setting"]["runtime"], "CUDA 13.0")

    def test_a_canary_that_is_out_is_status_1_and_the_file_is_written(self):
        status, result, said = self.run_program("torch.eager,torch.state", "--kqbench", self.kqbench)
        self.assertEqual(status, 1)
        self.assertEqual(len(result["rows"]), 4)
        self.assertRegex(said[-1], "^peers: the canary is out by 30.0%.*rows of torch.state, .* us in kqbench")

    def test_a_crash_costs_the_peer_its_rows_only(self):
        status, result, said = self.run_program("torch.crashes,torch.eager,torch.absent",
                                                "--kqbench", self.kqbench)
        self.assertEqual((status, result["complete"]), (3, False))
        self.assertEqual({row["impl"] for row in result["rows"]}, {"torch.eager"})
        self.assertEqual({entry["peer"] for entry in result["setting"]["canary"]}, {"torch.eager"})
        self.assertIn("peers: torch.crashes is left out: its process ended by SIGSEGV at work 2", said)

    def test_what_cannot_be_timed_at_all_is_bad_usage_without_a_file(self):
        for names, message in (("torch.absent", "none of them can be imported"), ("torch.refused", "PyTorch is not")):
            status, result, said = self.run_program(names, "--kqbench", self.kqbench)
            self.assertEqual((status, result), (2, None))
            self.assertIn(message, said[-1])

    def test_another_device_is_refused(self):
        sweep = json.loads((self.folder / "ours.json").read_text())
        sweep["setting"]["device"] = "another device"
        (self.folder / "ours.json").write_text(json.dumps(sweep))
        status, result, said = self.run_program("torch.eager", "--kqbench", self.kqbench)
        self.assertEqual((status, result), (2, None))
        self.assertIn("was measured on another device, not on a device", said[-1])

    def test_a_kqbench_that_is_none_is_refused(self):
        status, result, said = self.run_program("torch.eager", "--kqbench", self.folder / "none")
        self.assertEqual((status, result), (2, None))
        self.assertIn("--kqbench", said[-1])


# --- what goes on in it ---------------------------------------------------------------------------------------------


class FakeChannel(list):
    def send(self, **message):
        self.append(message)


class Worker(unittest.TestCase):
    """With objects for PyTorch, the library and the peer: what is done in which order."""

    def job(self, **members):
        return dict({"peer": "torch.eager", "works": [row(1), row(16)], "canary": canary.calls({"graph"}, "cuda"),
                     "canary_seconds": 0.1, "cache_bytes": 1000, "device": "cuda",
                     "compile_mode": "default"}, **members)

    def run_job(self, job, time_row=lambda *_: {}, has_gpu=True, backend="cuda"):
        events, channel = [], FakeChannel()
        torch = mock.MagicMock()
        torch.cuda.is_available.return_value = has_gpu
        torch.cuda.set_stream.side_effect = lambda _: events.append("stream")
        torch.version.hip = None
        setting = mock.MagicMock()
        setting.device_context.return_value = {}
        setting.device_name.return_value = "a device"

        class Peer:
            name, description = "torch.eager", "a peer"

            def __init__(self):
                events.append("peer")

        def canaries(*_):
            events.append("canary")
            return [(1.5, 100)]

        def timed(*arguments):
            events.append("row")
            return time_row(*arguments)

        import peers
        with mock.patch.dict(sys.modules, {"torch": torch, "device_context": setting}), \
                mock.patch.object(graphs, "Driver", lambda _: graphs_driver()), mock.patch.object(worker, "canaries", canaries), \
                mock.patch.object(worker, "kq_backend", lambda: backend), \
                mock.patch.object(worker, "time_row", timed), mock.patch.dict(peers.ALL, {"torch.eager": Peer}), \
                mock.patch.object(signal, "signal"):
            worker.run(job, channel)
        return events, channel

    def test_one_stream_is_all_there_is_and_the_canary_comes_before_and_after(self):
        events, channel = self.run_job(self.job())
        self.assertEqual(events, ["stream", "peer", "canary", "row", "row", "canary"])
        self.assertEqual(channel[-2:], [{"canary": [[1.5, 1.5, 100]]}, {"done": 0}])

    def test_an_interrupt_ends_with_the_canary(self):
        def time_row(*_):
            raise KeyboardInterrupt

        events, channel = self.run_job(self.job(), time_row)
        self.assertEqual(events[-3:], ["canary", "row", "canary"])
        self.assertEqual(channel[-1], {"done": 130})

    def test_what_goes_wrong_in_one_work_costs_that_work_alone(self):
        for error, status in ((RuntimeError("no kernel\nand more"), 3), (MemoryError(), 3), (NotServed("no such operator"), 0)):
            with self.subTest(repr(error)):
                outcomes = iter([error, {"impl": "torch.eager"}])

                def time_row(*_, outcomes=outcomes):
                    outcome = next(outcomes)
                    if isinstance(outcome, Exception):
                        raise outcome
                    return outcome

                channel = self.run_job(self.job(), time_row)[1]
                self.assertEqual(channel[-1], {"done": status})
                self.assertEqual([message["row"] for message in channel if "row" in message], [{"impl": "torch.eager"}])
                said = [message["say"] for message in channel if "say" in message]
                self.assertEqual(said, [f"torch.eager is left out of dynamic token int8 from half, 1x4096: "
                                        f"{worker.reason(error)}"])

    def test_a_gpu_that_is_not_there_is_refused(self):
        self.assertIn("finds no GPU", self.run_job(self.job(), has_gpu=False)[1][0]["refused"])

    def test_a_package_for_another_device_is_refused(self):
        self.assertIn("kq was built for host", self.run_job(self.job(), backend="host")[1][0]["refused"])

    def test_without_pytorch_nothing_can_be_timed(self):
        channel = FakeChannel()
        with mock.patch.dict(sys.modules, {"torch": None}):
            worker.run(self.job(), channel)
        self.assertIn("PyTorch is not installed", channel[0]["refused"])

    def test_what_a_peer_prints_is_no_message(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "talks.py"
            file.write_text("import sys, worker\nchannel = worker.Channel()\nprint('noise')\nchannel.send(done=0)\n")
            said = []
            with mock.patch.dict(os.environ, PYTHONPATH=APPS_PEERS):
                outcome = processes.run_peer({"peer": "torch.eager", "works": []}, said.append, None,
                                             [sys.executable, str(file)])
        self.assertEqual((outcome.status, said), (0, []))


def graphs_driver():
    driver = mock.MagicMock()
    driver.made.return_value = ctypes.c_void_p(1)
    return driver
