"""Commands that write files, in a folder where older ones stand, and what they leave there when nobody disturbs them.

The older files are of another net and other weights, so that old and new can be told apart byte by byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from apart import forked

from upc.cli import main

NET = """net upc_test_old_and_new {{
input   x: [3, 2, 2]
conv2d(3, kernel_size=2, activation={})
output y
}}
"""
FORCE = ("--force",)
COMMANDS: dict[str, tuple[str, ...]] = {
    "compile": ("compile", "net.upc", "--target", "torch", "--seed", "2", *FORCE),
    "emit": ("emit", "net.upc", "--target", "numba", "-o", "upc_test_old_and_new.py", *FORCE),
    "weights init": ("weights", "init", "net.upc", "--seed", "2", *FORCE),
    "weights import": ("weights", "import", "net.upc", "other.safetensors", "-o", "w.safetensors", *FORCE),
    "fmt": ("fmt", "net.upc"),
    "run": ("run", "net.upc", "--target", "reference", "--seed", "1", "--input", "x.npy", "-o", "y.npy"),
}

Files = dict[str, bytes]


@dataclass(frozen=True)
class Command:
    """A command, and a folder's files before and after it."""

    name: str
    arguments: tuple[str, ...]
    before: Files
    after: Files

    @property
    def changed(self) -> list[str]:
        return [name for name, content in self.after.items() if self.before.get(name) != content]


def content(folder: Path) -> Files:
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def fill(folder: Path, files: Files) -> None:
    """Have just these files in a folder."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def called(arguments: tuple[str, ...], folder: Path, first: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """upc in a forked child in a folder, which does something first; its exit code and what it said on stderr."""
    reader, writer = os.pipe()

    def work() -> int:
        os.close(reader)
        os.chdir(folder)
        with open(writer, "w") as words, redirect_stderr(words), redirect_stdout(words):
            first()
            return main(list(arguments))

    pid_code = forked(lambda: work())
    os.close(writer)
    with open(reader, errors="replace") as said:
        return pid_code, said.read()


def commands(folder: Path) -> list[Command]:
    """All of them, tried once where nothing disturbs them."""
    here = folder / "undisturbed"
    fill(here, {"net.upc": NET.format("relu").encode()})
    np.save(here / "x.npy", np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2))
    np.save(here / "y.npy", np.zeros(3, np.float32))
    for arguments in (("weights", "init", "net.upc", "--seed", "7", "-o", "other.safetensors"), COMMANDS["compile"]):
        code, said = called(arguments, here)
        assert not code, said
    for old in (
        ("weights", "init", "net.upc", "--seed", "1", *FORCE),
        ("weights", "init", "net.upc", "-o", "w.safetensors"),
    ):
        called(old, here)
    before = {**content(here), "net.upc": NET.format("tanh").encode()}
    found = []
    for name, arguments in COMMANDS.items():
        fill(here, before)
        code, said = called(arguments, here)
        assert not code, f"{name}: {said}"
        found.append(Command(name, arguments, before, content(here)))
        assert found[-1].changed, name
    return found
