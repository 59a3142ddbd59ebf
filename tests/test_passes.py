"""Passes keep a net's meaning, and do what they are for."""

import numpy as np
import pytest

from upc import reference, weights
from upc.build import compile_source
from upc.passes import rewrite
from upc.source import Source

NETS = {
    "nearest and conv": ("up_sampling2d([2, 3])\n conv2d(5, 1, activation=relu)", True),
    "nearest and batch normalisation": ("up_sampling2d(2)\n batch_normalization()", True),
    "two of each": ("up_sampling2d(2)\n up_sampling2d([1, 3])\n conv2d(4, 1)\n batch_normalization()", True),
    "bilinear and conv": ("up_sampling2d(2, interpolation=bilinear)\n conv2d(5, 1)", True),
    "bilinear and corners": (
        "up_sampling2d(3, interpolation=bilinear, coordinates=align_corners)\n conv2d(2, 1)",
        True,
    ),
    "bicubic and grouped": ("up_sampling2d(2, interpolation=bicubic)\n conv2d(6, 1, groups=3)", True),
    "an activation after mixing": ("up_sampling2d(2, interpolation=bilinear)\n conv2d(5, 1, activation=relu)", False),
    "a window": ("up_sampling2d(2)\n conv2d(5, 3, padding=same)", False),
    "a padded point": ("up_sampling2d(2)\n conv2d(5, 1, padding=1)", False),
    "a stride": ("up_sampling2d(2)\n conv2d(5, 1, strides=2)", False),
    "read twice": ("up_sampling2d(2) as u\n conv2d(3, 1)\n add(u)", False),
}


@pytest.mark.parametrize("name", NETS)
def test_one_by_one_layers_move_before_an_enlargement(name):
    body, moves = NETS[name]
    graph = compile_source(Source("n.upc", f"net n() {{\n input x: [5, 4, 3]\n {body}\n output y\n}}\n"))
    rewritten = rewrite(graph)
    assert (rewritten != graph) == moves
    arrays = {key: array.astype(np.float64) for key, array in weights.initialize(graph, 3).items()}
    assert [key for key, *_ in rewritten.weights()] and set(arrays) == {key for key, *_ in rewritten.weights()}
    x = np.random.RandomState(1).standard_normal((2, 5, 4, 3))
    (before,), (after,) = (reference.run(g, arrays, [x]).values() for g in (graph, rewritten))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-13 * np.abs(before).max())
    if moves:
        assert not isinstance(rewritten.nodes[0].layer, type(graph.nodes[0].layer))


def test_a_returned_picture_is_left_as_it_is():
    text = "net n() {\n input x: [5, 4, 3]\n up_sampling2d(2) as u\n conv2d(2, 1) as c\n output u, c\n}\n"
    graph = compile_source(Source("n.upc", text))
    assert rewrite(graph) == graph
