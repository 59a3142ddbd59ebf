"""The reference runs whole graphs, and says what it cannot run."""

from __future__ import annotations

import re
import sys
import weakref
from typing import Any

import numpy as np
import pytest

from upc.build import compile_source
from upc.diagnostics import UpcError
from upc.ir import Array, Graph
from upc.reference import run
from upc.source import Source
from upc.weights import initialize

SKIP = """
net skip {
  input image: [H, W, 3]
  conv2d(4, 3, padding=same, activation=relu)  as before
  max_pooling2d(2)
  up_sampling2d(2)
  concatenate(before)
  output y
}
"""

TWO = """
net two {
  input a: [H, 4, 2]
  input b: [H, 4, 2]
  add(a)               as total
  split(2)             as left, right
  output total, left, right
}
"""


def graph(text: str) -> Graph:
    return compile_source(Source("net.upc", text))


def drawn(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_a_graph_with_a_skip() -> None:
    g = graph(SKIP)
    y = run(g, initialize(g, 0), {"image": drawn(2, 6, 4, 3)})["y"]
    assert y.shape == (2, 6, 4, 8)
    pooled = y[..., 4:].reshape(2, 3, 2, 2, 2, 4).max(axis=(2, 4))
    np.testing.assert_array_equal(y[:, ::2, ::2, :4], pooled)


def test_several_inputs_and_outputs_keep_their_names() -> None:
    g = graph(TWO)
    a, b = drawn(3, 5, 4, 2), drawn(3, 5, 4, 2)[::-1].copy()
    by_name = run(g, {}, {"b": b, "a": a})
    in_order = run(g, {}, [a, b])
    assert list(by_name) == ["total", "left", "right"]
    for name, value in by_name.items():
        np.testing.assert_array_equal(value, in_order[name])
    np.testing.assert_array_equal(by_name["total"], a + b)
    np.testing.assert_array_equal(by_name["right"], (a + b)[..., 1:])


def test_inner_values_have_their_graph_names() -> None:
    g = graph(SKIP)
    values = run(g, initialize(g, 0), {"image": drawn(1, 4, 4, 3)}, inner=True)
    assert set(values) == {"image", "conv2d", "max_pooling2d", "up_sampling2d", "concatenate", "y"}
    assert values["max_pooling2d"].shape == (1, 2, 2, 4)


def test_precision_is_the_inputs() -> None:
    g = graph(SKIP)
    weights = initialize(g, 0)
    single, double = (run(g, weights, drawn(1, 4, 4, 3).astype(t))["y"] for t in (np.float32, np.float64))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single, double, atol=1e-6)


def test_values_are_let_go_after_their_last_use() -> None:
    """A long chain holds two values at a time, not all of them."""
    layers = "\n".join(["  relu()"] * 50)
    g = graph(f"net chain {{\n  input x: [8]\n{layers}\n  output y\n}}\n")
    alive: list[weakref.ref[Any]] = []
    most = 0
    relu = type(g.nodes[0].layer)
    original = relu.forward

    def watched(self: Any, inputs: Any, weights: Any) -> Any:
        nonlocal most
        results = tuple(np.array(r) for r in original(self, inputs, weights))
        alive.extend(weakref.ref(r) for r in results)
        most = max(most, sum(r() is not None for r in alive))
        return results

    patch = pytest.MonkeyPatch()
    patch.setattr(relu, "forward", watched)
    try:
        run(g, {}, drawn(1, 8))
    finally:
        patch.undo()
    assert most <= 3


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([drawn(1, 4, 4, 3), drawn(1, 4, 4, 3)], "skip takes 1 input (image), got 2"),
        ({"imgae": drawn(1, 4, 4, 3)}, "did you mean `image`?"),
        ({}, "skip is missing its input `image`"),
        (drawn(4, 4, 3), "must have shape (batch, H, W, 3), got (4, 4, 3)"),
        (drawn(1, 4, 4, 1), "expected shape (H, W, 3), got (4, 4, 1)"),
        (drawn(1, 4, 4, 3).astype(np.int64), "must be float32, got int64"),
        (drawn(1, 4, 4, 3).astype(np.float16), "must be float32, got float16"),
        (drawn(1, 0, 4, 3), "expected shape (H, W, 3), got (0, 4, 3)"),
        (drawn(1, 5, 4, 3), "H = 5 does not fit skip: at concatenate, 2*(H/2) = 4 would have to equal H = 5"),
        (drawn(1, 1, 1, 3), "H = 1 does not fit skip"),
    ],
)
def test_inputs_that_do_not_fit(inputs: Any, words: str) -> None:
    g = graph(SKIP)
    with pytest.raises(UpcError, match=re.escape(words)):
        run(g, initialize(g, 0), inputs)


def test_inputs_that_do_not_fit_each_other() -> None:
    g = graph(TWO)
    with pytest.raises(UpcError, match="same batch size, got a 1, b 2"):
        run(g, {}, [drawn(1, 5, 4, 2), drawn(2, 5, 4, 2)])
    with pytest.raises(UpcError, match="H is 5 elsewhere"):
        run(g, {}, [drawn(1, 5, 4, 2), drawn(1, 6, 4, 2)])


def test_weights_that_are_missing_or_misshapen() -> None:
    g = graph(SKIP)
    weights = initialize(g, 0)
    del weights["conv2d.bias"]
    with pytest.raises(UpcError, match=re.escape("conv2d.bias (4,) is missing")):
        run(g, weights, drawn(1, 4, 4, 3))
    weights["conv2d.bias"] = np.zeros(5, np.float32)
    with pytest.raises(UpcError, match=re.escape("conv2d.bias: expected shape (4,), got (5,)")):
        run(g, weights, drawn(1, 4, 4, 3))


def test_the_reference_needs_numpy_alone() -> None:
    """Nothing it imports is a framework: it must run wherever the core is installed."""
    import subprocess

    program = (
        "import sys, upc.reference, upc.weights, upc.layers\n"
        "print([m for m in ('torch', 'tensorflow', 'keras', 'numba', 'scipy', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
