"""Run a net on every target with the same weights and inputs, and compare them.

With no --targets: whatever is installed. `keras` stands for Keras on each backend that is installed
(keras[tensorflow], keras[jax], keras[torch]), `onnxruntime` for the PyTorch source exported to ONNX. If asked
for, numba[exact] and numba[fast] save multiplications nowhere or wherever they can, and numba[256] and
numba[128] use vectors of so many bits. The reference runs in float64. Where targets differ, known mistakes are
tried and the one that explains the difference is named. Weights are those of --weights or, without --seed, of
<net>.safetensors beside FILE; else made-up ones are used, biases and statistics too.

exit codes: 0 all agree, 1 a mismatch or a target that gave no result, 4 a target is not installed.
"""

from __future__ import annotations

import argparse
import json

from upc import targets
from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    parser.add_argument("--targets", metavar="A,B", help=f"what to compare: {','.join(_known())}")
    parser.add_argument("--weights", metavar="FILE", help=shared.WEIGHTS_HELP)
    shared.add_nonfinite(parser)
    parser.add_argument("--batch", type=_count, default=2, metavar="N", help="how many in the batch (2)")
    parser.add_argument("--seed", type=shared.seed, metavar="N", help="makes up inputs and weights (0)")
    parser.add_argument(
        "--size", metavar="H=32,W=48", help="numbers for free sizes; several small ones are tried where none is said"
    )
    parser.add_argument("--layers", action="store_true", help="say in which layer a target first parts")
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="TARGET=FILE",
        help="run this file in place of the Keras or PyTorch source that would be emitted",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    from upc.check import check
    from upc.check.report import table
    from upc.load import resolve_weights

    graph = shared.read_graph(options)
    file = shared.weights_file(graph, options)
    weights = resolve_weights(graph, file, 0, options.allow_nonfinite) if file else None
    seed = options.seed or 0
    shared.note(
        options, f"weights: {file}" if file else f"weights: made up from seed {seed}, biases and statistics too"
    )
    found = check(
        graph,
        weights,
        targets=_listed(options.targets),
        batch=options.batch,
        seed=seed,
        sizes=_sizes(options.size),
        layers=options.layers,
        texts=_texts(options.source),
    )
    if options.json:
        print(json.dumps({"ok": found.ok, "pairs": [_finite(pair) for pair in found.pairs()]}))
    else:
        shared.say(table(found))
    return found.exit_code


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return value


def _listed(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise shared.usage("--targets names none", hint="--targets reference,numba")
    return names


def _sizes(text: str | None) -> dict[str, int]:
    """What --size says, by name."""
    found: dict[str, int] = {}
    for part in (text or "").split(","):
        name, equals, number = part.strip().partition("=")
        if not name:
            continue
        if not equals or not number.strip().isdecimal() or int(number) < 1:
            raise shared.usage(f"--size {part.strip()} is not a size", hint="--size H=32,W=48")
        found[name.strip()] = int(number)
    return found


def _texts(given: list[str]) -> dict[str, str]:
    """The text of each --source, by target."""
    from upc.check.engines import meant
    from upc.files import read_text

    found: dict[str, str] = {}
    for part in given:
        target, equals, file = part.partition("=")
        engines = [engine.name for engine in meant(target) if engine.takes_text]
        if not equals or not engines:
            raise shared.usage(f"--source {part} names no target and file", hint="--source torch=net_torch.py")
        text = read_text(file)
        found.update(dict.fromkeys(engines, text))
    return found


def _known() -> list[str]:
    """The names of engines, but for what stands in brackets."""
    return list(dict.fromkeys(name.partition("[")[0] for name in targets.engines()))


def _finite(pair: dict[str, object]) -> dict[str, object]:
    """JSON has no infinity: what cannot be compared is null there."""
    return {key: None if value in (float("inf"),) else value for key, value in pair.items()}
