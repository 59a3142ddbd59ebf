"""Compile a Numba module, or a net, ahead of its first use.

FILE is a .upc file of which all nets are compiled (one with --net), or a module. A module is run, so it must be
one that this version of upc wrote and nobody changed: its code the same to the letter, its network plain data.

The machine code goes to the cache: the folder `UPC_CACHE_DIR`, or `upc` in the user's cache folder. Run it where a
container's image is built, on the kind of processor and under the versions that will use it; if another user
runs the image, `UPC_SHARED_CACHE` names that folder for them. A module's weights need not be there.
"""

from __future__ import annotations

import argparse

from upc.commands import shared
from upc.diagnostics import EXIT_USAGE, error


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    shared.add_batch(parser)


def run(options: argparse.Namespace) -> int:
    from upc import pipeline
    from upc.load_numba import compile_module

    if options.file is not None and options.file.endswith(".py"):
        if options.net is not None or options.defines or (options.algorithm, options.batch) != ("auto", 1):
            hint = "--net, -D, --algorithm and --batch are for .upc files"
            raise shared.usage("a module is one net, its parameters set", hint=hint)
        compile_module(_written(options.file), options.file)
    else:
        for graph in shared.read_graphs(options):
            shared.progress(options, f"compiling {graph.name}")
            compile_module(pipeline.emit(graph, "numba", options.algorithm, options.batch), graph.name)

    from upc.runtime.cache import cache_folder

    print(cache_folder())
    return 0


def _written(name: str) -> str:
    """The text of a module that this upc wrote; any other file is refused, as to compile a module is to run it."""
    from upc.files import read_text
    from upc.written import strange_part

    try:
        text = read_text(name)
    except UnicodeDecodeError:
        raise shared.usage(f"{name} is not UTF-8 text, and no module of upc's") from None
    except OSError as problem:
        raise error("E0802", f"cannot read {name}: {problem.strerror}", exit_code=EXIT_USAGE) from None
    strange = strange_part(text)
    if strange is not None:
        hint = "`upc compile` writes one; import the file in Python if you trust it"
        raise shared.usage(f"{name} is no Numba module that this upc wrote: {strange}", hint=hint)
    return text
