"""List the layers with their arguments, or explain one of them.

With --target, only whether the target can do each layer, and where it cannot, why.
"""

from __future__ import annotations

import argparse
import inspect
from dataclasses import MISSING, Field
from typing import TYPE_CHECKING, Any

from upc import targets
from upc.commands import shared

if TYPE_CHECKING:
    from upc.ir import Layer


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layer", nargs="?", metavar="LAYER", help="one layer, explained")
    parser.add_argument("--target", choices=targets.names(written=True), help="whether that target can do them")


def run(options: argparse.Namespace) -> int:
    from upc.layers import LAYERS

    if options.layer is not None and options.layer not in LAYERS:
        raise shared.usage(f"there is no layer `{options.layer}`", hint=shared.misspelt(options.layer, LAYERS))
    chosen = [options.layer] if options.layer else list(LAYERS)
    for name in chosen:
        card, rank = LAYERS[name]
        if options.target:
            reason = targets.find(options.target).gap(card)
            print(f"{name}: {reason}" if reason else name)
        else:
            print(f"{name}({', '.join(_argument(a, rank) for a in card.arguments())})")
    if options.layer and not options.target:
        _explain(card)
    return 0


def _argument(argument: Field[Any], rank: int) -> str:
    """`strides=1`, the default as a user would write it; a * where any number of values is taken."""
    star = "*" if argument.metadata["variadic"] else ""
    if argument.default is MISSING:
        return star + argument.name
    return f"{star}{argument.name}={_written(argument.default)}"


def _written(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, tuple) else str(value)


def _explain(card: type[Layer]) -> None:
    """The card's words and its examples."""
    print(f"\n{inspect.getdoc(card) or ''}\n")
    for example in card.examples:
        shapes = ", ".join("[" + ", ".join(map(str, shape)) + "]" for shape in example.shapes)
        print(f"  {shapes}: {example.call}")
