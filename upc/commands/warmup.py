"""Compile a Numba module, or a net, ahead of its first use.

FILE is a module that upc wrote, or a .upc file of which all nets are compiled (one with --net). The machine
code goes to the cache: the folder `UPC_CACHE_DIR`, or `upc` in the user's cache folder. Run it where a
container's image is built, on the kind of processor and under the versions that will use it. A module's
weights need not be there.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)


def run(options: argparse.Namespace) -> int:
    from upc.load import load_graph

    if options.file is not None and options.file.endswith(".py"):
        if options.net is not None or options.defines or (options.algorithm, options.batch) != ("auto", 1):
            hint = "--net, -D, --algorithm and --batch are for .upc files"
            raise shared.usage("a module is one net, its parameters set", hint=hint)
        _warm_module(Path(options.file))
    else:
        for graph in shared.read_graphs(options):
            shared.progress(options, f"compiling {graph.name}")
            # Loading compiles; the weights it makes up do not matter.
            load_graph(graph, algorithm=options.algorithm, batch=options.batch)

    from upc.runtime.cache import cache_folder

    print(cache_folder())
    return 0


def _warm_module(path: Path) -> None:
    """Load a module under the name that its users import it by, with weights of zeros."""
    import numpy as np

    try:
        written = "\nNETWORK = Network(" in path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        written = False
    if not written:  # and is not run to find out
        raise shared.usage(f"{path} is no Numba module written by upc", hint="`upc compile` writes one")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    module.load({key: np.zeros(shape, np.float32) for key, shape in module.NETWORK.weights.items()})
