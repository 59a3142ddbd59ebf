"""Results belong to the caller: none shares memory with an input, a weight or another result, on any target."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from upc import reference
from upc.build import compile_source
from upc.ir import Array, Example, Graph
from upc.layers import LAYERS
from upc.layers.examples import as_source
from upc.load import load_graph
from upc.source import Source
from upc.weights import initialize

VIEWS = """
net views {
  input x: [2, 3, 1]
  dropout(0.5)        as same
  flatten()           as flat
  reshape(2, 3, 1)    as again
  permute(1, 2, 3)    as unmoved
  relu()              as made
  dropout(0)          as kept
  from x { cropping2d() } as whole
  from x { slice(0, axis=1) } as all_rows
  from flat { split(1) } as part
  from x { pixel_shuffle(1, order=crd) } as shuffled
  split(3, axis=2)    as a, b, c
  output same, flat, again, unmoved, made, kept, whole, all_rows, a, b, c, shuffled
}
"""
"""Whatever may be a view, of an input and of each other."""


def assert_apart(results: list[Array], others: list[Array]) -> None:
    for one, other in itertools.combinations([*results, *others], 2):
        assert not np.shares_memory(one, other) or any(one is x for x in others)
    assert all(result.flags.writeable for result in results)


@pytest.mark.parametrize("example", [e for card, _ in LAYERS.values() for e in card.examples], ids=lambda e: e.call)
def test_no_card_gives_a_view(example: Example) -> None:
    graph = compile_source(Source("net.upc", as_source(example)))
    weights = initialize(graph, 0)
    for batch in (1, 2):
        inputs = [np.ones((batch, *value.shape), np.float32) for value in graph.inputs]
        for inner in (False, True):
            results = reference.run(graph, weights, inputs, inner=inner)
            assert_apart(list(results.values()), [*inputs, *weights.values()])


@pytest.mark.parametrize("target", ["reference", "numba", "torch", "keras"])
def test_no_target_gives_a_view(target: str) -> None:
    graph: Graph = compile_source(Source("net.upc", VIEWS))
    net = load_graph(graph, target=target)  # type: ignore[arg-type]
    for batch in (1, 2):
        x = np.ones((batch, 2, 3, 1), np.float32)
        results = net(x)
        assert_apart(list(results), [x])
        for y in results:
            y += 1
        x += 5
        assert all((y == 2).all() for y in results)
