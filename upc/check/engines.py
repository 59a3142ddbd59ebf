"""What a net can be run on to be compared: each target in a process of its own.

Frameworks quarrel over threads and memory when they share a process, and Keras takes its backend once per
process; so a worker runs one target, as many jobs as it is given, and a crash there is one target's crash.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from upc import targets
from upc.diagnostics import EXIT_MISSING, EXIT_USAGE, error, nearest
from upc.ir import Array
from upc.processes import Child
from upc.targets import Engine
from upc.targets import Job as Job

PATIENCE_S = 5
"""How long a process may take to end by itself."""


@dataclass(frozen=True, slots=True)
class Failure:
    """In place of outputs: what a target said when it could not. `unsupported` where it has no words for a layer."""

    message: str
    unsupported: bool = False


Result = tuple[Array, ...] | Failure


def usual() -> tuple[str, ...]:
    """The engines that run where none is named, if they are installed."""
    return tuple(name for name, engine in targets.engines().items() if not engine.asked_for)


def variants() -> tuple[str, ...]:
    """The engines that run only if they are named: Numba's other algorithms, and vectors of so many bits."""
    return tuple(name for name, engine in targets.engines().items() if engine.asked_for)


def missing(engine: Engine) -> str | None:
    """The first module that an engine needs and that is not installed."""
    return next((module for module in engine.needs if importlib.util.find_spec(module) is None), None)


def meant(name: str) -> tuple[Engine, ...]:
    """What a name stands for: one engine, or the usual ones of a target whose engines are called otherwise."""
    known = targets.engines()
    if name in known:
        return (known[name],)
    return tuple(e for t in targets.targets() if t.name == name for e in t.engines if not e.asked_for)


def choose(wanted: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """(targets to run, targets left out with the module each lacks).

    A target's name stands for all its engines that are installed: `keras` for Keras on every backend. Without
    `wanted`, whatever is installed.
    Errors: UpcError for a name that is no target, and for a target asked for that is not installed.
    """
    known = targets.engines()
    if wanted is None:
        lacking = {name: module for name in usual() if (module := missing(known[name])) is not None}
        return tuple(name for name in usual() if name not in lacking), lacking
    chosen: list[Engine] = []
    for name in wanted:
        engines = meant(name)
        if not engines:
            near = nearest(name, [*known, *targets.names()])
            hint = f"did you mean {near}?" if near else f"there is {', '.join(usual())}"
            raise error("E0800", f"there is no target {name}", hint=hint, exit_code=EXIT_USAGE)
        chosen += [engine for engine in engines if missing(engine) is None] or engines[:1]
    for engine in chosen:
        if (module := missing(engine)) is not None:
            raise error(
                "E0704",
                f"target {engine.name} needs {module}, which is not installed",
                hint=engine.install,
                exit_code=EXIT_MISSING,
            )
    return tuple(dict.fromkeys(engine.name for engine in chosen)), {}


class Worker:
    """A process that runs jobs on one target. Use it in a `with` statement."""

    def __init__(self, target: str) -> None:
        self.target, engine = target, targets.engines()[target]
        self._folder = TemporaryDirectory(prefix="upc-check-")
        # The framework's chatter goes nowhere; what counts comes back as a Failure.
        try:
            self._child = Child(
                "upc.check.worker",
                target,
                folder=Path(self._folder.name),
                environment=_environment(engine),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except BaseException:
            self._folder.cleanup()
            raise
        self._process = self._child.process
        try:
            self._send(engine)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def submit(self, job: Job) -> None:
        """Hand a job over; `result` gives what became of it, in the same order."""
        self._send(job)

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # `result` says so
                write(self._process.stdin, message)
        except (pickle.PicklingError, AttributeError) as problem:
            words = "what runs in another process must stand in a module that it can import"
            raise ValueError(f"{words}: {problem}") from None

    def result(self) -> Result:
        """The outputs of the oldest job not yet asked for; waits for it."""
        assert self._process.stdout is not None
        try:
            return cast(Result, read(self._process.stdout))
        except EOFError:
            return Failure(f"the process stopped with status {self._process.wait()}")

    def run(self, job: Job) -> Result:
        """Submit and wait."""
        self.submit(job)
        return self.result()

    def close(self) -> None:
        """End the process."""
        try:
            self._child.end(PATIENCE_S)
        finally:
            self._folder.cleanup()


def run_all(jobs: Mapping[str, Sequence[Job]]) -> list[dict[str, Result]]:
    """The jobs of every target, as many each, all targets at the same time; their results, job by job."""
    workers: list[Worker] = []
    try:
        workers += (Worker(target) for target in jobs)
        found: list[dict[str, Result]] = []
        for number in range(max(map(len, jobs.values()), default=0)):
            # One at a time: a worker whose results nobody takes would take no further job.
            for worker in workers:
                worker.submit(jobs[worker.target][number])
            found.append({worker.target: worker.result() for worker in workers})
        return found
    finally:
        for worker in workers:
            worker.close()


def write(pipe: IO[bytes], message: object) -> None:
    """Send an object to the other process."""
    pickle.dump(message, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def read(pipe: IO[bytes]) -> object:
    """The next object from the other process; EOFError where there is none. Both ends are ours."""
    return pickle.load(pipe)


def _environment(engine: Engine) -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", **engine.environment}
