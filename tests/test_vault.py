"""Kept machine code is run only if this user's upc made it, for this very kernel: all else is as good as none."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from written import TINY, Written, in_process, write

from upc.runtime import vault as vaults
from upc.runtime.vault import Vault

NAME, PURPOSE, CONTENT = "kernel-1.code", b"what it is for", b"content" * 1000


@pytest.fixture
def vault(tmp_path, monkeypatch):
    monkeypatch.setattr(vaults, "_said", set())
    made = Vault(tmp_path / "cache" / "code")
    made.write(NAME, PURPOSE, CONTENT)
    assert made.read(NAME, PURPOSE) == CONTENT
    return made


@pytest.fixture
def folder(tmp_path, vault):
    return tmp_path / "cache" / "code"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_kept_is_the_users_alone(folder):
    assert (mode(folder.parent), mode(folder), mode(folder / NAME), mode(folder / "key")) == (
        0o700,
        0o700,
        0o600,
        0o600,
    )
    assert sorted(os.listdir(folder)) == ["kernel-1.code", "key"]


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


DAMAGES = {
    "empty": lambda data: b"",
    "torn": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"x",
    "one bit": _flip,
    "a digest without the key": lambda data: hashlib.sha256(data[32:]).digest() + data[32:],
    "another's signature": lambda data: bytes(32) + data[32:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_changed_entry_is_none_and_is_made_anew(vault, folder, damage, caplog):
    caplog.set_level(logging.INFO, "upc")
    path = folder / NAME
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert vault.read(NAME, PURPOSE) is None
    assert [f"ignored {path}" in message for message in caplog.messages] == [True]
    vault.write(NAME, PURPOSE, CONTENT)
    assert vault.read(NAME, PURPOSE) == CONTENT


def test_an_entry_is_bound_to_its_name_and_its_purpose(vault, folder):
    vault.write("kernel-2.code", b"something else", b"other")
    assert vault.read("kernel-2.code", PURPOSE) is None
    one, two = folder / NAME, folder / "kernel-2.code"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second), two.write_bytes(first)
    for name in (NAME, "kernel-2.code"):
        for purpose in (PURPOSE, b"something else"):
            assert vault.read(name, purpose) is None


def test_parts_of_what_is_signed_cannot_change_places(vault, folder):
    vault.write("ab", b"c", b"def")
    shutil.copy(folder / "ab", folder / "a")
    assert vault.read("a", b"bc") is None


def test_another_key_makes_all_worthless_and_new_entries_are_kept(vault, folder):
    (folder / "key").write_bytes(bytes(32))
    assert vault.read(NAME, PURPOSE) is None
    for content in (b"", b"short"):
        (folder / "key").write_bytes(content)
        assert vault.read(NAME, PURPOSE) is None
        vault.write(NAME, PURPOSE, CONTENT)
        assert vault.read(NAME, PURPOSE) == CONTENT and (folder / "key").stat().st_size == 32


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o1777])
@pytest.mark.parametrize("part", ["", NAME, "key"])
def test_what_others_can_write_to_does_not_count(vault, folder, part, bits, caplog):
    caplog.set_level(logging.INFO, "upc")
    (folder / part).chmod(bits)
    assert vault.read(NAME, PURPOSE) is None
    assert "others than its owner can write to it" in caplog.text


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the administrator can give files away"
)
@pytest.mark.parametrize("part", ["", NAME, "key"])
def test_what_belongs_to_someone_else_does_not_count(vault, folder, part, caplog):
    caplog.set_level(logging.INFO, "upc")
    os.chown(folder / part, 12345, 12345)
    assert vault.read(NAME, PURPOSE) is None
    assert "belongs to someone else" in caplog.text
    if not part:
        before = sorted(os.listdir(folder))
        vault.write("kernel-2.code", PURPOSE, CONTENT)
        assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("part", ["", NAME, "key"])
def test_links_are_not_followed(vault, folder, part):
    place, moved = folder / part if part else folder, folder.parent / "moved"
    place.rename(moved)
    place.symlink_to(moved)
    assert vault.read(NAME, PURPOSE) is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_an_entry_that_is_no_file_is_no_entry(vault, folder, make):
    (folder / NAME).unlink()
    make(folder / NAME)
    assert vault.read(NAME, PURPOSE) is None


def test_a_shared_folder_is_read_and_never_written_to(vault, folder, tmp_path):
    shared = Vault(folder, shared=True)
    assert shared.read(NAME, PURPOSE) == CONTENT
    before = {path: path.read_bytes() for path in folder.iterdir()}
    shared.write("kernel-2.code", PURPOSE, CONTENT)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    folder.chmod(0o777)
    assert shared.read(NAME, PURPOSE) is None


def test_what_a_killed_process_left_is_swept_up_after_an_hour(vault, folder):
    old, new = folder / ".a.1.partial", folder / ".b.2.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * vaults.STALE_S,) * 2)
    Vault(folder).write("kernel-2.code", PURPOSE, CONTENT)
    assert not old.exists() and new.exists()


@pytest.mark.parametrize("step", ["write", "replace", "open", "mkdir", "link"])
def test_a_full_disk_leaves_nothing_and_is_no_error(tmp_path, monkeypatch, step):
    import errno

    made, really = Vault(tmp_path / "cache" / "code"), os.open

    def full(*given: object, **named: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def open_no_new(path: object, flags: int, *more: object, **named: object) -> int:
        return full() if flags & os.O_CREAT else really(path, flags, *more, **named)

    class Full:
        def __init__(self, descriptor: int, mode: str) -> None:
            self.descriptor = descriptor

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *problem: object) -> None:
            os.close(self.descriptor)

        write = full

    if step == "write":
        monkeypatch.setattr(vaults, "open", Full, raising=False)
    else:
        monkeypatch.setattr(os, step, open_no_new if step == "open" else full)
    made.write(NAME, PURPOSE, CONTENT)
    monkeypatch.undo()
    assert made.read(NAME, PURPOSE) is None
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and p.name != "key"] == []


HAMMER = """
import sys
from pathlib import Path
from upc.runtime.vault import Vault
vault, me = Vault(Path(sys.argv[1]) / "code"), sys.argv[2].encode()
print("ready", flush=True)
number = 0
while True:
    for name in "abc":
        vault.write(name, b"for all", me * 100_000)
        found = vault.read(name, b"for all")
        assert found is None or len(found) == 100_000 and len(set(found)) == 1, "torn"
    number += 1
    if number == int(sys.argv[3]):
        break
"""


def test_two_processes_write_the_same_and_one_is_killed(tmp_path):
    """Each finds what it or the other wrote, whole; nothing is torn by a kill, whenever it comes."""
    home = Path(vaults.__file__).parents[2]
    start = [sys.executable, "-c", HAMMER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(home)}
    for delay in (0.0, 0.01, 0.02, 0.03):
        victim = subprocess.Popen([*start, "x", "0"], stdout=subprocess.PIPE, env=environment)
        assert victim.stdout is not None and victim.stdout.readline() == b"ready\n"
        other = subprocess.Popen([*start, "y", "20"], stdout=subprocess.PIPE, env=environment)
        time.sleep(delay)
        victim.kill()
        victim.communicate()
        other.communicate(timeout=120)
        assert other.returncode == 0
    vault = Vault(tmp_path / "code")
    for name in "abc":
        found = vault.read(name, b"for all")
        assert found is not None and len(found) == 100_000


# A whole module on such a cache


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(TINY, tmp_path_factory.mktemp("tiny"))


CALL = "import numpy as np, upc_test_tiny as m; print(m.load()(np.ones((2, 3, 2, 2), np.float32)).tolist())"


def test_kernels_in_each_others_place_are_not_run(tiny, tmp_path):
    cache = tmp_path / "cache"
    first = in_process(CALL, tiny.folder, UPC_CACHE_DIR=str(cache))
    codes = sorted((cache / "code").glob("*.code"))
    contents = [path.read_bytes() for path in codes]
    for path, content in zip(codes, [contents[-1], *contents[:-1]], strict=True):
        path.write_bytes(content)
    script = f"import logging; logging.basicConfig(level=logging.INFO)\n{CALL}"
    assert in_process(script, tiny.folder, UPC_CACHE_DIR=str(cache)) == first
    assert [path.read_bytes() for path in codes] != [contents[-1], *contents[:-1]], "they were made anew"


def test_garbage_with_a_right_digest_kills_nobody(tiny, tmp_path):
    cache = tmp_path / "cache"
    first = in_process(CALL, tiny.folder, UPC_CACHE_DIR=str(cache))
    for path in (cache / "code").glob("*.code"):
        rest = b"symbol\0" + b"garbage" * 100
        path.write_bytes(hashlib.sha256(rest).digest() + rest)
    assert in_process(CALL, tiny.folder, UPC_CACHE_DIR=str(cache)) == first


def test_another_users_cache_is_read_where_it_is_asked_for(tiny, tmp_path):
    """Without the compiler, only kept code can run: found in the shared folder, which stays as it is."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    first = in_process(CALL, tiny.folder, UPC_CACHE_DIR=str(shared))
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*")}
    script = f"import numba.core.compiler as c\ndef no(*a, **k): raise SystemExit(3)\nc.compile_extra = no\n{CALL}"
    assert in_process(script, tiny.folder, UPC_CACHE_DIR=str(own), UPC_SHARED_CACHE=str(shared)) == first
    assert {path: path.stat().st_mtime_ns for path in shared.rglob("*")} == before


def test_no_module_is_kept_in_the_cache(tmp_path, monkeypatch):
    from upc.build import compile_source
    from upc.load_numba import load_module
    from upc.source import Source

    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    graph = compile_source(Source("net.upc", TINY))
    import numpy as np

    weights = {key: np.zeros(weight.shape, np.float32) for key, weight, _ in graph.weights()}
    load_module(graph, "auto", 1).load(weights)(np.zeros((1, 3, 2, 2), np.float32))
    names = {path.name.partition("-")[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert all(name == "key" or not name.endswith((".py", ".pyc")) for name in names)
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]
