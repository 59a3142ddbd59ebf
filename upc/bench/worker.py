"""One engine in a process of its own, which `process.Worker` starts.

It makes the engine ready, runs it once and says so; then it answers requests. Requests and replies are
lines of JSON on standard input and output. It ends with its standard input.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from upc.files import write_array

WARM_CALLS, WARM_S = 5, 0.25  # untimed calls before a burst, and when they end at the latest
LEAST_CALLS = 3

Reply = dict[str, Any]
Talk = Generator[Reply, dict[str, Any], None]
"""Gives a reply, first that it is ready, then one for each request that it is sent."""


def main(engine: str, job_file: str) -> None:
    """Serve until standard input ends."""
    # What libraries print must not come between the replies.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(reply: Reply) -> None:
        channel.write(json.dumps(reply) + "\n")
        channel.flush()

    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    try:
        answers = _STARTS.get(engine, _start_engine)(engine, job)
        say(next(answers))
        for line in sys.stdin:
            say(answers.send(json.loads(line)))
    except Exception as problem:
        say({"error": f"{type(problem).__name__}: {str(problem).strip()}"})
        sys.exit(1)


def _start_engine(name: str, job: Any) -> Talk:
    """An engine's replies: it is ready, then an answer a request."""
    from upc.bench.engines import LOADERS

    engine = LOADERS[name](job)
    result = engine.call()
    request = yield {"versions": engine.versions}
    while True:
        if request["do"] == "outputs":
            for path, array in zip(request["files"], engine.arrays(result), strict=True):
                write_array(path, array)
            result = None
            request = yield {}
        elif request["do"] == "tune":
            engine.tune()
            _forget_peak()
            request = yield {}
        elif request["do"] == "burst":
            request = yield {"seconds": _burst(engine.call, request["seconds"]), "rss_bytes": peak_memory()}
        else:
            request = yield {"seconds": _after_idling(engine.call, request["pause_s"], request["count"])}


def _start_silicon(name: str, job: Any) -> Talk:
    """The machine's limits take their turn like an engine."""
    from upc.bench.silicon import Silicon

    silicon = Silicon(job["threads"])
    yield {"vector_bits": silicon.vector_bits}
    while True:
        yield {"gflops": silicon.gflops(), "bytes_per_s": silicon.bytes_per_s()}


def _start_export(name: str, job: Any) -> Talk:
    from upc.bench.engines import export_onnx

    export_onnx(job)
    yield {}


_STARTS: dict[str, Callable[[str, Any], Talk]] = {"silicon": _start_silicon, "export": _start_export}


def _burst(call: Callable[[], Any], seconds: float) -> list[float]:
    """Times of single calls for so long, after a few untimed ones."""
    clock = time.perf_counter
    begin = clock()
    for _ in range(WARM_CALLS):
        call()
        if clock() - begin > WARM_S:
            break
    times: list[float] = []
    gc.collect()
    gc.disable()
    try:
        end = clock() + seconds
        now = clock()
        while now < end or len(times) < LEAST_CALLS:
            call()
            after = clock()
            times.append(after - now)
            now = after
    finally:
        gc.enable()
    return times if len(times) <= 1000 else np.quantile(times, np.linspace(0, 1, 1001)).tolist()


def _after_idling(call: Callable[[], Any], pause: float, count: int) -> list[float]:
    """Times of calls that each come after a pause."""
    for _ in range(WARM_CALLS):
        call()
    times = []
    for _ in range(count):
        time.sleep(pause)
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times


def peak_memory() -> int:
    """Most bytes resident since the last `_forget_peak`, or, where the system has no such thing, ever."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        if found:
            return int(found[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
    """Count the peak from here: compiling and trying out are not what running takes."""
    gc.collect()
    with suppress(OSError):
        os.write(descriptor := os.open("/proc/self/clear_refs", os.O_WRONLY), b"5")  # a setting, not a file
        os.close(descriptor)
