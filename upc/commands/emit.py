"""Print a net's source for one target, or write it to a file.

No framework is needed to write its source. With -o a folder is given `<net>.py`.
"""

from __future__ import annotations

import argparse
import sys

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)
    parser.add_argument("--target", choices=shared.TARGETS, default="numba", help="whose code (numba)")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of to stdout")
    shared.add_force(parser)


def run(options: argparse.Namespace) -> int:
    from upc import pipeline
    from upc.files import write_atomic

    graph = shared.read_graph(options)
    text = pipeline.emit(graph, options.target, options.algorithm, options.batch)
    path = shared.destination(options.output, f"{graph.name}.py")
    if path is None:
        sys.stdout.write(text)
    else:
        shared.check_module(path, options, "-o calls it something else")
        with shared.writing(path):
            write_atomic(path, text)
    return 0
