"""Minimal filtering: its identity, its error, where it is chosen, and nets that use it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect

from upc import pipeline, reference
from upc.build import compile_source
from upc.cli import main
from upc.ir import Array, Graph
from upc.load import load_graph
from upc.load_numba import import_file
from upc.plan import minimal as planned
from upc.plan.plan import Algorithm
from upc.runtime import minimal
from upc.runtime.steps import Filtering
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
  from b {
    conv2d_transpose(33, kernel_size=4, strides=2, padding=same)
    leaky_relu(0.1) as shared
    up_sampling2d(2)
    conv2d(32, kernel_size=3, padding=same)
    batch_normalization()
    up_sampling2d(2)
    conv2d(32, kernel_size=3, padding=same)
  } as large
  from shared { conv2d_transpose(34, kernel_size=5, strides=3, padding=[[1, 2], [2, 0]], output_padding=1) } as odd
  output d, together, large, odd
}
"""

LAYERS = [
    "conv2d(40, kernel_size=2, padding=same)",
    "conv2d(40, kernel_size=3, padding=[[2, 0], [1, 1]])",
    "conv2d(40, kernel_size=4, padding=same)",
    "conv2d(40, kernel_size=5, padding=[[2, 2], [3, 1]])",
    "conv2d_transpose(33, kernel_size=3, strides=2, padding=same)",
    "conv2d_transpose(33, kernel_size=4, strides=2, padding=same, output_padding=1)",
    "conv2d_transpose(40, kernel_size=5, strides=1, padding=same)",
    "conv2d_transpose(40, kernel_size=5, strides=2, padding=same)",
    "conv2d_transpose(40, kernel_size=[4, 6], strides=[2, 3], padding=valid)",
    "conv2d_transpose(40, kernel_size=6, strides=3, padding=[[4, 2], [0, 5]])",
    "conv2d_transpose(40, kernel_size=9, strides=2, padding=same, use_bias=false)",
    "up_sampling2d(2)\n  conv2d(40, kernel_size=3, padding=same)",
    "up_sampling2d(2)\n  conv2d(40, kernel_size=5)",
    "up_sampling2d(3)\n  conv2d(40, kernel_size=3, padding=same)",
]


def build(text: str) -> Graph:
    return compile_source(Source("test.upc", text))


def one(layer: str, inputs: int, size: str = "16, 16") -> Graph:
    return build(f"net upc_test_one {{\n  input x: [{size}, {inputs}]\n  {layer}\n  output y\n}}\n")


def several(layers: list[str], inputs: int, size: str) -> Graph:
    """A net of layers side by side."""
    parts = [f"  from x {{\n  {layer}\n  }} as y{i}\n  output y{i}\n" for i, layer in enumerate(layers)]
    return build(f"net upc_test_several {{\n  input x: [{size}, {inputs}]\n{''.join(parts)}}}\n")


def conv(taps: int, inputs: int, outputs: int, size: str = "16, 16") -> Graph:
    return one(f"conv2d({outputs}, kernel_size={taps}, padding=same)", inputs, size)


def filtered(graph: Graph, algorithm: Algorithm, batch: int = 1) -> int:
    """How many convolutions take the way of minimal filtering."""
    return sum(isinstance(step, Filtering) for step in pipeline.plan(graph, algorithm, batch).steps)


def results(graph: Graph, weights: dict[str, Array], inputs: list[Array], algorithm: Algorithm) -> list[Array]:
    made = load_graph(graph, weights=weights, algorithm=algorithm)(*inputs)
    return list(made) if isinstance(made, tuple) else [made]


@pytest.mark.parametrize("points", minimal.POINTS)
@pytest.mark.parametrize("taps", [2, 3, 4, 5])
def test_products_of_values_are_the_convolution(taps: int, points: int) -> None:
    patch = points - taps + 1
    if patch < 1:
        return
    rng = np.random.default_rng(taps)
    values, of_kernel, back = (np.array(matrix) for matrix in minimal.filter_matrices(taps, patch))
    pixels, kernel = rng.normal(size=(points, points)), rng.normal(size=(taps, taps))
    made = back @ ((of_kernel @ kernel @ of_kernel.T) * (values @ pixels @ values.T)) @ back.T
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (taps, taps))
    # float64: 1e-12 is 4,500 roundings, and the matrices' largest entries multiply to some hundreds.
    np.testing.assert_allclose(made, np.einsum("yxij,ij->yx", windows, kernel), atol=1e-12)


def test_the_plan_and_the_runtime_know_the_same_points() -> None:
    assert tuple(minimal.POINTS) == planned.POINTS


@pytest.mark.parametrize("size", ["9, 14", "4, 5"])
def test_every_form_is_the_convolution(size: str) -> None:
    graph = several(LAYERS, 36, size)
    assert filtered(graph, "fast") == len(LAYERS)
    weights, inputs = random_weights(graph, 0), random_inputs(graph, 0, 2, {})
    made = results(graph, weights, inputs, "fast")
    for layer, got, wanted in zip(LAYERS, made, expect(graph, weights, inputs), strict=True):
        assert wanted.ratio(got) <= 1, layer


@pytest.mark.parametrize("inputs", [64, 512])
@pytest.mark.parametrize("points", minimal.POINTS)
def test_auto_stays_within_a_hundred_thousandth(inputs: int, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "POINTS", (points,))
    monkeypatch.setattr(planned, "_seconds", lambda *args: 0.0)  # it always pays
    layers = {
        "conv2d(64, kernel_size=3, padding=same)": 3,
        "conv2d(64, kernel_size=4, padding=same)": 4,
        "conv2d(64, kernel_size=5, padding=same)": 5,
        "conv2d_transpose(64, kernel_size=4, strides=2, padding=same)": 2,
        "up_sampling2d(2)\n  conv2d(64, kernel_size=3, padding=same)": 2,
    }
    graph = several(list(layers), inputs, "15, 13")
    allowed = [n for n in layers.values() if points > n and (n, points - n + 1) not in planned.INEXACT]
    assert filtered(graph, "auto") == len(allowed) > 0
    rng = np.random.default_rng(0)
    weights = random_weights(graph, 0)
    weights = {key: rng.normal(size=array.shape).astype(np.float32) for key, array in weights.items()}
    x = rng.normal(size=(1, 15, 13, inputs)).astype(np.float32)
    for given in (x, np.maximum(x, 0)):
        expected = reference.run(graph, weights, [given.astype(np.float64)]).values()
        for layer, got, wanted in zip(layers, results(graph, weights, [given], "auto"), expected, strict=True):
            assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max(), layer


@pytest.mark.parametrize("bits", [None, 256, 128])
def test_a_net_of_many_epilogues(bits: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if bits is not None:
        monkeypatch.setenv("UPC_VECTOR_BITS", str(bits))
    graph = build(MIXED.replace("upc_test_minimal", f"upc_test_minimal_{bits}"))
    assert filtered(graph, "fast") == 9
    weights = random_weights(graph, 1)
    inputs = random_inputs(graph, 1, 3, {})
    net = load_graph(graph, weights=weights, algorithm="fast")
    made = net(*inputs)
    for output, got, wanted in zip(graph.outputs, made, expect(graph, weights, inputs), strict=True):
        assert wanted.ratio(got) <= 1, output.name
    for n in range(3):  # bits do not depend on the batch
        alone = net(*(x[n : n + 1] for x in inputs))
        assert all(np.array_equal(part[0], whole[n]) for part, whole in zip(alone, made, strict=True))


@pytest.mark.carried
def test_portions_and_threads_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the patches are shared out, the bits are the same."""
    graph = build(MIXED.replace("upc_test_minimal", "upc_test_portions"))
    weights, inputs = random_weights(graph, 3), random_inputs(graph, 3, 5, {})
    monkeypatch.setenv("UPC_NUM_THREADS", "1")
    expected = load_graph(graph, weights=weights, algorithm="fast")(*inputs)
    path = tmp_path / "upc_test_portions.py"
    path.write_text(pipeline.emit(graph, "numba", "fast"))
    module = import_file(path)
    for threads, portion in ((1, 1), (2, 40_000), (3, 300_000), (7, 1 << 40)):
        monkeypatch.setattr(module, "PORTION_BYTES", portion)
        monkeypatch.setattr(module, "KERNEL_PARTS", 1 << 60)
        made = module.load(weights, threads=threads)(*inputs)
        assert all(map(np.array_equal, made, expected)), (threads, portion)


def test_free_sizes() -> None:
    graph = build(
        "net upc_test_free {\n  input x: [H, W, 64]\n  conv2d(64, kernel_size=3, padding=same, activation=relu)\n"
        "  conv2d(64, kernel_size=5)\n  conv2d_transpose(64, kernel_size=4, strides=2, padding=same)\n  output y\n}\n"
    )
    assert filtered(graph, "fast") == 3 == filtered(graph, "auto")
    weights = random_weights(graph, 2)
    for sizes in ({"H": 17, "W": 23}, {"H": 5, "W": 64}):
        inputs = random_inputs(graph, 2, 2, sizes)
        (wanted,) = expect(graph, weights, inputs)
        assert wanted.ratio(results(graph, weights, inputs, "fast")[0]) <= 1


def test_where_it_is_chosen() -> None:
    large = conv(5, 256, 256)
    assert [filtered(large, algorithm) for algorithm in ("exact", "fast", "auto")] == [0, 1, 1]
    assert "Filtering(" in str(pipeline.plan(large)) and "Filtering" not in str(pipeline.plan(large, "exact"))
    few = conv(3, 32, 32, "4, 4")  # moving the patches costs more than it saves
    assert [filtered(few, algorithm) for algorithm in ("fast", "auto")] == [1, 0]
    for graph in (conv(7, 64, 64), conv(3, 31, 64), conv(3, 64, 64, "3, 16"), one("conv2d(64, 3, strides=2)", 64)):
        assert filtered(graph, "fast") == 0


def test_a_kernel_is_not_made_huge_without_being_asked_for() -> None:
    graph = one("conv2d_transpose(4096, kernel_size=4, strides=2, padding=same)", 4096, "32, 32")
    assert [filtered(graph, algorithm, 64) for algorithm in ("fast", "auto")] == [1, 0]


def test_the_more_images_the_more_is_filtered() -> None:
    """Filtering has a larger kernel to read, which one small image does not pay for."""
    graph = one("conv2d_transpose(128, kernel_size=4, strides=2, padding=same)", 256, "8, 8")
    chosen = [filtered(graph, "auto", batch) for batch in (1, 4, 16, 64)]
    assert chosen[0] == 0 and chosen[-1] == 1 and all(a <= b for a, b in pairwise(chosen))


def test_the_command_line_has_both_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "up.upc"
    file.write_text(
        "net up {\n  input x: [8, 8, 256]\n  conv2d_transpose(128, 4, strides=2, padding=same)\n  output y\n}\n"
    )
    for arguments, wanted in (([], 0), (["--batch", "64"], 1), (["--batch", "64", "--algorithm", "exact"], 0)):
        for command in (["compile", "--emit", "plan"], ["emit"]):
            assert main([*command, str(file), *arguments]) == 0
            assert (
                capsys.readouterr().out.count("Filtering(layout" if command[0] == "compile" else " Filtering(\n")
                == wanted
            )
    for batch in ("0", "-1", "x"):
        with pytest.raises(SystemExit):
            main(["compile", str(file), "--batch", batch])
        assert "--batch" in capsys.readouterr().err


def test_a_written_module_says_which() -> None:
    graph = conv(3, 64, 64)
    assert "Algorithm fast: 1 convolution by minimal filtering." in pipeline.emit(graph, "numba", "fast")
    assert "Algorithm exact: no convolutions by minimal filtering." in pipeline.emit(graph, "numba", "exact")
