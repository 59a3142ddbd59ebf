"""A worker as the race sees it: a process with one engine, stopped unless it has the turn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from upc.processes import Child

START_TIMEOUT_S, REPLY_TIMEOUT_S = 900.0, 300.0


class WorkerFailed(Exception):
    """An engine could not be made ready, or went away; the message says why."""


class Worker:
    """A process that holds one engine. It is stopped but for its turns."""

    def __init__(self, engine: str, job: Path, threads: int, folder: Path) -> None:
        self.engine = engine
        begin = time.perf_counter()
        self._log = TemporaryFile(dir=folder)  # noqa: SIM115 - `end` closes it
        self._child = Child(
            "upc.bench.worker",
            engine,
            str(job),
            folder=folder,
            environment=_environment(threads, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._process = self._child.process
        try:
            self.hello = self._reply(START_TIMEOUT_S)
        except BaseException:
            self.end()
            raise
        self.start_s = time.perf_counter() - begin
        self._stop()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Give it the turn for one request."""
        assert self._process.stdin is not None
        self._send("SIGCONT")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerFailed(self._last_words()) from None
        reply = self._reply(REPLY_TIMEOUT_S)
        self._stop()
        return reply

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        self._child.end()
        self._log.close()

    def _reply(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Timer(timeout, self._process.kill)
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            raise WorkerFailed(self._last_words())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerFailed(str(reply["error"]).splitlines()[0])
        return reply

    def _last_words(self) -> str:
        self._log.seek(0)
        said = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return said[-1].strip() if said else "its process ended without a word, or took too long"

    def _stop(self) -> None:
        """Take the turn away, and wait until no thread of it runs."""
        if self._send("SIGSTOP") and hasattr(os, "waitid"):
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def _send(self, name: str) -> bool:
        """False where there is no such signal: on Windows, waiting threads are only asked to sleep."""
        if not hasattr(signal, name):
            return False
        os.kill(self._process.pid, getattr(signal, name))
        return True


def _environment(threads: int, folder: Path) -> dict[str, str]:
    """Compiled code in the race's own folder, no graphics processor, and nothing that OpenMP reads.

    The frameworks are told their number of threads by their own calls; what a user's environment says to
    OpenMP would reach some of them and not others.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_"))}
    return {
        **kept,
        "NUMBA_NUM_THREADS": str(threads),
        "UPC_NUM_THREADS": str(threads),
        "UPC_CACHE_DIR": str(folder / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "CUDA_VISIBLE_DEVICES": "",
    }
