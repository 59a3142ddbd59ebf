"""One file a command: its docstring is its help, `configure` adds its arguments, `run` does it."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Protocol, cast

NAMES = ("compile", "emit", "run", "check", "weights", "summary", "fmt", "lint", "ops", "bench", "profile", "warmup")
"""In the order of the help."""


class Command(Protocol):
    """What each module of this package offers."""

    __doc__: str | None

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int: ...


def modules() -> dict[str, Command]:
    """Every command under its name. Their files import little until they run, so that `--help` is quick."""
    return {name: cast(Command, import_module(f"upc.commands.{name}")) for name in NAMES}
