"""PyTorch as a target, and by way of it ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upc.ir import Array, Graph, Layer
from upc.targets.target import Engine, Job, Order, Runner, Target, origin

if TYPE_CHECKING:
    from upc.files import Content

INSTALL = "pip install 'upc[torch]'"


def load(graph: Graph, weights: Mapping[str, Array], order: Order) -> Runner:
    """Runs the emitted source."""
    from upc.load_frameworks import load_torch

    return load_torch(graph, weights)


def write(graph: Graph, order: Order) -> dict[str, Content]:
    """One module."""
    from upc.emit.torch import emit

    return {f"{graph.name}.py": emit(graph, **origin(graph))}


def table() -> MutableMapping[type[Layer], Any]:
    """The spellings."""
    from upc.emit.torch_spelling import SPELLINGS

    return SPELLINGS


def run(job: Job) -> tuple[Array, ...]:
    """Runs a job."""
    from upc.load_frameworks import load_torch

    return load_torch(job.graph, job.weights, job.text)(job.inputs)


def run_onnxruntime(job: Job) -> tuple[Array, ...]:
    """Runs the emitted source exported to ONNX."""
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


TARGET = Target(
    "torch",
    load,
    write,
    INSTALL,
    engines=(
        Engine("torch", run, ("torch",), INSTALL, takes_text=True),
        Engine(
            "onnxruntime",
            run_onnxruntime,
            ("torch", "onnx", "onnxruntime"),
            "pip install 'upc[torch,onnx]'",
            takes_text=True,
        ),
    ),
    table=table,
)
