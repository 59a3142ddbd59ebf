"""The race: engines are started one after the other, checked against the reference, and timed in turns."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from upc import __version__, pipeline, reference, summary, weights
from upc.bench import silicon
from upc.bench.process import Worker, WorkerFailed
from upc.demands import check_sizes
from upc.diagnostics import EXIT_USAGE, UpcError, error
from upc.files import write_array, write_atomic
from upc.ir import Array, Graph
from upc.load_numba import check_environment
from upc.plan.plan import Algorithm
from upc.shape import evaluate, names_of

OURS = "upc"
PEERS: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "inductor": ("torch",),
    "onnxruntime": ("onnxruntime", "torch", "onnx", "onnxscript"),
    "openvino": ("openvino", "torch", "onnx", "onnxscript"),
    "tensorflow": ("tensorflow", "keras"),
}
"""The other engines, and what each needs to be installed."""

SOURCES = {"torch": "torch", "inductor": "torch", "onnxruntime": "torch", "openvino": "torch", "tensorflow": "keras"}
"""Whose emitted source each of them runs."""

COMPILERS = (OURS, "inductor")
"""Engines that keep machine code: their first start says how long that takes to make, the second what it saves."""

MOST_ERROR = 1e-4
"""How far from the reference an engine may be, in the largest absolute value of an output."""

IDLE_S, IDLE_CALLS = 0.010, 30

Progress = Callable[[str], None]
Row = dict[str, Any]


@dataclass(slots=True)
class Result:
    """What a race found: the machine, a row for each engine and batch, and why engines are missing.

    `disagreeing` engines compute something else than the reference does, and were not timed.
    """

    machine: dict[str, Any]
    rows: list[Row]
    left_out: dict[str, str] = field(default_factory=dict)
    disagreeing: list[str] = field(default_factory=list)


def installed(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Which of the peers are there; of the others, what they lack."""
    missing = {name: [module for module in PEERS[name] if find_spec(module) is None] for name in names}
    there = [name for name in names if not missing[name]]
    return there, {name: f"{', '.join(modules)} not installed" for name, modules in missing.items() if modules}


def race(
    graph: Graph,
    arrays: Mapping[str, Array],
    *,
    batches: Sequence[int] = (1, 64),
    against: Sequence[str] = tuple(PEERS),
    threads: int | None = None,
    bursts: int = 5,
    seconds: float = 0.5,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    algorithm: Algorithm = "auto",
    progress: Progress = lambda words: None,
) -> Result:
    """Race the Numba module of a graph against the other engines, at every batch.

    Each engine has so many `bursts` of so many `seconds`, in turn. `sizes` are the free ones, by name. As the
    frameworks' exports, the module is written anew for every batch; `algorithm` is that of `upc.load`.
    Errors: UpcError for sizes that do not fit the net, or a Numba module that cannot be made.
    """
    check_sizes(graph, [x.shape[1:] for x in random_inputs(graph, 1, sizes or {}, seed)])
    check_environment()
    threads = threads or silicon.available_cores()
    engines, left_out = installed(against)
    versions = {"upc": __version__, "numpy": np.__version__}
    result = Result({**silicon.describe(threads), "versions": versions}, [], left_out)
    with TemporaryDirectory(prefix="upc-bench-") as folder:
        course = _Course(graph, arrays, dict(sizes or {}), threads, Path(folder), seed, algorithm, progress)
        engines = course.write_sources(engines, result)
        progress("measuring the machine")
        with course.worker("silicon") as limits:
            result.machine.update(limits.hello, gflops=0.0, bytes_per_s=0.0)
            for batch in batches:
                course.run(result, limits, [OURS, *engines], batch, bursts, seconds)
    for row in result.rows:
        _add_shares(row, result.machine)
    return result


@dataclass(slots=True)
class _Course:
    """Where a race takes place: the net, its files in a folder, and how workers are started in it."""

    graph: Graph
    arrays: Mapping[str, Array]
    sizes: dict[str, int]
    threads: int
    folder: Path
    seed: int
    algorithm: Algorithm
    progress: Progress
    job: dict[str, Any] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    written: str = ""

    def worker(self, engine: str) -> Worker:
        return Worker(engine, self.folder / "job.json", self.threads, self.folder)

    def write_sources(self, engines: Sequence[str], result: Result) -> list[str]:
        """Put weights and emitted sources where the workers find them; the engines whose source can be written."""
        from upc.emit import keras, torch

        stored = self.folder / "weights.safetensors"
        weights.save(stored, self.arrays)
        self.job = {
            "threads": self.threads,
            "weights": str(stored),
            "torch_class": torch.class_name(self.graph),
            "keras_builder": keras.builder_name(self.graph),
            "sources": {},
        }
        reasons: dict[str, str] = {}
        for target in dict.fromkeys(SOURCES[name] for name in engines):
            path = self.folder / f"{self.graph.name}_{target}.py"
            try:
                write_atomic(path, pipeline.emit(self.graph, target))
            except UpcError as problem:
                reasons[target] = problem.diagnostics[0].message
            self.job["sources"][target] = str(path)
        for name in engines:
            if SOURCES[name] in reasons:
                result.left_out[name] = reasons[SOURCES[name]]
        self._write_job()
        return [name for name in engines if name not in result.left_out]

    def run(
        self, result: Result, limits: Worker, engines: Sequence[str], batch: int, bursts: int, seconds: float
    ) -> None:
        """All rows of one batch."""
        inputs = random_inputs(self.graph, batch, self.sizes, self.seed)
        macs = summary.multiply_adds(self.graph, self._bound(inputs))
        traffic = sum(a.nbytes for a in (*self.arrays.values(), *inputs))
        self._write_numba(batch)
        self._write_inputs(inputs, batch)
        engines = self._export(engines, batch, result)
        expected = self._reference(inputs)
        ours: list[Array] | None = None
        with ExitStack() as stack:
            racers: dict[str, tuple[Worker, Row]] = {}
            for name in engines:
                self.progress(f"batch {batch}: starting {name}")
                try:
                    worker, row = self._start(name, batch, stack)
                    outputs = self._outputs(worker)
                except WorkerFailed as problem:
                    if name == OURS:
                        raise error("E0710", f"the Numba module failed: {problem}", exit_code=EXIT_USAGE) from None
                    result.left_out[name] = str(problem)
                    continue
                result.machine["versions"].update(worker.hello["versions"])
                row["error"] = max(_distance(outputs, expected, batch), _distance(outputs, ours or outputs, None))
                if not row["error"] <= MOST_ERROR:
                    result.disagreeing.append(f"{name} at batch {batch}: {row['error']:.1e} of the output's scale away")
                    worker.end()
                    continue
                if name == OURS:
                    ours = outputs
                    traffic += sum(y.nbytes for y in outputs)
                worker.ask(do="tune")
                racers[name] = worker, row
            self._take_turns(result, limits, racers, bursts, seconds)
            if batch == 1:
                for worker, row in racers.values():
                    row["idle_s"] = median(worker.ask(do="idle", pause_s=IDLE_S, count=IDLE_CALLS)["seconds"])
        rows = [row for _, row in racers.values()]
        for row in rows:
            row["macs"], row["traffic_bytes"] = macs, traffic
        _add_figures(rows, batch)
        result.rows += rows

    def _take_turns(
        self, result: Result, limits: Worker, racers: Mapping[str, tuple[Worker, Row]], bursts: int, seconds: float
    ) -> None:
        """Bursts in turn, the machine's limits among them."""
        for turn in range(bursts):
            self.progress(f"round {turn + 1} of {bursts}")
            found = limits.ask(do="burst")
            for figure in ("gflops", "bytes_per_s"):
                result.machine[figure] = max(result.machine[figure], found[figure])
            for worker, row in racers.values():
                reply = worker.ask(do="burst", seconds=seconds)
                row["bursts_s"].append(median(reply["seconds"]))
                row["fastest_s"] = min(row.get("fastest_s", math.inf), *reply["seconds"])
                row["rss_bytes"] = max(row["rss_bytes"], reply["rss_bytes"])

    def _start(self, name: str, batch: int, stack: ExitStack) -> tuple[Worker, Row]:
        row: Row = {"engine": name, "batch": batch, "bursts_s": [], "rss_bytes": 0}
        if name in COMPILERS and (name != OURS or name not in self.started):
            with self.worker(name) as first:
                self.started[name] = first.start_s
        if name in self.started:
            row["first_start_s"] = self.started[name]
        worker = stack.enter_context(self.worker(name))
        row["start_s"] = worker.start_s
        return worker, row

    def _outputs(self, worker: Worker) -> list[Array]:
        files = [str(self.folder / f"{worker.engine}_{i}.npy") for i in range(len(self.graph.outputs))]
        worker.ask(do="outputs", files=files)
        return [np.load(file) for file in files]

    def _export(self, engines: Sequence[str], batch: int, result: Result) -> list[str]:
        """The ONNX file of this batch; the engines that can run."""
        readers = [name for name in engines if name in ("onnxruntime", "openvino") and name not in result.left_out]
        if readers:
            self.progress(f"batch {batch}: exporting to ONNX")
            try:
                self.worker("export").end()
            except WorkerFailed as problem:
                result.left_out.update(dict.fromkeys(readers, f"the export to ONNX failed: {problem}"))
        return [name for name in engines if name not in result.left_out]

    def _bound(self, inputs: Sequence[Array]) -> dict[str, int]:
        return check_sizes(self.graph, [x.shape[1:] for x in inputs])

    def _write_numba(self, batch: int) -> None:
        """The module made for such calls, to be compiled anew if it differs."""
        path = self.folder / f"{self.graph.name}_numba.py"
        text = pipeline.emit(self.graph, "numba", self.algorithm, batch)
        if self.written != text:
            self.started.pop(OURS, None)
        self.written = text
        write_atomic(path, text)
        self.job["sources"]["numba"] = str(path)

    def _write_inputs(self, inputs: Sequence[Array], batch: int) -> None:
        files = [self.folder / f"input_{i}.npy" for i in range(len(inputs))]
        for file, array in zip(files, inputs, strict=True):
            write_array(file, array)
        self.job["inputs"], self.job["onnx"] = [str(f) for f in files], str(self.folder / f"batch_{batch}.onnx")
        self._write_job()

    def _write_job(self) -> None:
        write_atomic(self.folder / "job.json", json.dumps(self.job))

    def _reference(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs of the first and last image, in float64."""
        self.progress("computing the reference")
        ends = [x[[0, -1]].astype(np.float64) for x in inputs]
        return list(reference.run(self.graph, self.arrays, ends).values())


def random_inputs(graph: Graph, batch: int, sizes: Mapping[str, int], seed: int) -> list[Array]:
    """Numbers for every engine the same. Errors: UpcError where a free size is not among `sizes`."""
    free = names_of(dim for value in graph.inputs for dim in value.shape)
    unknown = sorted(free - sizes.keys())
    if unknown:
        hint = f"--size {','.join(f'{name}=64' for name in unknown)}"
        raise error("E0711", f"{graph.name} has free sizes: {', '.join(unknown)}", hint=hint, exit_code=EXIT_USAGE)
    strange = sorted(sizes.keys() - free)
    if strange:
        raise error("E0711", f"{graph.name} has no free size {strange[0]}", exit_code=EXIT_USAGE)
    draw = np.random.RandomState(seed)
    shapes = [tuple(evaluate(dim, sizes) for dim in value.shape) for value in graph.inputs]
    return [draw.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]


def _distance(outputs: Sequence[Array], expected: Sequence[Array], batch: int | None) -> float:
    """The largest difference, in the largest absolute value expected. With `batch`, of the first and last image."""
    worst = 0.0
    for got, right in zip(outputs, expected, strict=True):
        seen = got if batch is None else got[[0, -1]]
        if seen.shape != right.shape:
            return math.inf
        gap = np.abs(seen.astype(np.float64) - right).max(initial=0.0) / (np.abs(right).max(initial=0.0) or 1.0)
        worst = max(worst, float(gap)) if np.isfinite(gap) else math.inf
    return worst


def _add_figures(rows: Sequence[Row], batch: int) -> None:
    """Medians, rates and ratios of the rows of one batch."""
    for row in rows:
        row["median_s"] = median(row["bursts_s"])
        row["spread_s"] = [min(row["bursts_s"]), max(row["bursts_s"])]
        row["effective_gflops"] = 2 * row["macs"] * batch / row["median_s"] / 1e9
        row["bytes_per_s"] = row["traffic_bytes"] / row["median_s"]
    fastest = min((row["median_s"] for row in rows if row["engine"] != OURS), default=None)
    for row in rows:
        row["ratio"] = fastest / row["median_s"] if fastest else None


def _add_shares(row: Row, machine: Mapping[str, Any]) -> None:
    """What part of the machine's limits a row reaches."""
    row["peak_share"] = row["effective_gflops"] / machine["gflops"]
    row["bandwidth_share"] = row["bytes_per_s"] / machine["bytes_per_s"]
