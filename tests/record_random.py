"""Hold the Numba target to the reference on 2,000 random graphs, and write down what came of it.

    python tests/record_random.py [--graphs 2000] [--processes 2]

It goes on where it was stopped: results are kept, a line for each module, in `.record_random.jsonl` beside the
record until all are there. Many small graphs share one module, because compiling takes far longer than running;
each has inputs, outputs, weights and a bound of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median

HERE = Path(__file__).parent
RECORD = HERE / "RANDOM_GRAPHS.md"
STATE = HERE / ".record_random.jsonl"
PARTS = 20  # graphs of a module
LAYERS = 6  # at most, of a graph
MODULES_PER_PROCESS = 2
BATCHES = (1, 3)


@dataclass
class Result:
    """One module: the largest share of the bound in each of its graphs, and the kinds of layers in it."""

    seed: int
    ratios: list[float]
    kinds: dict[str, int]
    free: bool
    failure: str = ""


def try_module(seed: int) -> Result:
    """Draw, compile and compare the graphs of one module."""
    from random_graphs import random_inputs, random_net, random_weights
    from tolerance import expect

    from upc.load import load_graph

    drawn = random_net(Random(seed), parts=PARTS, layers=LAYERS)
    result = Result(seed, [0.0] * PARTS, {}, bool(drawn.sizes[0]))
    try:
        graph = drawn.graph()
        result.kinds = dict(Counter(node.layer.name for node in graph.nodes))
        weights = random_weights(graph, seed)
        net = load_graph(graph, weights=weights)
        owner = {name: i for i, names in enumerate(drawn.parts) for name in names}
        for sizes in drawn.sizes:
            for batch in BATCHES:
                inputs = random_inputs(graph, seed, batch, sizes)
                results = net(*inputs)
                results = results if isinstance(results, tuple) else (results,)
                for output, got, expected in zip(graph.outputs, results, expect(graph, weights, inputs), strict=True):
                    part = owner[output.name]
                    result.ratios[part] = max(result.ratios[part], expected.ratio(got))
    except Exception as problem:
        result.failure = f"{type(problem).__name__}: {problem}"
    return result


def in_process(seeds: list[int]) -> Iterator[Result]:
    """Results of a process of their own, so that a crash is one module's failure and not the end."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, str(Path(__file__).resolve()), "--seeds", *map(str, seeds)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "UPC_CACHE_DIR": cache})
    found = [Result(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    yield from found
    if len(found) < len(seeds):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield Result(seeds[len(found)], [], {}, False, f"the process ended with {done.returncode}: {last}")
        if rest := seeds[len(found) + 1 :]:
            yield from in_process(rest)
    elif done.returncode:
        yield Result(seeds[-1], [], {}, False, f"the process ended with {done.returncode}")


def run(modules: int, processes: int) -> list[Result]:
    """All results, those of earlier runs included."""
    known: dict[int, Result] = {}
    if STATE.exists():
        known = {r.seed: r for r in (Result(**json.loads(line)) for line in STATE.read_text().splitlines())}
    todo = [seed for seed in range(modules) if seed not in known]
    groups = [todo[i : i + MODULES_PER_PROCESS] for i in range(0, len(todo), MODULES_PER_PROCESS)]
    with ThreadPoolExecutor(processes) as pool, STATE.open("a") as state:
        for results in pool.map(lambda seeds: list(in_process(seeds)), groups):
            for result in results:
                known[result.seed] = result
                state.write(json.dumps(asdict(result)) + "\n")
                state.flush()
            done = [r for r in known.values() if r.seed < modules]
            bad = sum(bool(r.failure) or max(r.ratios) > 1 for r in done)
            print(f"{len(done)} of {modules} modules, {bad} with failures", file=sys.stderr, flush=True)
    return [known[seed] for seed in range(modules)]


def versions() -> dict[str, str]:
    """What the figures were made with."""
    import llvmlite
    import numba
    import numpy

    import upc
    from upc.runtime.layout import machine

    return {
        "upc": upc.__version__,
        "Python": platform.python_version(),
        "NumPy": numpy.__version__,
        "Numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "processor": f"{platform.machine()}, vectors of {32 * machine().lanes} bits",
    }


def report(results: list[Result]) -> str:
    """The record."""
    ratios = [ratio for r in results for ratio in r.ratios]
    kinds: Counter[str] = Counter()
    for r in results:
        kinds.update(r.kinds)
    failed = [r for r in results if r.failure or max(r.ratios) > 1]
    graphs = PARTS * len(results)
    lines = [
        "# The Numba target on random graphs",
        "",
        "Written by `python tests/record_random.py`. Every graph is drawn by `tests/random_graphs.py`, compiled, run",
        f"with batches of {' and '.join(map(str, BATCHES))} at every set of sizes drawn for it, and compared with the",
        "float64 reference. The bound is that of `tests/tolerance.py`.",
        "",
        "| | |",
        "|---|---|",
        f"| graphs | {graphs:,} ({PARTS} in each of {len(results)} modules, seeds 0 to {len(results) - 1}) |",
        f"| with free sizes | {PARTS * sum(r.free for r in results):,} |",
        f"| layers | {kinds.total():,} of {len(kinds)} kinds, the rarest {kinds.most_common()[-1][1]} times |",
        f"| **failures** | **{len(failed)}** |",
        f"| largest difference | {max(ratios, default=0):.3f} of the bound |",
        f"| median of the graphs' largest | {median(ratios):.4f} of the bound |",
        *(f"| {name} | {version} |" for name, version in versions().items()),
        "",
    ]
    for r in failed:
        worst = ", ".join(f"graph {i}: {ratio:.3g}" for i, ratio in enumerate(r.ratios) if ratio > 1)
        lines.append(f"- seed {r.seed}: {r.failure or worst}")
    lines += ["", "| kind | layers |", "|---|---|", *(f"| {kind} | {n} |" for kind, n in sorted(kinds.items())), ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--graphs", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--seeds", type=int, nargs="*", help="only these modules, each a line of JSON on standard output"
    )
    options = parser.parse_args()
    if options.seeds is not None:
        for seed in options.seeds:
            print(json.dumps(asdict(try_module(seed))), flush=True)
        return 0
    results = run(-(-options.graphs // PARTS), options.processes)
    RECORD.write_text(report(results))
    STATE.unlink()
    return int(any(r.failure or max(r.ratios) > 1 for r in results))


if __name__ == "__main__":
    sys.exit(main())
