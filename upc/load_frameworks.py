"""Emitted Keras and PyTorch source made runnable in this process, on channels-last NumPy arrays."""

from __future__ import annotations

import hashlib
import importlib
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from upc import targets
from upc.diagnostics import EXIT_MISSING, error
from upc.emit import keras, torch
from upc.ir import Array, Graph
from upc.ownership import apart
from upc.targets.target import origin


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network in a framework. Called with arrays in order, it gives arrays in order, which share no memory.

    `model` is the framework's own object, `namespace` the emitted module it came from.
    """

    model: Any
    namespace: ModuleType
    _run: Callable[[Sequence[Array]], tuple[Array, ...]]

    @property
    def module(self) -> Any:
        """PyTorch's word for the model."""
        return self.model

    def __call__(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return self._run(inputs)


def load_keras(graph: Graph, weights: Mapping[str, Array], text: str | None = None) -> Loaded:
    """The network as a Keras model, on whichever backend Keras is set to.

    `text` is run in place of the source that would be emitted.
    Errors: UpcError for a layer Keras has no words for, or where Keras is not installed.
    """
    text = keras.emit(graph, **origin(graph)) if text is None else text
    ops = _framework("keras", "keras").ops
    namespace = execute(text, f"upc_keras_{graph.name}")
    model = vars(namespace)[keras.builder_name(graph)]()
    namespace.set_weights(model, weights)

    def run(inputs: Sequence[Array]) -> tuple[Array, ...]:
        if not len(inputs[0]):
            # Some of TensorFlow's kernels do not take an empty batch: one of zeros has the shapes.
            return tuple(y[:0] for y in run([np.zeros((1, *x.shape[1:]), x.dtype) for x in inputs]))
        taken = [ops.convert_to_tensor(x) for x in inputs]
        results = model(taken[0] if len(taken) == 1 else taken, training=False)
        listed = results if isinstance(results, (list, tuple)) else [results]
        return apart([np.asarray(ops.convert_to_numpy(y)) for y in listed], inputs)

    return Loaded(model, namespace, run)


def load_torch(graph: Graph, weights: Mapping[str, Array], text: str | None = None) -> Loaded:
    """The network as a PyTorch module in evaluation mode.

    `text` is run in place of the source that would be emitted.
    Errors: UpcError for a layer PyTorch has no words for, or where PyTorch is not installed.
    """
    text = torch.emit(graph, **origin(graph)) if text is None else text
    framework = _framework("torch", "torch")
    namespace = execute(text, f"upc_torch_{graph.name}")
    model = vars(namespace)[torch.class_name(graph)]().eval()
    namespace.set_weights(model, {key: framework.from_numpy(np.array(w)) for key, w in weights.items()})

    def run(inputs: Sequence[Array]) -> tuple[Array, ...]:
        with framework.inference_mode():
            results = model(*(framework.from_numpy(channels_first(x)) for x in inputs))
        listed = results if isinstance(results, tuple) else (results,)
        return apart([channels_last(y.numpy()) for y in listed])

    return Loaded(model, namespace, run)


def channels_first(x: Array) -> Array:
    """A batch of channels-last values as the emitted PyTorch source takes it; vectors as they are."""
    return np.array(np.moveaxis(x, -1, 1) if x.ndim > 2 else x, order="C")


def channels_last(x: Array) -> Array:
    """Its inverse."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1) if x.ndim > 2 else x)


def execute(text: str, name: str) -> ModuleType:
    """A module from source text. Debuggers, tracebacks and TorchScript find its lines."""
    file = f"<{name} {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = ModuleType(name)
    module.__file__ = file
    exec(compile(text, file, "exec"), vars(module))
    return module


def _framework(module: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise error(
            "E0704",
            f"target {target} needs {missing.name or module}, which is not installed",
            hint=targets.find(target).install,
            exit_code=EXIT_MISSING,
        ) from None
