"""Where compiled code is kept: in a place of upc's own, found again wherever the module has moved to."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from upc.runtime.layout import machine


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


class SourceLocator(_CacheLocator):  # type: ignore[misc]
    """Compiled code belongs to the text of its module, its name and the vectors it is made for, not to a path.

    The name is there because compiled code finds its module by it. Numba's own index adds the processor's
    name and features to that.
    """

    def __init__(self, text: bytes) -> None:
        here = machine()
        self._stamp = hashlib.sha256(text).hexdigest()
        self._path = cache_folder() / f"{self._stamp[:16]}-{here.lanes}x{here.registers}"

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return self._stamp[:8]

    @classmethod
    def from_function(cls, function: Any, file: str) -> SourceLocator | None:
        try:
            locator = cls(Path(file).read_bytes() + function.__module__.encode())
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator


class SourceCacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [SourceLocator]


class SourceCache(FunctionCache):  # type: ignore[misc]
    _impl_class = SourceCacheImpl


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; keep its code where a cache folder can be written."""
    dispatcher = njit(nogil=True, error_model="numpy", boundscheck=False)(function)
    try:
        dispatcher._cache = SourceCache(function)
    except RuntimeError:
        pass  # nowhere to keep it: it is compiled in every process
    return dispatcher
