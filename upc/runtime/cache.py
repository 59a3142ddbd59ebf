"""Machine code kept from one process to the next, wherever the module has moved to in between."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from numba.core import types
from numba.core.registry import cpu_target

from upc.runtime.layout import machine

SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""Numba's calling convention: where the result and an exception would go, then the arguments."""

DIGEST_BYTES = 32


def cache_folder() -> Path:
    """`UPC_CACHE_DIR`, or `upc` in the user's cache folder."""
    given = os.environ.get("UPC_CACHE_DIR")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "upc" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "upc"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "upc"


class Entry:
    """A function of two integers that Python calls. It runs without the interpreter lock.

    Its machine code belongs to the text of its module, to the processor and its vectors, and to the
    versions of what made it; not to a path. Numba's own cache finds code as quickly, but wakes the whole
    compiler to call it.
    """

    def __init__(self, function: Callable[[int, int], None]) -> None:
        self._function = function
        self._call: Any = None
        self._engine: Any = None
        self._nothing = (ctypes.c_int64 * 2)()  # where a result and an exception would be put; there is neither
        self._place = ctypes.addressof(self._nothing)

    def __call__(self, first: int, second: int) -> None:
        self._call(self._place, self._place + 8, first, second)

    def ready(self) -> None:
        """Have the machine code, from the cache or compiled now: before several threads could each try to."""
        if self._call is not None:
            return
        file = self._file()
        found = read_code(file) if file else None
        if found is None:
            found = self._compile()
            if file:
                write_code(file, found)
        symbol, code = found
        target = binding.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._call = SIGNATURE(self._engine.get_function_address(symbol))

    def _file(self) -> Path | None:
        """Where the code is kept; None for a function without a file."""
        try:
            text = Path(self._function.__code__.co_filename).read_bytes()
        except OSError:
            return None
        target = repr((cpu_target.target_context.codegen().magic_tuple(), machine()))
        versions = repr((numba.__version__, llvmlite.__version__, sys.version_info[:2]))
        stamp = hashlib.sha256(text + target.encode() + versions.encode()).hexdigest()
        return cache_folder() / f"{self._function.__module__.rpartition('.')[2]}-{stamp[:24]}.code"

    def _compile(self) -> tuple[str, bytes]:
        # Without wrappers for Python and without counted references, the code needs nothing of Numba to run.
        alone = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
        compiled = numba.njit(nogil=True, error_model="numpy", boundscheck=False, **alone)(self._function)
        compiled.compile((types.int64, types.int64))
        (made,) = compiled.overloads.values()
        _, _, (code, _) = made.library.serialize_using_object_code()
        return made.fndesc.llvm_func_name, code


entry = Entry


def read_code(file: Path) -> tuple[str, bytes] | None:
    """(symbol, object code) of a file, or None where it is not there or not whole."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    digest, rest = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() != digest:
        return None
    symbol, _, code = rest.partition(b"\0")
    return symbol.decode(), code


def write_code(file: Path, found: tuple[str, bytes]) -> None:
    """Keep code, whole or not at all; where nothing can be written, it is compiled in every process."""
    symbol, code = found
    rest = symbol.encode() + b"\0" + code
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "wb") as out:
            out.write(hashlib.sha256(rest).digest() + rest)
        os.replace(temporary, file)
    except OSError:
        return
