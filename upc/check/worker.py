"""The process behind `engines.Worker`: reads jobs from standard input, runs them on one target, writes results."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from upc.check.engines import Failure, Job, Result, read, write
from upc.diagnostics import UpcError
from upc.ir import Array
from upc.plan.plan import Algorithm


def main(target: str) -> None:
    """Serve until the input ends."""
    # Whatever a framework prints must not end up among the results.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    runner = _RUNNERS.get(target) or _RUNNERS[target.partition("[")[0]]
    while True:
        try:
            job = read(sys.stdin.buffer)
        except EOFError:
            return
        assert isinstance(job, Job)
        write(results, _outcome(runner, job))


def _outcome(runner: Callable[[Job], tuple[Array, ...]], job: Job) -> Result:
    try:
        return runner(job)
    except UpcError as problem:
        said = problem.diagnostics[0]
        return Failure(said.message, unsupported=said.code == "E0701")
    except Exception as problem:
        first = str(problem).strip().partition("\n")[0]
        return Failure(f"{type(problem).__name__}: {first}")


def _reference(job: Job) -> tuple[Array, ...]:
    """In float32: what is compared with is the reference in float64."""
    from upc import reference

    return tuple(reference.run(job.graph, job.weights, list(job.inputs)).values())


def _numba(job: Job, algorithm: Algorithm = "auto") -> tuple[Array, ...]:
    from upc.load_numba import load_numba

    return load_numba(job.graph, job.weights, algorithm)(job.inputs)


def _keras(job: Job) -> tuple[Array, ...]:
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


def _torch(job: Job) -> tuple[Array, ...]:
    from upc.load_frameworks import load_torch

    return load_torch(job.graph, job.weights, job.text)(job.inputs)


def _onnxruntime(job: Job) -> tuple[Array, ...]:
    """The emitted PyTorch source, exported to ONNX and run there."""
    import onnxruntime

    from upc.load_frameworks import channels_first, channels_last, load_torch

    taken = [channels_first(x) for x in job.inputs]
    with tempfile.TemporaryDirectory(prefix="upc-check-") as folder:
        path = Path(folder) / "net.onnx"
        export(load_torch(job.graph, job.weights, job.text).model, taken, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        named = {f"input_{i}": x for i, x in enumerate(taken)}
        # An input that reaches no output is none in the exported file.
        known = {entry.name for entry in session.get_inputs()}
        results = session.run(None, {name: x for name, x in named.items() if name in known})
    return tuple(channels_last(y) for y in results)


def export(model: object, inputs: list[Array], path: Path) -> None:
    """Write a PyTorch module as ONNX.

    The exporter that traces takes a second where the newer one takes many; the newer one is for what it cannot.
    """
    import torch

    names = [f"input_{i}" for i in range(len(inputs))]
    arguments = tuple(torch.from_numpy(x) for x in inputs)
    try:
        torch.onnx.export(model, arguments, str(path), input_names=names, opset_version=18, dynamo=False)
    except Exception:
        torch.onnx.export(model, arguments, str(path), input_names=names, opset_version=18, dynamo=True)


_RUNNERS: dict[str, Callable[[Job], tuple[Array, ...]]] = {
    "reference": _reference,
    "numba": _numba,
    "numba[exact]": partial(_numba, algorithm="exact"),
    "numba[fast]": partial(_numba, algorithm="fast"),
    "keras": _keras,
    "torch": _torch,
    "onnxruntime": _onnxruntime,
}
