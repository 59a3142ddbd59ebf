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

from upc.diagnostics import EXIT_MISSING, EXIT_USAGE, error, nearest
from upc.ir import Array, Graph
from upc.processes import Child

PATIENCE_S = 5
"""How long a process may take to end by itself."""

BACKENDS = ("tensorflow", "jax", "torch")

VARIANTS = ("numba[exact]", "numba[fast]", "numba[256]", "numba[128]")
"""Numba with minimal filtering nowhere or wherever it can be, or with vectors of so many bits: run if asked for."""

_NEEDED: dict[str, tuple[tuple[str, ...], str]] = {
    "reference": ((), ""),
    **dict.fromkeys(("numba", *VARIANTS), (("numba",), "pip install numba")),
    **{f"keras[{b}]": (("keras", b), f"pip install 'upc[keras]' {b}") for b in BACKENDS},
    "torch": (("torch",), "pip install 'upc[torch]'"),
    "onnxruntime": (("torch", "onnx", "onnxruntime"), "pip install 'upc[torch,onnx]'"),
}
"""The modules that a target needs, and how to get them."""

TARGETS = tuple(target for target in _NEEDED if target not in VARIANTS)


@dataclass(frozen=True, slots=True)
class Job:
    """A net to run on a batch. `text` is the source to run in place of what would be emitted (Keras, PyTorch)."""

    graph: Graph
    weights: Mapping[str, Array]
    inputs: Sequence[Array]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """In place of outputs: what a target said when it could not. `unsupported` where it has no words for a layer."""

    message: str
    unsupported: bool = False


Result = tuple[Array, ...] | Failure


def missing(target: str) -> str | None:
    """The first module that a target needs and that is not installed."""
    modules, _ = _NEEDED[target]
    return next((module for module in modules if importlib.util.find_spec(module) is None), None)


def choose(wanted: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """(targets to run, targets left out with the module each lacks).

    `keras` stands for Keras on every backend that is installed. Without `wanted`, whatever is installed.
    Errors: UpcError for a name that is no target, and for a target asked for that is not installed.
    """
    if wanted is None:
        lacking = {target: module for target in TARGETS if (module := missing(target)) is not None}
        return tuple(target for target in TARGETS if target not in lacking), lacking
    chosen: list[str] = []
    for name in wanted:
        if name == "keras":
            installed = [t for t in TARGETS if t.startswith("keras[") and missing(t) is None]
            chosen += installed or ["keras[tensorflow]"]
        elif name in _NEEDED:
            chosen.append(name)
        else:
            near = nearest(name, [*_NEEDED, "keras"])
            hint = f"did you mean {near}?" if near else f"there is {', '.join(TARGETS)}"
            raise error("E0800", f"there is no target {name}", hint=hint, exit_code=EXIT_USAGE)
    for target in chosen:
        if (module := missing(target)) is not None:
            raise error(
                "E0704",
                f"target {target} needs {module}, which is not installed",
                hint=_NEEDED[target][1],
                exit_code=EXIT_MISSING,
            )
    return tuple(dict.fromkeys(chosen)), {}


class Worker:
    """A process that runs jobs on one target. Use it in a `with` statement."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._folder = TemporaryDirectory(prefix="upc-check-")
        # The framework's chatter goes nowhere; what counts comes back as a Failure.
        try:
            self._child = Child(
                "upc.check.worker",
                target,
                folder=Path(self._folder.name),
                environment=_environment(target),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except BaseException:
            self._folder.cleanup()
            raise
        self._process = self._child.process

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def submit(self, job: Job) -> None:
        """Hand a job over; `result` gives what became of it, in the same order."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `result` says so
            write(self._process.stdin, job)

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


def _environment(target: str) -> dict[str, str]:
    found = dict(os.environ)
    found["TF_CPP_MIN_LOG_LEVEL"] = "3"
    found["JAX_PLATFORMS"] = "cpu"
    if target.startswith("keras["):
        found["KERAS_BACKEND"] = target.removeprefix("keras[").removesuffix("]")
    if target in ("numba[256]", "numba[128]"):
        found["UPC_VECTOR_BITS"] = target.removeprefix("numba[").removesuffix("]")
    return found
