"""The table and its plain data: shapes, parameters, multiply-adds, memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from upc.build import compile_source, load_graph
from upc.ir import Graph
from upc.source import Source
from upc.summary import summary, summary_json

TESTS = Path(__file__).parent
OK = TESTS / "corpus" / "ok"


def graph(*lines: str, shape: str = "[8, 6, 3]") -> Graph:
    return compile_source(Source("t", f"net n {{\ninput x: {shape}\n" + "\n".join(lines) + "\noutput y\n}"))


@pytest.mark.parametrize("name", ["dcgan_faces", "unet", "trainable", "several_inputs"])
def test_tables(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(TESTS / "golden" / "summary" / f"{name}.txt", summary(load_graph(OK / f"{name}.upc")))


def test_plain_data() -> None:
    data = summary_json(load_graph(OK / "dcgan_faces.upc"))
    assert list(data) == ["net", "inputs", "outputs", "params", "trainable", "layers"]
    assert (data["net"], data["params"], data["trainable"]) == ("dcgan_faces", 3_585_219, 3_584_323)
    assert data["inputs"] == [{"name": "z", "shape": [100]}]
    assert data["outputs"] == [{"name": "face", "shape": [64, 64, 3]}]
    assert data["layers"][2] == {
        "name": "up.conv2d_transpose",
        "kind": "conv2d_transpose",
        "shape": [8, 8, 256],
        "params": 2_097_408,
        "macs": 33_554_432,
    }
    json.dumps(data)


def test_free_sizes_are_text() -> None:
    data = summary_json(load_graph(OK / "unet.upc"))
    assert data["inputs"] == [{"name": "image", "shape": ["H", "W", 3]}]
    by_name = {layer["name"]: layer for layer in data["layers"]}
    assert by_name["max_pooling2d"]["shape"] == ["H/2", "W/2", 32]
    assert by_name["double_1.conv2d"]["macs"] == "18432*(H/2)*(W/2)"
    assert by_name["concatenate"]["macs"] == 0


def test_multiply_adds_count_what_is_multiplied() -> None:
    def macs(*lines: str, **sizes: int) -> int:
        shape = "[H, W, 3]" if sizes else "[8, 6, 3]"
        return int(summary_json(graph(*lines, shape=shape))["layers"][0]["macs"])

    assert macs("conv2d(5, 3, padding=same)") == 8 * 6 * 9 * 3 * 5
    assert macs("conv2d(6, 3, strides=2, groups=3)") == 3 * 2 * 9 * 1 * 6
    # A transposed layer multiplies each input pixel with each tap once: no inserted zeros.
    assert macs("conv2d_transpose(5, 3, strides=2, padding=valid)") == 8 * 6 * 9 * 3 * 5
    assert macs("dense(7)") == 8 * 6 * 3 * 7


def test_sizes_turn_expressions_into_numbers() -> None:
    g = load_graph(OK / "unet.upc")
    fixed = Source("t", (OK / "unet.upc").read_text().replace("[H, W, 3]", "[64, 44, 3]"))
    with_sizes = summary(g, {"H": 64, "W": 44}).splitlines()
    plain = summary(compile_source(fixed)).splitlines()
    assert [line for line in with_sizes if "Demands" not in line] == plain


def test_memory_counts_what_lives_at_once() -> None:
    kib = 8 * 8 * 4 * 4 / 1024
    chain = summary(graph("relu()", "tanh()", "relu()", shape="[8, 8, 4]"))
    assert f"{2 * kib:.2f} KiB at most at once, {4 * kib:.2f} KiB in all" in chain
    kept = summary(graph("relu() as skip", "tanh()", "relu()", "add(skip)", shape="[8, 8, 4]"))
    assert f"{3 * kib:.2f} KiB at most at once, {5 * kib:.2f} KiB in all" in kept


def test_connections_are_shown_only_where_values_branch() -> None:
    assert "Connected to" not in summary(graph("relu()", "tanh()"))
    assert "Connected to" in summary(graph("relu() as a", "tanh()", "add(a)"))
    assert "Connected to" in summary(load_graph(OK / "several_inputs.upc"))


def test_frozen_layers_are_marked() -> None:
    text = summary(graph("conv2d(2, 3, trainable=false)", "batch_normalization()"))
    assert "56 frozen" in text
    assert "trainable: 4" in text and "frozen:    60" in text


@pytest.mark.parametrize(
    ("calls", "shape", "work"),
    [
        (["max_pooling2d(1000)", "conv2d(2, [3, 1])"], "[H, W, 1]", "6*(H/1000 - 2)*(W/1000)"),
        (["conv2d(3, [1000, 2], strides=[7, 1])"], "[H, W, 2]", "12000*((H + 1)/7 - 142)*(W - 1)"),
        (["cropping2d(2000)", "conv2d_transpose(2, 3, strides=2)"], "[H, W, 5]", "90*(H - 4000)*(W - 4000)"),
        (["average_pooling2d(1001)", "depthwise_conv2d(1)"], "[H, 1001, 2]", "2*(H/1001)"),
        (["max_pooling2d(1024)", "dense(3)"], "[H, W, 4]", "12*(H/1024)*(W/1024)"),
    ],
)
def test_sizes_that_a_net_takes_only_when_large(calls: list[str], shape: str, work: str) -> None:
    g = graph(*calls, shape=shape)
    assert summary_json(g)["layers"][-1]["macs"] == work
    assert work in summary(g).replace(",", "")


def test_some_sizes_are_given_and_some_are_free() -> None:
    assert "54*(W/2)" in summary(graph("max_pooling2d(2)", "conv2d(2, [3, 1])", shape="[H, W, 1]"), {"H": 22})
