"""What frameworks themselves compute wrongly, shown with the framework alone against NumPy.

The sweep counts these apart (`FRAMEWORK_ERRORS` in `tests/sweep/sweep.py`), for the versions that have them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

sys.path[:0] = [str(Path(__file__).parent / "sweep")]

from cases import cases  # noqa: E402
from sweep import FRAMEWORK_ERRORS, Verdict, framework_error, is_bad, pack, report  # noqa: E402

COLUMN = Verdict(
    "conv2d",
    "conv2d(3, 6, strides=[1, 2], padding=same, use_bias=false, kernel_initializer=zeros) on (2, 1, 1)",
    "keras[tensorflow]",
    5.36e4,
)
POOLED = Verdict("random graphs", "random graph 21.11", "onnxruntime", 8e3)

CONVOLVE = """
import json, sys
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
pictures, kernel, strides = json.loads(sys.argv[1])
result = tf.nn.conv2d(tf.constant(pictures), tf.constant(kernel), strides, "SAME")
print(json.dumps([tf.__version__, result.numpy().tolist()]))
"""


def tensorflow_conv2d(
    pictures: np.ndarray, kernel: np.ndarray, strides: tuple[int, int], one_dnn: bool
) -> tuple[str, np.ndarray]:
    """TensorFlow's version and what it convolves; a process of its own, as oneDNN is settled on when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ONEDNN_", "DNNL_"))}
    environment |= {"TF_ENABLE_ONEDNN_OPTS": str(int(one_dnn)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = json.dumps([pictures.tolist(), kernel.tolist(), strides])
    command = [sys.executable, "-c", CONVOLVE, arguments]
    said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    version, result = json.loads(said)
    return version, np.array(result)


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_tensorflow_convolves_one_channel_to_one_column_wrongly():
    pictures = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32).reshape(2, 2, 1, 1)
    kernel = np.array([1.0, 100.0], np.float32).reshape(1, 2, 1, 1)
    # SAME puts a zero to the right of each pixel; the window moves one down, and two across.
    windows = np.concatenate([pictures, np.zeros_like(pictures)], axis=2)
    expected = np.einsum("nhwc,wcf->nhf", windows, kernel[0])[:, :, None]
    _, found = tensorflow_conv2d(pictures, kernel, (1, 2), one_dnn=False)
    np.testing.assert_array_equal(found, expected)
    if not get_host_cpu_features().get("avx512bw"):
        pytest.skip("oneDNN is wrong with AVX-512 only")
    version, found = tensorflow_conv2d(pictures, kernel, (1, 2), one_dnn=True)
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    right = np.array_equal(found, expected)
    if right and tuple(map(int, version.split(".")[:2])) > (2, 21):
        warnings.warn(f"TensorFlow {version} is right now: `FRAMEWORK_ERRORS` can say so", stacklevel=1)
    else:
        assert not right, version


def test_onnxruntime_takes_zeros_before_max_pooling_for_minus_infinity():
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    pad = helper.make_node("Pad", ["x", "pads", "zero"], ["padded"])
    pool = helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[2, 1])
    constants = [
        helper.make_tensor("pads", TensorProto.INT64, [8], [0, 0, 0, 0, 0, 0, 1, 0]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1, 1]) for name in "xy"]
    graph = helper.make_graph([pad, pool], "pooled", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    picture = np.array([-1.0], np.float32).reshape(1, 1, 1, 1)
    expected = np.pad(picture, [(0, 0), (0, 0), (0, 1), (0, 0)]).max(axis=2, keepdims=True)
    assert expected.item() == 0

    def pooled(level: str, disabled: list[str]) -> float:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
        )
        return session.run(None, {"x": picture})[0].item()

    assert pooled("ORT_DISABLE_ALL", []) == pooled("ORT_ENABLE_ALL", ["Pad_Fusion"]) == 0
    wrong = tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 32)
    assert pooled("ORT_ENABLE_BASIC", []) == pooled("ORT_ENABLE_ALL", []) == (-1 if wrong else 0)


@pytest.mark.parametrize("verdict", [COLUMN, POOLED], ids=["tensorflow", "onnxruntime"])
def test_the_sweep_counts_them_apart(verdict):
    error = framework_error(verdict)
    assert error in FRAMEWORK_ERRORS
    assert not is_bad(verdict)
    text = report([verdict, replace(verdict, target="torch", ratio=0.5)], [verdict.target, "torch"])
    assert "## Mismatches\n\nNone.\n" in text
    apart = text.partition("## Where a framework itself is wrong\n")[2]
    assert f"- {verdict.target}, 1 of the cases: {error.words}\n  - `{verdict.case}`: " in apart


@pytest.mark.parametrize(
    "verdict",
    [
        replace(COLUMN, target="keras[jax]"),
        replace(COLUMN, target="numba"),
        replace(POOLED, target="torch"),
        replace(COLUMN, target="onnxruntime"),
        replace(POOLED, target="keras[tensorflow]"),
        replace(POOLED, case="random graph 19.3"),
    ],
    ids=lambda verdict: f"{verdict.target}, {verdict.case.partition(',')[0]}",
)
def test_anything_else_beyond_its_bound_is_bad(verdict):
    assert framework_error(verdict) is None
    assert is_bad(verdict)
    assert f"- {verdict.target}: `{verdict.case}`: " in report([verdict], [verdict.target])


def test_one_convolution_of_the_sweep_has_such_a_form():
    column, pooled = (error.meets for error in FRAMEWORK_ERRORS)
    graphs = [pack("single", [case]).graph() for case in cases()["conv2d"]]
    assert sum(map(column, graphs)) == 1
    assert not any(map(pooled, graphs))
