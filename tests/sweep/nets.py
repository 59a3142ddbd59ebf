"""Whole nets drawn at random, on every target at sizes and batches that leave work undone or pile it up.

    python tests/sweep/nets.py [--nets 120] [--targets numba,keras,torch] [--report-only]

Each net has free sizes, blocks and parameters, and is run at the smallest sizes that it can work with, at primes and
past 4096, with batches from none to 65,537. Numba runs with every algorithm and several numbers of threads; besides
agreeing with the reference within the bound of `upc.check.bound`, all its results must have the same bits whatever
the threads and whatever batch an image came in. The state holds a line for every net that a target is done with; a
run that was stopped goes on from there. `drawn.py` draws the nets.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from drawn import Drawn, draw  # noqa: E402
from sweep import Pool  # noqa: E402

from upc.check.compare import difference  # noqa: E402
from upc.check.engines import Failure, Job, choose, usual  # noqa: E402
from upc.check.problem import Problem, made_up_inputs, made_up_weights, problem  # noqa: E402
from upc.ir import Array  # noqa: E402
from upc.layers.normalization import GroupNormalization, InstanceNormalization  # noqa: E402
from upc.load_numba import load_module  # noqa: E402

RECORD = Path(__file__).with_name("NETS.md")
THREADS = (1, 2, 5)
ALGORITHMS = ("exact", "auto", "fast")
DIES_OF_NONE = {"onnxruntime": (GroupNormalization, InstanceNormalization)}
"""Layers that a framework itself cannot be given an empty batch for: InstanceNormalization of ONNX Runtime 1.31 divides
by the batch, and the process ends with SIGFPE. Such runs are passed over."""

NUMBA = tuple(f"numba[{algorithm}]" for algorithm in ALGORITHMS)


@dataclass(frozen=True)
class Verdict:
    """One net on one target: at how many sizes and batches it ran, its largest error as a share of the bound and
    where, and what was wrong besides. `unsupported` if the target has no words for one of its layers."""

    net: int
    target: str
    runs: int
    ratio: float
    where: str = ""
    words: str = ""
    unsupported: bool = False

    @property
    def bad(self) -> bool:
        return not self.unsupported and not (self.ratio <= 1 and not self.words)


def problems(drawn: Drawn) -> Iterator[tuple[str, Problem]]:
    """What a net is run on, with words for each: made when it is asked for, because some are large."""
    weights = made_up_weights(drawn.graph, drawn.seed)
    for sizes, batch in drawn.runs():
        words = ", ".join([*(f"{name}={size}" for name, size in sizes.items()), f"batch {batch}"])
        yield words, problem(drawn.graph, weights, made_up_inputs(drawn.graph, sizes, batch, drawn.seed))


def ratio_of(posed: Problem, arrays: Sequence[Array]) -> float:
    """The largest error of the outputs as a share of their bounds."""
    worst = 0.0
    for output, array in zip(posed.graph.outputs, arrays, strict=True):
        gap, limit = difference(posed.values[output.name], array).max_abs, posed.bounds[output.name].limit
        worst = max(worst, gap / limit if limit else math.inf if gap else 0.0)
    return worst


def on_numba(drawn: Drawn) -> list[Verdict]:
    """A verdict for each algorithm."""
    posed, found = list(problems(drawn)), []
    for algorithm in ALGORITHMS:
        module = load_module(drawn.graph, algorithm, 1)  # type: ignore[arg-type]
        nets = [module.load(posed[0][1].weights, threads=threads) for threads in THREADS]
        worst, where, wrong = 0.0, "", []
        for words, one in posed:
            given = [_tuple(net(*one.inputs)) for net in nets]
            if (ratio := ratio_of(one, given[0])) > worst:
                worst, where = ratio, words
            if not all(_same(arrays, given[0]) for arrays in given[1:]):
                wrong.append(f"bits depend on the threads at {words}")
            batch = len(one.inputs[0])
            for first in {0, batch // 2, batch - 1} if batch > 1 else ():
                alone = _tuple(nets[0](*(x[first : first + 1] for x in one.inputs)))
                if not _same(alone, [array[first : first + 1] for array in given[0]]):
                    wrong.append(f"bits depend on the batch at {words}")
        name = f"numba[{algorithm}]"
        found.append(Verdict(drawn.seed, name, len(posed), worst, where, "; ".join(dict.fromkeys(wrong))))
    return found


def _tuple(results: Array | tuple[Array, ...]) -> tuple[Array, ...]:
    return results if isinstance(results, tuple) else (results,)


def _same(some: Sequence[Array], others: Sequence[Array]) -> bool:
    return all(np.array_equal(a.view(np.uint32), b.view(np.uint32)) for a, b in zip(some, others, strict=True))


def on_numba_apart(seed: int) -> list[Verdict]:
    """As `on_numba`, in a process of its own, so that a crash is one net's failure."""
    command = [sys.executable, str(Path(__file__).resolve()), "--numba", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and len(lines) == len(ALGORITHMS):
        return [Verdict(**json.loads(line)) for line in lines]
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return [Verdict(seed, name, 0, math.inf, words=f"ended with {done.returncode}: {last}") for name in NUMBA]


def on_framework(drawn: Drawn, target: str, pool: Pool) -> Verdict:
    """A net on a target that a worker of the pool runs."""
    worst, where, runs = 0.0, "", 0
    fatal = any(isinstance(node.layer, DIES_OF_NONE.get(target, ())) for node in drawn.graph.nodes)
    for words, posed in problems(drawn):
        if fatal and not len(posed.inputs[0]):
            continue
        result = pool.run(target, Job(posed.graph, posed.weights, posed.inputs))
        if isinstance(result, Failure):
            return Verdict(drawn.seed, target, runs, math.inf, words, result.message, result.unsupported)
        runs += 1
        if (ratio := ratio_of(posed, result)) > worst:
            worst, where = ratio, words
    return Verdict(drawn.seed, target, runs, worst, where)


def run(nets: int, targets: Sequence[str], state: Path) -> list[Verdict]:
    """All verdicts, those of earlier runs included."""
    state.mkdir(parents=True, exist_ok=True)
    known = {(v.net, v.target): v for v in stored(state)}
    with (state / "nets.jsonl").open("a") as file, Pool() as pool:
        for seed in range(nets):
            drawn = None
            for target in targets:
                names = NUMBA if target == "numba" else (target,)
                if all((seed, name) in known for name in names):
                    continue
                if target == "numba":
                    found = on_numba_apart(seed)
                else:
                    drawn = drawn or draw(seed)
                    found = [on_framework(drawn, target, pool)]
                for verdict in found:
                    known[verdict.net, verdict.target] = verdict
                    file.write(json.dumps(asdict(verdict)) + "\n")
                    said = "BAD" if verdict.bad else f"{verdict.ratio:.3g}"
                    print(f"net {seed} on {verdict.target}: {said} {verdict.words}", flush=True)
                file.flush()
    return list(known.values())


def stored(state: Path) -> list[Verdict]:
    path = state / "nets.jsonl"
    return [Verdict(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def report(verdicts: Sequence[Verdict]) -> str:
    """The table."""
    nets = len({v.net for v in verdicts})
    lines = [
        "# Whole nets, on every target",
        "",
        "Written by `python tests/sweep/nets.py`, which `make sweep` runs and which goes on where it was stopped.",
        f"{nets} random nets with free sizes, blocks and parameters, at the smallest sizes that each can work with, at",
        "primes and past 4096, with batches from 0 to 65,537; Numba with "
        f"{', '.join(map(str, THREADS))} threads, whose bits must be the",
        "same, as they must be for an image alone. A ratio is the largest error as a share of the bound. Not run:",
        "empty batches on ONNX Runtime where a group or instance is normalised, of which its process dies (SIGFPE).",
        "",
        "| target | nets | runs | unsupported | bad | largest ratio |",
        "|---|---|---|---|---|---|",
    ]
    for target in dict.fromkeys(v.target for v in sorted(verdicts, key=lambda v: ("numba" not in v.target, v.target))):
        those = [v for v in verdicts if v.target == target]
        ran = [v for v in those if not v.unsupported]
        largest = max((v.ratio for v in ran if math.isfinite(v.ratio)), default=0.0)
        counts = f"{len(those)} | {sum(v.runs for v in ran)} | {len(those) - len(ran)} | {sum(v.bad for v in ran)}"
        lines.append(f"| {target} | {counts} | {largest:.3f} |")
    bad = [v for v in sorted(verdicts, key=lambda v: (v.target, v.net)) if v.bad]
    lines += ["", "## Bad", ""]
    lines += [f"- net {v.net} on {v.target}, {v.where}: {v.words or f'{v.ratio:.3g} times the bound'}" for v in bad]
    return "\n".join([*lines, *([] if bad else ["None."]), ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nets", type=int, default=120)
    parser.add_argument("--targets", default=",".join(t for t in usual() if t != "reference"))
    parser.add_argument("--state", type=Path, default=Path("out/sweep"))
    parser.add_argument("--report", type=Path, default=RECORD)
    parser.add_argument("--report-only", action="store_true", help="only write down what the state holds")
    parser.add_argument("--numba", type=int, help="only this net, a line of JSON for each algorithm")
    options = parser.parse_args()
    if options.numba is not None:
        for verdict in on_numba(draw(options.numba)):
            print(json.dumps(asdict(verdict)), flush=True)
        return 0
    targets, _ = choose(options.targets.split(","))
    found = stored(options.state) if options.report_only else run(options.nets, targets, options.state)
    options.report.write_text(report(found))
    bad = sum(verdict.bad for verdict in found)
    print(f"{len(found)} verdicts, {bad} of them bad: {options.report}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
