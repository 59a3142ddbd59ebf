"""Machine code kept from one process to the next, wherever the module has moved to in between."""

from __future__ import annotations

import ctypes
import hashlib
import linecache
import os
import sys
import threading
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from numba.core.registry import cpu_target

from upc.runtime.layout import machine
from upc.runtime.steps import FIRST_IMPORT, NETWORK_MARK
from upc.runtime.subroutine import Kernel, signature_of
from upc.runtime.vault import Vault

SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""Numba's calling convention: where the result and an exception would go, then the arguments."""


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
_VAULTS: dict[tuple[str, bool], Vault] = {}

LOADING = threading.RLock()
"""Held while machine code is made or loaded. No process is forked in the middle of that: the child would find this
lock, and those of the compiler, held by a thread that it does not have."""
if hasattr(os, "register_at_fork"):  # pragma: no branch - where processes fork
    os.register_at_fork(before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release)


def _module_text(file: str) -> str | None:
    """The text of a module by its file's name, whether it stands in a file or was run from memory."""
    known = linecache.cache.get(file)
    if known is not None and len(known) == 4 and known[1] is None:
        return "".join(known[2])
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


_OWN_FILE = __file__
_OWN_TEXT = _module_text(_OWN_FILE)  # as it is now: by the time code is made, another may stand in the file


def shared_text(text: str) -> str:
    """Of a written module's text the part that is the same in all of its version; all of any other's."""
    lines = text.split("\n")
    start = lines.index(FIRST_IMPORT) if FIRST_IMPORT in lines else 0
    return "\n".join(lines[start : lines.index(NETWORK_MARK, start)]) if NETWORK_MARK in lines[start:] else text


def code_stamp(file: str) -> str | None:
    """What the machine code belongs to that is made by a module: its text but for the network that it describes,
    the processor and its vectors, and the versions of what made it. None for a module without a text.
    """
    text = _OWN_TEXT if file == _OWN_FILE else _module_text(file)
    if text is None:
        return None
    target = repr((cpu_target.target_context.codegen().magic_tuple(), machine()))
    versions = repr((numba.__version__, llvmlite.__version__, sys.version_info[:2]))
    parts = (shared_text(text), target, versions)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def check_compiler() -> None:
    """Raise RuntimeError where Numba has been told not to compile."""
    if numba.config.DISABLE_JIT:
        raise RuntimeError("NUMBA_DISABLE_JIT is set, and this network runs as machine code alone: unset it")


def code_address(wanted: Kernel, stamp: str | None) -> int:
    """Where the machine code of a kernel is: loaded already, from the cache, or compiled now.

    It runs without the interpreter lock. Networks share it, and its file, if they need the same. Numba's own cache
    finds code as quickly, but wakes the whole compiler to call it, and belongs to a path.
    """
    key = stamp or "", wanted.text
    with LOADING:
        if key not in _ADDRESSES:
            found = read_code(wanted, stamp) if stamp else None
            if found is None:
                found = _compile(wanted)
                if stamp:
                    write_code(wanted, stamp, found)
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


def read_code(wanted: Kernel, stamp: str) -> tuple[str, bytes] | None:
    """(symbol, object code) of a kernel from the user's cache, or the shared one, or None."""
    for vault in (_vault(cache_folder(), False), *_shared()):
        content = vault.read(*_entry(wanted, stamp))
        if content is not None:
            symbol, _, code = content.partition(b"\0")
            return symbol.decode(), code
    return None


def write_code(wanted: Kernel, stamp: str, found: tuple[str, bytes]) -> None:
    """Keep code in the user's cache; where nothing can be written, it is compiled in every process."""
    symbol, code = found
    _vault(cache_folder(), False).write(*_entry(wanted, stamp), symbol.encode() + b"\0" + code)


def _entry(wanted: Kernel, stamp: str) -> tuple[str, bytes]:
    """The name of a kernel's file, and all of what the code in it is for."""
    purpose = f"{stamp}\0{wanted.text}".encode()
    return f"{wanted.make.__name__}-{stamp[:8]}-{hashlib.sha256(purpose).hexdigest()[:24]}.code", purpose


def _shared() -> list[Vault]:
    """The cache of another user's that `UPC_SHARED_CACHE` names: read, and never written to."""
    given = os.environ.get("UPC_SHARED_CACHE")
    return [_vault(Path(given), True)] if given else []


def _vault(folder: Path, shared: bool) -> Vault:
    key = str(folder), shared
    return _VAULTS.setdefault(key, Vault(folder / "code", shared))
