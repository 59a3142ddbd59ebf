"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Put `data` at `path`, whole or not at all; text as UTF-8. A link is followed, its target replaced."""
    target = Path(os.path.realpath(path))
    content = data.encode() if isinstance(data, str) else data
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    # O_EXCL: never into a file that someone else put there. 0o666 leaves the mode to the user's umask.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(partial, target.stat().st_mode & 0o7777)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
