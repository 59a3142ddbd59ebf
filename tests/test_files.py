"""Files are read only where they are files, and written whole, together, or not at all, whatever fails on the way."""

from __future__ import annotations

import ast
import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from faults import Faults

from upc import files
from upc.cli import main
from upc.files import NotRegular, holds, is_ours, open_regular, write_atomic, write_together

PACKAGE = Path(files.__file__).parent
LATENT = "net latent {\n  input z: [2]\n  dense(3)\n  output y\n}\n"


# Reading


def strange(folder: Path) -> list[str]:
    """Paths that are no regular files: to read one would wait, never end, or fail oddly."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(folder / "pipe")
    return [str(folder / name) for name in ("pipe", "folder", "link")] + ["/dev/zero", "/dev/tty", "/dev/null"]


def test_only_regular_files_are_opened(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for path in strange(tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)
    assert not before or len(os.listdir("/proc/self/fd")) == before
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "to file").symlink_to(tmp_path / "file")
    for name in ("file", "to file"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"text"


def test_a_file_that_becomes_a_pipe_while_it_is_opened_is_noticed(tmp_path, monkeypatch):
    """The file is looked at before it is opened; what counts is what has been opened."""
    place, really = tmp_path / "file", os.open
    place.write_bytes(b"")

    def swap(path: object, *more: object, **named: object) -> int:
        place.unlink()
        os.mkfifo(place)
        return really(path, *more, **named)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(NotRegular):
        open_regular(place)


@pytest.mark.parametrize("kind", ["source", "used", "weights", "array", "picture", "given source", "map", "module"])
def test_no_command_waits_for_a_pipe(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    for name in ("pipe.upc", "pipe.safetensors", "pipe.npy", "pipe.png", "pipe.py"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "net.upc").write_text(LATENT)
    (tmp_path / "picture.upc").write_text("net p {\n  input x: [2, 3, 1]\n  relu()\n  output y\n}\n")
    (tmp_path / "uses.upc").write_text('use "pipe.upc"\n' + LATENT)
    reference = ("--target", "reference")
    arguments = {
        "source": ("summary", "pipe.upc"),
        "used": ("summary", "uses.upc"),
        "weights": ("run", "net.upc", "--input", "latent", "--weights", "pipe.safetensors", *reference),
        "array": ("run", "net.upc", "--input", "pipe.npy", *reference),
        "picture": ("run", "picture.upc", "--input", "pipe.png", *reference),
        "given source": ("check", "net.upc", "--source", "torch=pipe.py"),
        "map": ("weights", "import", "net.upc", "pipe.safetensors", "--map", "pipe.py"),
        "module": ("warmup", "pipe.py"),
    }[kind]
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(list(arguments))), daemon=True)
    thread.start()
    thread.join(60)
    assert codes and codes[0] in (2, 3), "it waits"
    err = capsys.readouterr().err
    assert "not a regular file" in err and "Traceback" not in err


# Writing


@pytest.mark.parametrize("place", ["pipe", "folder", "link"])
def test_only_regular_files_are_replaced(tmp_path, place):
    strange(tmp_path)
    before = sorted((p.name, p.lstat().st_mode) for p in tmp_path.iterdir())
    with pytest.raises(NotRegular):
        write_atomic(tmp_path / place, "text")
    assert sorted((p.name, p.lstat().st_mode) for p in tmp_path.iterdir()) == before


def test_a_device_is_not_replaced(tmp_path, monkeypatch, capsys):
    """As the administrator, to rename a file onto it would take it away from everybody."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.upc").write_text(LATENT)
    controller, terminal = os.openpty()  # a device that nobody else would miss
    place = os.ttyname(terminal)
    (tmp_path / "y.npy").symlink_to(place)
    found = os.stat(place)
    for arguments in (
        ("emit", "net.upc", "--target", "keras", "-o", place),
        ("emit", "net.upc", "--target", "keras", "-o", place, "--force"),
        ("weights", "init", "net.upc", "-o", place),
        ("weights", "init", "net.upc", "-o", place, "--force"),
        ("run", "net.upc", "--target", "reference", "--input", "latent", "-o", "y.npy"),
    ):
        assert main([*arguments]) == 2
        assert "it is a device, not a regular file" in capsys.readouterr().err
    assert (os.stat(place).st_mode, os.stat(place).st_ino) == (found.st_mode, found.st_ino)
    os.close(controller), os.close(terminal)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("there", [("a", "b"), ("a",), ("b",), ()])
def test_whatever_fails_the_old_files_stand_and_nothing_else(tmp_path, monkeypatch, code, there):
    faults, failed = Faults(monkeypatch, code), 0
    new = {tmp_path / "a": "new weights", tmp_path / "b": "new module"}
    for number in range(100):
        for name in "ab":
            (tmp_path / name).unlink(missing_ok=True)
        for name in there:
            (tmp_path / name).write_text(f"old {name}")
        old = {tmp_path / name: f"old {name}" for name in there}
        faults.start(number)
        try:
            write_together(new)
        except OSError as problem:
            assert problem.errno == code and problem.filename in map(str, new)
            assert {p: p.read_text() for p in tmp_path.iterdir()} == old, f"step {number}"
            failed += 1
        else:
            assert {p: p.read_text() for p in tmp_path.iterdir()} == new, f"step {number}"
            if not faults.met:
                break
    assert failed >= 8, "creating, writing, synchronising and renaming two files"


def test_an_interruption_between_two_renames_leaves_the_old_files(tmp_path, monkeypatch):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("old a"), b.write_text("old b")
    really, calls = os.replace, []

    def interrupt(*paths: object) -> None:
        calls.append(paths)
        if len(calls) == 2:
            raise KeyboardInterrupt
        really(*paths)

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_together({a: "new a", b: "new b"})
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "old a", "b": "old b"}


def test_where_there_are_no_links_the_old_file_is_copied(tmp_path, monkeypatch):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("old a"), b.write_text("old b")

    def no(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no)
    write_together({a: "new a", b: "new b"})
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "new a", "b": "new b"}


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".npy")
    write_atomic(path, "text")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_upc_wrote_is_told_by_its_header(tmp_path):
    path = tmp_path / "module.py"
    for target in ("numba", "keras", "torch"):
        (tmp_path / "net.upc").write_text(LATENT)
        assert main(["emit", str(tmp_path / "net.upc"), "--target", target, "-o", str(path)]) == 0
        assert is_ours(path)
    late = 'x = 1\n"""\nWritten by upc 1 from x\n"""\n'
    for other in ("", "import os\n", '"""Mine."""\n# Written by upc 1 from x\n', late):
        path.write_text(other)
        assert not is_ours(path)


def test_whether_a_file_holds_something(tmp_path):
    path = tmp_path / "file"
    assert not holds(path, "")
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.write_text("text")
    assert holds(path, "text") and not holds(path, "tex") and not holds(path, "texts") and not holds(path, "test")


# One place that writes, one that starts processes

WRITERS = {"files.py", "runtime/files.py", "runtime/vault.py"}
_MODES = set("wax+")


def _writes(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        if node.attr in ("write_text", "write_bytes", "O_CREAT", "mkstemp", "NamedTemporaryFile", "touch", "savez"):
            return True
        return isinstance(node.value, ast.Name) and (node.value.id, node.attr) in {
            *(("os", name) for name in ("replace", "rename", "link", "symlink", "truncate", "mkfifo")),
            ("shutil", "copyfile"),
        }
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        texts = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        return name == "open" and any(isinstance(t, str) and 0 < len(t) < 4 and _MODES & set(t) for t in texts)
    return False


def _found(wanted: object) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if wanted(node):
                found.setdefault(path.relative_to(PACKAGE).as_posix(), []).append(node.lineno)
    return found


def test_one_place_writes_files():
    # np.savez and an archive fill buffers in memory; the standard streams that are missing are put on the null device.
    allowed = WRITERS | {"commands/run.py", "runtime/shell.py", "cli.py"}
    assert set(_found(_writes)) <= allowed, _found(_writes)


def test_one_place_starts_processes():
    callers = {"subprocess": ("run", "call", "check_call", "check_output"), "os": ("system", "popen", "fork", "execv")}

    def starts(node: ast.AST) -> bool:
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        owner = getattr(getattr(node, "value", None), "id", "")
        return name in ("Popen", "posix_spawn") or name in callers.get(owner, ())

    assert set(_found(starts)) == {"processes.py"}
