"""Random graphs, emitted as PyTorch and Keras source, against the reference."""

from __future__ import annotations

import os
import re
from random import Random

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
from random_graphs import random_inputs, random_net, random_weights
from tolerance import expect

from upc.load_frameworks import load_keras, load_torch


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_mean_the_same(seed: int) -> None:
    drawn = random_net(Random(f"emit {seed}"), layers=14)
    graph = drawn.graph()
    weights = random_weights(graph, seed)
    # Keras takes several times as long.
    for loaded in [load_torch(graph, weights), *([load_keras(graph, weights)] if seed % 4 == 0 else [])]:
        for sizes in drawn.sizes:
            inputs = random_inputs(graph, seed, 2, sizes)
            for output, got, wanted in zip(graph.outputs, loaded(inputs), expect(graph, weights, inputs), strict=True):
                assert wanted.ratio(got) <= 1, f"{output.name} {sizes}\n{drawn.text}"


def test_random_graphs_use_blocks_with_numbers_of_their_own() -> None:
    """Whole and decimal numbers both, often enough that 2,000 graphs see every kind of layer in a block."""
    differing = 0
    for seed in range(100):
        uses: dict[str, set[str]] = {}
        for name, numbers in re.findall(r"\b(b\d+)\((?!p\d)(.*?)\)", random_net(Random(seed)).text):
            uses.setdefault(name, set()).add(numbers)
        differing += any(len(found) > 1 for found in uses.values())
    assert differing >= 15
