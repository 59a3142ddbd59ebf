"""Compile a Numba module, or a net, ahead of its first use.

FILE is a module that upc wrote, or a .upc file of which all nets are compiled (one with --net). The machine
code goes to the cache: the folder `UPC_CACHE_DIR`, or `upc` in the user's cache folder. Run it where a
container's image is built, on the kind of processor and under the versions that will use it. A module's
weights need not be there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)


def run(options: argparse.Namespace) -> int:
    from upc.load_numba import compile_module, stored_module

    if options.file is not None and options.file.endswith(".py"):
        if options.net is not None or options.defines or (options.algorithm, options.batch) != ("auto", 1):
            hint = "--net, -D, --algorithm and --batch are for .upc files"
            raise shared.usage("a module is one net, its parameters set", hint=hint)
        path = Path(options.file)
        _check_written(path)
        compile_module(path, run=False)
    else:
        for graph in shared.read_graphs(options):
            shared.progress(options, f"compiling {graph.name}")
            compile_module(stored_module(graph, options.algorithm, options.batch), run=False)

    from upc.runtime.cache import cache_folder

    print(cache_folder())
    return 0


def _check_written(path: Path) -> None:
    """Refuse a module that upc did not write: to compile one is to run it."""
    try:
        written = "\nNETWORK = Network(" in path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        written = False
    if not written:
        raise shared.usage(f"{path} is no Numba module written by upc", hint="`upc compile` writes one")
