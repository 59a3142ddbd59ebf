"""The process behind `engines.Worker`: reads jobs from standard input, runs them on one target, writes results."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable

from upc.check.engines import Failure, Job, Result, read, write
from upc.diagnostics import UpcError
from upc.ir import Array
from upc.targets import Engine

_BEYOND = "its process cannot import what it is to run (nothing of a script itself, nor of a folder not in PYTHONPATH):"


def main(target: str) -> None:
    """Serve until the input ends. First comes the engine of that name, then jobs."""
    # Whatever a framework prints must not end up among the results.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    run: Callable[[Job], tuple[Array, ...]] | None = None
    while True:
        try:
            if run is None:
                engine = read(sys.stdin.buffer)
                assert isinstance(engine, Engine) and engine.name == target
                run = engine.run
            job = read(sys.stdin.buffer)
        except EOFError:
            return
        except Exception as problem:  # a layer or an engine of a person's own, whose module is imported only now
            write(results, Failure(f"{_BEYOND} {type(problem).__name__}: {problem}"))
            return
        assert isinstance(job, Job)
        write(results, _outcome(run, job))


def _outcome(runner: Callable[[Job], tuple[Array, ...]], job: Job) -> Result:
    try:
        return runner(job)
    except UpcError as problem:
        said = problem.diagnostics[0]
        return Failure(said.message, unsupported=said.code == "E0701")
    except Exception as problem:
        first = str(problem).strip().partition("\n")[0]
        return Failure(f"{type(problem).__name__}: {first}")
