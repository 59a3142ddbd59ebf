"""How much one `.upc` project may ask for. Anything over a limit is a clear error, found before work is done.

The defaults let every net through that people write, and keep what a stranger's file can cost to about a second of
the processor and 300 MB. Each can be raised: `--limit layers=20000`, or `upc.load(..., limits={"layers": 20_000})`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any

INTEGER = 2**63 - 1
"""Greatest magnitude of a whole number, written or computed; part of the language."""

DIAGNOSTICS = 50
"""Errors reported in one go."""


def _limit(default: int, means: str, most: int = INTEGER) -> Any:
    return field(default=default, metadata={"means": means, "most": most})


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds at the moment, by the names that `--limit` takes."""

    file_bytes: int = _limit(1 << 20, "bytes of one .upc file")
    source_bytes: int = _limit(4 << 20, "bytes of a file and all that it uses")
    tokens: int = _limit(50_000, "words, signs and comments of a file and all that it uses")
    files: int = _limit(256, "files that one brings in with `use`, directly or not")
    nesting: int = _limit(64, "brackets and braces open at once, and blocks inside blocks", most=100)
    operators: int = _limit(100, "arithmetic signs in one value", most=300)
    name_characters: int = _limit(64, "characters of a name")
    items: int = _limit(1_000, "items of a list, arguments of a call, parameters of a net or block")
    layers: int = _limit(3_000, "layers of a net, or of all nets looked at together, with every block and repeat")
    steps: int = _limit(30_000, "statements carried out and values handed over to get there")
    free_sizes: int = _limit(100, "names and divisions in the expression of one free size")
    kernel: int = _limit(8_192, "pixels along one side of a window: kernel_size, pool_size")
    strides: int = _limit(8_192, "pixels from one window to the next")
    dilation: int = _limit(8_192, "pixels from one tap of a window to the next")
    parameters: int = _limit(1 << 30, "numbers in the weights of a net")
    activations: int = _limit(1 << 32, "numbers in one value, for one image")
    tensors: int = _limit(100_000, "arrays in a file of weights")
    model_bytes: int = _limit(1 << 32, "bytes of a file of weights of another tool, which is read whole")
    model_layers: int = _limit(30_000, "layers of another tool's model, its parts counted as often as they are used")
    model_depth: int = _limit(16, "models inside models, and groups inside groups of an HDF5 file", most=100)
    config_bytes: int = _limit(1 << 25, "bytes of the description of a model that a Keras file holds")
    tensor_name: int = _limit(1_024, "characters of one name in another tool's file, groups and all")
    tensor_names: int = _limit(1 << 24, "characters of all names in another tool's file together")
    chunk_bytes: int = _limit(1 << 22, "bytes of a piece of an HDF5 dataset of less than half that")
    archive_directory_bytes: int = _limit(1 << 24, "bytes of the list of members of a zip archive")


_CURRENT: ContextVar[Limits] = ContextVar("limits", default=Limits())  # noqa: B039 (it is frozen)


def current() -> Limits:
    """The limits that hold here."""
    return _CURRENT.get()


@contextmanager
def changed(changes: Mapping[str, int]) -> Iterator[None]:
    """Let other limits hold within. Raises ValueError for a name that is none, or a number below 1."""
    known = {f.name: f.metadata["most"] for f in fields(Limits)}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"there is no limit {name}: {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= known[name]:
            up_to = f" to {known[name]}" if known[name] != INTEGER else " up"
            raise ValueError(f"limit {name} is a whole number from 1{up_to}, not {value!r}")
    token = _CURRENT.set(replace(current(), **changes))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def table() -> dict[str, tuple[int, str]]:
    """Each limit's default and meaning by its name."""
    defaults = Limits()
    return {f.name: (getattr(defaults, f.name), f.metadata["means"]) for f in fields(Limits)}


def hint(name: str, found: int | None = None) -> str:
    """How a limit is raised, for the number found where it is known."""
    return f"`--limit {name}={found if found is not None else 2 * getattr(current(), name)}` raises the limit"


_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "k": 1000, "m": 1000**2, "g": 1000**3}
_AMOUNT = re.compile(r"([0-9][0-9_]*)(?:\.([0-9]+))?\s*([A-Za-z]*)", re.ASCII)


def amount(text: str) -> int:
    """`500MB`, `1.5 GiB`, `20_000` as a number. Raises ValueError for what is none, or is 0."""
    found = _AMOUNT.fullmatch(text.strip())
    unit = _UNITS.get(found[3].lower()) if found else None
    if found is None or unit is None or len(text) > 40:
        raise ValueError(f"expected an amount such as 20000 or 500MB, got {text[:40]}")
    whole, part = int(found[1].replace("_", "")), found[2] or ""
    number: int = whole * unit + int(part or "0") * unit // int("1" + "0" * len(part))
    if number < 1:
        raise ValueError(f"expected an amount from 1 up, got {text[:40]}")
    return number
