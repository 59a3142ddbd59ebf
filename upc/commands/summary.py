"""A table of a net's layers: shapes, parameters, multiply-adds, memory.

A file of several nets gives a table each, unless --net names one. --json prints an object for a net, and a
list of them for several; layers are {"name", "kind", "shape", "params", "macs"}, shapes channels last and
free sizes as text. --size gives a free size a number, so that what depends on it can be worked out.
"""

from __future__ import annotations

import argparse

from upc.commands import shared


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
    if options.json:
        tables = [summary_json(graph) for graph in graphs]
        print(json.dumps(tables[0] if len(tables) == 1 else tables, indent=2))
    else:
        print("\n".join(summary(graph, dict(options.sizes)) for graph in graphs), end="")
    return 0


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name.isidentifier() or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"expected a size like H=64, got {text}")
    return name, int(number)
