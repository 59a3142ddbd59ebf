"""Keras as a target, on each of its backends."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from upc.ir import Array, Graph, Layer
from upc.targets.target import Engine, Job, Order, Runner, Target, origin

if TYPE_CHECKING:
    from upc.files import Content

BACKENDS = ("tensorflow", "jax", "torch")
INSTALL = "pip install 'upc[keras]'"


def load(graph: Graph, weights: Mapping[str, Array], order: Order) -> Runner:
    """Runs the emitted source."""
    from upc.load_frameworks import load_keras

    return load_keras(graph, weights)


def write(graph: Graph, order: Order) -> dict[str, Content]:
    """One module."""
    from upc.emit.keras import emit

    return {f"{graph.name}.py": emit(graph, **origin(graph))}


def table() -> MutableMapping[type[Layer], Any]:
    """The spellings."""
    from upc.emit.keras_spelling import SPELLINGS

    return SPELLINGS


def run(job: Job) -> tuple[Array, ...]:
    """Runs a job on the backend that Keras is set to."""
    import keras

    from upc.load_frameworks import load_keras

    keras.backend.clear_session()
    loaded = load_keras(job.graph, job.weights, job.text)
    if keras.backend.backend() != "jax":
        return loaded(job.inputs)
    # JAX compiles every operation by itself unless the model is compiled as one, which takes a fraction of that.
    import jax
    import numpy as np

    taken = [jax.numpy.asarray(x) for x in job.inputs]
    model = jax.jit(lambda given: loaded.model(given[0] if len(given) == 1 else given, training=False))
    results = model(taken)
    return tuple(np.asarray(y) for y in (results if isinstance(results, (list, tuple)) else [results]))


def _engine(backend: str) -> Engine:
    name, install = f"keras[{backend}]", f"{INSTALL} {backend}"
    return Engine(name, run, ("keras", backend), install, {"KERAS_BACKEND": backend}, takes_text=True)


TARGET = Target("keras", load, write, INSTALL, engines=tuple(map(_engine, BACKENDS)), table=table, layers_alone=True)
