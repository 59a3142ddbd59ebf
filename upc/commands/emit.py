"""Print a net's source for one target, or write it to a file.

No framework is needed to write its source. With -o a folder is given `<net>.py`, or what the target writes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from upc import targets
from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)
    parser.add_argument("--target", choices=targets.names(written=True), default="numba", help="whose code (numba)")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of to stdout")
    shared.add_force(parser)


def run(options: argparse.Namespace) -> int:
    from upc import pipeline
    from upc.files import Content, write_together

    graph = shared.read_graph(options)
    if options.output is None or options.output == "-":
        sys.stdout.write(shared.source_text(graph, options))
        return 0
    files = pipeline.write(graph, options.target, options.algorithm, options.batch)
    first = next(iter(files))
    path = shared.destination(options.output, first)
    # What goes with the first file stands beside it, under the name by which that knows it.
    paths: dict[str | os.PathLike[str], Content] = {
        path if name == first else path.parent / name: content for name, content in files.items()
    }
    for place, content in paths.items():
        shared.check_file(Path(place), content, options, "-o calls it something else")
    with shared.writing():
        write_together(paths)
    return 0
