"""Targets behind one door: one of a person's own, registered in one place, is known wherever targets are listed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import upc
from upc import targets
from upc.cli import main

# Writes a text and bytes with the weights in them, runs as the reference does but for a fault, and cannot do selu.
OWN = """
from upc import targets
from upc.gaps import Unsupported
from upc.layers import LAYERS
from upc.layers.activations import Selu
from upc.targets.reference import load as reference

TABLE = {card: (lambda layer, node: None) for card, _ in LAYERS.values()} | {Selu: Unsupported("not in this one")}
done = []

def load(graph, weights, order):
    run = reference(graph, weights, order)
    return lambda inputs: tuple(y + (0.5 if graph.name == "wrong" else 0) for y in run(inputs))

def write(graph, order):
    held = b"".join(array.tobytes() for array in (order.weights or {}).values())
    return {f"{graph.name}.own": f"net {graph.name}\\n", f"{graph.name}.own.data": held}

def run(job):
    return load(job.graph, job.weights, None)(job.inputs)

TARGET = targets.Target(
    "own",
    load,
    write,
    engines=(targets.Engine("own", run), targets.Engine("own[absent]", run, ("no_such_module",), "get it")),
    table=lambda: TABLE,
    finish=lambda first, content, weights: done.append((first.name, content, weights.name)),
    holds_weights=True,
)
targets.register(TARGET)
"""
NET = "net {name} {{\n  input x: [3]\n  dense(2)\n  output y\n}}\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "own_target.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(targets, "_TARGETS", dict(targets._TARGETS))
    yield import_module("own_target")
    del sys.modules["own_target"]


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("right", "wrong"):
        (tmp_path / f"{name}.upc").write_text(NET.format(name=name))
    monkeypatch.chdir(tmp_path)
    return "right.upc"


def test_emit_writes_its_files(own: ModuleType, net: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    assert main(["emit", net, "--target", "own", "-o", "out"]) == 0
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == {
        "right.own": b"net right\n",
        "right.own.data": b"",
    }
    Path("out/right.own").write_text("mine")
    assert main(["emit", net, "--target", "own", "-o", "out"]) == 2
    assert "out/right.own is there already, and holds something else" in capsys.readouterr().err
    assert Path("out/right.own").read_text() == "mine"
    assert main(["emit", net, "--target", "own", "-o", "out/called.own", "--force"]) == 0
    assert Path("out/called.own").read_text() == "net right\n"
    assert main(["emit", net, "--target", "own"]) == 2
    assert "target own writes right.own and right.own.data" in capsys.readouterr().err


def test_compile_writes_its_files_with_weights(own: ModuleType, net: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", net, "--target", "own", "-o", "out", "--seed", "3"]) == 0
    assert capsys.readouterr().out.split() == ["out/right.safetensors", "out/right.own", "out/right.own.data"]
    weights = upc.load(net, target="reference", seed=3).weights
    assert Path("out/right.own.data").read_bytes() == b"".join(array.tobytes() for array in weights.values())
    assert own.done == [("right.own", "net right\n", "right.safetensors")]


def test_ops_lists_what_it_can_do(own: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "--target", "own"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "selu: not in this one" in said and "silu" in said


def test_load_and_run_run_it(own: ModuleType, net: str, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.array([[1, 2, 3], [0, -1, 5]], np.float32)
    there = upc.load(net, target="reference", seed=1)(x)
    assert np.array_equal(np.asarray(upc.load(net, target="own", seed=1)(x)), np.asarray(there))
    np.save("x.npy", x)
    assert main(["run", net, "--target", "own", "--input", "x.npy", "-o", "y.npy", "--seed", "1"]) == 0
    assert np.array_equal(np.load("y.npy"), there)


def test_check_compares_it(own: ModuleType, net: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", net, "--targets", "reference,own"]) == 0
    assert "all agree" in capsys.readouterr().out
    assert main(["check", "wrong.upc", "--targets", "own"]) == 1
    assert "own" in capsys.readouterr().out
    assert main(["check", net, "--targets", "own[absent]"]) == 4
    said = capsys.readouterr().err
    assert "own[absent] needs no_such_module" in said and "get it" in said


def test_what_is_misspelt_is_guessed(own: ModuleType, net: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("emit", "compile"):
        with pytest.raises(SystemExit):
            main([command, net, "--target", "owm"])
        assert "there is no owm (did you mean own?)" in capsys.readouterr().err
    assert main(["check", net, "--targets", "owm"]) == 2
    assert "did you mean own?" in capsys.readouterr().err
    with pytest.raises(ValueError, match="numba, keras, torch, reference, own, not 'caffe'"):
        upc.load(net, target="caffe")


def test_a_target_replaces_one_of_a_persons_own_alone(own: ModuleType) -> None:
    targets.register(own.TARGET)  # as when a notebook's cell runs again
    assert targets.names() == ("numba", "keras", "torch", "reference", "own")
    with pytest.raises(ValueError, match="there is a target numba already"):
        targets.register(targets.Target("numba", own.load))
    with pytest.raises(ValueError, match="there is an engine torch already"):
        targets.register(targets.Target("mine", own.load, engines=(targets.Engine("torch", own.run),)))


def test_every_target_says_what_each_layer_comes_to() -> None:
    from upc.layers import LAYERS

    for target in targets.targets():
        assert [name for name, (card, _) in LAYERS.items() if target.gap(card)] == []
