# SPDX-License-Identifier: Apache-2.0
"""One stream for all of a process's work, graphs captured on it and events, by the driver's own calls.

After some sixteen launches on two streams besides the one that graphs are replayed on, every launch of every graph takes
0.34 us longer for the rest of a process's life (H200, driver 580.159.04; pytorch #161104 is about the same). PyTorch's
streams and torch.cuda.graph, which has one of its own, lead there."""

import ctypes
import re

NON_BLOCKING, CAPTURE_RELAXED = 1, 2
CUDA = {"StreamCreate": "cuStreamCreate", "StreamSynchronize": "cuStreamSynchronize",
        "BeginCapture": "cuStreamBeginCapture_v2", "EndCapture": "cuStreamEndCapture",
        "Instantiate": "cuGraphInstantiateWithFlags", "GraphLaunch": "cuGraphLaunch", "GraphDestroy": "cuGraphDestroy",
        "ExecDestroy": "cuGraphExecDestroy", "EventCreate": "cuEventCreate", "EventRecord": "cuEventRecord",
        "EventSynchronize": "cuEventSynchronize", "ElapsedTime": "cuEventElapsedTime"}
HIP = {"StreamCreate": "hipStreamCreateWithFlags", "StreamSynchronize": "hipStreamSynchronize",
       "BeginCapture": "hipStreamBeginCapture", "EndCapture": "hipStreamEndCapture",
       "Instantiate": "hipGraphInstantiateWithFlags", "GraphLaunch": "hipGraphLaunch", "GraphDestroy": "hipGraphDestroy",
       "ExecDestroy": "hipGraphExecDestroy", "EventCreate": "hipEventCreateWithFlags", "EventRecord": "hipEventRecord",
       "EventSynchronize": "hipEventSynchronize", "ElapsedTime": "hipEventElapsedTime"}
ARGUMENTS = {"StreamCreate": (ctypes.c_void_p, ctypes.c_uint), "StreamSynchronize": (ctypes.c_void_p,),
             "BeginCapture": (ctypes.c_void_p, ctypes.c_int), "EndCapture": (ctypes.c_void_p, ctypes.c_void_p),
             "Instantiate": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulonglong),
             "GraphLaunch": (ctypes.c_void_p, ctypes.c_void_p), "GraphDestroy": (ctypes.c_void_p,),
             "ExecDestroy": (ctypes.c_void_p,), "EventCreate": (ctypes.c_void_p, ctypes.c_uint),
             "EventRecord": (ctypes.c_void_p, ctypes.c_void_p), "EventSynchronize": (ctypes.c_void_p,),
             "ElapsedTime": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)}


def loaded_library(name):
    """The path of a library that this process has loaded, whose file's name begins so; the name alone if there is none."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as file:
            found = re.search(rf"\S*/{re.escape(name)}\S*", file.read())
        return found.group(0) if found else name
    except OSError:
        return name


class Driver:
    """The calls. Each raises RuntimeError unless it succeeds."""

    def __init__(self, is_hip, library=None):
        self.names = HIP if is_hip else CUDA
        self.library = library or ctypes.CDLL(loaded_library("libamdhip64.so") if is_hip else "libcuda.so.1")

    def call(self, which, *arguments):
        function = getattr(self.library, self.names[which])
        function.argtypes = ARGUMENTS[which]
        status = function(*arguments)
        if status != 0:
            raise RuntimeError(f"{self.names[which]} failed with status {status}")

    def made(self, which, *arguments):
        """What a call makes and leaves where its first argument points to."""
        handle = ctypes.c_void_p()
        self.call(which, ctypes.byref(handle), *arguments)
        return handle


class Stream:
    """A stream that does not wait for the default one, and two events on it."""

    def __init__(self, driver):
        self.driver = driver
        self.handle = driver.made("StreamCreate", NON_BLOCKING)
        self.begin, self.end = (driver.made("EventCreate", 0) for _ in range(2))

    def synchronize(self):
        self.driver.call("StreamSynchronize", self.handle)

    def capture(self, enqueue):
        """The graph of what `enqueue` enqueues on this stream."""
        # Relaxed: what an allocator or a library asks the runtime besides its launches does not end the capture.
        self.driver.call("BeginCapture", self.handle, CAPTURE_RELAXED)
        graph = ctypes.c_void_p()
        try:
            enqueue()
        except BaseException:
            try:
                self.driver.call("EndCapture", self.handle, ctypes.byref(graph))
                self.driver.call("GraphDestroy", graph)
            except RuntimeError:
                pass  # what ended the capture is what the caller hears of
            raise
        self.driver.call("EndCapture", self.handle, ctypes.byref(graph))
        try:
            return Graph(self, self.driver.made("Instantiate", graph, 0))
        finally:
            self.driver.call("GraphDestroy", graph)


class Graph:
    def __init__(self, stream, handle):
        self.stream, self.handle = stream, handle

    def launch(self):
        self.stream.driver.call("GraphLaunch", self.handle, self.stream.handle)

    def microseconds(self):
        """Device time of a replay. The replay that is timed follows one that is not and keeps the device busy, so that
        the time to launch a graph is not in between the events."""
        driver, stream = self.stream.driver, self.stream
        self.launch()
        driver.call("EventRecord", stream.begin, stream.handle)
        self.launch()
        driver.call("EventRecord", stream.end, stream.handle)
        driver.call("EventSynchronize", stream.end)
        milliseconds = ctypes.c_float()
        driver.call("ElapsedTime", ctypes.byref(milliseconds), stream.begin, stream.end)
        return milliseconds.value * 1e3

    def destroy(self):
        if self.handle is not None:
            self.stream.synchronize()
            self.stream.driver.call("ExecDestroy", self.handle)
            self.handle = None
