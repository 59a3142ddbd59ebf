"""Look for what compiles but is likely not meant: uneven overlap, dead values, odd sizes.

Every net of the file is looked at, unless --net names one. Exits with 1 where something was found.
"""

from __future__ import annotations

import argparse

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)


def run(options: argparse.Namespace) -> int:
    from upc.diagnostics import EXIT_MISMATCH, EXIT_OK, Diagnostic
    from upc.lint import distinct, lint

    warnings: list[Diagnostic] = []
    graphs = shared.read_graphs(options, warnings.append)
    found = distinct(d for graph in graphs for d in lint(graph, warnings))
    shared.report(found, options)
    return EXIT_MISMATCH if found else EXIT_OK
