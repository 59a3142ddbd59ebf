"""Files that are read, regular ones alone, and files that are written, whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

READING = os.O_RDONLY
for _flag in ("O_BINARY", "O_NOCTTY", "O_NONBLOCK"):  # not every system has them all
    READING |= getattr(os, _flag, 0)
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FILE_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class NotRegular(OSError):
    """A path that leads to a folder, a pipe, a device or a socket where a file is wanted."""

    def __init__(self, path: str | os.PathLike[str], mode: int) -> None:
        kind = _FILE_KINDS.get(stat.S_IFMT(mode), "something else")
        super().__init__(errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))


def open_regular(path: str | os.PathLike[str], buffering: int = -1) -> BinaryIO:
    """Open a file for reading without ever waiting for one. Raises OSError, NotRegular where it is no regular file.

    Looked at before, as merely to open a device may do something; and again once open, as it may be another by then.
    """
    found = os.stat(path).st_mode
    if not stat.S_ISREG(found):
        raise NotRegular(path, found)
    return opened_regular(os.open(path, READING), path, buffering)


def opened_regular(descriptor: int, path: str | os.PathLike[str], buffering: int = -1) -> BinaryIO:
    """A descriptor as a file, if it is a regular one; else it is closed and NotRegular raised."""
    try:
        opened = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(opened):
            raise NotRegular(path, opened)
        return open(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Put `content` at `path`, whole or not at all. Raises OSError, NotRegular where no regular file stands."""
    target = Path(os.path.realpath(path))
    partial = stage(target, content)
    try:
        os.replace(partial, target)
    finally:
        discard(partial)


def stage(target: Path, content: bytes) -> Path:
    """Put what is to become `target` beside it, safely on the disk; the file that holds it."""
    mode = None
    with suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
    if mode is not None and not stat.S_ISREG(mode):  # replaced, it would be lost
        raise NotRegular(target, mode)
    partial = beside(target)
    # O_EXCL: never into a file that someone else put there. 0o666 leaves the mode to the user's umask.
    descriptor = os.open(partial, _WRITING, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(partial, stat.S_IMODE(mode))
    except BaseException:
        discard(partial)
        raise
    return partial


def beside(target: Path) -> Path:
    """A name in the same folder that nothing has."""
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.partial")


def discard(*paths: Path | None) -> None:
    """Remove what is there of some files."""
    for path in paths:
        if path is not None:
            with suppress(OSError):
                path.unlink()
