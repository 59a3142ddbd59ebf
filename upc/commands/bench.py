"""Race a net's Numba module against PyTorch, inductor, ONNX Runtime, OpenVINO and TensorFlow.

All compute the same: weights and inputs are shared, the frameworks run the source that upc emits for them
(through ONNX where they read that), and nobody is timed who does not agree with the reference. Each engine
has a process of its own and as many threads as the others; their bursts take turns, and whoever waits is
stopped.

  median    of the bursts' medians                       memory  most that was resident while running
  spread    from the fastest burst to the slowest        start   from a new process to the first result
  ratio     the fastest other engine's median over this  first   the same with nothing compiled yet
  of peak   GFLOP/s of the layers' own multiply-adds     idle    a call after 10 ms of nothing (batch 1)
            (no inserted zeros), in the machine's        error   largest distance from the reference, in
            measured limit: over 100 % is possible               the output's largest value
  of limit  weights, inputs and outputs once a call, in the measured speed of reading memory

--json prints {"machine", "rows": [{"engine", "batch", "median_s", "effective_gflops", "peak_share",
"rss_bytes", "ratio", ...}]}. An engine that is not installed is left out, and if it was asked for by
--against the exit code is 4; it is 1 if an engine failed or disagreed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from upc.commands import shared
from upc.commands.shared import positive
from upc.diagnostics import EXIT_MISMATCH, EXIT_MISSING, EXIT_OK

if TYPE_CHECKING:
    from upc.bench.race import Result
    from upc.ir import Graph


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    parser.add_argument("--batch", type=_batches, default=(1, 64), metavar="N,...", help="images a call (1,64)")
    parser.add_argument("--against", metavar="ENGINE,...", help="which others, or none (all that are installed)")
    parser.add_argument("--threads", type=positive, metavar="N", help="of every engine (the cores there are)")
    parser.add_argument("--bursts", type=positive, default=5, metavar="N", help="turns of each engine (5)")
    parser.add_argument("--seconds", type=_duration, default=0.5, metavar="S", help="length of a burst (0.5)")
    parser.add_argument("--size", dest="sizes", type=sizes, default={}, metavar="H=N,...", help="the free sizes")
    shared.add_weights(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--chart", type=_picture, metavar="FILE", help="draw it: .svg or .png")


def run(options: argparse.Namespace) -> int:
    import json

    from upc.bench import race, report

    graph = shared.read_graph(options)
    against = _engines(options.against, tuple(race.PEERS))
    result = race.race(
        graph,
        shared.weights_of(graph, options)[0],
        batches=options.batch,
        against=against,
        threads=options.threads,
        bursts=options.bursts,
        seconds=options.seconds,
        sizes=options.sizes,
        seed=options.seed or 0,
        algorithm=options.algorithm,
        progress=lambda words: shared.progress(options, words),
    )
    if options.chart:
        _draw(options.chart, graph, result)
    print(json.dumps(report.as_json(result), indent=2) if options.json else report.table(result).rstrip())
    sys.stdout.flush()
    if not options.quiet:
        for name, reason in result.left_out.items():
            print(f"upc: left out {name}: {reason}", file=sys.stderr)
        busy = result.machine["load"]
        if busy is not None and busy > 0.5:
            print(
                f"upc: the machine is busy (load {busy:.1f} before the race): repeat it when it is not", file=sys.stderr
            )
    for words in result.disagreeing:
        print(f"upc: not timed: {words}", file=sys.stderr)
    absent = [name for name in result.left_out if name not in race.installed(against)[0]]
    if absent and options.against:
        return EXIT_MISSING
    return EXIT_MISMATCH if result.disagreeing or len(absent) < len(result.left_out) else EXIT_OK


def _engines(wanted: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if wanted is None:
        return known
    names = tuple(name for name in wanted.split(",") if name and name != "none")
    for name in names:
        if name not in known:
            raise shared.usage(f"there is no engine {name}", hint=shared.misspelt(name, known))
    return tuple(dict.fromkeys(names))


def _draw(path: Path, graph: Graph, result: Result) -> None:
    from upc.bench import chart
    from upc.files import write_atomic

    batches = dict.fromkeys(row["batch"] for row in result.rows)
    groups = [
        chart.Group(f"batch {batch}", {r["engine"]: r["median_s"] for r in result.rows if r["batch"] == batch})
        for batch in batches
    ]
    drawn = chart.scene(f"{graph.name}: speed (fastest other engine = 1)", groups)
    content = chart.svg(drawn) if path.suffix.lower() == ".svg" else chart.png(drawn)
    with shared.writing(path):
        write_atomic(path, content)


def sizes(text: str) -> dict[str, int]:
    """`H=64,W=48` as a dict; argparse reports what is not."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if not name.isidentifier() or not number.isdecimal() or int(number) < 1 or name in found:
            raise argparse.ArgumentTypeError(f"expected sizes like H=64,W=48, got {text}")
        found[name] = int(number)
    return found


def _batches(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive(part) for part in text.split(",")))


def _duration(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f"expected seconds up to 60, got {text}")
    return value


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".svg", ".png"):
        raise argparse.ArgumentTypeError(f"{text} must end in .svg or .png")
    return path
