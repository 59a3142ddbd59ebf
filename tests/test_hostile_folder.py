"""A stranger's folder: what lies beside a .upc file does not run, whatever it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from upc.processes import import_path

NET = "net small {\n  input x: [4, 3, 2]\n  conv2d(3, kernel_size=2, activation=relu)\n  output y\n}\n"

STANDARD = ("importlib", "json", "logging", "ctypes", "pickle", "sitecustomize", "usercustomize", "subprocess", "site")
OTHERS = ("numpy", "numba", "llvmlite", "safetensors", "lark", "jinja2", "torch", "PIL", "yaml", "upc")
PLANTED = "import os, sys\nopen(os.path.join({folder!r}, 'ran-' + __name__.replace('.', '-')), 'w').close()\n"

COMMANDS = {
    "compile": ("compile", "small.upc"),
    "warmup": ("warmup", "small.upc"),
    "warmup a module": ("warmup", "small.py"),
    "check": ("check", "small.upc", "--targets", "reference,numba"),
    "bench": ("bench", "small.upc", *("--batch", "1", "--against", "none", "--bursts", "1", "--seconds", "0.01")),
    "profile": ("profile", "small.upc"),
    "run": ("run", "small.upc", "--input", "x.npy"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import numpy as np

    place = tmp_path_factory.mktemp("stranger")
    (place / "small.upc").write_text(NET)
    np.save(place / "x.npy", np.zeros((1, 4, 3, 2), np.float32))
    return place


def plant(folder: Path, names: tuple[str, ...]) -> None:
    """Modules, and packages by the same names in a folder of their own for Python to prefer."""
    for name in names:
        (folder / f"{name}.py").write_text(PLANTED.format(folder=str(folder)))
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text(PLANTED.format(folder=str(folder)))


def ran(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("ran-*"))


def upc(folder: Path, *arguments: str, flags: tuple[str, ...] = ("-P",), **environment: str) -> str:
    known = {**os.environ, "UPC_CACHE_DIR": str(folder.parent / "cache"), **environment}
    done = subprocess.run(
        [sys.executable, *flags, "-m", "upc", *arguments],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_no_module_of_the_current_folder_runs(folder, command):
    """`upc` is started as its script is: without the current folder; so are all its children."""
    plant(folder, (*STANDARD, *OTHERS))
    upc(folder, *COMMANDS[command])
    assert ran(folder) == []


def test_python_m_upc_takes_no_package_from_the_current_folder(tmp_path):
    """Python itself puts the current folder in front; upc takes it out again before it needs any package."""
    (tmp_path / "small.upc").write_text(NET)
    plant(tmp_path, tuple(name for name in OTHERS if name != "upc"))
    upc(tmp_path, "compile", "small.upc", flags=())
    assert ran(tmp_path) == []


def test_a_child_finds_upc_where_its_parent_did(tmp_path):
    """By PYTHONPATH alone, with the current folder being the very one that upc lies in."""
    import upc as package

    home = Path(package.__file__).parents[1]
    (tmp_path / "small.upc").write_text(NET)
    done = subprocess.run(
        [sys.executable, "-m", "upc", "check", str(tmp_path / "small.upc"), "--targets", "reference,numba"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_import_path_leaves_the_current_folder_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "relative", "/somewhere", str(tmp_path / "..")])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert import_path() == ["/somewhere", str(tmp_path / "..")]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # the user names it in full
    assert import_path() == [str(tmp_path), "/somewhere", str(tmp_path / "..")]


def test_importing_a_module_leaves_the_import_path_and_its_folder_alone(tmp_path):
    from upc.load_numba import import_file

    plant(tmp_path, ("strange",))
    (tmp_path / "small.py").write_text("try:\n    import strange\nexcept ImportError:\n    strange = None\n")
    path = list(sys.path)
    module = import_file(tmp_path / "small.py")
    assert module.strange is None and sys.path == path
    assert ran(tmp_path) == [] and not (tmp_path / "__pycache__").exists()


def test_a_planted_compiled_module_is_not_run(tmp_path):
    """Python would run the .pyc of a folder whose times and sizes fit its source."""
    import importlib.util
    import marshal

    from upc.load_numba import import_file

    source = tmp_path / "small.py"
    source.write_text("value = 1\n")
    found = source.stat()
    compiled = Path(importlib.util.cache_from_source(str(source)))
    compiled.parent.mkdir()
    times = int(found.st_mtime).to_bytes(4, "little") + found.st_size.to_bytes(4, "little")
    code = marshal.dumps(compile("value = 2\n", str(source), "exec"))
    compiled.write_bytes(importlib.util.MAGIC_NUMBER + bytes(4) + times + code)
    assert import_file(source).value == 1
