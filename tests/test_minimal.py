"""Minimal filtering: its identity, its error, where it is chosen, and nets that use it."""

from __future__ import annotations

import numpy as np
import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect

from upc import pipeline, reference
from upc.build import compile_source
from upc.ir import Array, Graph
from upc.load import load_graph
from upc.plan.minimal import PATCH_SIZE, Algorithm
from upc.runtime import minimal
from upc.source import Source

MIXED = """
net upc_test_minimal {
  input x: [17, 23, 33]
  conv2d(48, kernel_size=3, padding=same)
  batch_normalization()
  leaky_relu(0.2) as a
  conv2d(48, kernel_size=5, padding=same)
  add(a)
  relu() as b
  conv2d(40, kernel_size=3, use_bias=false)
  batch_normalization()
  output small
  from b { conv2d(37, kernel_size=5, padding=same, activation=silu) } as c
  from b {
    zero_padding2d([[1, 0], [0, 3]])
    conv2d(35, kernel_size=3)
  } as d
  from c {
    prelu(shared_axes=[1, 2])
    concatenate(b)
  } as together
  output d, together
}
"""


def build(text: str) -> Graph:
    return compile_source(Source("test.upc", text))


def one(taps: int, inputs: int, outputs: int, size: str = "16, 16") -> Graph:
    return build(
        f"net upc_test_one {{\n  input x: [{size}, {inputs}]\n"
        f"  conv2d({outputs}, kernel_size={taps}, padding=same)\n  output y\n}}\n"
    )


def filtered(graph: Graph, algorithm: Algorithm) -> int:
    """How many convolutions take the way of minimal filtering."""
    return sum(step.kind == "Transform" for step in pipeline.plan(graph, algorithm).steps)


def results(graph: Graph, weights: dict[str, Array], inputs: list[Array], algorithm: Algorithm) -> list[Array]:
    made = load_graph(graph, weights=weights, algorithm=algorithm)(*inputs)
    return list(made) if isinstance(made, tuple) else [made]


@pytest.mark.parametrize("taps", [3, 5])
def test_products_of_values_are_the_convolution(taps: int) -> None:
    rng = np.random.default_rng(taps)
    values, of_kernel, back = (np.array(matrix) for matrix in minimal.filter_matrices(taps))
    size = PATCH_SIZE + taps - 1
    pixels, kernel = rng.normal(size=(size, size)), rng.normal(size=(taps, taps))
    made = back @ ((of_kernel @ kernel @ of_kernel.T) * (values @ pixels @ values.T)) @ back.T
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (taps, taps))
    np.testing.assert_allclose(made, np.einsum("yxij,ij->yx", windows, kernel), atol=1e-12)


def test_the_plan_and_the_runtime_mean_the_same_patch() -> None:
    assert minimal.PATCH_SIZE == PATCH_SIZE


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("inputs", [64, 256])
def test_auto_stays_within_a_hundred_thousandth(taps: int, inputs: int) -> None:
    graph = one(taps, inputs, 64)
    assert filtered(graph, "auto") == 1
    rng = np.random.default_rng(0)
    weights = random_weights(graph, 0)
    weights["conv2d.kernel"] = rng.normal(size=(taps, taps, inputs, 64)).astype(np.float32)
    x = rng.normal(size=(2, 16, 16, inputs)).astype(np.float32)
    for given in (x, np.maximum(x, 0)):
        (wanted,) = reference.run(graph, weights, [given.astype(np.float64)]).values()
        (got,) = results(graph, weights, [given], "auto")
        assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("bits", [None, 256, 128])
def test_a_net_of_many_epilogues(bits: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if bits is not None:
        monkeypatch.setenv("UPC_VECTOR_BITS", str(bits))
    graph = build(MIXED.replace("upc_test_minimal", f"upc_test_minimal_{bits}"))
    assert filtered(graph, "fast") == 4  # not the one that makes 15 rows
    weights = random_weights(graph, 1)
    inputs = random_inputs(graph, 1, 3, {})
    net = load_graph(graph, weights=weights, algorithm="fast")
    made = net(*inputs)
    for output, got, wanted in zip(graph.outputs, made, expect(graph, weights, inputs), strict=True):
        assert wanted.ratio(got) <= 1, output.name
    for n in range(3):  # bits do not depend on the batch
        alone = net(*(x[n : n + 1] for x in inputs))
        assert all(np.array_equal(part[0], whole[n]) for part, whole in zip(alone, made, strict=True))


def test_free_sizes() -> None:
    graph = build(
        "net upc_test_free {\n  input x: [H, W, 32]\n  conv2d(34, kernel_size=3, padding=same, activation=relu)\n"
        "  conv2d(32, kernel_size=5)\n  output y\n}\n"
    )
    assert filtered(graph, "fast") == 2 and filtered(graph, "auto") == 0
    weights = random_weights(graph, 2)
    for sizes in ({"H": 17, "W": 23}, {"H": 5, "W": 64}):
        inputs = random_inputs(graph, 2, 2, sizes)
        (wanted,) = expect(graph, weights, inputs)
        assert wanted.ratio(results(graph, weights, inputs, "fast")[0]) <= 1


def test_where_it_is_chosen() -> None:
    large = one(5, 256, 256)
    assert [filtered(large, algorithm) for algorithm in ("exact", "fast", "auto")] == [0, 1, 1]
    assert "Transform(taps=5" in str(pipeline.plan(large)) and "Transform" not in str(pipeline.plan(large, "exact"))
    few = one(3, 32, 32)  # the scratch costs more than it saves
    assert [filtered(few, algorithm) for algorithm in ("fast", "auto")] == [1, 0]
    for graph in (one(7, 64, 64), one(3, 31, 64), one(3, 64, 64, "15, 16"), one(3, 64, 64, "4, 4")):
        assert filtered(graph, "fast") == 0


def test_a_written_module_says_which() -> None:
    graph = one(3, 64, 64)
    assert "Algorithm fast: 1 convolution by minimal filtering." in pipeline.emit(graph, "numba", "fast")
    assert "Algorithm exact: no convolutions by minimal filtering." in pipeline.emit(graph, "numba", "exact")
