"""A folder for what is made once and used again, in which nothing counts that someone else has put there.

Entries are regular files of this user in a folder that nobody else can write to, opened without following links and
looked at once open. Each is signed, with its name and what it is for, by a key of the user's own: one that was forged,
renamed, torn or made for something else is as good as none.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from upc.runtime.files import READING, opened_regular

SIGNATURE_BYTES = KEY_BYTES = 32
MOST_ENTRY_BYTES = 1 << 28
STALE_S = 3600  # what a process that was killed was writing is thrown away after that

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | _NO_LINKS
_log = logging.getLogger("upc")
_said: set[str] = set()


class Vault:
    """Entries in a folder, by name. `shared` is another user's, from which this one reads and never writes."""

    def __init__(self, folder: Path, shared: bool = False) -> None:
        self._folder, self._shared = folder, shared
        self._swept = False

    def read(self, name: str, purpose: bytes) -> bytes | None:
        """The content of an entry written for this purpose, or None; where one is ignored, the log says why."""
        try:
            with self._open() as folder:
                key = self._content(folder, "key")
                found = self._content(folder, name)
        except FileNotFoundError:
            return None
        except OSError as problem:
            _say(f"ignored the cache {self._folder}: {problem.strerror}")
            return None
        signature, content = found[:SIGNATURE_BYTES], found[SIGNATURE_BYTES:]
        if len(key) != KEY_BYTES or not hmac.compare_digest(signature, _sign(key, name, purpose, content)):
            _say(f"ignored {self._folder / name}: it is broken, or not what upc wrote by this name")
            return None
        return content

    def write(self, name: str, purpose: bytes, content: bytes) -> None:
        """Keep an entry, whole or not at all; where nothing can be written, the log says so."""
        if self._shared:
            return
        try:
            os.makedirs(self._folder.parent, mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)
            with self._open() as folder:
                self._sweep(folder)
                self._put(folder, name, _sign(self._own_key(folder), name, purpose, content) + content)
        except OSError as problem:
            _say(f"nothing is kept in the cache {self._folder}: {problem.strerror}")

    @contextmanager
    def _open(self) -> Iterator[int | None]:
        """The folder's descriptor, once it is seen to be ours; None where the system has no such thing."""
        if os.open not in os.supports_dir_fd:
            yield None
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS)
        try:
            self._check(os.fstat(descriptor))
            yield descriptor
        finally:
            os.close(descriptor)

    def _check(self, found: os.stat_result) -> None:
        if found.st_mode & _OTHERS_WRITE:
            raise PermissionError(0, "others than its owner can write to it")
        if not self._shared and found.st_uid != os.geteuid():
            raise PermissionError(0, "it belongs to someone else: only UPC_SHARED_CACHE can name such a folder")

    def _content(self, folder: int | None, name: str) -> bytes:
        descriptor = os.open(self._at(folder, name), READING | _NO_LINKS, dir_fd=folder)
        with opened_regular(descriptor, self._folder / name) as file:
            found = os.fstat(descriptor)
            if folder is not None:
                self._check(found)
                if found.st_uid != os.fstat(folder).st_uid:
                    raise PermissionError(0, f"{name} belongs to someone else than its folder")
            return file.read(MOST_ENTRY_BYTES)

    def _own_key(self, folder: int | None) -> bytes:
        """The user's key, made now if there is none; of two processes that make one, the first one's counts."""
        for _ in range(2):
            with suppress(FileNotFoundError):
                key = self._content(folder, "key")
                if len(key) == KEY_BYTES:
                    return key
                os.unlink(self._at(folder, "key"), dir_fd=folder)
            self._put(folder, "key", secrets.token_bytes(KEY_BYTES), replace=False)
        return self._content(folder, "key")

    def _put(self, folder: int | None, name: str, content: bytes, replace: bool = True) -> None:
        # Not synchronised with the disk: what a power failure leaves half written has no valid signature.
        partial, place = self._at(folder, f".{name}.{secrets.token_hex(6)}.partial"), self._at(folder, name)
        descriptor = os.open(partial, _NEW, 0o600, dir_fd=folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            if replace or not hasattr(os, "link"):
                os.replace(partial, place, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                with suppress(FileExistsError):
                    os.link(partial, place, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)

    def _sweep(self, folder: int | None) -> None:
        """Throw away what processes left that were killed while they wrote; once for each process."""
        if self._swept:
            return
        self._swept = True
        for name in os.listdir(self._folder if folder is None else folder):
            if name.endswith(".partial"):
                with suppress(OSError):
                    place = self._at(folder, name)
                    if time.time() - os.stat(place, dir_fd=folder, follow_symlinks=False).st_mtime > STALE_S:
                        os.unlink(place, dir_fd=folder)

    def _at(self, folder: int | None, name: str) -> str:
        return str(self._folder / name) if folder is None else name


def _sign(key: bytes, *parts: str | bytes) -> bytes:
    """A signature of parts, of which none can pass for another or for a piece of one."""
    signed = hmac.new(key, b"upc 1", "sha256")
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        signed.update(len(content).to_bytes(8, "little"))
        signed.update(content)
    return signed.digest()


def _say(words: str) -> None:
    """Log something at the level of `-v`, once for each process."""
    if words not in _said:
        _said.add(words)
        _log.info(words)
