"""Modules that upc wrote, imported from their text: no compiled form of them is looked for or left anywhere."""

from __future__ import annotations

import hashlib
import linecache
import sys
from importlib.abc import InspectLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from upc.files import is_ours, open_regular

WANTED = ("numpy", "llvmlite", "safetensors", "upc", "PIL", "h5py")
"""What modules that upc writes may import, installed or not, beside what their target needs."""


class _Text(InspectLoader):
    """Gives the import system a module whose text is at hand."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file = text, file

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_filename(self, fullname: str) -> str:
        return self._file


def known_elsewhere(name: str) -> bool:
    """Whether Python knows a module by this name that upc did not write: part of it, installed, or wanted by upc."""
    if name in sys.stdlib_module_names or name in WANTED:
        return True
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        return name in sys.modules
    if found is None or found.origin is None:  # a mere folder is no module
        return False
    try:
        return not is_ours(found.origin)
    except OSError:
        return True


def import_file(path: Path) -> ModuleType:
    """The module in a file, read once, under a name that no other module has."""
    with open_regular(path) as file:
        text = file.read().decode()
    return import_text(text, path.stem, str(path))


def import_text(text: str, stem: str, file: str | None = None) -> ModuleType:
    """The module of a text, under a name that no other has, as if it stood in a file.

    Debuggers and tracebacks find its lines, and so does the runtime, which keeps machine code by them.
    """
    digest = hashlib.sha256(f"{file}\0{text}".encode()).hexdigest()[:16]
    name = f"upc_numba_{stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    place = f"<{name}>" if file is None else file
    if file is None:
        linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    spec = spec_from_loader(name, _Text(text, place), origin=place)
    assert spec is not None and spec.loader is not None  # as the loader is given
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(text, place, "exec"), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module
