"""Segments that take turns with different numbers of images, and layers of so few channels that pixels are folded."""

from __future__ import annotations

import numpy as np
import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect

from upc import pipeline
from upc.build import compile_source
from upc.ir import Graph
from upc.load import load_graph
from upc.plan.passes import take_turns
from upc.plan.plan import Turns
from upc.runtime.steps import Convolution
from upc.source import Source

# A large kernel first, large pictures in the middle, a value that two segments read, a slice of a buffer, a rim.
TURNS = """
net upc_test_turns {
  input z: [40]
  dense(5 * 4 * 24, activation=relu)
  reshape(5, 4, 24) as seed
  conv2d_transpose(20, kernel_size=4, strides=2, padding=same)
  batch_normalization() as middle
  conv2d_transpose(6, kernel_size=3, strides=2, padding=same, activation=tanh)
  conv2d(5, kernel_size=3, padding=same) as large
  from large { average_pooling2d(4) } as small
  from small {
    concatenate(seed)
    conv2d(7, kernel_size=3, padding=same)
  } as joined
  from middle { conv2d(4, kernel_size=3) } as side
  output large, joined, side
}
"""


def build(text: str) -> Graph:
    return compile_source(Source("test.upc", text))


@pytest.mark.parametrize(
    "turns", [((0, 3), (2, 1), (5, 7)), ((0, 16), (1, 2), (3, 5), (6, 1)), ((0, 1),), ((0, 64), (4, 64))]
)
def test_turns_leave_no_trace(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build(TURNS.replace("upc_test_turns", f"upc_test_turns_{len(turns)}_{turns[0][1]}"))
    weights, inputs = random_weights(graph, 1), random_inputs(graph, 1, 21, {})
    wanted = expect(graph, weights, inputs)
    whole = load_graph(graph, weights=weights)(*inputs)
    monkeypatch.setattr(take_turns, "_turns", lambda *known: turns)
    assert f"segments={turns}" in pipeline.emit(graph, "numba").replace("\n", " ")
    net = load_graph(graph, weights=weights)
    made = net(*inputs)
    for output, got, before, want in zip(graph.outputs, made, whole, wanted, strict=True):
        assert want.ratio(got) <= 1, output.name
        assert np.array_equal(got, before), output.name
    for batch in (1, 2, 20):
        some = net(*(x[:batch] for x in inputs))
        assert all(np.array_equal(part, got[:batch]) for part, got in zip(some, made, strict=True)), batch


def test_large_kernels_take_larger_turns_than_large_pictures() -> None:
    text = "net n {{\n  input z: [100]\n  dense(25 * 25 * 432)\n  reshape(25, 25, 432)\n{}  output y\n}}\n"
    ups = "".join(f"  conv2d_transpose({n}, kernel_size=2, strides=2)\n" for n in (192, 96, 3))
    (first, many), (second, few) = pipeline.plan(build(text.format(ups))).turns
    assert first == 0 < second and many == 64 and few <= 4
    assert len(pipeline.plan(build("net n {\n  input z: [100]\n  dense(50)\n  output y\n}\n")).turns) == 1


def test_values_that_wait_are_few() -> None:
    """A large picture that a later segment reads again keeps the turns of all short."""
    text = """
net n {
  input x: [512, 512, 64]
  conv2d(64, kernel_size=3, padding=same) as skip
  max_pooling2d(64)
  dense(4096)
  dense(4096)
  dense(64)
  up_sampling2d(64)
  add(skip)
  output y
}
"""
    plan = pipeline.plan(build(text))
    assert max(images for _, images in plan.turns if images is not None) <= 2


FEW = [
    ("conv2d_transpose(3, 4, strides=[3, 4], output_padding=2, dilation_rate=3)", "2, 1, 3"),
    ("conv2d_transpose(1, [1, 8], strides=[1, 2])", "3, 1, 4"),
    ("conv2d_transpose(3, 4, strides=2, padding=same)", "5, 8, 9"),
    ("conv2d_transpose(2, 3, strides=[1, 4], padding=same)", "4, 1, 2"),
    ("conv2d(1, 3, strides=2, padding=same)", "7, 16, 5"),
    ("up_sampling2d(2)\n  conv2d(3, 3, padding=same)", "3, 4, 6"),
    ("up_sampling2d([1, 3])\n  conv2d(2, 2, dilation_rate=2)", "5, 4, 3"),
    # Blocks of several rows, also into a picture with a rim.
    ("conv2d_transpose(3, kernel_size=2, strides=2)\n  batch_normalization()\n  tanh()", "5, 7, 6"),
    ("conv2d(1, kernel_size=3, padding=same)\n  prelu()", "8, 12, 5"),
    ("conv2d(2, kernel_size=3, padding=same)\n  conv2d(1, kernel_size=5, padding=same)", "6, 4, 3"),
    ("conv2d_transpose(1, kernel_size=[2, 4], strides=[4, 2], padding=same)", "3, 5, 2"),
    ("up_sampling2d(2)\n  conv2d(1, kernel_size=3, padding=same)", "9, 2, 4"),
    ("conv2d(3, kernel_size=3, strides=2, padding=same)", "8, 8, 7"),
]


def test_pixels_of_few_channels_are_folded() -> None:
    parts = "".join(
        f"  input x{i}: [{shape}]\n  from x{i} {{\n  {layer}\n  }} as y{i}\n  output y{i}\n"
        for i, (layer, shape) in enumerate(FEW)
    )
    graph = build(f"net upc_test_few {{\n{parts}}}\n")
    weights, inputs = random_weights(graph, 2), random_inputs(graph, 2, 3, {})
    made = load_graph(graph, weights=weights)(*inputs)
    for case, got, wanted in zip(FEW, made, expect(graph, weights, inputs), strict=True):
        assert wanted.ratio(got) <= 1, case


def test_a_dense_layer_is_normalised_with_numbers_of_its_own_for_every_pixel() -> None:
    graph = build(
        "net upc_test_flat {\n  input z: [9]\n  dense(3 * 2 * 5)\n  batch_normalization()\n  relu()\n"
        "  reshape(3, 2, 5)\n  conv2d(4, kernel_size=3, padding=same)\n  output y\n}\n"
    )
    assert any(isinstance(step, Convolution) and step.layout == "spread" for step in pipeline.plan(graph).steps)
    weights, inputs = random_weights(graph, 3), random_inputs(graph, 3, 2, {})
    made = load_graph(graph, weights=weights)(*inputs)
    (wanted,) = expect(graph, weights, inputs)
    assert wanted.ratio(made) <= 1
