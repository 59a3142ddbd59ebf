"""Make, look at, import and export weights.

A weights file is safetensors: arrays named after their layers, in Keras's layouts, the same for every target.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from upc.commands import shared
from upc.diagnostics import EXIT_USAGE, error
from upc.ir import Array, Graph
from upc.shape import show


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)

    def action(name: str, words: str, epilog: str | None = None) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            help=words[0].lower() + words[1:].rstrip("."),
            description=words,
            epilog=epilog,
            parents=[shared.common_options()],
            allow_abbrev=False,
        )

    init = action("init", "Make initial weights up, the same for the same seed.")
    shared.add_source(init)
    init.add_argument("--seed", type=shared.seed, default=0, metavar="N", help="what the numbers are drawn from (0)")
    init.add_argument("-o", dest="output", metavar="FILE", help="write here (<net>.safetensors)")
    shared.add_force(init)

    table = action("show", "Print a table of a net's weights: shapes, values, which are trained.")
    shared.add_source(table)
    shared.add_weights(table, nonfinite=False)  # to see what is wrong with them
    table.add_argument("--json", action="store_true", help="as JSON: a list of objects")

    taken = action(
        "import",
        "Read weights from a file of Keras or PyTorch and write them as upc's.",
        "Layers are paired by name where the file has the names of what upc emits, by its connections where it is a "
        "Keras model, else in order; shapes must agree. Layers of one shape are taken in order where numbers in their "
        "names or their dependence on each other bear it out, else --map or --in-order must say which is which. What a "
        "Keras file says of its layers is compared with the net. PyTorch's axes are turned round, half precision is "
        "widened, weights under weight norm or spectral norm are made one. Of a .weights.h5 file only the order "
        "within each kind of layer is known, of a foreign .safetensors file only its names.",
    )
    shared.add_source(taken)
    taken.add_argument("model", metavar="MODEL", help=".keras, .weights.h5, .h5, .pt, .pth, .tar or .safetensors")
    taken.add_argument("-o", dest="output", metavar="FILE", help="write here (<net>.safetensors)")
    shared.add_force(taken)
    taken.add_argument("--key", metavar="NAME", help="the state dict to take, of a file of several")
    taken.add_argument(
        "--map",
        dest="maps",
        action="append",
        default=[],
        metavar="A=B|FILE",
        help="layer or weight A of the net is B in the file; or a file of such lines",
    )
    taken.add_argument(
        "--in-order",
        action="store_true",
        help="layers of one shape stand in the file in the order in which they run",
    )
    taken.add_argument(
        "--ignore-config",
        action="store_true",
        help="take the weights though the file says that its layers are others than the net's",
    )
    shared.add_nonfinite(taken)
    taken.add_argument(
        "--flatten-order",
        choices=("channels_first", "channels_last"),
        help="how the model lays a picture out in a row (PyTorch: channels_first, Keras: channels_last)",
    )

    given = action("export", "Write weights as a file for the Keras or PyTorch source that upc emits.")
    shared.add_source(given)
    shared.add_weights(given)
    shared.add_force(given)
    given.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        required=True,
        help=".keras or .weights.h5 for Keras; .pt, .pth or .safetensors, a state dict, for PyTorch",
    )


def run(options: argparse.Namespace) -> int:
    {"init": _init, "show": _show, "import": _import, "export": _export}[options.action](options)
    return 0


def _init(options: argparse.Namespace) -> None:
    from upc import weights

    graph = shared.read_graph(options)
    _save(weights.initialize(graph, options.seed), graph, options)


def _show(options: argparse.Namespace) -> None:
    graph = shared.read_graph(options)
    arrays, _ = shared.weights_of(graph, options)
    rows = [_facts(key, arrays[key], trainable) for key, _, trainable in graph.weights()]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    head = ("weight", "shape", "params", "min", "max", "mean", "trained")
    lines = [head, *(_line(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        shared.say("  ".join(cells).rstrip())
    total = sum(row["params"] for row in rows)
    print(f"{total:,} parameters, {sum(row['params'] for row in rows if row['trainable']):,} of them trained")


def _facts(key: str, array: Array, trainable: bool) -> dict[str, Any]:
    figures = {"min": float(array.min()), "max": float(array.max()), "mean": float(array.mean(dtype=np.float64))}
    # JSON has no word for what is not finite.
    finite = {name: value if np.isfinite(value) else None for name, value in figures.items()}
    return {"key": key, "shape": list(array.shape), "params": array.size, **finite, "trainable": trainable}


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    figures = ("not finite" if row[name] is None else f"{row[name]:.4g}" for name in ("min", "max", "mean"))
    return (
        row["key"],
        show(tuple(row["shape"])),
        f"{row['params']:,}",
        *figures,
        "yes" if row["trainable"] else "no",
    )


def _import(options: argparse.Namespace) -> None:
    from upc.convert import import_weights
    from upc.weights import printable

    graph = shared.read_graph(options)
    found = import_weights(
        graph,
        options.model,
        key=options.key,
        mapping=_mapping(options.maps),
        flatten_order=options.flatten_order,
        in_order=options.in_order,
        ignore_config=options.ignore_config,
        allow_nonfinite=options.allow_nonfinite,
    )
    shared.report(found.warnings, options)
    if not options.quiet:
        part = f", {printable(found.source.key)}" if found.source.key else ""
        shared.say(f"{options.model}{part}: {found.match.how}")
        rows = [
            (pair.key, show(pair.weight.shape), printable(pair.tensor.name), show(pair.tensor.shape))
            for pair in found.match.pairs
        ]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        for row in rows:
            key, shape, name, its = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
            shared.say(f"  {key}  {shape} <- {name}  {its}".rstrip())
        for name in found.match.unused:
            shared.say(f"  not used: {printable(name)}")
        for note in found.notes:
            shared.say(f"  {note}")
    _save(found.weights, graph, options)


def _mapping(given: list[str]) -> dict[str, str]:
    """What --map says, from arguments and from files; `#` starts a comment in a file."""
    found: dict[str, str] = {}
    for text in given:
        lines = [text] if "=" in text else _map_lines(text)
        for line in lines:
            target, equals, source = (part.strip() for part in line.partition("="))
            if not (target and equals and source):
                raise shared.usage(f"--map: expected a layer or weight, = and its name in the file, got `{line}`")
            if target in found:
                raise shared.usage(f"--map gives {target} twice")
            found[target] = source
    return found


def _map_lines(name: str) -> list[str]:
    from upc.files import read_text

    try:
        text = read_text(name)
    except OSError as problem:
        raise shared.usage(
            f"--map: cannot read {name}: {problem.strerror}", hint="A=B, or a file of such lines"
        ) from None
    except UnicodeDecodeError:
        raise shared.usage(f"--map: {name} is not UTF-8 text") from None
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _export(options: argparse.Namespace) -> None:
    from upc.convert import export_weights

    graph = shared.read_graph(options)
    path = Path(options.output)
    if path.is_file() and not options.force:
        raise error("E0806", f"{path} is there already", hint="--force replaces it", exit_code=EXIT_USAGE)
    arrays, _ = shared.weights_of(graph, options)
    with shared.writing(path):
        export_weights(graph, arrays, path)
    print(path)


def _save(arrays: dict[str, Array], graph: Graph, options: argparse.Namespace) -> None:
    from upc import weights

    if options.output == "-":
        raise shared.usage("weights are not written to a terminal", hint="-o names a file")
    path = shared.destination(options.output or ".", f"{graph.name}.safetensors")
    if not shared.stays(path, arrays, graph, options, None):
        with shared.writing(path):
            weights.save(path, arrays)
    sys.stdout.write(f"{path}\n")
