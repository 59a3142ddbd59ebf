"""How each engine is made ready inside a worker's process: from emitted source and weights to one call.

Nothing of upc is imported here but for the machine's own limits, so that an engine's memory and its start
are its own.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

Job = Mapping[str, Any]
"""What `race` writes down for the workers: files, names, threads."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A net made ready: `call` runs it on the job's inputs, `arrays` makes its result channels-last arrays.

    `tune` tries what only a measurement can decide, once, before the first burst.
    """

    call: Callable[[], Any]
    arrays: Callable[[Any], list[np.ndarray]]
    versions: dict[str, str]
    tune: Callable[[], None] = field(default=lambda: None)


def load_upc(job: Job) -> Engine:
    """The emitted Numba module."""
    import numba

    module = _import(job["sources"]["numba"])
    net = module.load(job["weights"], threads=job["threads"], allow_nonfinite=True)
    inputs = _inputs(job)
    return Engine(lambda: net(*inputs), _listed, {"numba": numba.__version__})


def load_torch(job: Job) -> Engine:
    """The emitted PyTorch source, eager; channels last or first, whichever is faster here."""
    import torch

    model, inputs = _torch(job)
    layout = {"tensors": _in_format(inputs, torch.channels_last)}
    model.to(memory_format=torch.channels_last)

    def call() -> Any:
        with torch.inference_mode():
            return model(*layout["tensors"])

    def tune() -> None:
        def seconds(form: Any) -> float:
            model.to(memory_format=form)
            layout["tensors"] = _in_format(inputs, form)
            return min(_timed(call) for _ in range(4))

        forms = (torch.contiguous_format, torch.channels_last)
        best = min(forms, key=seconds)
        model.to(memory_format=best)
        layout["tensors"] = _in_format(inputs, best)

    return Engine(call, _channels_last, {"torch": torch.__version__}, tune)


def load_inductor(job: Job) -> Engine:
    """The emitted PyTorch source compiled by inductor, its weights frozen."""
    import torch
    import torch._inductor.config as settings

    settings.freezing = True
    model, inputs = _torch(job)
    model.to(memory_format=torch.channels_last)
    tensors = _in_format(inputs, torch.channels_last)
    compiled = torch.compile(model, backend="inductor", dynamic=False)

    def call() -> Any:
        with torch.inference_mode():
            return compiled(*tensors)

    return Engine(call, _channels_last, {"torch": torch.__version__})


def load_onnxruntime(job: Job) -> Engine:
    """ONNX Runtime on what torch.onnx.export makes of the emitted PyTorch source."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(job["onnx"], options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    feed = dict(zip(names, map(_channels_first, _inputs(job)), strict=True))
    return Engine(lambda: session.run(None, feed), _channels_last, {"onnxruntime": onnxruntime.__version__})


def load_openvino(job: Job) -> Engine:
    """OpenVINO on the same file, in float32: it would take bfloat16 where the processor has it."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": job["threads"],
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(job["onnx"]), "CPU", settings)
    request = compiled.create_infer_request()
    feed = dict(enumerate(map(_channels_first, _inputs(job))))
    outputs = list(compiled.outputs)

    def call() -> Any:
        results = request.infer(feed, share_inputs=True, share_outputs=True)
        return [results[output] for output in outputs]

    return Engine(call, _channels_last, {"openvino": openvino.__version__.split("-")[0]})


def load_tensorflow(job: Job) -> Engine:
    """The emitted Keras source as one compiled TensorFlow function."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(job["threads"])
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    module = _import(job["sources"]["keras"])
    model = getattr(module, job["keras_builder"])()
    module.load_weights(model, job["weights"])
    tensors = [tensorflow.constant(x) for x in _inputs(job)]
    graph = tensorflow.function(lambda *xs: model(xs[0] if len(xs) == 1 else list(xs), training=False))
    compiled = graph.get_concrete_function(*tensors)

    def call() -> Any:
        results = compiled(*tensors)
        return [y.numpy() for y in (results if isinstance(results, (list, tuple)) else [results])]

    return Engine(call, _listed, {"tensorflow": tensorflow.__version__, "keras": keras.__version__})


def export_onnx(job: Job) -> None:
    """Write the file that ONNX Runtime and OpenVINO read."""
    import torch

    model, inputs = _torch(job)
    torch.onnx.export(model, tuple(inputs), job["onnx"], dynamo=True, external_data=False, verbose=False)


LOADERS: dict[str, Callable[[Job], Engine]] = {
    "upc": load_upc,
    "torch": load_torch,
    "inductor": load_inductor,
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
    "tensorflow": load_tensorflow,
}


def _import(path: str) -> ModuleType:
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _inputs(job: Job) -> list[np.ndarray]:
    return [np.load(path) for path in job["inputs"]]


def _torch(job: Job) -> tuple[Any, list[Any]]:
    """The module in evaluation mode, and its inputs, channels first."""
    import torch

    torch.set_num_threads(job["threads"])
    module = _import(job["sources"]["torch"])
    model = getattr(module, job["torch_class"])().eval()
    module.load_weights(model, job["weights"])
    return model.requires_grad_(False), [torch.from_numpy(_channels_first(x)) for x in _inputs(job)]


def _in_format(tensors: Sequence[Any], form: Any) -> list[Any]:
    return [x.contiguous(memory_format=form) if x.dim() == 4 else x for x in tensors]


def _timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _channels_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim > 2 else x)


def _listed(result: Any) -> list[np.ndarray]:
    return [np.asarray(y) for y in (result if isinstance(result, (list, tuple)) else [result])]


def _channels_last(result: Any) -> list[np.ndarray]:
    return [np.ascontiguousarray(np.moveaxis(y, 1, -1) if y.ndim > 2 else y) for y in _listed(result)]
