"""How much memory this process may still take, asked before it is taken: a system that has none left kills."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

SMALL_BYTES = 1 << 26
"""Not worth asking for."""


def available_memory(root: str = "/") -> int | None:
    """Bytes that the machine has free and the control groups of this process leave it; None where nobody says.

    `root` is where the system's files start.
    """
    base = Path(root)
    found = [_free_of_machine(base), *_left_by_groups(base)]
    known = [number for number in found if number is not None]
    return min(known) if known else None


def require_memory(needed: int, what: str) -> None:
    """Raise MemoryError where so many bytes are not to be had."""
    free = available_memory() if needed > SMALL_BYTES else None
    if free is not None and needed > free:
        raise MemoryError(f"{what} needs {needed / 1e9:.2f} GB of memory; {free / 1e9:.2f} GB is available")


def _free_of_machine(base: Path) -> int | None:
    try:
        for line in (base / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _left_by_groups(base: Path) -> list[int | None]:
    """What each control group of this process, and each above it, has left."""
    try:
        lines = (base / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    left: list[int | None] = []
    for line in lines:
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        if not kinds:  # version 2: one tree for everything
            trees, most, held = ("", "unified"), "memory.max", "memory.current"
        elif "memory" in kinds.split(","):
            trees, most, held = (kinds, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        for folder in (group, *group.parents):
            if ".." not in folder.parts:
                left += [_left(base / "sys/fs/cgroup" / tree / folder, most, held) for tree in trees]
    return left


def _left(folder: Path, most: str, held: str) -> int | None:
    """What one group may still take. What it holds of files is given back when it is needed."""
    try:
        limit = int((folder / most).read_text(encoding="ascii"))
        used = int((folder / held).read_text(encoding="ascii"))
        figures = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        given_back = int(figures.get("inactive_file", 0)) + int(figures.get("active_file", 0))
    except (OSError, ValueError):  # no limit is written as `max`
        return None
    return max(0, limit - max(0, used - given_back))
