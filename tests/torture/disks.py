"""Disks that are full, files that may not grow, folders that cannot be written to.

A command that writes is given a file system with a random number of bytes left (as the administrator: a small one in
memory), or files of at most so many bytes, or a folder that is mounted for reading alone. Survived: either it ends well
and every file is the new one; or it ends with an error of one line that names the file or says why, every file is the
old one, and nothing else is left. Machine code that cannot be kept is no error: the module runs all the same.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from apart import CALL, known_module, start
from run import PORTION_S, Amount, Record
from writing import Command, called, commands, content, fill

USUAL = Amount(inputs=1500)
ROOM = 1 << 20
"""Bytes of the small file system."""


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of `ROOM` bytes in a folder; False where this user cannot have one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},nr_inodes=200", "tmpfs", str(folder)]
    try:
        made = os.geteuid() == 0 and not subprocess.run(mount, capture_output=True).returncode
    except OSError:
        made = False
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def judged(command: Command, folder: Path, code: int, said: str) -> str:
    """What is wrong with how a command ended."""
    found = content(folder)
    if code == 0:
        return "" if found == command.after else "it ended well, and the files are not right"
    if code not in (2, 3):
        return f"it ended with {code}: {said[-200:]!a}"
    if "Traceback" in said or not said.strip():
        return f"it said {said[-200:]!a}"
    if found != command.before:
        changed = {name for name in {*found, *command.before} if found.get(name) != command.before.get(name)}
        return f"it failed, and {sorted(changed)} changed"
    return ""


def full(command: Command, disk: Path, r: Random) -> str:
    """A disk with so many bytes left."""
    folder = disk / "work"
    fill(folder, command.before)
    space = os.statvfs(disk)
    left = r.choice((0, 0, 1, 2, 3, 5, 8, 20)) * space.f_frsize
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(max(space.f_bavail * space.f_frsize - left, 0)))
    try:
        code, said = called(command.arguments, folder)
        return judged(command, folder, code, said)
    finally:
        (disk / "filler").unlink()


def bounded(command: Command, folder: Path, r: Random) -> str:
    """Files of at most so many bytes."""
    fill(folder, command.before)
    most = r.choice((0, 1, 100, 300, 1000, 4000, 20_000, 100_000))

    def first() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return judged(command, folder, *called(command.arguments, folder, first))


def read_only(command: Command, disk: Path) -> str:
    """A disk that is there to be read."""
    folder = disk / "work"
    fill(folder, command.before)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, capture_output=True)
    try:
        code, said = called(command.arguments, folder)
        found = judged(command, folder, code, said)
        return found or ("" if code else "it wrote to what can only be read")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True, capture_output=True)


def full_cache(home: Path, disk: Path, expected: str, r: Random) -> str:
    """A module whose machine code and temporary files go to a disk that is full."""
    for path in disk.rglob("*"):
        if path.is_file():
            path.unlink()
    left = r.choice((0, 1, 10)) * os.statvfs(disk).f_frsize
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(max(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - left, 0)))
    ended = start(["-c", CALL], home, {"UPC_CACHE_DIR": str(disk / "cache"), "TMPDIR": str(disk)}).end(300)
    (disk / "filler").unlink()
    partials = [path.name for path in disk.rglob("*.partial")]
    if ended.code or ended.out != expected or ended.err or partials:
        return f"it ended with {ended.code}, left {partials} and said {ended.err[-200:]!a}"
    return ""


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    tried, lost, notes = 0, [], ()
    with tempfile.TemporaryDirectory() as place, small_disk(Path(place, "disk")) as made:
        home, disk = Path(place, "home"), Path(place, "disk")
        home.mkdir()
        expected = known_module(home)
        known = commands(Path(place))
        if not made:
            notes = ("No small file system could be mounted here: files were bounded in their size instead.",)
        end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
        while tried != amount.inputs and time.monotonic() < end:
            r = Random(f"disks {seed} {tried}")
            command, kind = r.choice(known), r.random()
            what = "files bounded"
            if made and kind < 0.005:
                what, words = "a full cache", full_cache(home, disk, expected, r)
            elif made and kind < 0.6:
                what, words = "a full disk", full(command, disk, r)
            elif made and kind < 0.7:
                what, words = "a disk for reading", read_only(command, disk)
            else:
                words = bounded(command, Path(place, "bounded"), r)
            tried += 1
            if words:
                lost.append(f"{command.name}, {what}: {words} (try {tried - 1} of seed {seed})")
    return Record(tried, tried - len(lost), tuple(lost), notes=notes)
