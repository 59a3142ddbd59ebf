"""Small cases that other tools have got wrong, as their users reported them, with the right answer on every target.

Each names the report. All stand in one net, since compiling it takes far longer than running it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from test_numba_layers import EXAMPLES, in_groups, joined

from upc.build import compile_source
from upc.ir import Array, Graph
from upc.load import load_graph
from upc.source import Source

TARGETS = ("reference", "numba", "torch", "keras")


@dataclass(frozen=True)
class Case:
    """One layer on one picture (height, width, channels) with weights by their names, and what comes out."""

    report: str
    call: str
    given: Array
    wanted: Array
    weights: dict[str, Array] = field(default_factory=dict)
    wrong_on: dict[str, str] = field(default_factory=dict)
    off_by: dict[str, float] = field(default_factory=dict)


def row(*numbers: float) -> Array:
    """A picture of one row and one channel."""
    return np.array(numbers, np.float32).reshape(1, -1, 1)


def picture(rows: Sequence[Sequence[float]]) -> Array:
    return np.array(rows, np.float32)[:, :, np.newaxis]


def kernel(rows: Sequence[Sequence[float]]) -> dict[str, Array]:
    return {"kernel": np.array(rows, np.float32)[:, :, np.newaxis, np.newaxis], "bias": np.zeros(1, np.float32)}


def transposed(x: Array, w: Array, stride: int) -> Array:
    """The full transposed convolution of a picture, by its definition."""
    (h, width), (kh, kw) = x.shape, w.shape
    full = np.zeros(((h - 1) * stride + kh, (width - 1) * stride + kw), np.float32)
    for i in range(h):
        for j in range(width):
            full[i * stride : i * stride + kh, j * stride : j * stride + kw] += x[i, j] * w
    return full


NINE = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
SAME_FULL = transposed(np.ones((4, 4), np.float32), NINE, 2)[:8, :8]
SIXTEEN = np.arange(1, 17, dtype=np.float32)
LONG = np.append(transposed(np.ones((1, 4), np.float32), SIXTEEN[np.newaxis], 8)[0], 0)
SEVENS = np.arange(49, dtype=np.float32).reshape(7, 7)

CASES = [
    Case(
        "apple/coreai-torch#57: output_padding adds a pixel that no tap reaches",
        "conv2d_transpose(1, [1, 16], strides=[1, 8], padding=0, output_padding=[0, 1])",
        row(1, 1, 1, 1),
        row(*LONG),
        kernel([SIXTEEN]),
    ),
    Case(
        "apple/coremltools#2478: output_padding at the far side",
        "conv2d_transpose(1, [1, 3], strides=[1, 2], padding=[[0, 0], [1, 1]], output_padding=[0, 1])",
        row(1, 2, 3, 4),
        row(10, 102, 20, 203, 30, 304, 40, 400),
        kernel([[1, 10, 100]]),
    ),
    Case(
        "apache/tvm#19450: `same` is cut off at the far side",
        "conv2d_transpose(1, 3, strides=2, padding=same)",
        picture(np.ones((4, 4))),
        picture(SAME_FULL),
        kernel(NINE),
    ),
    Case(
        "a transposed convolution that is narrower than its stride",
        "conv2d_transpose(1, 3, strides=2, padding=same, output_padding=0)",
        picture([[1], [2]]),
        picture([[5], [12], [10]]),
        kernel(NINE),
    ),
    Case(
        "apple/coremltools#2844: average pooling whose last windows hang over the edge",
        "average_pooling2d(2, strides=3, padding=[[0, 1], [0, 1]])",
        picture(SEVENS),
        picture([[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]),
    ),
    Case(
        "onnx/onnx#2462: aligned corners meet both ends",
        "resizing(1, 2, coordinates=align_corners)",
        row(1, 2, 3, 4),
        row(1, 4),
    ),
    Case(
        "pytorch/pytorch#53887: normalization with stored statistics",
        "batch_normalization(epsilon=1e-12, scale=false, center=false)",
        row(1, 3, 5, 7),
        row(0, 1, 2, 3),
        {"moving_mean": np.full(1, 1, np.float32), "moving_variance": np.full(1, 4, np.float32)},
    ),
    Case(
        "Mukosame/Anime2Sketch#16: one pixel has no variance, what is left is beta",
        "instance_normalization()",
        np.array([[[7, -3]]], np.float32),
        np.array([[[0.5, -2]]], np.float32),
        {"gamma": np.array([3, 4], np.float32), "beta": np.array([0.5, -2], np.float32)},
        off_by={"keras": 7 / 0.001**0.5 * 3 * 2**-24},  # it scales the pixel and the mean by themselves
    ),
    Case(
        "the same of a group that holds one value",
        "group_normalization(2)",
        np.array([[[7, -3]]], np.float32),
        np.array([[[0.5, -2]]], np.float32),
        {"gamma": np.array([3, 4], np.float32), "beta": np.array([0.5, -2], np.float32)},
        off_by={"keras": 7 / 0.001**0.5 * 3 * 2**-24},  # it scales the pixel and the mean by themselves
    ),
    Case(
        "pytorch/pytorch#7645, tensorflow/tensorflow#2501: the largest of a NaN and a number is NaN",
        "max_pooling2d([1, 2])",
        row(np.nan, 1, 1, np.nan, 3, 2),
        row(np.nan, np.nan, 3),
        wrong_on={"keras": "TensorFlow's max pooling leaves NaN out"},
    ),
    Case(
        "a kernel of finite numbers on pixels near the largest float",
        "conv2d(1, [1, 3], use_bias=false)",
        row(1e37, -3e37, 2e37, 1e37),
        row(1e37 * 1e-3 - 6e37 * 1e-3 + 6e37 * 1e-3, -3e37 * 1e-3 + 4e37 * 1e-3 + 3e37 * 1e-3),
        {"kernel": np.array([1e-3, 2e-3, 3e-3], np.float32).reshape(1, 3, 1, 1)},
    ),
]


def graph_of(cases: Sequence[Case], free: bool) -> tuple[Graph, dict[str, Array]]:
    """One net of all cases, each with an input and an output, and its weights."""
    lines, weights, seen = [], {}, dict[str, int]()
    for number, case in enumerate(cases):
        kind = case.call.partition("(")[0]
        path = f"{kind}_{seen[kind]}" if kind in seen else kind
        seen[kind] = seen.get(kind, 0) + 1
        weights |= {f"{path}.{name}": array for name, array in case.weights.items()}
        height, width, channels = case.given.shape
        shape = f"H{number}, W{number}, {channels}" if free else f"{height}, {width}, {channels}"
        lines += [f"  input x{number}: [{shape}]", f"  {case.call}", f"  output y{number}"]
    return compile_source(Source("cases.upc", "\n".join(["net cases {", *lines, "}"]))), weights


@pytest.mark.parametrize("free", [False, True], ids=["known sizes", "free sizes"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_gives_the_right_answer(target: str, free: bool) -> None:
    graph, weights = graph_of(CASES, free)
    net = load_graph(graph, target=target, weights=weights)  # type: ignore[arg-type]
    for batch in (1, 3):
        results = net(*(np.stack([case.given] * batch) for case in CASES))
        for case, result in zip(CASES, results, strict=True):
            if target not in case.wrong_on:
                wanted = np.stack([case.wanted] * batch)
                limit = max(1e-6, case.off_by.get(target, 0))
                np.testing.assert_allclose(result, wanted, rtol=2e-6, atol=limit, err_msg=case.report)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("examples", list(in_groups(EXAMPLES)), ids=lambda group: group[0].call)
def test_an_empty_batch_goes_through_every_layer(target: str, examples: tuple[object, ...]) -> None:
    """keras-team/keras#16953, tensorflow/tensorflow#13643."""
    graph = joined(examples, False)  # type: ignore[arg-type]
    net = load_graph(graph, target=target)  # type: ignore[arg-type]
    results = net(*(np.zeros((0, *value.shape), np.float32) for value in graph.inputs))
    assert isinstance(results, tuple)
    assert [y.shape for y in results] == [(0, *output.value.shape) for output in graph.outputs]
    assert all(y.dtype == np.float32 for y in results)
