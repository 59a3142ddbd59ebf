"""Compile a net into an importable module with its weights beside it.

Writes <net>.py and <net>.safetensors into the folder of -o (the current one) and, for Numba, compiles the
module's machine code, so that its first use is quick. --emit prints one stage of the way instead.

Weights are those of --weights or, without --seed, of <net>.safetensors beside FILE; only where there are none
they are made up. Other weights that are there already, and a file that upc did not write, are not replaced.
"""

from __future__ import annotations

import argparse
import keyword
import os
import sys
from dataclasses import replace
from pathlib import Path

from upc import targets
from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)
    parser.add_argument(
        "--target", choices=targets.names(written=True), default="numba", help="what to compile to (numba)"
    )
    parser.add_argument("-o", dest="output", metavar="DIR", default=".", help="the folder to write into")
    parser.add_argument("--name", type=_name, metavar="NAME", help="call the module and its weights so (as the net)")
    shared.add_force(parser)
    parser.add_argument("--emit", choices=("tree", "ir", "plan", "source"), help="print this stage and stop")
    shared.add_weights(parser)


def _name(text: str) -> str:
    """The name of a module; argparse reports what is none."""
    if not text.isascii() or not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"expected a name for a Python module, got {text}")
    return text


def run(options: argparse.Namespace) -> int:
    from upc import pipeline, weights
    from upc.files import Content, make_folder, write_together

    if options.emit:
        sys.stdout.write(_stage(options))
        return 0
    graph = shared.read_graph(options)
    own = graph.name
    if options.name is not None:
        graph = replace(graph, name=options.name)
    folder = Path(options.output)
    if folder.exists() and not folder.is_dir():
        raise shared.usage(f"{folder} is a file", hint="-o names a folder")
    target, stored = targets.find(options.target), folder / f"{graph.name}.safetensors"
    target.prepare()
    given = shared.weights_of(graph, options, graph.name, own) if target.holds_weights else None
    files = pipeline.write(graph, target.name, options.algorithm, options.batch, given[0] if given else None)
    for name, content in files.items():
        shared.check_file(folder / name, content, options, "--name calls it something else")
    arrays, used = given or shared.weights_of(graph, options, graph.name, own)
    contents: dict[str | os.PathLike[str], Content] = {}
    if not shared.stays(stored, arrays, graph, options, used):
        contents[stored] = weights.to_bytes(arrays)
    contents |= {folder / name: content for name, content in files.items()}
    with shared.writing(), make_folder(folder):
        write_together(contents)
    if target.finish is not None:
        name = next(iter(files))
        shared.progress(options, f"compiling {folder / name}")
        target.finish(folder / name, files[name], stored)
    print(stored)
    for name in files:
        print(folder / name)
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
    return shared.source_text(graph, options)
