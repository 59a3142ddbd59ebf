"""Sums over large pictures: right in the reference and in compiled code, and held to bounds that stay tight."""

from __future__ import annotations

import numpy as np
import pytest

from upc import reference
from upc.build import compile_source
from upc.check.bound import LONGEST, UNIT, bounds, rounded_terms
from upc.check.problem import pose, problem
from upc.ir import Array, Graph
from upc.layers import LAYERS
from upc.load import load_graph
from upc.source import Source
from upc.weights import initialize


def graph_of(call: str, shape: tuple[int, ...]) -> Graph:
    return compile_source(Source("net.upc", f"net n {{\n  input x: {list(shape)}\n  {call}\n  output y\n}}\n"))


def flat(value: float, shape: tuple[int, ...]) -> Array:
    return np.full((1, *shape), value, np.float32)


SMALL_HEAD = "kernel_initializer=ones, use_bias=false"
FLAT = [
    # (call, shape, value, what every number of the result is)
    ("global_average_pooling2d()", (3000, 3000, 1), 0.7, 0.7),
    ("global_average_pooling2d(keepdims=true)", (1025, 1027, 3), 0.7, 0.7),
    ("average_pooling2d(400)", (400, 400, 2), 0.7, 0.7),
    ("average_pooling2d([1023, 3], strides=[1, 2], padding=same)", (1025, 8, 2), 0.7, 0.7),
    ("group_normalization(4)", (257, 513, 8), 0.1, 0.0),
    ("group_normalization(1)", (257, 513, 8), 0.1, 0.0),
    ("instance_normalization()", (1025, 1027, 2), 0.1, 0.0),
    ("layer_normalization()", (2, 1, 200003), 0.1, 0.0),
    ("softmax()", (1, 2, 300007), 0.1, 1 / 300007),
    ("softmax(axis=1)", (300007, 1, 2), 0.1, 1 / 300007),
    (f"dense(3, {SMALL_HEAD})", (1_000_003,), 0.7, 0.7 * 1_000_003),
    (f"conv2d(2, [91, 73], {SMALL_HEAD})", (91, 73, 3), 0.7, 0.7 * 91 * 73 * 3),
]
"""Of equal numbers every rounding of a sum in a row has one sign: no input shows a naive sum better."""


@pytest.mark.parametrize(("call", "shape", "value", "wanted"), FLAT)
def test_the_reference_is_right_in_single_precision(
    call: str, shape: tuple[int, ...], value: float, wanted: float
) -> None:
    graph = graph_of(call, shape)
    y = reference.run(graph, initialize(graph, 0), flat(value, shape))["y"]
    assert y.dtype == np.float32
    # The sum is exact but for its last rounding, and the value's own when it became a float32.
    np.testing.assert_allclose(y, wanted, rtol=2.5 * UNIT, atol=1e-9)


@pytest.mark.parametrize(("call", "shape", "value", "wanted"), FLAT)
def test_compiled_code_is_right(call: str, shape: tuple[int, ...], value: float, wanted: float) -> None:
    graph = graph_of(call, shape)
    y = load_graph(graph, weights=initialize(graph, 0))(flat(value, shape))
    assert isinstance(y, np.ndarray)
    # Pieces of 256 products are still added up as floats: about 256/4 roundings of one sign.
    np.testing.assert_allclose(y, wanted, rtol=64 * UNIT, atol=1e-9)


def test_means_keep_what_is_not_finite() -> None:
    x = flat(0.5, (4, 3, 3))
    x[0, 1, 1] = [np.inf, -np.inf, np.nan]
    largest = np.full((1, 2, 3, 1), np.finfo(np.float32).max, np.float32)
    for call in ("global_average_pooling2d(keepdims=true)", "average_pooling2d([4, 3])"):
        graph = graph_of(call, (4, 3, 3))
        np.testing.assert_array_equal(load_graph(graph)(x), [[[[np.inf, -np.inf, np.nan]]]])
        # A sum of the largest floats is none, but their mean is.
        graph = graph_of(call.replace("[4, 3]", "[2, 3]"), (2, 3, 1))
        np.testing.assert_array_equal(load_graph(graph)(largest).ravel(), largest[0, 0, 0])


@pytest.mark.parametrize("image", [(40, 50, 2), (3000, 3000, 1)])
def test_a_thousandth_is_found_however_large_the_picture(image: tuple[int, ...]) -> None:
    graph = graph_of("global_average_pooling2d()", image)
    x = np.random.default_rng(0).random((1, *image), np.float32)
    posed = problem(graph, {}, [x])
    largest = np.abs(posed.values["y"]).max()
    assert 0 < posed.bounds["y"].limit < 1e-5 * largest


def test_bounds_do_not_grow_with_pictures() -> None:
    calls = ("average_pooling2d([{h}, {w}])", "instance_normalization()", "group_normalization(2)", "softmax(axis=1)")
    for call in calls:
        shares = []
        for h, w in ((20, 30), (320, 280)):
            graph = graph_of(call.format(h=h, w=w), (h, w, 2))
            x = 1 + np.random.default_rng(0).random((1, h, w, 2), np.float32)
            posed = problem(graph, initialize(graph, 0), [x])
            shares.append(posed.bounds["y"].limit / np.abs(posed.values["y"]).max())
        assert shares[1] < 1.6 * shares[0], call  # a square root would make 12 of 1


def test_a_flat_picture_is_normalized_to_next_to_nothing() -> None:
    graph = graph_of("group_normalization(1)", (257, 513, 8))
    posed = problem(graph, initialize(graph, 0), [flat(0.1, (257, 513, 8))])
    assert np.abs(posed.values["y"]).max() < 1e-12
    assert posed.bounds["y"].limit < 1e-5


MOVES = {
    *("reshape", "flatten", "permute", "concatenate", "slice", "split", "pixel_shuffle", "pixel_unshuffle", "dropout"),
    *("zero_padding2d", "reflect_padding2d", "replicate_padding2d", "cropping2d"),
    *("max_pooling2d", "global_max_pooling2d"),
}
ONCE = {
    *("relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid", "hard_sigmoid"),
    *("hard_swish", "clip", "rescaling", "multiply", "maximum", "minimum", "batch_normalization"),
}
SUMS = {
    "dense(5)": 3 + 1,
    "conv2d(6, [2, 3], groups=3, padding=same)": 2 * 3 * 1 + 1,
    "depthwise_conv2d([3, 2])": 3 * 2 + 1,
    "conv2d_transpose(6, [4, 3], strides=2, groups=3)": 2 * 2 * 1 + 1,
    "conv2d_transpose(2, 3, strides=2, dilation_rate=2)": 9 * 3 + 1,
    "conv2d(2, [70, 80])": 70 * 80 * 3 + 1,
    "average_pooling2d([2, 4])": 1 + 3,
    "global_average_pooling2d()": 1 + 13,
    "instance_normalization()": 1 + 13,
    "group_normalization(3)": 1 + 13,
    "layer_normalization()": 1 + 2,
    "softmax()": 1 + 2,
    "softmax(axis=1)": 1 + 7,
    "conv2d(9, 1, activation=softmax)": 3 + 1 + 1 + 4,
    "up_sampling2d(2, interpolation=bilinear)": 4,
    "resizing(7, 9, interpolation=bicubic)": 16,
    "up_sampling2d(2)": 0,
    "add(x)": 2,
    "subtract(1)": 2,
    "average(x, 1, 2)": 4,
}
"""Calls on 80 rows of 96 pixels of 3 channels, and the terms of their longest sum."""


@pytest.mark.parametrize("call", SUMS)
def test_every_layer_that_adds_up_says_how_much(call: str) -> None:
    (node,) = graph_of(call, (80, 96, 3)).nodes
    assert rounded_terms(node, {}) == min(SUMS[call], LONGEST + 1)


def test_no_layer_is_without_a_count() -> None:
    counted = {call.partition("(")[0] for call in SUMS}
    assert set(LAYERS) == MOVES | ONCE | counted
    assert not counted & (MOVES | ONCE)
    for name in MOVES | ONCE:
        for example in LAYERS[name][0].examples[-1:]:
            if len(example.shapes) == 1 and example.results == 1:
                (node,) = graph_of(example.call, example.shapes[0]).nodes
                assert rounded_terms(node, {}) == (name in ONCE)


def test_sums_that_cancel_are_allowed_what_they_lose() -> None:
    """Of 1000 products that add up to next to nothing a float32 sum is off by far more than the result's roundings."""
    graph = graph_of("dense(1, use_bias=false)", (1000,))
    random = np.random.default_rng(1)
    x = random.standard_normal((1, 1000)).astype(np.float32)
    kernel = random.standard_normal((1000, 1)).astype(np.float32)
    kernel[0] -= np.float32((x.astype(float) @ kernel)[0, 0]) / x[0, 0]
    posed = problem(graph, {"dense.kernel": kernel}, [x])
    in_a_row = np.float32(0)
    for a, b in zip(x[0], kernel[:, 0], strict=True):
        in_a_row += a * b
    assert abs(in_a_row - posed.values["y"][0, 0]) < posed.bounds["y"].limit < 1e-3


def test_what_only_moves_numbers_must_be_equal() -> None:
    graph = compile_source(
        Source(
            "net.upc",
            "net n {\n  input x: [4, 6, 8]\n  pixel_shuffle(2, order=crd)\n  up_sampling2d(2)\n  max_pooling2d(3)\n"
            "  zero_padding2d(1)\n  flatten()\n  output y\n}\n",
        )
    )
    posed = pose(graph)
    assert posed.bounds["y"].limit == 0
    assert bounds(graph, {}, {}, posed.values).keys() == posed.values.keys()
