"""Machine code kept from one process to the next, wherever the module has moved to in between."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from numba.core.registry import cpu_target

from upc.runtime.layout import machine
from upc.runtime.subroutine import Kernel, signature_of

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


_ADDRESSES: dict[tuple[str, str], int] = {}
_ENGINES: list[Any] = []  # whose memory the code lies in
_LOADING = threading.Lock()
_RUNTIME = re.compile(r"\nfrom __future__ import annotations\n.*\n# The network\n", re.DOTALL)
"""Of a generated module, the part that is the same in all."""


def code_stamp(file: str) -> str | None:
    """What the machine code belongs to that is made by a module: its text but for the network that it describes,
    the processor and its vectors, and the versions of what made it. None for a module without a file.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    runtime = _RUNTIME.search(text)
    target = repr((cpu_target.target_context.codegen().magic_tuple(), machine()))
    versions = repr((numba.__version__, llvmlite.__version__, sys.version_info[:2]))
    parts = (runtime.group() if runtime else text, target, versions)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def code_address(wanted: Kernel, stamp: str | None) -> int:
    """Where the machine code of a kernel is: loaded already, from the cache, or compiled now.

    It runs without the interpreter lock. Networks share it, and its file, if they need the same. Numba's own cache
    finds code as quickly, but wakes the whole compiler to call it, and belongs to a path.
    """
    key = stamp or "", wanted.text
    with _LOADING:
        if key not in _ADDRESSES:
            file = None
            if stamp:
                digest = hashlib.sha256(wanted.text.encode()).hexdigest()
                file = cache_folder() / stamp / f"{wanted.make.__name__}-{digest[:24]}.code"
            found = read_code(file) if file else None
            if found is None:
                found = _compile(wanted)
                if file:
                    write_code(file, found)
            _ADDRESSES[key] = _load(*found)
        return _ADDRESSES[key]


def _compile(wanted: Kernel) -> tuple[str, bytes]:
    # Without wrappers for Python and without counted references, the code needs nothing of Numba to run.
    alone = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    function = wanted.make(*wanted.arguments)
    compiled = numba.njit(nogil=True, error_model="numpy", boundscheck=False, **alone)(function)
    compiled.compile(signature_of(function).args)
    (made,) = compiled.overloads.values()
    _, _, (code, _) = made.library.serialize_using_object_code()
    return made.fndesc.llvm_func_name, code


def _load(symbol: str, code: bytes) -> int:
    # An engine each: two processes may have given different functions the same symbol.
    target = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    address: int = engine.get_function_address(symbol)
    return address


class Entry:
    """Machine code of two integers that Python calls, without the interpreter lock."""

    def __init__(self, address: int) -> None:
        self._call = SIGNATURE(address)
        self._nothing = (ctypes.c_int64 * 2)()  # where a result and an exception would be put; there is neither
        self._place = ctypes.addressof(self._nothing)

    def __call__(self, first: int, second: int) -> None:
        self._call(self._place, self._place + 8, first, second)


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
