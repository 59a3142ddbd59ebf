"""Free sizes of one and two pixels: phases, windows, patches and rows of tiles that then have nothing to do."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect

from upc.build import compile_source
from upc.load import load_graph
from upc.source import Source

EVERY_KIND = [
    *(
        f"conv2d_transpose({filters}, {kernel}, strides={strides}, {rest})"
        for (filters, kernel, strides), rest in product(
            [(2, 3, 2), (3, "[5, 3]", "[3, 2]"), (1, "[3, 5]", "[2, 4]")],
            ["padding=same, output_padding=0", "padding=valid", "padding=[[1, 0], [0, 1]]"],
        )
    ),
    "conv2d_transpose(2, 3, strides=4, padding=same, output_padding=1, dilation_rate=[1, 2])",
    "conv2d(4, [3, 5], strides=[2, 3], padding=same)",
    "conv2d(2, [2, 4], padding=same, dilation_rate=2)",
    "depthwise_conv2d([4, 3], strides=[3, 2], padding=same, depth_multiplier=2)",
    "max_pooling2d([3, 2], strides=[2, 3], padding=same)",
    "average_pooling2d([2, 3], strides=3, padding=same)",
    "average_pooling2d([4, 3], strides=1, padding=same, count_include_padding=true)",
    "resizing(3, 2, interpolation=bicubic)",
    "up_sampling2d([2, 3], interpolation=bilinear, coordinates=align_corners)",
    "replicate_padding2d([[2, 1], [0, 3]])",
    "slice(0, stop=1, axis=1)",
    "instance_normalization()",
    "group_normalization(3)",
    "softmax(axis=2)",
    "global_max_pooling2d()",
]
"""Every layer whose work depends on the size, on three channels."""

ENLARGED = "up_sampling2d([3, 2])\n  conv2d(4, [3, 2], padding=same)"

FILTERED = [
    "conv2d(34, 3, padding=same)",
    "conv2d_transpose(33, 4, strides=2, padding=same)",
    "conv2d_transpose(32, 5, strides=3, padding=same, output_padding=0)",
    "up_sampling2d(2)\n  conv2d(35, 3, padding=same)",
]
"""On 33 channels, by minimal filtering where that is asked for."""

FAST = 2e-5  # of the largest value, that minimal filtering may be off where it is asked for


def net_of(channels, layers):
    lines = [line for i, layer in enumerate(layers) for line in (f"from x {{\n  {layer}\n  }} as y{i}",)]
    outputs = ", ".join(f"y{i}" for i in range(len(layers)))
    body = "\n  ".join([f"input x: [H, W, {channels}]", *lines, f"output {outputs}"])
    return compile_source(Source("small.upc", f"net small {{\n  {body}\n}}\n"))


@pytest.mark.parametrize(("channels", "layers", "algorithm"), [(3, [*EVERY_KIND, ENLARGED], "auto"),
                                                              (33, FILTERED, "fast")])  # fmt: skip
def test_every_layer_is_right_at_one_and_two_pixels(channels, layers, algorithm):
    graph = net_of(channels, layers)
    weights = random_weights(graph, 0)
    net = load_graph(graph, weights=weights, algorithm=algorithm)
    wrong = {}
    for height, width, batch in [*product((1, 2, 3), (1, 2, 3), (2,)), (1, 1, 1), (1, 9, 1), (8, 1, 1)]:
        inputs = random_inputs(graph, 0, batch, {"H": height, "W": width})
        for layer, want, got in zip(layers, expect(graph, weights, inputs), net(*inputs), strict=True):
            off = (
                want.ratio(got)
                if algorithm == "auto"
                else np.abs(got - want.value).max() / FAST / np.abs(want.value).max()
            )
            if not off <= 1:
                wrong.setdefault(layer, {})[height, width, batch] = off
    assert not wrong


def test_a_transposed_convolution_narrower_than_its_stride():
    graph = net_of(1, ["conv2d_transpose(1, 3, strides=2, padding=same, output_padding=0)"])
    kernel = np.arange(1, 10, dtype=np.float32).reshape(3, 3, 1, 1)
    weights = {"conv2d_transpose.kernel": kernel, "conv2d_transpose.bias": np.zeros(1, np.float32)}
    net = load_graph(graph, weights=weights)
    assert net(np.array([[[[1]], [[2]]]], np.float32)).ravel().tolist() == [5, 12, 10]
    assert net(np.array([[[[1], [2]]]], np.float32)).ravel().tolist() == [5, 14, 10]


def test_a_dense_layer_makes_a_picture_beside_one_of_free_size():
    """Its pixels have a bias each, of which it must not take the first for all."""
    graph = compile_source(
        Source(
            "net.upc",
            "net both {\n  input z: [2]\n  input x: [H, W, 3]\n"
            "  from z {\n    dense(6)\n    reshape(1, 3, 2)\n  } as seed\n"
            "  from x { max_pooling2d(2, strides=1) } as y\n  output seed, y\n}\n",
        )
    )
    weights = {"dense.kernel": np.zeros((2, 6), np.float32), "dense.bias": np.arange(6, dtype=np.float32)}
    seed, _ = load_graph(graph, weights=weights)(np.ones((1, 2), np.float32), np.ones((1, 4, 5, 3), np.float32))
    assert seed.tolist() == [[[[0, 1], [2, 3], [4, 5]]]]
