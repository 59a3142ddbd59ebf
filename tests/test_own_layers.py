"""Layers of a person's own: a pointwise one and one with a kernel of its own, registered from outside the package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

import upc
from upc import extend, pipeline
from upc.build import compile_source
from upc.check import check
from upc.cli import main
from upc.diagnostics import UpcError
from upc.emit.rows import expression, layer
from upc.gaps import Unsupported
from upc.ir import Array, Graph, Layer, Weight, attr
from upc.layers import LAYERS
from upc.layers.activations import Activation
from upc.layers.arguments import number
from upc.layers.examples import as_source
from upc.load import load_graph
from upc.reference import run
from upc.shape import Shape
from upc.source import Source

OWN = Path(__file__).parent / "own"
NET = """\
block turned(n, k) {
  conv2d(n, 3, padding=same)
  scaled_mish(k)
  roll(n)
}

net rolling {
  input x: [2, 5, 3]
  turned(2, 0.5)
  turned(4, 1.5) as second
  max_pooling2d([2, 1])
  scaled_mish()
  flatten()
  dense(2) as y
  output y, second
}
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(OWN)
    module = import_module("own_layers")
    yield module
    for card in (module.ScaledMish, module.Roll):
        extend.unregister(card)
    for name in ("own_layers", "own_kernel"):
        sys.modules.pop(name, None)


def built(text: str) -> Graph:
    return compile_source(Source("net.upc", text))


def test_their_examples_hold(own: ModuleType) -> None:
    for card in (own.ScaledMish, own.Roll):
        for example in card.examples:
            graph = built(as_source(example))
            x = np.array([example.inputs[0]], float) if example.inputs else np.ones((1, *example.shapes[0]))
            (y,) = run(graph, {}, [x]).values()
            assert y.shape[1:] == graph.outputs[0].value.shape
            if example.outputs:
                np.testing.assert_allclose(y, np.array([example.outputs[0]]), rtol=1e-7)


def test_every_target_agrees(own: ModuleType, tmp_path: Path) -> None:
    found = check(built(NET), targets=["reference", "numba", "keras", "torch", "onnxruntime"])
    assert found.ok and not found.unsupported, (found.failures, found.unsupported)
    assert len(found.targets) == 7


def test_it_goes_into_the_step_before_or_after_as_others_do(own: ModuleType) -> None:
    steps = pipeline.plan(built(NET)).steps
    kinds = [type(step).__name__ for step in steps]
    assert kinds.count("RollColumns") == 2
    (after,) = [step for step in steps if type(step).__name__ == "Pointwise" and step.name == "scaled_mish"]
    assert [type(operation).__name__ for operation in after.then] == ["Apply", "Apply", "Combine", "Apply"]


def test_what_is_written_for_numba_runs_without_their_module(own: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "rolling.upc").write_text(NET)
    assert main(["compile", str(tmp_path / "rolling.upc"), "-o", str(tmp_path), "--seed", "2"]) == 0
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np, rolling\n"
        "y, second = rolling.load()(np.load('x.npy'))\n"
        "assert not {'upc', 'own_layers', 'own_kernel'} & set(sys.modules)\n"
        "np.savez('y.npz', y=y, second=second)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=300)
    found = np.load(tmp_path / "y.npz")
    there = upc.load(tmp_path / "rolling.upc", target="reference", seed=2)(x)
    for name, expected in zip(("y", "second"), there, strict=True):
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_a_module_with_their_kernel_is_not_taken_for_one_of_upcs_alone(own: ModuleType, tmp_path: Path) -> None:
    """`warmup` runs a module only if its code is upc's to the letter."""
    from upc.written import strange_part

    assert strange_part(pipeline.emit(built(NET), "numba")) == "its code is not this version's"
    pointwise_alone = "net n {\n  input x: [3]\n  scaled_mish(2)\n  output y\n}\n"
    assert strange_part(pipeline.emit(built(pointwise_alone), "numba")) is None


def test_the_emitted_source_has_each_definition_once_and_its_words(own: ModuleType) -> None:
    keras, torch = pipeline.emit(built(NET), "keras"), pipeline.emit(built(NET), "torch")
    assert keras.count("class ScaledMish(keras.layers.Layer):") == keras.count("class Roll(keras.layers.Layer):") == 1
    assert "ScaledMish(k, name=" in keras
    assert torch.count("class Roll(nn.Module):") == 1 and "F.mish(x) * self.k" in torch
    plain = "net n {\n  input x: [3]\n  relu()\n  output y\n}\n"
    assert "class " not in pipeline.emit(built(plain), "keras")


def test_names_of_the_net_keep_clear_of_theirs(own: ModuleType) -> None:
    graph = built("net roll {\n  input x: [1, 2, 3]\n  roll(1)\n  output y\n}\n")
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    for target in ("keras", "torch"):
        loaded = load_graph(graph, target=target)
        np.testing.assert_array_equal(loaded(x), x[:, :, ::-1])


def test_commands_know_them(own: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "roll"]) == 0
    said = capsys.readouterr().out
    assert "roll(shift)" in said and "back in at the left" in said
    for target in ("numba", "keras", "torch"):
        assert main(["ops", "scaled_mish", "--target", target]) == 0
        assert capsys.readouterr().out == "scaled_mish\n"
    with pytest.raises(UpcError, match=r"(?s)called `rol`.*did you mean `roll\("):
        built(NET.replace("roll(n)", "rol(n)"))


def test_a_upc_file_alone_brings_none(tmp_path: Path) -> None:
    with pytest.raises(UpcError, match="scaled_mish"):
        built(NET)
    assert not {"roll", "scaled_mish"} & set(LAYERS)


SCRIPT_LAYER = """\
from dataclasses import dataclass
from typing import ClassVar
import upc
from upc.emit.rows import expression
from upc.layers.activations import Activation

@dataclass(frozen=True, slots=True)
class Doubled(Activation):
    kind: ClassVar[str] = "doubled"

    def apply(self, x):
        return x + x

upc.register(Doubled, torch=expression("{x} + {x}"))
"""
SCRIPT_CHECK = """\
from upc.build import compile_source
from upc.check import check
from upc.check.report import table
from upc.source import Source

if __name__ == "__main__":
    net = compile_source(Source("n.upc", "net n {\\n  input x: [3]\\n  doubled()\\n  output y\\n}\\n"))
    print(table(check(net, targets=["torch"])))
"""


@dataclass(frozen=True, slots=True)
class Halved(Activation):
    """Half of it."""

    kind: ClassVar[str] = "halved"
    by: float = attr(number, 2.0)

    def apply(self, x: Array) -> Array:
        return x / self.by


@dataclass(frozen=True, slots=True)
class Blend(Layer):
    """Two values, the second scaled channel by channel.

    Weights: share, one for each channel
    Math:    y = a + share * b
    """

    kind: ClassVar[str] = "blend"
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        channels = inputs[0][-1]
        assert isinstance(channels, int)
        return (Weight("share", (channels,), "ones"),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0] + weights["share"] * inputs[1],)


KERAS_BLEND = """
class Blend(keras.layers.Layer):
    def build(self, input_shape):
        self.share = self.add_weight(shape=(input_shape[0][-1],), initializer="ones", name="share")

    def call(self, given):
        return given[0] + self.share * given[1]
"""
TORCH_BLEND = """
class Blend(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.ones(channels))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + self.share[:, None, None] * b
"""


def test_a_layer_of_several_inputs_with_weights() -> None:
    row = layer("Blend({channels})", TORCH_BLEND)
    upc.register(Blend, keras=layer("Blend(name={name})", KERAS_BLEND), torch=row)
    try:
        graph = built("net n {\n  input b: [2, 4, 3]\n  input a: [2, 4, 3]\n  blend(b)\n  output y\n}\n")
        rng = np.random.default_rng(3)
        a, b = rng.standard_normal((2, 5, 2, 4, 3)).astype(np.float32)
        weights = {"blend.share": np.array([0.5, -1, 2], np.float32)}
        for target in ("reference", "keras", "torch"):
            found = load_graph(graph, target=target, weights=weights)(b, a)
            np.testing.assert_allclose(found, a + weights["blend.share"] * b, atol=1e-6)
    finally:
        extend.unregister(Blend)


def test_check_finds_a_target_that_does_it_otherwise(own: ModuleType) -> None:
    graph = built("net n {\n  input x: [3, 5, 3]\n  conv2d(2, 3)\n  scaled_mish(3)\n  output y\n}\n")
    text = pipeline.emit(graph, "torch")
    assert not check(graph, targets=["torch"], texts={"torch": text.replace("* 3.0", "* 2.9")}).ok


@pytest.mark.parametrize(("place", "words"), [("script.py", "process cannot import"), ("mine.py", "all agree")])
def test_another_process_needs_a_module_to_import(tmp_path: Path, place: str, words: str) -> None:
    """What stands in the script itself no other process can have; what stands in a module it can."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / place).write_text(SCRIPT_LAYER)
    said = SCRIPT_CHECK if place == "script.py" else f"import mine\n{SCRIPT_CHECK}"
    with (folder / "script.py").open("a") as file:
        file.write(said)
    done = subprocess.run(
        [sys.executable, str(folder / "script.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert words in done.stdout, (done.stdout, done.stderr)


def test_a_target_that_nothing_is_said_for_has_a_gap(capsys: pytest.CaptureFixture[str]) -> None:
    upc.register(Halved, torch=expression("{x} / {by}"), keras=Unsupported("it cannot divide"))
    try:
        upc.register(Halved, torch=expression("{x} / {by}"), keras=Unsupported("it cannot divide"))  # a cell run again
        graph = built("net n {\n  input x: [3]\n  halved(4)\n  output y\n}\n")
        assert "x / 4.0" in pipeline.emit(graph, "torch")
        with pytest.raises(UpcError, match="unsupported on keras: halved: it cannot divide"):
            pipeline.emit(graph, "keras")
        with pytest.raises(UpcError, match="unsupported on numba: halved: Halved was registered without an entry"):
            pipeline.emit(graph, "numba")
        main(["ops", "halved", "--target", "keras"])
        assert capsys.readouterr().out == "halved: it cannot divide\n"
    finally:
        extend.unregister(Halved)
    assert "halved" not in LAYERS


def test_what_cannot_be_registered_is_refused() -> None:
    class Plain(Layer):
        kind: ClassVar[str] = "plain"

    @dataclass(frozen=True, slots=True)
    class Relu(Activation):
        kind: ClassVar[str] = "relu"

    @dataclass(frozen=True, slots=True)
    class Loud(Activation):
        kind: ClassVar[str] = "Loud"

    for card, entries, words in (
        (Plain, {}, "no frozen dataclass"),
        (Relu, {}, "there is a layer relu already"),
        (Loud, {}, "not 'Loud'"),
        (Halved, {"caffe": expression("{x}")}, "no target caffe"),
        (Halved, {"torch": expression("{x} / {bye}")}, "names bye; there is by, channels, name, x"),
        (Halved, {"torch": "{x} / {by}"}, "torch takes a way to do halved or Unsupported, not str"),
        (Halved, {"keras": expression("{x} / {by}")}, "keras takes layers"),
    ):
        with pytest.raises(ValueError, match=words):
            upc.register(card, **entries)  # type: ignore[arg-type]
    assert LAYERS["relu"][0].__module__.startswith("upc.") and "halved" not in LAYERS
    with pytest.raises(ValueError, match="one function or class"):
        layer("Twice({x})", "import os")
