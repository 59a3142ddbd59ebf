"""From a .upc file to something that computes: `upc.load("net.upc")(images)`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upc.ir import Array, Graph
    from upc.ir import Literal as Written
    from upc.plan.plan import Algorithm
    from upc.targets import Runner

# Importing and compiling take locks: no process is forked meanwhile, whose child would wait for them for ever.
_LOADING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOADING.acquire, after_in_parent=_LOADING.release, after_in_child=_LOADING.release)


@dataclass(frozen=True, slots=True)
class Net:
    """A loaded net. Call it with float32 arrays, channels last, a batch axis in front.

    One output comes as an array, several as a tuple in the order of `output`.
    """

    graph: Graph
    weights: Mapping[str, Array]
    target: str
    _run: Runner
    memory: int | None = None
    """Bytes that a call may take; None for what the machine has."""

    def __call__(self, *inputs: Array) -> Array | tuple[Array, ...]:
        from upc import targets
        from upc.memory import check_call

        sizes = check_inputs(self.graph, inputs)
        check_call(self.graph, sizes, len(inputs[0]), targets.find(self.target).holding, self.memory)
        with _memory_errors(self.target):
            outputs = self._run(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def summary(self) -> str:
        """The table of `upc summary`."""
        from upc.summary import summary

        return summary(self.graph)


def load(
    path: str | PathLike[str],
    *,
    net: str | None = None,
    target: str = "numba",
    weights: str | PathLike[str] | Mapping[str, Array] | None = None,
    seed: int | None = None,
    defines: Mapping[str, Written] | None = None,
    algorithm: Algorithm = "auto",
    batch: int = 1,
    allow_nonfinite: bool = False,
    memory: int | str | None = None,
    limits: Mapping[str, int] | None = None,
) -> Net:
    """Read and build a net of a .upc file and make it runnable.

    `net` names it where the file holds several, `defines` sets its parameters. `weights` are a safetensors file
    or arrays by their canonical names; without them initial ones are made from `seed`; with neither, the file
    <net>.safetensors beside that of the net is taken, and where there is none the seed 0. `algorithm` says where
    Numba's convolutions may trade a few bits for speed: "exact" nowhere, "fast" wherever they can, "auto" where it
    pays in calls of `batch` images. Calls may have any number of images. Weights that are NaN or infinite are refused
    without `allow_nonfinite`. `memory` is what weights, and later each call, may take, in bytes or as "500MB";
    without it, what the machine and its control groups leave. `limits` changes those of `upc.limits` by name.

    Errors: UpcError for a wrong source, wrong weights, too little memory or a framework that is missing; ValueError
    for a limit or an amount of memory that is none.
    """
    from upc.limits import changed

    with _LOADING, changed(limits or {}):
        from upc import pipeline

        graph = pipeline.graph(pipeline.tree(pipeline.read(fspath(path))), net, defines)
        if weights is None and seed is None:
            weights = weights_beside(graph)
        return load_graph(
            graph,
            target=target,
            weights=weights,
            seed=seed or 0,
            algorithm=algorithm,
            batch=batch,
            allow_nonfinite=allow_nonfinite,
            memory=memory,
        )


def load_graph(
    graph: Graph,
    *,
    target: str = "numba",
    weights: str | PathLike[str] | Mapping[str, Array] | None = None,
    seed: int = 0,
    algorithm: Algorithm = "auto",
    batch: int = 1,
    allow_nonfinite: bool = False,
    memory: int | str | None = None,
) -> Net:
    """As `load`, of a graph already built."""
    from upc import targets
    from upc.limits import amount
    from upc.memory import check_weights

    most = amount(memory) if isinstance(memory, str) else memory
    found, order = targets.find(target), targets.Order(algorithm, batch)
    with _LOADING:
        check_weights(graph, found.holding, most)
        arrays = resolve_weights(graph, weights, seed, allow_nonfinite)
        with _memory_errors(target):
            return Net(graph, arrays, target, found.load(graph, arrays, order), most)


@contextmanager
def _memory_errors(target: str) -> Iterator[None]:
    """Let a framework's own error of memory that it did not get be Python's."""
    from upc.diagnostics import UpcError

    try:
        yield
    except Exception as problem:
        said = f"{type(problem).__name__} {problem}".lower()
        if not isinstance(problem, (UpcError, MemoryError)) and any(
            words in said for words in ("can't allocate", "cannot allocate", "out of memory", "resourceexhausted")
        ):
            raise MemoryError(f"{target} did not get the memory that it asked for") from None
        raise


def weights_beside(graph: Graph, *names: str) -> Path | None:
    """The file of weights beside a graph's source: by one of `names`, as its net or as the source is called."""
    source = Path(graph.span.source.name)
    if graph.span.source.name == "<stdin>":
        return None
    places = (source.with_name(f"{name}.safetensors") for name in (*names, graph.name, source.stem))
    return next((place for place in places if os.path.lexists(place)), None)


def resolve_weights(
    graph: Graph, weights: str | PathLike[str] | Mapping[str, Array] | None, seed: int, allow_nonfinite: bool = False
) -> dict[str, Array]:
    """A graph's canonical weights: read, checked or made up."""
    from upc import weights as canonical

    if weights is None:
        return canonical.initialize(graph, seed)
    if isinstance(weights, Mapping):
        return canonical.check(weights, graph, allow_nonfinite=allow_nonfinite)
    return canonical.load(weights, graph, allow_nonfinite=allow_nonfinite)


def check_inputs(graph: Graph, inputs: Sequence[Array]) -> dict[str, int]:
    """The free sizes' values. Raises UpcError, saying what the net takes, where arrays are not that."""
    import numpy as np

    from upc.demands import check_sizes, shape_hint
    from upc.diagnostics import EXIT_USAGE, error
    from upc.shape import show

    def refuse(message: str, hint: str | None = None) -> Exception:
        return error("E0620", message, hint=hint, exit_code=EXIT_USAGE)

    if len(inputs) != len(graph.inputs):
        takes = ", ".join(f"{value.name} {show(value.shape)}" for value in graph.inputs)
        raise refuse(f"{graph.name} takes {takes}; got {len(inputs)} arrays")
    for value, array in zip(graph.inputs, inputs, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise refuse(
                f"input {value.name} must be a float32 array, got {got}", "`np.asarray(x, np.float32)` makes one"
            )
        if array.ndim != len(value.shape) + 1:
            wanted = ", ".join(("batch", *map(str, value.shape)))
            message = f"input {value.name} must have shape ({wanted}), got {show(array.shape)}"
            raise refuse(message, shape_hint(value, array.shape))
    batches = {value.name: len(array) for value, array in zip(graph.inputs, inputs, strict=True)}
    if len(set(batches.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in batches.items())
        raise refuse(f"all inputs must have the same batch size, got {listed}")
    return check_sizes(graph, {value.name: array.shape[1:] for value, array in zip(graph.inputs, inputs, strict=True)})
