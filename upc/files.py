"""Files that upc writes: whole or not at all, all of one command or none, and nothing that is not upc's to replace.

No other part of upc opens a file for writing, but for the runtime, which has no more than itself: it stages files
(`runtime/files.py`) and keeps machine code (`runtime/vault.py`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from upc.runtime.files import NotRegular as NotRegular
from upc.runtime.files import beside, discard, stage
from upc.runtime.files import open_regular as open_regular

Content = bytes | str

_HEADER = re.compile(rb'\A"""(?:(?!""").)*?^(?:Written|Emitted) by upc [0-9][^ \n]* from ', re.DOTALL | re.MULTILINE)
"""How a module begins that upc wrote, whatever its target."""
_HEADER_BYTES = 1 << 16


def write_atomic(path: str | os.PathLike[str], content: Content) -> None:
    """Put `content` at `path`, whole or not at all; text as UTF-8. A link is followed, its target replaced.

    Raises OSError, and NotRegular where something else than a file stands there.
    """
    write_together({path: content})


def write_together(contents: Mapping[str | os.PathLike[str], Content]) -> None:
    """Write several files that belong together: all of them, or none, with those that were there left as they were.

    Each is on the disk before the first takes its place; they do so in the order given. Raises OSError, NotRegular.
    """
    targets = [Path(os.path.realpath(path)) for path in contents]
    partials: list[Path] = []
    spares: list[Path | None] = []  # what stood at a target, by another name
    at: str | os.PathLike[str] = ""
    try:
        for (path, content), target in zip(contents.items(), targets, strict=True):
            at = path
            partials.append(stage(target, content.encode() if isinstance(content, str) else content))
        for path, target, partial in zip(contents, targets, partials, strict=True):
            at = path
            spares.append(_keep(target) if len(targets) > 1 else None)
            os.replace(partial, target)
    except BaseException as problem:
        if len(targets) > 1:
            for target, spare in zip(targets, spares, strict=False):
                with suppress(OSError):
                    os.replace(spare, target) if spare else target.unlink()
        if isinstance(problem, OSError) and problem.errno:
            problem.filename, problem.filename2 = os.fspath(at), None  # not the name it had meanwhile
        raise
    finally:
        discard(*partials, *spares)
    for folder in dict.fromkeys(target.parent for target in targets):
        _sync_folder(folder)


@contextmanager
def make_folder(path: Path) -> Iterator[None]:
    """A folder to write into, with those it lies in; if the writing fails, none is left that was made for it."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def write_array(path: str | os.PathLike[str], array: Any) -> None:
    """A NumPy array as an .npy file."""
    import numpy as np

    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    write_atomic(path, file.getvalue())


def read_text(path: str | os.PathLike[str]) -> str:
    """A file's UTF-8 text. Raises OSError, NotRegular, UnicodeDecodeError."""
    with open_regular(path) as file:
        return file.read().decode()


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a module that upc wrote: its header says so. Raises OSError for what is no regular file."""
    with open_regular(path) as file:
        return _HEADER.match(file.read(_HEADER_BYTES)) is not None


def holds(path: str | os.PathLike[str], content: Content) -> bool:
    """Whether a file is there and holds just that. Raises OSError for what is no regular file."""
    wanted = content.encode() if isinstance(content, str) else content
    try:
        with open_regular(path) as file:
            return os.fstat(file.fileno()).st_size == len(wanted) and file.read(len(wanted) + 1) == wanted
    except FileNotFoundError:
        return False


def _keep(target: Path) -> Path | None:
    """Give the file at a path a second name, if there is one."""
    if not target.exists():
        return None
    spare = beside(target)
    try:
        os.link(target, spare)
    except OSError:  # not every file system has links
        return stage(target, target.read_bytes())
    return spare


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk too, where a folder can be opened for that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
