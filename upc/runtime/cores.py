"""How many threads a network may have: what the system grants this process, and what the user says."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

MOST_THREADS = 256


def available_cores(root: str = "/") -> int:
    """Cores this process may use: those it is bound to, its control group's quota, `UPC_NUM_THREADS`; the least counts.

    `root` is where the system's files start. Raises ValueError where `UPC_NUM_THREADS` is no number from 1 on.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(cores, granted_cores(root), MOST_THREADS)
    wanted = os.environ.get("UPC_NUM_THREADS", "").strip()
    if not wanted:
        return cores
    if not wanted.isdecimal() or not int(wanted[:9]):
        raise ValueError(f"UPC_NUM_THREADS must be a whole number from 1 on, got {wanted[:40]!r}")
    return min(cores, int(wanted[:9]))


def granted_cores(root: str = "/") -> int:
    """Whole cores that the control groups of this process let it use, 1 at least; `MOST_THREADS` where there are none.

    Threads wait for each other in a loop: of a core and a half, the second thread would waste what the first needs.
    """
    base = Path(root)
    try:
        lines = (base / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return MOST_THREADS
    cores = float(MOST_THREADS)
    for line in lines:
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        if not kinds:  # version 2: one tree for everything
            cores = min(cores, _least_quota(base / "sys/fs/cgroup", path, "cpu.max"))
            cores = min(cores, _least_quota(base / "sys/fs/cgroup/unified", path, "cpu.max"))
        elif "cpu" in kinds.split(","):
            for folder in (kinds, "cpu"):
                cores = min(cores, _least_quota(base / "sys/fs/cgroup" / folder, path, "cpu.cfs_quota_us"))
    return max(1, int(cores))


def _least_quota(tree: Path, path: str, file: str) -> float:
    """Cores' worth of time that a group and all above it may have.

    A container that sees the machine's name for its group has the group itself at the root of the tree.
    """
    cores = float(MOST_THREADS)
    group = PurePosixPath(path.lstrip("/"))
    for folder in (group, *group.parents):
        if ".." in folder.parts:
            continue
        try:
            quota, period = _quota(tree / folder, file)
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            cores = min(cores, quota / period)
    return cores


def _quota(folder: Path, file: str) -> tuple[int, int]:
    """Microseconds of processor time in each period, and the period's own; none where there is no limit."""
    words = (folder / file).read_text(encoding="ascii").split()
    if file == "cpu.max":
        return (0, 1) if words[0] == "max" else (int(words[0]), int(words[1]) if len(words) > 1 else 100_000)
    return int(words[0]), int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
