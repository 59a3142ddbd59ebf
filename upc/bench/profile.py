"""Where a Numba module's time goes: the clock is read after each step of the module's own run.

All threads wait for a step's last task before they go on, so the leader's clock between two steps is the
step's time, with the caches as the step before it left them. A reading takes some ten nanoseconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np

from upc.bench import silicon
from upc.bench.process import Worker, WorkerFailed
from upc.bench.report import aligned, count, duration, machine_line
from upc.diagnostics import EXIT_USAGE, error
from upc.files import write_atomic
from upc.ir import Array, Graph
from upc.load_numba import check_environment, load_module
from upc.plan.plan import Algorithm

FLOAT_BYTES = 4
LEAST_CALLS, LEAST_S = 5, 0.5


@dataclass(frozen=True, slots=True)
class StepTime:
    """One step of a call: `multiply_adds` are those done, `traffic_bytes` what is read and written at least."""

    name: str
    line: int
    kind: str
    seconds: float
    multiply_adds: int
    traffic_bytes: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A call's steps; `call_s` is the whole call as Python sees it, `multiply_adds` a framework's count of it."""

    net: str
    batch: int
    machine: dict[str, Any]
    call_s: float
    multiply_adds: int
    steps: tuple[StepTime, ...]


def profile(
    graph: Graph,
    arrays: Mapping[str, Array],
    inputs: Sequence[Array],
    *,
    multiply_adds: int,
    threads: int | None = None,
    algorithm: Algorithm = "auto",
) -> Profile:
    """Time every step of the Numba module on these inputs. `multiply_adds` are a framework's, for one image."""
    check_environment()
    threads = threads or silicon.available_cores()
    limits = _limits(threads)
    module = load_module(graph, algorithm, len(inputs[0]))
    net = module.load(arrays, threads, allow_nonfinite=True)
    stamps = np.zeros(1 + len(module.NETWORK.steps), np.int64)
    net.stamp(stamps)
    call_s, ticks, rate = _run(net, inputs, stamps)
    batch = len(inputs[0])
    steps = tuple(_steps(module, net, inputs, batch, ticks / rate))
    return Profile(graph.name, batch, limits, call_s, multiply_adds * batch, steps)


def _run(net: Any, inputs: Sequence[Array], stamps: Array) -> tuple[float, Array, float]:
    """(seconds of a call, ticks of each of its steps, ticks in a second); the first two are medians."""
    clock = time.perf_counter
    net(*inputs)
    net(*inputs)
    begin, first = clock(), int(stamps[0])
    calls: list[float] = []
    ticks: list[Array] = []
    while len(calls) < LEAST_CALLS or clock() - begin < LEAST_S:
        stamps[1:] = 0
        before = clock()
        net(*inputs)
        calls.append(clock() - before)
        ticks.append(stamps[1:].copy())
    rate = (int(stamps[0]) - first) / (clock() - begin)
    return float(np.median(calls)), np.median(ticks, axis=0), rate


def _limits(threads: int) -> dict[str, Any]:
    """The machine's own figures, measured in a process of their own."""
    with TemporaryDirectory(prefix="upc-profile-") as folder:
        job = Path(folder) / "job.json"
        write_atomic(job, f'{{"threads": {threads}}}')
        try:
            with Worker("silicon", job, threads, Path(folder)) as worker:
                return {**silicon.describe(threads), **worker.hello, **worker.ask(do="burst")}
        except WorkerFailed as problem:
            message = f"the machine's limits cannot be measured: {problem}"
            raise error("E0710", message, exit_code=EXIT_USAGE) from None


def _steps(module: ModuleType, net: Any, inputs: Sequence[Array], batch: int, seconds: Array) -> Iterator[StepTime]:
    """Times and work of every step, side by side."""
    network = module.NETWORK
    free = {
        size: number
        for port, array in zip(network.inputs, inputs, strict=True)
        for size, number in zip(port.shape, array.shape[1:], strict=True)
        if isinstance(size, str)
    }
    sizes = network.sizes(**free)
    for compiled, step, taken in zip(network.compiled(), network.steps, seconds, strict=True):
        values = {step.target, *step.reads}
        floats = batch * sum(prod(sizes[value]) for value in values)
        floats += sum(prod(network.weights[key]) for key in step.weight_keys)
        adds = _multiply_adds(compiled, step, module, sizes)
        kind = getattr(step, "form", type(step).__name__.lower())
        yield StepTime(step.name, step.line, kind, float(taken), batch * adds, FLOAT_BYTES * floats)


def _multiply_adds(compiled: Any, step: Any, module: ModuleType, sizes: Mapping[str, tuple[int, int, int]]) -> int:
    """Multiply-adds that a step does for one image; pointwise arithmetic is not counted."""
    source, target = (module.Picture(*sizes[name]) for name in (step.source, step.target))
    if hasattr(compiled, "multiply_adds"):
        return int(compiled.multiply_adds(source, target))
    if isinstance(step, module.Convolution):
        phases, grid_size = compiled.phases(source, target), compiled._grid_size(target)
        pixels = sum(prod(phases.grid(phase, grid_size)) * len(phase.taps) for phase in phases.phases)
        return int(pixels) * int(step.inputs // step.groups * step.outputs * compiled.folded)
    if isinstance(step, module.Filtering):
        return int(prod(module.patch_grid(step, target)) * step.points * step.inputs * step.channels)
    if isinstance(step, module.Depthwise):
        return int(prod(step.kernel) * target.height * target.width * target.channels)
    return 0


def table(found: Profile) -> str:
    """The profile for a terminal."""
    peak, bandwidth = found.machine["gflops"] * 1e9, found.machine["bytes_per_s"]
    rows = []
    for step in found.steps:
        adding, moving = 2 * step.multiply_adds / peak / step.seconds, step.traffic_bytes / bandwidth / step.seconds
        limit = f"{adding:.0%} fma" if adding >= moving else f"{moving:.0%} memory"
        rows.append(
            [
                f"{step.name}:{step.line}",
                step.kind,
                duration(step.seconds),
                f"{step.seconds / found.call_s:.1%}",
                f"{step.multiply_adds / 1e6:,.2f}",
                f"{2e-9 * step.multiply_adds / step.seconds:.1f}",
                f"{step.traffic_bytes / 1e6:,.2f}",
                f"{step.traffic_bytes / step.seconds / 1e9:.2f}",
                limit,
            ]
        )
    inside = sum(step.seconds for step in found.steps)
    done = sum(step.multiply_adds for step in found.steps)
    rows.append(
        ["outside the steps", "", duration(max(0.0, found.call_s - inside)), f"{1 - inside / found.call_s:.1%}"]
    )
    header = ["step:line", "kind", "time", "share", "10^6 madds", "GFLOP/s", "MB", "GB/s", "of its limit"]
    lines = [machine_line(found.machine), ""]
    title = f"{found.net}, {count(found.batch, 'image')}: {duration(found.call_s)} a call"
    lines.append(f"{title}, {done / 1e6:,.1f} million multiply-adds done of {found.multiply_adds / 1e6:,.1f} as layers")
    effective = 2e-9 * found.multiply_adds / found.call_s
    lines.append(f"{effective:.1f} GFLOP/s effective, {effective / found.machine['gflops']:.0%} of the machine's")
    lines += ["", *aligned([header, *rows], left=2)]
    return "\n".join(lines) + "\n"


def as_json(found: Profile) -> dict[str, Any]:
    """Plain data: {"net", "batch", "machine", "call_s", "multiply_adds", "steps": [...]}."""
    return {
        "net": found.net,
        "batch": found.batch,
        "machine": found.machine,
        "call_s": found.call_s,
        "multiply_adds": found.multiply_adds,
        "steps": [{f.name: getattr(step, f.name) for f in fields(step)} for step in found.steps],
    }
