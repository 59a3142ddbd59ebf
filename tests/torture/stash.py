"""Attacks on kept machine code: bytes, modes, owners, links, pipes and entries in each other's places.

Most are on a vault of made-up entries: what it reads is what was written there by that name, or nothing. Some are on
the cache of a whole module, which a forked child then loads from and calls: its results must be the right ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
from apart import forked, known_module
from run import PORTION_S, Amount, Record

from upc.modules import import_file
from upc.runtime.vault import Vault

USUAL = Amount(inputs=20_000)
MODULES = 0.02
"""The share of attacks on a whole module's cache."""

ENTRIES = {f"kernel-{i}.code": (f"purpose {i % 2}".encode(), bytes([i]) * (1 + 500 * i)) for i in range(5)}


def attacked(folder: Path, r: Random) -> None:
    """Do one thing to a folder of entries that its owner would not do."""
    names = sorted(path.name for path in folder.iterdir())
    place = folder / r.choice(names) if names else folder
    kind = r.randrange(12)
    if place.is_dir() or kind == 0:
        place = folder if r.random() < 0.2 else place
        place.chmod(r.choice((0o777, 0o770, 0o722, 0o700, 0o600, 0o000, 0o1777)))
    elif kind == 1 and os.geteuid() == 0:
        os.chown(folder if r.random() < 0.2 else place, r.choice((0, 12345)), 12345, follow_symlinks=False)
    elif kind in (2, 3, 4, 5) and place.is_file() and not place.is_symlink():
        content = bytearray(place.read_bytes())
        if kind == 2 and content:
            for _ in range(r.choice((1, 1, 5))):
                content[r.randrange(len(content))] ^= 1 << r.randrange(8)
        elif kind == 3:
            content = content[: r.randrange(len(content) + 1)]
        elif kind == 4:
            content += bytes(r.choice((1, 32, 5000)))
        else:
            content[:32] = r.choice((bytes(32), hashlib.sha256(content[32:]).digest(), os.urandom(32)))
        place.chmod(0o600)
        place.write_bytes(content)
    elif kind == 6 and len(names) > 1:
        other = folder / r.choice(names)
        moved = folder / "moved"
        place.rename(moved), other.rename(place) if other != place else None, moved.rename(other)
    elif kind == 7 and len(names) > 1:
        other = folder / r.choice(names)
        if other.is_file() and not other.is_symlink() and other != place:
            place.unlink()
            (shutil.copy if r.random() < 0.5 else os.link)(other, place)
    elif kind in (8, 9):
        place.unlink()
        making = (os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p), lambda p: os.symlink(folder.parent, p))
        r.choice(making)(place)
    elif kind == 10:
        place.unlink()
    else:
        target = folder.parent / f"elsewhere-{r.getrandbits(40)}"
        place.rename(target)
        place.symlink_to(target)


def removed(folder: Path) -> None:
    """Throw a folder away whatever modes it has been given."""
    for path in (folder, *folder.rglob("*")):
        if stat.S_ISDIR(path.lstat().st_mode):
            path.chmod(0o700)
    shutil.rmtree(folder)


def on_vault(folder: Path, r: Random) -> str:
    """Entries written, attacked, read, written again: what was wrong, or nothing."""
    vault = Vault(folder / "code")
    for name, (purpose, content) in ENTRIES.items():
        vault.write(name, purpose, content)
    for _ in range(r.choice((1, 1, 2, 4))):
        attacked(folder / "code", r)
    for again in range(2):
        for name, (purpose, content) in ENTRIES.items():
            for asked in (purpose, b"another"):
                found = vault.read(name, asked)
                if found is not None and (found != content or asked != purpose):
                    return f"{name} was read as what it is not, {'after it was written again' if again else 'attacked'}"
        for name, (purpose, content) in ENTRIES.items():
            vault.write(name, purpose, content)
    return ""


def on_module(module: Path, cache: Path, folder: Path, expected: str, r: Random) -> str:
    """A module's cache attacked, and the module loaded from it in a child: what was wrong, or nothing."""
    shutil.copytree(cache, folder / "cache")
    for place in (folder / "cache", folder / "cache" / "code"):
        place.chmod(0o700)
    for _ in range(r.choice((1, 1, 2, 4))):
        attacked(folder / "cache" / "code", r)

    def call() -> int:
        os.environ["UPC_CACHE_DIR"] = str(folder / "cache")
        x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2)
        y = import_file(module).load(threads=2)(x)
        return 0 if hashlib.sha256(y.tobytes()).hexdigest() == expected else 1

    code = forked(call, seconds=180)
    return {0: "", 1: "another result"}.get(code, f"the process ended with {code}")


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    import upc.load_numba  # noqa: F401  what the children need, once for all

    tried, lost = 0, []
    with tempfile.TemporaryDirectory() as place:
        home = Path(place, "home")
        home.mkdir()
        expected = known_module(home).strip()
        end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
        while tried != amount.inputs and time.monotonic() < end:
            r, folder = Random(f"stash {seed} {tried}"), Path(place, "attacked")
            folder.mkdir()
            try:
                if r.random() < MODULES:
                    words = on_module(home / "upc_test_tiny.py", home / "cache", folder, expected, r)
                else:
                    words = on_vault(folder, r)
            except Exception as problem:
                words = f"{type(problem).__name__}: {str(problem)[:200]}"
            removed(folder)
            tried += 1
            if words:
                lost.append(f"{words} (attack {tried - 1} of seed {seed})")
    return Record(tried, tried - len(lost), tuple(lost))
