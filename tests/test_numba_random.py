"""Random graphs, compiled, against the reference: as many as fit. `record_random.py` runs 2,000."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from random_graphs import KINDS, RandomNet, nets, random_inputs, random_net, random_weights
from tolerance import expect

from upc import reference
from upc.load import load_graph
from upc.plan import make_plan
from upc.verify import verify

QUICK = settings(deadline=None, max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))


def check(drawn: RandomNet, seed: int, batches: tuple[int, ...]) -> None:
    """Compile a net and compare all its outputs; says which of them are wrong."""
    graph = drawn.graph()
    weights = random_weights(graph, seed)
    net = load_graph(graph, weights=weights)
    wrong = []
    for sizes in drawn.sizes:
        for batch in batches:
            inputs = random_inputs(graph, seed, batch, sizes)
            results = net(*inputs)
            results = results if isinstance(results, tuple) else (results,)
            for output, got, expected in zip(graph.outputs, results, expect(graph, weights, inputs), strict=True):
                ratio = expected.ratio(got)
                if ratio > 1:
                    wrong.append(f"{output.name}: {ratio:.3g} of the bound at batch {batch} {sizes}")
    assert not wrong, "\n".join([*wrong, drawn.text])


@pytest.mark.parametrize("seed", range(5))
def test_many_graphs_in_one_module(seed: int) -> None:
    """Seeds apart from those of the record, so that the two together see more."""
    check(random_net(Random(f"test {seed}"), parts=10, layers=8, with_free=seed == 4), seed, (1, 2, 5))


@settings(deadline=None, max_examples=3, derandomize=True, suppress_health_check=list(HealthCheck))
@given(nets(layers=5))
def test_graphs_one_by_one(drawn: RandomNet) -> None:
    check(drawn, 0, (1, 4))


@QUICK
@given(nets())
def test_every_graph_can_be_built_planned_and_run_by_the_reference(drawn: RandomNet) -> None:
    graph = drawn.graph()
    verify(graph)
    plan = make_plan(graph)
    assert {f"output {o.name}" for o in graph.outputs} <= {step.target for step in plan.steps}
    weights = random_weights(graph, 0)
    for sizes in drawn.sizes:
        for result in reference.run(graph, weights, random_inputs(graph, 0, 2, sizes)).values():
            assert len(result) == 2


def test_the_generator_draws_every_kind() -> None:
    drawn = set()
    for seed in range(300):
        graph = random_net(Random(seed)).graph()
        drawn |= {node.layer.name for node in graph.nodes}
    assert drawn == KINDS


def test_the_generator_is_deterministic() -> None:
    assert random_net(Random(5)) == random_net(Random(5)) != random_net(Random(6))
