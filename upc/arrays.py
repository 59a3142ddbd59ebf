"""Arrays in .npy files, read so that a file can cost no more than what it holds."""

from __future__ import annotations

import os
import re
from math import prod
from pathlib import Path

import numpy as np

from upc import memory
from upc.diagnostics import EXIT_USAGE, UpcError, error
from upc.ir import Array
from upc.runtime.files import open_regular

_LONGEST_HEADER = 1 << 14
_MOST_AXES = 32
# What NumPy writes. It reads any Python literal, at whatever depth; an array of numbers needs no more than this.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][A-Za-z][0-9]{0,9}|[^'\x00-\x1f]{1,40})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}(?:, |,)?){0,33})\),? ?\} *\n?"
)


def read_array(path: Path, most: int | None = None) -> Array:
    """The floating-point numbers of an .npy file, as float32.

    `most` is how much memory they may take. Raises UpcError where it is no such file, or holds something else.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        wide = 4 if len(start) == 8 and start[6] in (2, 3) else 2
        length = int.from_bytes(file.read(wide), "little")
        if start[:6] != b"\x93NUMPY" or not 0 < length <= _LONGEST_HEADER:
            raise _refuse(path)
        found = _HEADER.fullmatch(file.read(length))
        if found is None:
            raise _refuse(path)
        kind, order, shape = found[1].decode("latin-1"), "F" if found[2] == b"True" else "C", _shape(found[3])
        if not re.fullmatch("[<>=]f[248]", kind):
            hint = "save it with astype(np.float32)"
            raise error("E0800", f"{path} holds {_named(kind)}; the net takes float32", hint=hint, exit_code=EXIT_USAGE)
        dtype = np.dtype(kind)
        count = prod(shape)
        if len(shape) > _MOST_AXES or count * dtype.itemsize > size - file.tell():
            raise _refuse(path)
        memory.check(count * (dtype.itemsize + 4), most, lambda: f"the array of shape {shape} in {path}")
        data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise _refuse(path)
    array = np.frombuffer(data, dtype, count).reshape(shape, order=order)  # type: ignore[call-overload]
    return np.array(array, np.float32, order="C")


def _shape(written: bytes) -> tuple[int, ...]:
    return tuple(int(number) for number in written.replace(b" ", b"").split(b",") if number)


def _named(kind: str) -> str:
    """`int64` for `<i8`, where NumPy knows it."""
    try:
        return str(np.dtype(kind))
    except (TypeError, ValueError):
        return "no numbers"


def _refuse(path: Path) -> UpcError:
    return error("E0800", f"{path} is not an .npy file of numbers", exit_code=EXIT_USAGE)
