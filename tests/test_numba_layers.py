"""Every layer card's examples, run by compiled code, against the reference: sizes known, and free.

Compiling takes far longer than running, so many examples become one net that has all their inputs and outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect

from upc.build import compile_source
from upc.diagnostics import UpcError
from upc.ir import Example, Graph
from upc.layers import LAYERS
from upc.load import load_graph
from upc.source import Source

EXAMPLES = [example for card, _ in LAYERS.values() for example in card.examples]
EXAMPLES_PER_NET = 26
FREE_NETS = 6
NEED_KNOWN_SIZES = {"flatten", "reshape", "prelu", "conv2d_transpose", "split", "dense"}
"""Layers that cannot work on free sizes, in one of their examples at least."""


def joined(examples: Sequence[Example], with_free: bool) -> Graph:
    """One net of all the examples, side by side. Where sizes are free, N7 stands for every axis of 7 pixels."""
    lines, outputs = [], []
    for number, example in enumerate(examples):
        names = "abcdefgh"[: len(example.shapes)]
        for name, shape in reversed(list(zip(names, example.shapes, strict=True))):
            # What is repeated along another value's axis has one pixel there, and says so.
            fixed = {len(shape) - 1, *(axis for axis, d in enumerate(shape) if d == 1 and len(example.shapes) > 1)}
            dims = [f"N{d}" if with_free and axis not in fixed else str(d) for axis, d in enumerate(shape)]
            lines.append(f"input {name}{number}: [{', '.join(dims)}]")
        results = [f"y{number}_{i}" for i in range(example.results)]
        # Other values stand alone in a call: `add(b, c)`, but not `name=b`.
        call = re.sub(r"(?<=[(, ])([b-h])(?=[,)])", rf"\g<1>{number}", example.call)
        lines.append(f"{call} as {', '.join(results)}")
        outputs += results
    body = "\n".join(f"  {line}" for line in [*lines, f"output {', '.join(outputs)}"])
    return compile_source(Source("examples.upc", f"net examples {{\n{body}\n}}\n"))


def in_groups(examples: Sequence[Example]) -> Iterator[tuple[Example, ...]]:
    count = max(1, round(len(examples) / EXAMPLES_PER_NET))
    for group in range(count):
        yield tuple(examples[group::count])


@cache
def free_ones() -> tuple[Example, ...]:
    """The examples that can be written with free sizes."""
    found = []
    for example in EXAMPLES:
        try:
            graph = joined([example], True)
        except UpcError:
            assert example.call.partition("(")[0] in NEED_KNOWN_SIZES, example.call
            continue
        if any(not isinstance(dim, int) for value in graph.inputs for dim in value.shape):
            found.append(example)
    return tuple(found)


def check(examples: Sequence[Example], with_free: bool, batches: Sequence[int]) -> None:
    graph = joined(examples, with_free)
    weights = random_weights(graph, 1)
    net = load_graph(graph, weights=weights)
    sizes = {f"N{d}": d for example in examples for shape in example.shapes for d in shape}
    makers = {output.name: example.call for example, output in _outputs(examples, graph)}
    for batch in batches:
        inputs = random_inputs(graph, 2, batch, sizes)
        results = net(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        wrong = []
        for output, result, expected in zip(graph.outputs, results, expect(graph, weights, inputs), strict=True):
            ratio = expected.ratio(result)
            if ratio > 1:
                wrong.append(f"{makers[output.name]}: {ratio:.3g} of the bound, batch {batch}")
        assert not wrong, "\n".join(wrong)


def _outputs(examples: Sequence[Example], graph: Graph) -> list[tuple[Example, object]]:
    owners = [example for example in examples for _ in range(example.results)]
    return list(zip(owners, graph.outputs, strict=True))


@pytest.mark.parametrize("examples", list(in_groups(EXAMPLES)), ids=lambda group: group[0].call)
def test_examples_with_known_sizes(examples: tuple[Example, ...]) -> None:
    check(examples, False, (1, 3))


@pytest.mark.parametrize("group", range(FREE_NETS))
def test_examples_with_free_sizes(group: int) -> None:
    check(free_ones()[group::FREE_NETS], True, (2,))


def test_no_example_is_left_out() -> None:
    assert sum(len(group) for group in in_groups(EXAMPLES)) == len(EXAMPLES)
    assert len(free_ones()) > len(EXAMPLES) / 2
