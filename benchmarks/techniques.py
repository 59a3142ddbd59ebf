"""What each technique of the Numba module brings: the same network with and without it, their calls in turn.

    python benchmarks/techniques.py [--rounds 7] [--seconds 0.2] [--threads N] [--processes 1] [--only WORDS]

Where processes are several, the medians of each are told apart from those of the others by their own median: what
memory a process happens to get counts for some percent. techniques.md is written beside this file, unless --only
picks techniques by words of their names: these are printed. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np

from upc import passes, pipeline
from upc.bench import report, silicon
from upc.build import compile_source
from upc.files import write_atomic
from upc.ir import Graph
from upc.load import resolve_weights
from upc.load_numba import import_file
from upc.plan.passes import reach_through
from upc.plan.plan import ONE_TURN, Plan
from upc.runtime.steps import Convolution, Gather, Repeat, Step
from upc.source import Source

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"

MOVED = """
net wide_then_narrow {
  input features: [32, 32, 256]
  up_sampling2d(2, interpolation=bilinear)
  conv2d(64, kernel_size=1)
  relu()
  output picture
}
"""


@dataclass(frozen=True)
class Technique:
    """`off` is a context in which plans are made without it, or a change to the written module."""

    name: str
    off: Callable[[], object] | tuple[str, str]
    cases: tuple[tuple[str, int], ...]


@contextmanager
def _never_deferred() -> Iterator[None]:
    through = reach_through._through

    def of_others(step: Step, reader: Step, plan: Plan) -> Convolution | None:
        return None if isinstance(step, Gather) and isinstance(step.move, Repeat) else through(step, reader, plan)

    with mock.patch.object(reach_through, "_through", of_others):
        yield


TECHNIQUES = (
    Technique(
        "minimal filtering",
        lambda: mock.patch("upc.plan.passes.choose_algorithms.filtered", lambda step, *known: step),
        (("b4", 64), ("b3", 64), ("b7", 1), ("b8", 1), ("d3", 1)),
    ),
    Technique(
        "nearest enlargement + convolution as phases, then filtered",
        _never_deferred,
        (("b8", 1), ("b8", 16), ("b1", 64)),
    ),
    Technique(
        "turns of their own for large kernels and large pictures",
        lambda: mock.patch("upc.plan.passes.take_turns._turns", lambda *known: ((0, 64),)),
        (("b6", 64), ("b8", 64), ("b5", 64)),
    ),
    Technique(
        "turns of their own, beside as many images for all as memory is worth",
        lambda: mock.patch("upc.plan.passes.take_turns._turns", lambda *known: ONE_TURN),
        (("b6", 64), ("b8", 64), ("b5", 64)),
    ),
    Technique(
        "pixels folded into lanes where channels are few",
        ("self._choose_fold(source, target) if fixed else (1, 1)", "(1, 1)"),
        (("b6", 1), ("b4", 64), ("b1", 64)),
    ),
    Technique(
        "of several rows where that takes fewer taps",
        ("for rows in sorted({1, *range(down, most + 1, down)})", "for rows in (1,)"),
        (("b6", 64), ("b8", 64), ("c1", 64)),
    ),
    Technique(
        "the next tile's pixels asked for ahead",
        ("MOST_AHEAD = 2 ", "MOST_AHEAD = 0 "),
        (("b6", 64), ("b6", 1)),
    ),
    Technique(
        "lines asked for before they are stored to",
        ("ask(target, y, k - pixel)", "pass"),
        (("b6", 64), ("b6", 1)),
    ),
    Technique(
        "pixels kept off powers of two",
        ("if self.spread and self.channels % 256 == 0 else", "if False else"),
        (("b4", 1), ("b7", 1), ("b8", 1)),
    ),
    Technique(
        "1x1 convolutions before an enlargement",
        lambda: mock.patch.object(passes, "PASSES", ()),
        (("moved", 1), ("moved", 16)),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.2, metavar="S")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    parser.add_argument("--only", default="", metavar="WORDS")
    options = parser.parse_args()
    options.threads = options.threads or silicon.available_cores()
    rows = []
    with tempfile.TemporaryDirectory(prefix="upc-techniques-") as folder:
        os.environ["UPC_CACHE_DIR"] = folder
        for number, technique in enumerate(TECHNIQUES):
            for case, batch in technique.cases if options.only in technique.name else ():
                # A process each: of one after another, the first alone compiles.
                with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
                    work = [(number, case, batch, Path(folder), options)] * options.processes
                    found = processes.starmap(_compare, work, chunksize=1)
                ratios = sorted(off / on for on, off, _ in found)
                on, off, error = (median(numbers) for numbers in zip(*found, strict=True))
                spread = f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if len(ratios) > 1 else ""
                print(f"{technique.name}, {case} {batch}: {median(ratios):.2f}{spread}", file=sys.stderr, flush=True)
                cells = [report.duration(off), report.duration(on), f"{median(ratios):.2f}", f"{error:.1e}"]
                rows.append([technique.name, case.upper() if len(case) == 2 else case, str(batch), *cells])
    text = page(rows, options.threads)
    if not options.only:
        write_atomic(HERE / "techniques.md", text)
    print(text)


def _graph(case: str) -> Graph:
    if case == "moved":
        return compile_source(Source("wide_then_narrow.upc", MOVED))
    (path,) = EXAMPLES.glob(f"{case}_*.upc")
    return pipeline.graph(pipeline.tree(pipeline.read(str(path))))


def _compare(
    number: int, case: str, batch: int, folder: Path, options: argparse.Namespace
) -> tuple[float, float, float]:
    """(seconds with it, seconds without, how far the results are apart in the output's largest value)."""
    technique, threads, graph = TECHNIQUES[number], options.threads, _graph(case)
    arrays = resolve_weights(graph, None, 0)
    texts = [pipeline.emit(graph, "numba", batch=batch)]
    if isinstance(technique.off, tuple):
        assert technique.off[0] in texts[0], technique.name
        texts.append(texts[0].replace(*technique.off))
    else:
        with technique.off():  # type: ignore[attr-defined]
            texts.append(pipeline.emit(graph, "numba", batch=batch))
    assert texts[0] != texts[1], f"{technique.name} changes nothing in {case}"
    nets = []
    for which, text in zip(("with", "without"), texts, strict=True):
        path = folder / f"{graph.name}_{which}.py"
        path.write_text(text, encoding="utf-8")
        nets.append(import_file(path).load(arrays, threads=threads))
    draw = np.random.RandomState(0)
    free = dict.fromkeys("HW", 128)
    shapes = [[n if isinstance(n, int) else free[str(n)] for n in value.shape] for value in graph.inputs]
    inputs = [draw.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]
    results = [net(*inputs) for net in nets]
    error = float(np.abs(results[0] - results[1]).max() / np.abs(results[0]).max())
    times: list[list[float]] = [[], []]
    for _ in range(options.rounds):
        for net, found in zip(nets, times, strict=True):
            net(*inputs)
            calls, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < options.seconds or not calls:
                net(*inputs)
                calls += 1
            found.append((time.perf_counter() - begin) / calls)
    return median(times[0]), median(times[1]), error


def page(rows: list[list[str]], threads: int) -> str:
    """The results as Markdown."""
    machine = silicon.describe(threads)
    lines = [
        "# What each technique brings",
        "",
        f"{machine['cpu']}, {report.count(threads, 'thread')}, {machine['date']}. The same network with all",
        "techniques and with all but one: medians of calls in turn, and how far their results are apart, in the",
        "output's largest value. `python benchmarks/techniques.py` makes this table.",
        "",
        "| technique | network | batch | without | with | ratio | apart |",
        "|---|---|---:|---:|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
