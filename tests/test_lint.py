"""What lint finds, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from upc.build import compile_source, load_graph
from upc.diagnostics import Diagnostic
from upc.layers import construct
from upc.lint import _is_even, _taps, lint, overlap_map
from upc.source import Source

OK = Path(__file__).parent / "corpus" / "ok"


def findings(call: str, shape: str = "[5, 7, 3]") -> list[Diagnostic]:
    return lint(compile_source(Source("test.upc", f"net n {{\n  input x: {shape}\n  {call}\n  output y\n}}\n")))


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 2, 1), (4, 2, 1), (2, 2, 1), (5, 3, 1), (1, 2, 1), (3, 2, 2), (3, 3, 2)]
)
def test_overlap_counts_the_taps_that_reach_each_pixel(kernel: int, stride: int, dilation: int) -> None:
    layer = construct("conv2d_transpose", [1, [1, kernel]], {"strides": [1, stride], "dilation_rate": [1, dilation]})
    ones = {"kernel": np.ones((1, kernel, 1, 1)), "bias": np.zeros(1)}
    (reached,) = layer.forward([np.ones((1, 1, 6, 1))], ones)
    counts = reached[0, 0, :, 0].astype(int).tolist()
    expected = list(overlap_map(kernel, stride, 6, dilation))
    assert counts[: len(expected)] == expected and not any(counts[len(expected) :])


def test_overlap_of_the_gallery() -> None:
    assert overlap_map(3, 2, 4) == (1, 1, 2, 1, 2, 1, 2, 1, 1)
    assert set(overlap_map(4, 2, 4)[2:-2]) == {2}
    assert set(overlap_map(2, 2, 4)) == {1}


def test_uneven_overlap_is_named() -> None:
    (found,) = findings("conv2d_transpose(8, 3, strides=2, padding=same)")
    assert found.code == "L0801" and found.severity == "warning"
    assert found.message == "kernel_size 3 with strides 2 overlaps unevenly: pixels get 2,1,2,1 taps in turn"
    assert found.hint is not None and found.hint.startswith("kernel_size=2 or 4 overlaps evenly")
    assert found.span is not None and (found.span.line, found.span.column) == (3, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("conv2d_transpose(8, 1, strides=2)", "pixels get 1,0,1,0 taps"),
        (
            "conv2d_transpose(8, [4, 5], strides=[2, 3])",
            "kernel_size 5 with strides 3 overlaps unevenly: pixels get 2,2,1",
        ),
        (
            "conv2d_transpose(8, 3, strides=2, dilation_rate=2)",
            "and dilation_rate 2 overlaps unevenly: pixels get 3,0,3,0",
        ),
        ("conv2d_transpose(8, 7, strides=6)", "pixels get 2,1,1,1,1,1 taps"),
    ],
)
def test_other_uneven_overlaps(call: str, words: str) -> None:
    (found,) = findings(call)
    assert words in found.message


@pytest.mark.parametrize(
    "call",
    [
        "conv2d_transpose(8, 4, strides=2, padding=same)",
        "conv2d_transpose(8, 3)",
        "conv2d_transpose(8, 2, strides=2)",
        "conv2d(8, 3, strides=2)",
        "up_sampling2d(2)",
    ],
)
def test_even_overlaps_are_left_alone(call: str) -> None:
    assert findings(call) == []


def test_sizes_that_a_concatenate_will_reject() -> None:
    found = lint(load_graph(OK / "unet.upc"))
    assert [d.code for d in found] == ["L0802", "L0802"]
    assert found[0].message.startswith("H must be a multiple of 4")
    assert found[0].hint is not None and "reflect_padding2d" in found[0].hint


def test_warnings_of_the_build_are_findings_too() -> None:
    warnings: list[Diagnostic] = []
    g = load_graph(OK / "dead.upc", warn=warnings.append)
    assert [d.code for d in lint(g, warnings)] == [d.code for d in warnings]


def test_a_block_used_thrice_is_reported_once() -> None:
    text = "block up(n) { conv2d_transpose(n, 3, strides=2) }\nnet n { input x: [4, 4, 1] up(1) up(2) up(3) output y }"
    assert len(lint(compile_source(Source("t", text)))) == 1


TWO_USES = """\
block up(n, k) {
  conv2d_transpose(n, k, strides=2)
}

net n {
  input x: [4, 4, 1]
  up(1, 3)
  up(2, 5)
  up(3, 3)
  output y
}
"""


def test_every_use_of_a_block_that_is_different_is_reported_with_its_place() -> None:
    found = lint(compile_source(Source("t", TWO_USES)))
    assert [d.message.partition(" overlaps")[0] for d in found] == [
        "kernel_size 3 with strides 2",
        "kernel_size 5 with strides 2",
    ]
    assert [(d.notes[0][0].line, d.notes[0][1]) for d in found] == [
        (7, "in `up`, called here"),
        (8, "in `up`, called here"),
    ]


def test_language_examples_are_clean() -> None:
    assert lint(load_graph(OK / "dcgan_faces.upc")) == []


@pytest.mark.parametrize("dilation", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6, 8, 12])
def test_taps_are_counted_without_trying_each(kernel, stride, dilation):
    reach = [sum((tap * dilation - phase) % stride == 0 for tap in range(kernel)) for phase in range(stride)]
    assert [_taps(kernel, stride, dilation, phase) for phase in range(stride)] == reach
    assert _is_even(kernel, stride, dilation) == (len(set(reach)) == 1)
