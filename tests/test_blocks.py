"""Whatever may differ between two uses of a block: every attribute of every card's example, on every written target.

A target writes one class or function for a block and hands what differs to it, so an attribute can be right
where it is a number and wrong where it is a parameter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
import torch
from emission import EXAMPLES, assert_close, compiled, drawn_inputs, drawn_weights, example_graph, expected
from random_graphs import written

from upc.emit import torch as torch_emitter
from upc.ir import Example, Layer, LayerError
from upc.layers import construct
from upc.load_frameworks import channels_first, channels_last, load_keras, load_torch

WORDS = (
    *("same", "valid", "nearest", "bilinear", "bicubic", "half_pixel", "align_corners", "asymmetric", "crd", "dcr"),
    *("renormalize", "replicate", "relu", "tanh", "softmax", "leaky_relu", "zeros", "ones", "he_normal"),
)


def others(value: Any) -> Iterator[Any]:
    """Values of the same form that might stand in place of one, those most like it first."""
    if isinstance(value, tuple):
        each = [list(others(inner)) for inner in value]
        yield from (tuple(row) for row in zip(*each, strict=False))
        for i, choices in enumerate(each):
            yield from ((*value[:i], choice, *value[i + 1 :]) for choice in choices)
        # A permutation of axes has no other than one of the same numbers.
        yield value[::-1]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, 2 * value, value // 2, value - 1, value + 2, -1)
    elif isinstance(value, float):
        yield from (value / 2 + 0.125, value + 0.25)
    elif isinstance(value, str):
        yield from (word for word in WORDS if word != value)
    else:
        yield from (0.5, 2, *WORDS, True)


def another(layer: Layer, name: str, example: Example) -> Any:
    """A value of an attribute with which the layer means something else on the same inputs, or None."""
    stored = {f.name: getattr(layer, f.name) for f in layer.arguments()}
    for value in others(stored[name]):
        try:
            card = construct(layer.name, [], stored | {name: value})
            shapes = card.output_shapes(example.shapes)
            card.weights(example.shapes)
        except LayerError:
            continue
        if card != layer and len(shapes) == example.results and all(n >= 1 for shape in shapes for n in shape):
            return getattr(card, name)
    return None


def leaves(value: Any) -> list[Any]:
    """The single values in it, in order."""
    return [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, tuple) else [value]


def named(value: Any, names: Iterator[str]) -> str:
    """A value as it is written, with the next name in place of each single value."""
    return f"[{', '.join(named(inner, names) for inner in value)}]" if isinstance(value, tuple) else next(names)


def said(layer: Layer, values: Sequence[str], spelled: dict[str, str]) -> str:
    """The call of a layer, some of its attributes spelled in other words."""
    parts = list(values)
    for field in layer.arguments():
        value = getattr(layer, field.name)
        text = spelled.get(field.name, None if value == field.default else written(value))
        if text is None:
            continue
        if field.metadata["variadic"]:
            parts.append(text[1:-1])
        else:
            parts.append(f"{field.name}={text}")
    return f"{layer.name}({', '.join(part for part in parts if part)})"


def with_blocks(example: Example) -> str | None:
    """A net that uses one block for every attribute of an example, each with two values of that attribute.

    None where no attribute has another value.
    """
    layer = example_graph(example).nodes[0].layer
    inputs = [chr(ord("a") + i) for i in range(len(example.shapes))]
    results = [f"u{i}" for i in range(example.results)]
    ending = f" as {', '.join(results)} concatenate({', '.join(results[:-1])}, axis=1)" if len(results) > 1 else ""
    blocks, lines, outputs = [], [], []
    for field in layer.arguments():
        if field.name.endswith("_initializer"):  # no value depends on it once weights are given
            continue
        second = another(layer, field.name, example)
        if second is None:
            continue
        first = getattr(layer, field.name)
        # Values of two forms cannot be taken apart alike: they are handed over whole.
        alike = isinstance(first, tuple) and isinstance(second, tuple) and len(leaves(first)) == len(leaves(second))
        form = first if alike else None
        names = [f"p{i}" for i in range(len(leaves(form)))]
        call = said(layer, inputs[1:], {field.name: named(form, iter(names))})
        blocks.append(f"block of_{field.name}({', '.join([*inputs[1:], *names])}) {{ {call}{ending} }}")
        for turn, value in enumerate((first, second)):
            arguments = [*inputs[1:], *map(written, leaves(value) if alike else [value])]
            outputs.append(f"{field.name}_{turn}")
            lines.append(f"  from a {{ of_{field.name}({', '.join(arguments)}) }} as {outputs[-1]}")
    if not blocks:
        return None
    given = [f"  input {n}: [{', '.join(map(str, s))}]" for n, s in zip(inputs, example.shapes, strict=True)][::-1]
    return "\n".join([*blocks, "net blocks {", *given, *lines, f"  output {', '.join(outputs)}", "}"])


TEXTS = {f"{e.call}-{e.shapes}": text for _, e in EXAMPLES if (text := with_blocks(e)) is not None}


KINDS_OF_PARAMETERS = {
    "functional layers": """
        block act(slope) { leaky_relu(slope) }
        net n { input x: [5, 4, 3] act(0.1) act(0.3) output y }""",
    "beside layers that hold weights": """
        block up(filters, factor, top) { up_sampling2d(factor) conv2d(filters, 3) relu(max_value=top) }
        net n { input x: [5, 4, 3] up(2, 2, 0.5) up(3, 3, 1.25) output y }""",
    "blocks in blocks": """
        block soft(size, slope) { average_pooling2d(size) elu(slope) }
        block two(size, slope) { soft(size, slope) soft(size + 1, slope / 2) rescaling(slope, offset=-slope) }
        net n { input x: [72, 80, 3] two(2, 0.5) two(3, 0.25) output y }""",
    "turns of a repeat": """
        net n { input x: [3, 2, 2]
          repeat i in 1..3 { leaky_relu(i / 10.0) zero_padding2d([[i, 0], [0, 2 * i]]) } output y }""",
    "blocks in turns": """
        block wide(n, s) { zero_padding2d(n) multiply(s) }
        net n { input x: [3, 2, 2] as e repeat i in 1..3 { wide(i, i / 4.0) relu() } output y }""",
    "turns that read a value from outside": """
        net n { input x: [3, 2, 2] conv2d(2, 1) as e relu()
          repeat i in 1..3 { add(e, i / 4.0) softmax(axis=-i) } output y }""",
    "one number as a whole and as a decimal": """
        block both(n) { rescaling(n) conv2d(n, 1) leaky_relu(n) up_sampling2d(n) }
        net n { input x: [3, 2, 2] both(2) both(3) output y }""",
    "words": """
        block shaped(mode, act, pad) { up_sampling2d(2, interpolation=mode) conv2d(2, 3, padding=pad, activation=act) }
        net n { input x: [5, 4, 3] shaped(nearest, relu, same) shaped(bilinear, tanh, valid) output y }""",
    "names of PyTorch's own": """
        block own(train, half, forward) { leaky_relu(train) zero_padding2d(half) conv2d(forward, 1) clip(-1.0, train) }
        net n { input x: [5, 4, 3] own(0.5, 1, 2) own(0.25, 2, 3) output y }""",
    "free height and width": """
        block fit(k, s, r) { max_pooling2d(k, strides=s, padding=same) up_sampling2d(r, interpolation=bicubic) }
        net n { input x: [H, W, 3] fit(3, 2, 2) fit(2, 3, 3) output y }""",
    "shuffles": """
        block there_and_back(r) { pixel_unshuffle(r, order=dcr) pixel_shuffle(r, order=crd) reshape(12 * r, 12 / r, 4) }
        net n { input x: [12, 12, 4] there_and_back(2) there_and_back(1) output y }""",
}


ALL = {**TEXTS, **KINDS_OF_PARAMETERS}
SOME = {**dict(list(TEXTS.items())[::20]), **KINDS_OF_PARAMETERS}


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_blocks_mean_the_same_in_pytorch(text: str) -> None:
    graph = compiled(text)
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    assert_close(graph, expected(graph, weights, inputs), load_torch(graph, weights)(inputs))


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_blocks_mean_the_same_in_keras(text: str) -> None:
    graph = compiled(text)
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))


@pytest.mark.parametrize("text", SOME.values(), ids=SOME)
def test_blocks_mean_the_same_scripted_and_traced_and_with_weights_of_another_instance(text: str) -> None:
    graph = compiled(text)
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    wanted = expected(graph, weights, inputs)
    model = load_torch(graph, weights).model
    tensors = tuple(torch.from_numpy(channels_first(x)) for x in inputs)
    fresh = type(model)().eval()
    fresh.load_state_dict(model.state_dict())
    for other in (torch.jit.script(model), torch.jit.trace(model, tensors, check_trace=False), fresh):
        results = other(*tensors)
        results = results if isinstance(results, tuple) else (results,)
        assert_close(graph, wanted, tuple(channels_last(y.detach().numpy()) for y in results))


@pytest.mark.parametrize("name", ["functional layers", "turns that read a value from outside", "free height and width"])
def test_blocks_export(name: str) -> None:
    graph = compiled(KINDS_OF_PARAMETERS[name])
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    tensors = tuple(torch.from_numpy(channels_first(x)) for x in inputs)
    result = torch.export.export(load_torch(graph, weights).model, tensors).module()(*tensors)
    assert_close(graph, expected(graph, weights, inputs), (channels_last(result.detach().numpy()),))


def test_a_block_keeps_what_its_functional_layers_differ_in() -> None:
    text = torch_emitter.emit(
        compiled(KINDS_OF_PARAMETERS["functional layers"]), source_name="n.upc", source_sha256="0" * 64, version="0"
    )
    assert (
        "    def __init__(self, slope: float) -> None:\n        super().__init__()\n        self.slope = slope\n"
        in text
    )
    assert "x = F.leaky_relu(x, self.slope)" in text
    assert text.count("class Act") == 1
