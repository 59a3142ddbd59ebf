"""A worker as the race sees it: a process with one engine, stopped unless it has the turn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

START_TIMEOUT_S, REPLY_TIMEOUT_S = 900.0, 300.0


class WorkerFailed(Exception):
    """An engine could not be made ready, or went away; the message says why."""


class Worker:
    """A process that holds one engine. It is stopped but for its turns."""

    def __init__(self, engine: str, job: Path, threads: int, folder: Path) -> None:
        self.engine = engine
        self._log = folder / f"{engine}.log"
        begin = time.perf_counter()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "upc.bench.worker", engine, str(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(threads, folder),
                text=True,
            )
        try:
            self.hello = self._reply(START_TIMEOUT_S)
        except BaseException:
            self.end()
            raise
        self.start_s = time.perf_counter() - begin
        self._signal("SIGSTOP")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Give it the turn for one request."""
        assert self._process.stdin is not None
        self._signal("SIGCONT")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerFailed(self._last_words()) from None
        reply = self._reply(REPLY_TIMEOUT_S)
        self._signal("SIGSTOP")
        return reply

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

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
        said = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return said[-1].strip() if said else "its process ended without a word, or took too long"

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):  # Windows has no such signals: there, waiting threads are only asked to sleep
            os.kill(self._process.pid, getattr(signal, name))


def _environment(threads: int, folder: Path) -> dict[str, str]:
    """As many threads for all, compiled code in the race's own folder, and no graphics processor."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "UPC_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        "UPC_CACHE_DIR": str(folder / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "CUDA_VISIBLE_DEVICES": "",
    }
