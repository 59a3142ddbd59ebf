"""Files that are read: regular ones alone."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

READING = os.O_RDONLY
for _flag in ("O_BINARY", "O_NOCTTY", "O_NONBLOCK"):  # not every system has them all
    READING |= getattr(os, _flag, 0)
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
