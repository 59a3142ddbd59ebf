"""Compile a net into an importable module with its weights beside it.

Writes <net>.py and <net>.safetensors into the folder of -o (the current one) and, for Numba, compiles the
module's machine code, so that its first use is quick. --emit prints one stage of the way instead.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)
    parser.add_argument("--target", choices=shared.TARGETS, default="numba", help="what to compile to (numba)")
    parser.add_argument("-o", dest="output", metavar="DIR", default=".", help="the folder to write into")
    parser.add_argument("--emit", choices=("tree", "ir", "plan", "source"), help="print this stage and stop")
    shared.add_weights(parser)


def run(options: argparse.Namespace) -> int:
    from upc import pipeline, weights
    from upc.files import write_atomic
    from upc.load import resolve_weights

    if options.emit:
        sys.stdout.write(_stage(options))
        return 0
    graph = shared.read_graph(options)
    text = pipeline.emit(graph, options.target, options.algorithm, options.batch)
    arrays = resolve_weights(graph, options.weights, options.seed, options.allow_nonfinite)
    folder = Path(options.output)
    if folder.exists() and not folder.is_dir():
        raise shared.usage(f"{folder} is a file", hint="-o names a folder")
    with shared.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    module, stored = folder / f"{graph.name}.py", folder / f"{graph.name}.safetensors"
    # The module comes last: where it stands, its weights do too.
    with shared.writing(stored):
        weights.save(stored, arrays)
    with shared.writing(module):
        write_atomic(module, text)
    if options.target == "numba":
        shared.progress(options, f"compiling {module}")
        from upc.load_numba import compile_module

        compile_module(module, run=True)
    print(stored)
    print(module)
    return 0


def _stage(options: argparse.Namespace) -> str:
    from upc import pipeline, syntax

    if options.emit == "tree":
        return syntax.show(pipeline.tree(shared.read_source(options))) + "\n"
    graph = shared.read_graph(options)
    if options.emit == "ir":
        from upc.ir_text import show_graph

        return show_graph(graph)
    if options.emit == "plan":
        return f"{pipeline.plan(graph, options.algorithm, options.batch)}\n"
    return pipeline.emit(graph, options.target, options.algorithm, options.batch)
