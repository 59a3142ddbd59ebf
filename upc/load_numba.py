"""Written Numba modules made runnable in this process."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import ModuleType

from upc import pipeline
from upc.diagnostics import EXIT_USAGE, error
from upc.ir import Array, Graph
from upc.modules import import_file as import_file
from upc.modules import import_text
from upc.plan.plan import Algorithm
from upc.processes import Child


def load_numba(
    graph: Graph, weights: Mapping[str, Array], algorithm: Algorithm = "auto", batch: int = 1
) -> Callable[[Sequence[Array]], tuple[Array, ...]]:
    """The network as compiled code."""
    net = load_module(graph, algorithm, batch).load(weights, allow_nonfinite=True)  # looked at already
    single = len(graph.outputs) == 1

    def run(inputs: Sequence[Array]) -> tuple[Array, ...]:
        results = net(*inputs)
        return (results,) if single else tuple(results)

    return run


def load_module(graph: Graph, algorithm: Algorithm, batch: int) -> ModuleType:
    """The network's written module, which stands in no file."""
    check_environment()
    return import_text(pipeline.emit(graph, "numba", algorithm, batch), graph.name)


def check_environment() -> None:
    """Raise UpcError for settings under which no module that upc writes can run."""
    from upc.runtime.cores import available_cores

    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        hint = "unset it; `--target reference` needs no compiler"
        message = "NUMBA_DISABLE_JIT is set, and what upc writes for Numba runs as machine code alone"
        raise error("E0805", message, hint=hint, exit_code=EXIT_USAGE)
    try:
        available_cores()
    except ValueError as problem:
        raise error("E0805", str(problem), exit_code=EXIT_USAGE) from None


def compile_module(text: str, name: str, weights: Path | None = None) -> None:
    """Have the machine code of a written module in the cache; with `weights`, run it once on zeros to see that it does.

    Two processes of their own compile it from both ends, where there are cores for them. They are given its text, and
    import nothing from the folder that it may stand in. `name` is what to call it in an error.
    """
    check_environment()
    from upc.runtime.cores import available_cores

    stem, stored = Path(name).stem, str(weights.resolve()) if weights else ""
    with ExitStack() as both:

        def start(how: str, weights: str, stderr: int) -> Child:
            child = Child("upc.compile_worker", stem, how, weights, stdin=subprocess.PIPE, stderr=stderr)
            return both.enter_context(child)

        # What is wrong with the module, the first process says.
        beside = start("backwards", "", subprocess.DEVNULL) if available_cores() > 1 else None
        first = start("forwards", stored, subprocess.PIPE)
        if beside is not None and beside.process.stdin is not None:
            with suppress(BrokenPipeError):
                beside.process.stdin.write(text.encode())
                beside.process.stdin.close()
        _, said = first.process.communicate(text.encode())
        status = first.process.returncode
        if beside is not None and not status:  # it is at its last kernel
            beside.process.wait()
    lines = said.decode(errors="replace").strip().splitlines()
    for line in lines:
        if line.startswith("upc: "):
            logging.getLogger("upc").info("%s", line.removeprefix("upc: "))
    if status:
        last = (lines or [f"exit code {status}"])[-1]
        raise error("E0804", f"{name} was written but does not run: {last}", exit_code=EXIT_USAGE)
