"""Processes that the parts start: they are marked, may not hang, and leave no other process behind."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import upc

HOME = Path(upc.__file__).parents[1]
MARK = "UPC_TORTURE_MARK"
HANG_S = 120.0
"""Seconds after which a process counts as hanging, on a machine that has much else to do."""

LEFT_S = 20.0
"""Seconds that the children of a process may outlive it by."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, or None if it hung; what it said; how many others it left behind."""

    code: int | None
    out: str
    err: str
    left: int
    seconds: float


@dataclass(frozen=True)
class Started:
    """A process of ours, whose descendants can be told by its mark."""

    process: subprocess.Popen[str]
    mark: str
    began: float

    def end(self, seconds: float = HANG_S) -> Ended:
        """Wait until it ends; whatever hangs or is left is killed."""
        try:
            out, err = self.process.communicate(timeout=seconds)
            code: int | None = self.process.returncode
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            code, (out, err) = None, ("", "")
        took, end = time.monotonic() - self.began, time.monotonic() + LEFT_S
        while (left := marked(self.mark)) and time.monotonic() < end and code is not None:
            time.sleep(0.02)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if code is None:
            with suppress(subprocess.TimeoutExpired):
                out, err = self.process.communicate(timeout=10)
        return Ended(code, out, err, len(left), took)


def start(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Started:
    """Python with these arguments in a folder, with upc to import and its cache in `cache` there, if not said else."""
    mark = secrets.token_hex(16)
    known = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HOME), str(folder)]),
        "UPC_CACHE_DIR": str(folder / "cache"),
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**known, **(environment or {}), MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=_heed,
    )
    return Started(process, mark, time.monotonic())


def _heed() -> None:
    """Signals end it, whatever those who started this run have had ignored, as a shell does in the background."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def marked(mark: str) -> list[int]:
    """The processes that descend from the one with this mark, itself included, zombies not."""
    found, wanted = [], f"{MARK}={mark}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
    return found


def forked(work: Callable[[], int], seconds: int = 60) -> int:
    """The exit code of a forked child that does some work; -14 (SIGALRM) where it takes longer than so many seconds."""
    child = os.fork()
    if not child:
        code = 99
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            code = work()
        except SystemExit as problem:
            code = problem.code if isinstance(problem.code, int) else 98
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def known_module(folder: Path) -> str:
    """A small written net `upc_test_tiny` in a folder, and what a call of it prints; its machine code is in `cache`."""
    place, printed = _module()
    shutil.copytree(place, folder, dirs_exist_ok=True)
    for path in (folder / "cache", folder / "cache" / "code"):
        path.chmod(0o700)
    return printed


@cache
def _module() -> tuple[Path, str]:
    """The same, made once for all parts of this process."""
    from written import TINY, write

    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    write(TINY, place)
    first = start(["-c", CALL], place).end(300)
    if first.code:
        raise RuntimeError(first.err)
    return place, first.out


CALL = """
import hashlib
import numpy as np
import upc_test_tiny as m
x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2)
print(hashlib.sha256(m.load(threads=2)(x).tobytes()).hexdigest())
"""
