"""The plan: what each pass does and does not do, and that a plan broken on purpose is found out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from random import Random
from typing import Any, get_type_hints

import pytest
from random_graphs import random_net

from upc import plan as planning
from upc.build import compile_source
from upc.diagnostics import UpcError
from upc.gaps import Unsupported
from upc.ir import Graph
from upc.layers import LAYERS
from upc.layers.activations import Selu
from upc.plan import PASSES, InvalidPlan, lower, make_plan, verify_plan
from upc.plan.lowerings import LOWERINGS
from upc.plan.plan import Place, Plan
from upc.plan.sizes import allowed_sizes
from upc.runtime import steps as words
from upc.runtime.steps import (
    FUNCTION_NUMBERS,
    Apply,
    BatchNorm,
    Combine,
    Convolution,
    Filtering,
    Gather,
    PixelPRelu,
    Repeat,
    Shuffle,
    Step,
)
from upc.runtime.vectors import FUNCTIONS, MERGE_FUNCTIONS
from upc.source import Source


def build(body: str) -> Graph:
    lines = "".join(f"  {line.strip()}\n" for line in body.strip().splitlines())
    return compile_source(Source("net.upc", f"net n {{\n{lines}}}\n"))


def steps(body: str) -> list[Step]:
    """The steps of a plan but for the copies of its inputs."""
    return [step for step in make_plan(build(body), "exact").steps if not step.source.startswith("input ")]


def kinds(body: str) -> list[str]:
    return [type(step).__name__ for step in steps(body)]


# The words


RECORDS = [kind for _, kind in inspect.getmembers(words, inspect.isclass) if is_dataclass(kind)]


@pytest.mark.parametrize("kind", RECORDS)
def test_steps_and_operations_are_frozen_and_say_what_they_hold(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
    assert all(hint is not Any and "Any" not in str(hint) for hint in get_type_hints(kind).values())
    assert all("Any" not in str(f.type) for f in fields(kind))


def test_the_runtime_knows_the_functions_that_plans_name() -> None:
    taken = {name: len(inspect.signature(function).parameters) - 1 for name, function in FUNCTIONS.items()}
    assert taken == FUNCTION_NUMBERS
    hints = get_type_hints(Combine)
    assert set(MERGE_FUNCTIONS) == set(hints["function"].__args__)


# The table


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_lowering_or_a_reason(name: str) -> None:
    card, _ = LAYERS[name]
    lowering = LOWERINGS[card]
    assert callable(lowering) or (isinstance(lowering, Unsupported) and lowering.reason)


def test_a_gap_is_said_where_the_layer_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOWERINGS, Selu, Unsupported("for once"))
    with pytest.raises(UpcError, match=r"net.upc:3:3: error\[E0701\]: unsupported on numba: selu: for once"):
        make_plan(build("input x: [3]\nselu()\noutput y"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("input x: [H, 3, 2]\nslice(-2, axis=1)\noutput y", "a start counted from the end of a free size"),
        ("input x: [2, 3, 4, 5]\npermute(4, 2, 3, 1)\noutput y", "values of more than three axes"),
        ("input x: [2, 3, 4, 5]\nsplit(2, axis=1) as a, b\noutput a, b", "an axis before the last two, of values"),
    ],
)
def test_arguments_that_a_kernel_cannot_do_are_said(body: str, reason: str) -> None:
    with pytest.raises(UpcError, match=f"unsupported on numba: .*: {reason}"):
        make_plan(build(body))


def test_lowering_makes_every_value_by_itself() -> None:
    body = "input x: [4, 6, 3]\nzero_padding2d(1)\nconv2d(2, 3)\nrelu()\ndropout(0.5)\noutput y"
    plan = lower(build(body))
    assert [type(step).__name__ for step in plan.steps] == [
        *("Gather", "Gather", "Convolution", "Pointwise", "Pointwise", "Gather")
    ]


# The passes


def test_what_changes_nothing_is_dropped() -> None:
    assert kinds("input x: [4, 3]\nsoftmax()\ndropout(0.5)\noutput y") == ["Softmax"]
    (copy,) = steps("input x: [4, 3]\ndropout(0.5)\noutput y")
    assert (copy.source, copy.target) == ("x", "output y")


def test_zeros_around_become_the_convolutions_own() -> None:
    (step,) = steps(
        "input x: [4, 6, 3]\nzero_padding2d([[1, 0], [2, 3]])\nconv2d(2, 3, padding=[[0, 1], [1, 0]])\noutput y"
    )
    assert isinstance(step, Convolution) and step.padding == ((1, 1), (3, 3)) and step.source == "x"


def test_zeros_that_another_reader_needs_are_made() -> None:
    body = (
        "input x: [4, 6, 3]\nzero_padding2d(1) as p\nconv2d(2, 3)\noutput y\nfrom p { max_pooling2d() } as z\noutput z"
    )
    assert kinds(body) == ["Gather", "Convolution", "Pool"]


def test_a_nearest_enlargement_becomes_phases_if_every_reader_can() -> None:
    (step,) = steps("input x: [4, 6, 3]\nup_sampling2d([2, 3])\nconv2d(2, 3, padding=same)\noutput y")
    assert isinstance(step, Convolution) and (step.form, step.size) == ("upsampled", (2, 3))
    for conv in ("conv2d(2, 3, strides=2)", "dense(2)", "depthwise_conv2d(3)"):
        moved, _ = steps(f"input x: [4, 6, 3]\nup_sampling2d(2)\n{conv}\noutput y")
        assert isinstance(moved, Gather) and moved.move == Repeat((2, 2))


@pytest.mark.parametrize("flat", ["flatten()", "reshape(72)"])
def test_dense_layers_read_pictures_as_they_are(flat: str) -> None:
    (step,) = steps(f"input x: [4, 6, 3]\n{flat}\ndense(5)\noutput y")
    assert isinstance(step, Convolution) and (step.kernel, step.inputs, step.source) == ((4, 6), 3, "x")


def test_dense_layers_write_pictures_at_once() -> None:
    body = "input z: [9]\ndense(24)\nbatch_normalization()\nrelu()\nreshape(2, 4, 3)\nbatch_normalization()\noutput y"
    (step,) = steps(body)
    assert isinstance(step, Convolution) and (step.layout, step.kernel, step.outputs) == ("spread", (2, 4), 3)
    first, relu, second = step.then
    assert isinstance(first, BatchNorm) and first.flat and isinstance(second, BatchNorm) and not second.flat
    assert isinstance(relu, Apply)
    # Numbers for each number, which cannot go into the kernel.
    assert kinds("input z: [9]\ndense(24)\nprelu()\nreshape(2, 4, 3)\noutput y") == ["Convolution", "Reshape"]


def test_blocks_of_channels_are_moved_by_the_convolution() -> None:
    shuffled, cut = "conv2d(8, 3)\npixel_shuffle(2, order=crd)", "relu()\noutput y"
    (step,) = steps(f"input x: [4, 6, 3]\n{shuffled}\n{cut}")
    assert (
        isinstance(step, Convolution)
        and step.shuffle == Shuffle(2, "crd")
        and step.then == (Apply("relu", (None, 0.0)),)
    )
    # Of what is moved, the kernel does not know which channel is which.
    assert kinds(f"input x: [4, 6, 3]\n{shuffled}\nbatch_normalization()\noutput y") == ["Convolution", "Pointwise"]
    assert kinds("input x: [4, 6, 4]\nconv2d(8, 3, groups=2)\npixel_shuffle(2, order=crd)\noutput y") == [
        *("Convolution", "Gather")
    ]


CHAIN = "batch_normalization()\nprelu(shared_axes=[1, 2])\nadd(0.5)"


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        ("conv2d(3, 3)", 0),
        ("conv2d_transpose(3, 2, strides=2)", 0),
        ("depthwise_conv2d(3)", 0),
        ("multiply(2)", 0),
        ("max_pooling2d()", 1),
        ("global_average_pooling2d()", 1),
        ("resizing(5, 7)", 1),
        ("softmax()", 1),
        ("layer_normalization()", 1),
        ("permute(2, 1, 3)", 1),
    ],
)
def test_what_has_numbers_for_channels_goes_where_they_can_be_read(layer: str, left: int) -> None:
    chain = CHAIN if "global" not in layer else "batch_normalization()\nadd(0.5)"
    assert len(steps(f"input x: [4, 6, 3]\n{layer}\n{chain}\noutput y")) == 1 + left


def test_functions_of_single_values_follow_moves_of_whole_runs() -> None:
    for move, taken in (("reflect_padding2d(1)", True), ("cropping2d(1)", True), ("slice(0, step=2)", False)):
        assert len(steps(f"input x: [4, 6, 3]\n{move}\nrelu()\noutput y")) == 2 - taken, move


def test_a_merge_goes_into_what_comes_last_and_knows_its_order() -> None:
    body = (
        "input x: [4, 6, 3]\nconv2d(3, 1) as a\nfrom x { conv2d(3, 1) } as b\nfrom a {\nsubtract(b)\nrelu()\n} as c\n"
    )
    first, second, _ = steps(f"{body}output c, a")
    assert first.operands == () and second.operands == (first.target,)
    assert second.then == (Combine("subtract_from", 0), Apply("relu", (None, 0.0)))


def test_a_merge_waits_for_what_is_made_later() -> None:
    body = "input x: [4, 6, 3]\nconv2d(3, 1) as a\nfrom x { max_pooling2d(1) } as b\nfrom a { add(b) } as c\noutput c"
    made = steps(body)
    assert [type(step).__name__ for step in made] == ["Convolution", "Pool", "Pointwise"]


def test_long_sums_are_cut_and_added_as_they_are_written() -> None:
    inputs = "".join(f"input x{n}: [2, 3]\n" for n in range(6))
    first, second, third = steps(f"{inputs}from x0 {{ add(x1, x2, x3, x4, x5, 0.5) }} as y\noutput y")
    assert [step.reads for step in (first, second, third)] == [
        ("x0", "x1", "x2"),
        ("add so far 0", "x3", "x4"),
        ("add so far 1", "x5"),
    ]
    assert third.then == (Combine("add", 0), Apply("plus", (0.5,)))


def test_one_channel_is_repeated_once_however_often_it_is_read() -> None:
    plan = make_plan(build("input x: [4, 6, 3]\ninput m: [4, 6, 1]\nfrom x { add(m, m) } as y\noutput y"))
    assert sum(step.source == "m" for step in plan.steps) == 1


def test_joined_values_are_made_in_their_place() -> None:
    body = "input x: [4, 6, 3]\nconv2d(2, 3, padding=same) as a\n"
    body += "from x { max_pooling2d(3, strides=1, padding=same) } as b\n"
    plan = make_plan(build(f"{body}from a {{\nconcatenate(b)\nrelu()\n}} as c\noutput c"))
    assert plan.places == {"conv2d": Place("concatenate"), "max_pooling2d": Place("concatenate", channel=2)}
    rows = make_plan(build(f"{body}from b {{ concatenate(x, axis=1) }} as c\noutput c"))
    assert all(isinstance(step, Gather) for step in rows.steps if "part" in step.target)
    assert set(rows.places) == {"concatenate part 0", "concatenate part 1"}


def test_a_value_has_one_place() -> None:
    """Joined to itself, joined twice, and joined of parts itself."""
    body = "input x: [4, 6, 3]\nconv2d(2, 1) as a\nconcatenate(a) as b\nfrom a { concatenate(b) } as c\noutput c"
    plan = make_plan(build(body))
    assert {name for name in plan.places if "part" not in name} == {"conv2d"}
    assert len([name for name in plan.places if "part" in name]) == 3


def test_channels_that_are_cut_apart_stay_where_they_are() -> None:
    body = "input x: [4, 6, 6]\nconv2d(4, 1)\nsplit(2) as a, b\n"
    body += "from a { conv2d(3, 3) } as c\nfrom b { tanh() } as d\noutput c, d"
    plan = make_plan(build(body))
    assert plan.places == {"split": Place("conv2d"), "split:1": Place("conv2d", channel=2)}
    assert (
        kinds("input x: [4, 6, 6]\nsplit(2, axis=1) as a, b\nfrom a { tanh() } as c\noutput c, b").count("Gather") >= 2
    )


def test_a_part_of_what_is_joined_lies_in_the_whole() -> None:
    """A split before the concatenation that its whole goes to: places in places are places in the buffer."""
    body = "input x: [4, 6, 3]\nconv2d(4, 1) as a\nsplit(2) as b, c\n"
    body += "from a { concatenate(x) } as d\nfrom c { tanh() } as e\noutput d, e"
    plan = make_plan(build(body))
    assert plan.places["split:1"] == Place("concatenate", channel=2)


def test_outputs_are_made_in_the_callers_arrays_where_nobody_else_reads_them() -> None:
    assert [s.target for s in steps("input x: [3]\ndense(2) as y\noutput y")] == ["output y"]
    shared = steps("input x: [3]\ndense(2) as y\ndense(4) as z\noutput y, z")
    assert [s.target for s in shared] == ["dense", "output z", "output y"]


def test_algorithms_are_chosen_as_asked() -> None:
    graph = build("input x: [16, 16, 64]\nconv2d(64, 5, padding=same)\nrelu()\noutput y")
    (exact,), (fast,) = (
        [s for s in make_plan(graph, how).steps if s.target == "output y"] for how in ("exact", "fast")
    )  # type: ignore[arg-type]
    assert isinstance(exact, Convolution) and isinstance(fast, Filtering)
    assert fast.then == exact.then and fast.weights == exact.weights
    assert make_plan(graph, "fast", 7).steps[-1].images == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(40))
def test_every_pass_leaves_a_plan_that_holds(seed: int) -> None:
    """And has nothing to do where it has been already."""
    graph = random_net(Random(f"plan {seed}"), parts=3, layers=8, with_free=seed % 3 == 0).graph()
    free = allowed_sizes(graph)
    plan = verify_plan(lower(graph), free)
    for apply in PASSES:
        plan = verify_plan(apply(plan), free)
        assert verify_plan(apply(plan), free) == plan, apply.__name__


# What must hold


NET = """
input x: [4, 6, 3]
conv2d(4, 3, padding=same)
batch_normalization() as a
from x { max_pooling2d(3, strides=1, padding=same) } as b
from a { concatenate(b) } as joined
from joined { depthwise_conv2d(3) } as c
from joined {
  conv2d(7, 3)
  add(c)
  relu()
  flatten()
  dense(24)
  reshape(2, 4, 3)
  softmax()
} as y
output y
"""

Change = Callable[[Plan], Plan]


def on(target: str, change: Callable[[Any], Step]) -> Change:
    """A change of the step that makes a value."""
    return lambda plan: replace(plan, steps=tuple(change(s) if s.target == target else s for s in plan.steps))


def then(*operations: Any) -> Callable[[Any], Step]:
    return lambda step: replace(step, then=(*step.then, *operations))


def swap_first(plan: Plan) -> Plan:
    first, second, *rest = plan.steps
    return replace(plan, steps=(second, first, *rest))


def sized(**sizes: Any) -> Change:
    return lambda plan: replace(plan, sizes={**plan.sizes, **sizes})


def placed(name: str, place: Place) -> Change:
    return lambda plan: replace(plan, places={**plan.places, name: place})


RULES: list[tuple[str, Change]] = [
    ("nothing says how large nowhere is", on("batch_normalization", lambda s: replace(s, source="nowhere"))),
    ("nothing mentions left_over", sized(left_over=(1, 1, 1))),
    ("two steps make batch_normalization", on("max_pooling2d", lambda s: replace(s, target="batch_normalization"))),
    ("nothing makes output y", lambda plan: plan.with_steps(plan.steps[:-1])),
    ("a step makes input x", on("max_pooling2d", lambda s: replace(s, target="input x"))),
    ("input x is an operand", on("relu", lambda s: replace(s, operands=("input x",)))),
    ("max_pooling2d lies in concatenate, which is no buffer", placed("concatenate", Place("x"))),
    ("max_pooling2d reaches out of concatenate", placed("max_pooling2d", Place("concatenate", channel=5))),
    ("max_pooling2d is made where batch_normalization lies", placed("max_pooling2d", Place("concatenate", channel=3))),
    ("step conv2d reads x before it is made", swap_first),
    ("reads concatenate before it is made", lambda plan: plan.with_steps(plan.steps[:2] + plan.steps[3:])),
    ("reads other.kernel, which is no weight", on("relu", lambda s: replace(s, weights=("other.kernel", None)))),
    ("no step reads conv2d.bias", on("batch_normalization", lambda s: replace(s, weights=("conv2d.kernel", None)))),
    ("no step reads batch_normalization.gamma", on("batch_normalization", lambda s: replace(s, then=()))),
    ("turns begin at the steps", lambda plan: replace(plan, turns=((0, 1), (3, 2), (2, 1)))),
    ("turns begin at the steps", lambda plan: replace(plan, turns=((0, 1), (100, 2)))),
    ("a turn of no images", lambda plan: replace(plan, turns=((0, 0),))),
    ("step softmax cannot do Apply", on("output y", then(Apply("tanh")))),
    ("step max_pooling2d cannot do BatchNorm", on("max_pooling2d", then(BatchNorm("batch_normalization", 1e-3)))),
    ("step depthwise_conv2d cannot do Combine", on("depthwise_conv2d", then(Combine("add", 0)))),
    ("step conv2d cannot do PixelPRelu", on("batch_normalization", then(PixelPRelu("a", (4, 6, 4))))),
    ("cannot do BatchNorm.*flat=True", on("reshape", then(Apply("tanh"), BatchNorm("n", 1e-3, flat=True)))),
    ("has no tanh of 1 numbers", on("max_pooling2d", then(Apply("tanh", (1.0,))))),
    ("has no wobble of 0 numbers", on("max_pooling2d", then(Apply("wobble")))),
    (r"merges \[0, 1\] of 1 operands", on("relu", then(Combine("add", 1)))),
    (r"merges \[\] of 1 operands", on("relu", lambda s: replace(s, then=()))),
    ("joins x", on("relu", lambda s: replace(s, operands=("x",)))),
    (r"step conv2d_1 makes", on("relu", lambda s: replace(s, inputs=8))),
    ("step conv2d_1 makes", on("relu", lambda s: replace(s, outputs=9))),
    ("step conv2d_1 makes", on("relu", lambda s: replace(s, shuffle=Shuffle(2, "crd")))),
    ("step softmax makes", on("output y", lambda s: replace(s, source="depthwise_conv2d"))),
]


def _broken() -> Plan:
    return make_plan(build(NET), "exact")


@pytest.mark.parametrize(("rule", "change"), RULES, ids=[str(n) for n, _ in enumerate(RULES)])
def test_a_broken_plan_is_found_out(rule: str, change: Change) -> None:
    plan = _broken()
    verify_plan(plan, {})
    with pytest.raises(InvalidPlan, match=rule):
        verify_plan(change(plan), {})


@pytest.mark.parametrize(
    ("move", "size"),
    [
        ("zero_padding2d(1)", (6, 8, 5)),
        ("cropping2d(1)", (4, 4, 3)),
        ("up_sampling2d(2)", (8, 11, 3)),
        ("pixel_unshuffle(2, order=dcr)", (2, 3, 13)),
        ("permute(2, 1, 3)", (4, 6, 3)),
        ("reshape(6, 3, 4)", (6, 3, 5)),
        ("global_max_pooling2d()", (1, 1, 4)),
    ],
)
def test_moves_that_do_not_fit_are_found_out(move: str, size: tuple[int, int, int]) -> None:
    plan = make_plan(build(f"input x: [4, 6, 3]\n{move}\noutput y"))
    verify_plan(plan, {})
    with pytest.raises(InvalidPlan, match="makes"):
        verify_plan(replace(plan, sizes={**plan.sizes, "output y": size}), {})


def test_a_pass_that_breaks_a_plan_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_the_first(plan: Plan) -> Plan:
        return plan.with_steps(plan.steps[1:])

    monkeypatch.setattr(planning, "PASSES", (*PASSES[:2], lose_the_first, *PASSES[2:]))
    said = "after lower, drop_identities, reach_through, lose_the_first: n: step .* before it is made"
    with pytest.raises(InvalidPlan, match=said):
        make_plan(build("input x: [3]\ndense(2)\noutput y"))
