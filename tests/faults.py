"""Files that cannot be written: any one of the operations that writing takes fails, or is the last there is."""

from __future__ import annotations

import os
import signal

import pytest


class Faults:
    """Lets the operation of one number fail, of all that writing takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self.code, self.count, self.failing, self.met = code, 0, -1, False
        for name in ("fsync", "replace", "link", "chmod"):
            monkeypatch.setattr(f"upc.files.os.{name}", self._wrapped(getattr(os, name)))
        really = os.open

        def create(path: object, flags: int, *more: object, **named: object) -> int:
            if flags & os.O_CREAT:
                self.step()
            return really(path, flags, *more, **named)

        monkeypatch.setattr("upc.files.os.open", create)
        opened = open

        def full(*given: object) -> object:
            file = opened(*given)
            return _Full(file, self) if given[1:] == ("wb",) else file

        monkeypatch.setattr("upc.runtime.files.open", full, raising=False)

    def step(self) -> None:
        self.count += 1
        if self.count - 1 == self.failing:
            self.met = True
            self.fail()

    def fail(self) -> None:
        raise OSError(self.code, os.strerror(self.code))

    def start(self, failing: int) -> None:
        self.count, self.failing, self.met = 0, failing, False

    def _wrapped(self, really: object) -> object:
        def call(*given: object, **named: object) -> object:
            self.step()
            return really(*given, **named)

        return call


class _Full:
    """A file on a disk that may have no more room: half is written, then it fails."""

    def __init__(self, file: object, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def __enter__(self) -> _Full:
        return self

    def __exit__(self, *problem: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[: len(content) // 2])
        self._faults.step()
        self._file.write(content[len(content) // 2 :])

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class Kills(Faults):
    """The process is killed at that operation, before it is done."""

    def fail(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
