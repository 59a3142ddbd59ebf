"""A table of a net's layers: shapes, parameters, multiply-adds, memory.

A file of several nets gives a table each, unless --net names one. --json prints an object for a net, and a
list of them for several; layers are {"name", "kind", "shape", "params", "macs"}, shapes channels last and
free sizes as text. --size gives a free size a number, so that what depends on it can be worked out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping

from upc.commands import shared
from upc.ir import Graph


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--size", dest="sizes", action="append", default=[], type=_size, metavar="H=N", help="a free size, in numbers"
    )


def run(options: argparse.Namespace) -> int:
    import json

    from upc.summary import summary, summary_json

    graphs = shared.read_graphs(options)
    _check(graphs, dict(options.sizes))
    if options.json:
        tables = [summary_json(graph) for graph in graphs]
        print(json.dumps(tables[0] if len(tables) == 1 else tables, indent=2))
    else:
        print("\n".join(summary(graph, dict(options.sizes)) for graph in graphs), end="")
    return 0


def _check(graphs: Iterable[Graph], sizes: Mapping[str, int]) -> None:
    """Raise UpcError for sizes that no net has, and for those that a net of no other sizes cannot work with."""
    from upc.demands import check_sizes
    from upc.shape import evaluate, names_of

    known: set[str] = set()
    for graph in graphs:
        names = names_of(dim for value in graph.inputs for dim in value.shape)
        known |= names
        if names and names <= sizes.keys():
            check_sizes(graph, {v.name: [evaluate(dim, sizes) for dim in v.shape] for v in graph.inputs})
    unknown = next((name for name in sizes if name not in known), None)
    if unknown is not None:
        raise shared.usage(f"there is no free size {unknown}", hint=shared.misspelt(unknown, known) or "none is free")


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name.isidentifier() or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"expected a size like H=64, got {text}")
    return name, int(number)
