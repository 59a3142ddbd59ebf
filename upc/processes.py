"""Processes that upc starts: the one place that starts any.

A child runs the upc and the packages that its parent runs, and nothing that lies in the current folder: it is started
in Python's isolated mode, in another folder, and is told where to import from. It ends when its parent does, however
that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

HOME = Path(__file__).parent
"""Where this upc lies."""

DIE_WITH_PARENT = 1  # Linux's PR_SET_PDEATHSIG
_WATCH_S = 0.5
_ENDING = ("SIGTERM", "SIGHUP", "SIGQUIT")
_PLACES = ("UPC_CACHE_DIR", "UPC_SHARED_CACHE")  # folders that a child in another folder must still find

# upc itself is taken from where the parent's lies: on no account from a folder of that name beside a stranger's file.
_BOOT = """\
import importlib.util, json, sys
order = json.loads(sys.argv[1])
sys.path[:] = order["path"]
home = order["home"]
spec = importlib.util.spec_from_file_location("upc", home + "/__init__.py", submodule_search_locations=[home])
sys.modules["upc"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["upc"])
from upc.processes import serve
serve(order)
"""


class Child:
    """A process that runs `main(*arguments)` of one of upc's modules. Use it in a `with` statement: it ends with that.

    `folder` is the current folder of the child and where it puts temporary files; without one it needs none. On Linux
    it ends, too, with the thread that started it.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = subprocess.DEVNULL,
        stderr: int | IO[Any] | None = subprocess.DEVNULL,
        text: bool = False,
    ) -> None:
        given = dict(os.environ if environment is None else environment)
        order = {
            "home": str(HOME.resolve()),
            "path": import_path(),
            "parent": os.getpid(),
            "verbose": logging.getLogger("upc").isEnabledFor(logging.INFO),
            "module": module,
            "arguments": arguments,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", *_flags(), "-c", _BOOT, json.dumps(order)],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=_environment(given, folder),
            cwd=folder or Path(os.path.abspath(os.sep)),
            text=text,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.end()

    def end(self, patience_s: float = 0) -> None:
        """Close its input, wait so long for it to end by itself, and see to it that it has."""
        try:
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            if patience_s:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience_s)
        finally:
            self.process.kill()
            self.process.wait()


def import_path() -> list[str]:
    """Where this process imports from, without the current folder; unless the user names that in PYTHONPATH in full."""
    named = {entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)}
    here = os.path.realpath(os.curdir)
    return [p for p in sys.path if os.path.isabs(p) and (p in named or os.path.realpath(p) != here)]


def forget_current_folder() -> None:
    """Import nothing more from the folder that `python -m` puts in front of all others."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]


def serve(order: Mapping[str, Any]) -> None:
    """What a child does."""
    end_with_parent(order["parent"])
    if order["verbose"]:
        log_to_stderr()
    importlib.import_module(order["module"]).main(*order["arguments"])


def log_to_stderr() -> None:
    """Say on stderr what is logged, as with `-v`."""
    logger = logging.getLogger("upc")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("upc: %(message)s"))
        logger.addHandler(handler)


class _Stderr(logging.Handler):
    """Writes to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def end_with_parent(parent: int) -> None:
    """End this process once its parent, whose number is given, has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)  # also a process that is stopped
        if os.getppid() != parent:
            os._exit(1)
    elif os.name == "posix":

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(_WATCH_S)
            os._exit(1)

        threading.Thread(target=watch, daemon=True, name="upc-parent").start()


class Ended(BaseException):
    """A signal that ends this process has come: what is open is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Leave nothing behind when a signal ends the process: it is passed on once the body has been unwound."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]  # not under nohup

    def end(number: int, frame: FrameType | None) -> None:
        for other in taken:
            signal.signal(other, signal.SIG_IGN)  # one is enough
        raise Ended(number)

    for number in taken:
        signal.signal(number, end)
    ended = 0
    try:
        yield
    except Ended as signalled:
        ended = signalled.number
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
    if ended:
        os.kill(os.getpid(), ended)


def _flags() -> list[str]:
    """How this interpreter was started, where a child should be like it."""
    flags = ["-B"] if sys.dont_write_bytecode else []
    return flags + (["-X", "utf8"] if sys.flags.utf8_mode else [])


def _environment(given: dict[str, str], folder: Path | None) -> dict[str, str]:
    """The environment for a child, in which whatever it starts itself imports nothing from a current folder either."""
    for name in _PLACES:
        if given.get(name):
            given[name] = os.path.abspath(given[name])
    paths = [entry for entry in given.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    given.pop("PYTHONPATH", None)
    if paths:
        given["PYTHONPATH"] = os.pathsep.join(paths)
    given["PYTHONSAFEPATH"] = "1"
    if folder is not None:
        given.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))
    return given
