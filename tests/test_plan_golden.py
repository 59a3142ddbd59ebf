"""The plans of the whole gallery as text, and that each computes its network: a fused step shows as a diff."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_inputs, random_weights

from upc import build, pipeline, reference
from upc.ir import Graph
from upc.load import load_graph

GOLDEN = Path(__file__).parent / "golden" / "plan"
FILES = sorted((Path(__file__).parents[1] / "examples").glob("*.upc"))
SIZES = {"H": 17, "W": 22}
BOUND = 1e-3
"""Of an output's largest value: what float32 rounds in some layers with sums of up to 12,800 terms. A step that does
the wrong thing is off by hundreds of times as much."""


def nets(file: Path) -> Iterator[Graph]:
    tree = pipeline.tree(pipeline.read(str(file)))
    for name in build.nets(tree):
        yield pipeline.graph(tree, name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_plan(file: Path, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{file.stem}.txt", "\n".join(f"{pipeline.plan(graph)}\n" for graph in nets(file)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_plan_computes_its_network(file: Path) -> None:
    for graph in nets(file):
        weights, inputs = random_weights(graph, 1), random_inputs(graph, 2, 1, SIZES)
        results = load_graph(graph, weights=weights)(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        for got, wanted in zip(results, reference.run(graph, weights, inputs).values(), strict=True):
            assert got.shape == wanted.shape
            assert np.abs(got - wanted).max() <= BOUND * np.abs(wanted).max(), graph.name


def test_every_golden_is_a_plan_of_the_gallery() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {file.stem for file in FILES}
