"""What a file of another tool holds: layers in order, each with its tensors, nothing read yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from upc import limits
from upc.convert.description import Description
from upc.diagnostics import EXIT_MISSING, EXIT_USAGE, UpcError, error
from upc.ir import Array

MARK = "written by upc"
"""Name of a member of a `.keras` archive, or of an attribute of an HDF5 file, that upc exported."""

Convention = Literal["keras", "torch"]
"""Whose layouts the tensors have. Keras's are upc's own."""

Order = Literal["run", "kind", "registered", "name"]
"""What the order of a file's layers is: that in which a model runs, layers side by side apart; the same among layers
of one kind alone; that in which they were made known to a module; that of their names."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array of a file: its full name, its name within its layer, and the way to its values as float32."""

    name: str
    own: str
    shape: tuple[int, ...]
    read: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class ForeignLayer:
    """The tensors that stand together. `kind` is the layer's class where the file tells it, as Keras spells it.

    `place` is the key by which the file's description of the network, if it has one, knows them.
    """

    name: str
    tensors: tuple[Tensor, ...]
    kind: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file: what reports call it, whose layouts it has, its layers.

    `key` is the part of the file that was taken, where it has several. `description` is what the file says of the
    network itself, `notes` what was done to the tensors in reading them; `own` is a file that upc exported.
    """

    file: str
    convention: Convention
    layers: tuple[ForeignLayer, ...]
    order: Order
    key: str | None = None
    description: Description | None = None
    notes: tuple[str, ...] = ()
    own: bool = False

    def tensors(self) -> Iterator[Tensor]:
        """All of them, in order."""
        for layer in self.layers:
            yield from layer.tensors


def checked(tensors: Iterable[Tensor], file: str) -> list[Tensor]:
    """The tensors of a file. Errors: more of them, or longer names, than limits allow."""
    taken: list[Tensor] = []
    letters = 0
    for tensor in tensors:
        taken.append(tensor)
        letters += len(tensor.name)
        within(file, "tensors", len(taken), limits.current().tensors, "tensors")
        within(file, "characters in a name", len(tensor.name), limits.current().tensor_name, "tensor_name")
        within(file, "characters in its names", letters, limits.current().tensor_names, "tensor_names")
    return taken


def within(file: str, what: str, found: int, limit: int, name: str | None = None) -> None:
    """Refuse a file that holds more of something than a limit allows; `name` is that of the limit, where it has one."""
    if found > limit:
        hint = limits.hint(name, found) if name else None
        raise unreadable(file, f"it has {found} {what}, more than {limit}", hint)


def unreadable(file: str, reason: str, hint: str | None = None) -> UpcError:
    """A file that is not what its name says, or holds what is not taken from strangers."""
    return error("E0630", f"cannot read {file}: {reason}", hint=hint, exit_code=EXIT_USAGE)


def missing(package: str, extra: str, what: str) -> UpcError:
    """A package that reading or writing needs and that is not there."""
    hint = f"pip install 'upc[{extra}]'"
    return error("E0704", f"{what} needs {package}, which is not installed", hint=hint, exit_code=EXIT_MISSING)


def natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """A sort key in which numbers count as numbers: layer_2 stands before layer_10."""
    parts = re.split(r"([0-9]+)", name)
    # Longer digits than any real number of a layer stay text, so that no key takes long to make.
    return tuple((True, int(p), "") if p.isascii() and p.isdigit() and len(p) < 10 else (False, 0, p) for p in parts)
