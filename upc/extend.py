"""Layers of a person's own, by their own Python: the card, and how each target does it.

A .upc file runs nothing: it can use such a layer only in a process that has registered it. Processes that upc starts
itself import the card's module, so that should be one that can be imported, and register where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upc.ir import Layer


def register(card: type[Layer], **entries: Any) -> None:
    """Make a layer known by its `kind`, as long as this process lasts.

    `entries` say by target's name how it does the layer, or with Unsupported why it does not; a target that none is
    given for does not. Numba takes a lowering, as `upc.plan.lowerings.pointwise` makes one; Keras and PyTorch a row
    (`upc.emit.rows`) or a function of card and node that gives steps. A layer that was registered under the same
    name before is replaced.
    Errors: ValueError for a card that is not a frozen dataclass with a `kind`, for the name of a layer of upc's own
    or of no target, and for a row that reads what the card has not.
    """
    from upc import targets
    from upc.emit.rows import Row
    from upc.gaps import Unsupported

    names = _names(card)
    tables = {target.name: target.table() for target in targets.targets() if target.table is not None}
    if unknown := [name for name in entries if name not in tables]:
        raise ValueError(f"there is no target {unknown[0]} that has a table of layers; there is {', '.join(tables)}")
    for name, entry in entries.items():
        if isinstance(entry, Row):
            entry.check(card)
            if targets.find(name).layers_alone and not entry.layer:
                raise ValueError(f"{name} takes layers: `upc.emit.rows.layer`, not an expression")
        elif not callable(entry) and not isinstance(entry, Unsupported):
            raise ValueError(f"{name} takes a way to do {card.kind} or Unsupported, not {type(entry).__name__}")
    _forget(names)
    for name, table in tables.items():
        table[card] = entries.get(name, Unsupported(f"{card.__name__} was registered without an entry for {name}"))
    from upc.layers import LAYERS

    LAYERS.update(names)


def _names(card: type[Layer]) -> dict[str, tuple[type[Layer], int]]:
    """The names that a card gets, as `LAYERS` has them. Raises ValueError for one that cannot be registered."""
    from upc.ir import Layer
    from upc.layers import LAYERS, RANKS

    parameters = getattr(card, "__dataclass_params__", None)
    if not issubclass(card, Layer) or not isinstance(getattr(card, "kind", None), str):
        raise ValueError(f"{card.__name__} is no layer card: a Layer with a `kind`")
    if parameters is None or not parameters.frozen or "__dataclass_params__" not in vars(card):
        raise ValueError(f"{card.__name__} is no frozen dataclass")
    names = {card.kind.format(rank=rank): (card, rank) for rank in RANKS}
    for name in names:
        if not (name.isascii() and name.isidentifier() and name == name.lower()):
            raise ValueError(f"a layer is called as `pixel_shuffle` is, not {name!r}")
        if name in LAYERS and LAYERS[name][0].__module__.startswith("upc.layers."):
            raise ValueError(f"there is a layer {name} already")
    return names


def _forget(names: dict[str, tuple[type[Layer], int]]) -> None:
    """Take out what was registered under these names before."""
    from upc import targets
    from upc.layers import LAYERS

    for name in names:
        if name in LAYERS:
            card, _ = LAYERS.pop(name)
            for target in targets.targets():
                if target.table is not None:
                    target.table().pop(card, None)


def unregister(card: type[Layer]) -> None:
    """Make a layer that was registered unknown again. Raises ValueError for one of upc's own."""
    _forget(_names(card))
