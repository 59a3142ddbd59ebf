"""Which tensor of a foreign file is which weight where shapes do not tell, and where the file's network is another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from keras import layers
from random_graphs import random_net, random_weights
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from upc.build import compile_source
from upc.cli import main
from upc.convert import export_weights, import_weights
from upc.diagnostics import EXIT_SOURCE, EXIT_USAGE, UpcError
from upc.ir import Array, Graph
from upc.load_frameworks import channels_first, channels_last
from upc.reference import run
from upc.source import Source
from upc.weights import load


def graph_of(text: str) -> Graph:
    return compile_source(Source("net.upc", text))


def refused(code: str, exit_code: int, *args: Any, **kwargs: Any) -> UpcError:
    with pytest.raises(UpcError) as caught:
        import_weights(*args, **kwargs)
    assert caught.value.diagnostics[0].code == code and caught.value.exit_code == exit_code, str(caught.value)
    return caught.value


def shaken(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype.is_floating_point:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.25)
    return model.eval()


THREE = "net n {\n  input x: [4, 3, 2]\n  conv2d(2, 1)\n  conv2d(2, 1)\n  conv2d(2, 1)\n  output y\n}\n"


class Named(nn.Module):
    """Three layers of one shape, registered and run as told."""

    def __init__(self, registered: str, runs: str) -> None:
        super().__init__()
        for name in registered.split():
            self.add_module(name, nn.Conv2d(2, 2, 1))
        self.runs = runs.split()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.runs:
            x = getattr(self, name)(x)
        return x


def saved(model: nn.Module, path: Path) -> Path:
    (save_file if path.suffix == ".safetensors" else torch.save)(model.state_dict(), path)
    return path


def results(graph: Graph, weights: dict[str, Array], x: Array) -> Array:
    (found,) = run(graph, weights, [x]).values()
    return found


class TestStateDicts:
    X = np.random.default_rng(5).standard_normal((2, 4, 3, 2)).astype(np.float32)

    def expected(self, model: nn.Module) -> Array:
        with torch.inference_mode():
            return channels_last(model(torch.from_numpy(channels_first(self.X))).numpy())

    @pytest.mark.parametrize("ending", [".pt", ".safetensors"])
    @pytest.mark.parametrize(
        "names",
        [
            ("first second third", "first third second"),
            ("a b c", "c b a"),
            ("up down same", "up down same"),
            ("conv_body conv_up1 conv_up2", "conv_body conv_up1 conv_up2"),
            ("conv2 conv1 conv3", "conv1 conv2 conv3"),
        ],
    )
    def test_names_that_count_nothing_are_asked_about(
        self, names: tuple[str, str], ending: str, tmp_path: Path
    ) -> None:
        model = shaken(Named(*names))
        path = saved(model, tmp_path / f"n{ending}")
        if names[0] == "conv2 conv1 conv3" and ending == ".safetensors":  # such files are sorted by name
            weights = import_weights(graph_of(THREE), path).weights
        else:
            problem = refused("E0634", EXIT_USAGE, graph_of(THREE), path)
            (said,) = problem.diagnostics
            assert all(f"`{name}`" in said.message for name in names[0].split())
            assert [span.source.position(span.start)[0] for span, _ in said.notes] == [3, 4, 5]
            assert "--map conv2d=" in str(said.hint) and "--in-order" in str(said.hint)
            mapping = dict(zip(("conv2d", "conv2d_1", "conv2d_2"), names[1].split(), strict=True))
            weights = import_weights(graph_of(THREE), path, mapping=mapping).weights
        np.testing.assert_allclose(results(graph_of(THREE), weights, self.X), self.expected(model), rtol=1e-5)

    @pytest.mark.parametrize("ending", [".pt", ".safetensors"])
    @pytest.mark.parametrize("names", ["conv1 conv2 conv10", "conv conv1 conv2", "c c_1 c_2", "a1b a2b a10b"])
    def test_names_that_count_are_taken_in_order(self, names: str, ending: str, tmp_path: Path) -> None:
        model = shaken(Named(names, names))
        imported = import_weights(graph_of(THREE), saved(model, tmp_path / f"n{ending}"))
        assert "numbers" in imported.match.how
        np.testing.assert_allclose(results(graph_of(THREE), imported.weights, self.X), self.expected(model), rtol=1e-5)

    def test_containers_in_containers_count(self, tmp_path: Path) -> None:
        blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU()) for _ in range(3)))
        model = shaken(nn.ModuleDict({"body": blocks}))
        imported = import_weights(graph_of(THREE), saved(model, tmp_path / "n.pt"))
        assert [p.tensor.name for p in imported.match.pairs][::2] == [f"body.{i}.0.weight" for i in range(3)]

    def test_the_user_can_say_that_they_run_as_they_stand(self, tmp_path: Path) -> None:
        model = shaken(Named("a c b", "a c b"))
        imported = import_weights(graph_of(THREE), saved(model, tmp_path / "n.pt"), in_order=True)
        assert imported.match.how == "in order, as told"
        np.testing.assert_allclose(results(graph_of(THREE), imported.weights, self.X), self.expected(model), rtol=1e-5)

    def test_where_all_are_alike_it_does_not_matter(self, tmp_path: Path) -> None:
        model = shaken(Named("a c b", "a b c"))
        with torch.no_grad():
            for name in "bc":
                getattr(model, name).load_state_dict(model.a.state_dict())
        assert import_weights(graph_of(THREE), saved(model, tmp_path / "n.pt")).match.how.startswith("in order")

    def test_a_convolution_and_its_transpose_of_one_shape_are_told_by_nothing(self, tmp_path: Path) -> None:
        text = "net n { input x: [4, 3, 2] conv2d(2, 3, padding=1) conv2d_transpose(2, 3, padding=1) output y }"
        model = shaken(nn.ModuleDict({"up": nn.ConvTranspose2d(2, 2, 3), "down": nn.Conv2d(2, 2, 3)}))
        refused("E0634", EXIT_USAGE, graph_of(text), saved(model, tmp_path / "n.pt"))

    def test_slopes_for_all_channels_fit_any_prelu(self, tmp_path: Path) -> None:
        text = "net n { input x: [4, 3, 2] prelu(shared_axes=[1, 2]) conv2d(3, 1) prelu(shared_axes=[1, 2]) output y }"
        model = shaken(nn.ModuleDict({"b": nn.PReLU(), "c": nn.Conv2d(2, 3, 1), "a": nn.PReLU()}))
        refused("E0634", EXIT_USAGE, graph_of(text), saved(model, tmp_path / "n.pt"))

    def test_what_the_map_leaves_is_asked_about_too(self, tmp_path: Path) -> None:
        path = saved(shaken(Named("a b c", "a b c")), tmp_path / "n.pt")
        refused("E0634", EXIT_USAGE, graph_of(THREE), path, mapping={"conv2d": "b"})
        import_weights(graph_of(THREE), path, mapping={"conv2d": "b", "conv2d_1": "a", "conv2d_2": "c"})

    def test_the_command_asks_and_takes_the_answer(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("n.upc").write_text(THREE)
        saved(shaken(Named("b a c", "b a c")), tmp_path / "n.pt")
        assert main(["weights", "import", "n.upc", "n.pt"]) == EXIT_USAGE
        assert "--in-order" in capsys.readouterr().err and not Path("n.safetensors").exists()
        assert main(["weights", "import", "n.upc", "n.pt", "--in-order"]) == 0
        assert "n.pt: in order, as told" in capsys.readouterr().out


def built(make: Callable[[Any], Any], shape: tuple[int, ...] = (4, 5, 3)) -> Any:
    """A functional model with weights of no particular kind."""
    x = keras.Input(shape)
    model = keras.Model(x, make(x))
    rng = np.random.default_rng(2)
    model.set_weights([rng.random(w.shape).astype(np.float32) + 0.25 for w in model.get_weights()])
    return model


def branches(x: Any) -> Any:
    """Two branches of one shape, of which Keras lists the one that is made last first."""
    short = layers.Conv2D(3, 1, name="zz")(x)
    deep = layers.Conv2D(3, 1, name="mm")(layers.Conv2D(3, 1, name="aa")(x))
    return layers.Subtract()([short, deep])


BRANCHES = """
net n {
  input x: [4, 5, 3]
  from x { conv2d(3, 1) } as short
  from x { conv2d(3, 1) conv2d(3, 1) } as deep
  from short { subtract(deep) } as y
  output y
}
"""

TWINS = """
net n {
  input x: [4, 5, 3]
  from x { conv2d(3, 1, activation=tanh) conv2d(3, 1) } as one
  from x { conv2d(3, 1, activation=relu) conv2d(3, 1) } as other
  from other { add(one) } as y
  output y
}
"""


def twins(x: Any) -> Any:
    """Branches that differ in an activation alone; their sum is written the other way round."""
    a = layers.Conv2D(3, 1)(layers.Conv2D(3, 1, activation="relu")(x))
    b = layers.Conv2D(3, 1)(layers.Conv2D(3, 1, activation="tanh")(x))
    return layers.Add()([b, a])


class TestKerasModels:
    X = np.random.default_rng(5).random((2, 4, 5, 3)).astype(np.float32)

    @pytest.mark.parametrize("ending", [".keras", ".h5"])
    @pytest.mark.parametrize(("text", "make"), [(BRANCHES, branches), (TWINS, twins)], ids=["branches", "twins"])
    def test_branches_are_told_apart_by_their_connections(
        self, text: str, make: Callable[[Any], Any], ending: str, tmp_path: Path
    ) -> None:
        model = built(make)
        model.save(tmp_path / f"n{ending}")
        imported = import_weights(graph_of(text), tmp_path / f"n{ending}")
        assert imported.match.how == "by the connections that it describes" and not imported.notes
        expected = model.predict(self.X, verbose=0)
        np.testing.assert_allclose(results(graph_of(text), imported.weights, self.X), expected, rtol=1e-4, atol=1e-4)

    def test_a_file_of_weights_alone_leaves_branches_open(self, tmp_path: Path) -> None:
        model = built(branches)
        model.save_weights(tmp_path / "n.weights.h5")
        problem = refused("E0634", EXIT_USAGE, graph_of(BRANCHES), tmp_path / "n.weights.h5")
        assert "side by side" in problem.diagnostics[0].message

    def test_names_that_keras_counted_are_no_evidence(self, tmp_path: Path) -> None:
        names = iter(("conv2d_1", "conv2d_2", "conv2d"))
        model = built(lambda x: layers.Subtract()(
            [layers.Conv2D(3, 1, name=next(names))(x), layers.Conv2D(3, 1, name=next(names))(
                layers.Conv2D(3, 1, name=next(names))(x))]))  # fmt: skip
        model.save_weights(tmp_path / "n.weights.h5")
        refused("E0634", EXIT_USAGE, graph_of(BRANCHES), tmp_path / "n.weights.h5")
        model.save(tmp_path / "n.keras")
        found = import_weights(graph_of(BRANCHES), tmp_path / "n.keras").weights
        expected = model.predict(self.X, verbose=0)
        np.testing.assert_allclose(results(graph_of(BRANCHES), found, self.X), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
    def test_names_that_upc_gave_are(self, ending: str, tmp_path: Path) -> None:
        weights = random_weights(graph_of(BRANCHES), 1)
        export_weights(graph_of(BRANCHES), weights, tmp_path / f"n{ending}")
        found = import_weights(graph_of(BRANCHES), tmp_path / f"n{ending}")
        assert found.match.how == "by the layers' names"
        assert all(np.array_equal(found.weights[key], array) for key, array in weights.items())

    def test_a_file_of_weights_alone_is_enough_for_layers_in_a_row(self, tmp_path: Path) -> None:
        model = built(lambda x: layers.Conv2D(3, 1)(layers.Conv2D(3, 1)(layers.Conv2D(3, 1)(x))))
        model.save_weights(tmp_path / "n.weights.h5")
        graph = graph_of("net n { input x: [4, 5, 3] repeat 3 { conv2d(3, 1) } output y }")
        imported = import_weights(graph, tmp_path / "n.weights.h5")
        expected = model.predict(self.X, verbose=0)
        np.testing.assert_allclose(results(graph, imported.weights, self.X), expected, rtol=1e-4)

    def test_attributes_of_the_users_own_class_count_nothing(self, tmp_path: Path) -> None:
        class Mine(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.late, self.early = layers.Conv2D(3, 1), layers.Conv2D(3, 1)

            def call(self, x: Any) -> Any:
                return self.late(self.early(x))

        model = Mine()
        model(self.X)
        model.save_weights(tmp_path / "n.weights.h5")
        graph = graph_of("net n { input x: [4, 5, 3] conv2d(3, 1) conv2d(3, 1) output y }")
        imported_or_refused = tmp_path / "n.weights.h5"
        try:
            found = import_weights(graph, imported_or_refused).weights
        except UpcError as problem:
            assert problem.diagnostics[0].code == "E0634"
        else:
            np.testing.assert_allclose(results(graph, found, self.X), np.asarray(model(self.X)), rtol=1e-4)


SAID = """
net n {
  input x: [8, 6, 4]
  zero_padding2d(1)
  conv2d(6, 3, strides=2, activation=relu)
  batch_normalization()
  leaky_relu(0.2)
  up_sampling2d(2, interpolation=bilinear)
  conv2d_transpose(6, 4, strides=2, padding=same, activation=tanh)
  max_pooling2d(2)
  group_normalization(3)
  softmax()
  flatten()
  dense(2, activation=sigmoid)
  output y
}
"""


def same(x: Any, **changes: Any) -> Any:
    """The same network in Keras, but for what is changed: `layer__argument`."""

    def of(layer: str) -> dict[str, Any]:
        return {name.partition("__")[2]: v for name, v in changes.items() if name.startswith(f"{layer}__")}

    y = layers.ZeroPadding2D(1)(x)
    y = layers.Conv2D(6, 3, **{"strides": 2, "activation": "relu", **of("conv")})(y)
    y = layers.BatchNormalization(**of("norm"))(y)
    y = layers.LeakyReLU(**{"negative_slope": 0.2, **of("leaky")})(y)
    y = layers.UpSampling2D(2, **{"interpolation": "bilinear", **of("up")})(y)
    y = layers.Conv2DTranspose(6, 4, strides=2, **{"padding": "same", **of("transpose")})(y)
    y = layers.Activation(changes.get("after", "tanh"))(y)
    y = (layers.AveragePooling2D if changes.get("mean") else layers.MaxPooling2D)(2)(y)
    y = layers.GroupNormalization(3, **of("group"))(y)
    y = layers.Softmax(**of("soft"))(y)
    y = layers.Dropout(0.5)(y)
    if changes.get("more"):
        y = layers.ReLU()(y)
    return layers.Dense(2, activation="sigmoid", **of("dense"))(layers.Flatten()(y))


class TestDescriptions:
    @pytest.mark.parametrize("ending", [".keras", ".h5"])
    def test_the_same_network_is_taken(self, ending: str, tmp_path: Path) -> None:
        model = built(same, (8, 6, 4))
        model.save(tmp_path / f"n{ending}")
        imported = import_weights(graph_of(SAID), tmp_path / f"n{ending}")
        assert not imported.notes
        x = np.random.default_rng(5).random((2, 8, 6, 4)).astype(np.float32)
        expected = model.predict(x, verbose=0)
        np.testing.assert_allclose(results(graph_of(SAID), imported.weights, x), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("ending", [".keras", ".h5"])
    @pytest.mark.parametrize(
        ("changes", "line", "words"),
        [
            ({"norm__epsilon": 1e-5}, 6, "batch_normalization has epsilon 0.001, `batch_normalization"),
            ({"leaky__negative_slope": 0.3}, 7, "leaky_relu has negative_slope 0.2"),
            ({"conv__activation": "elu"}, 5, "the net has relu, "),
            ({"conv__activation": None}, 5, "the net has relu, "),
            ({"after": "sigmoid"}, 9, "the net has tanh, "),
            ({"up__interpolation": "nearest"}, 8, "interpolation bilinear"),
            ({"group__epsilon": 1e-5}, 11, "epsilon 0.001"),
            ({"soft__axis": 1}, 12, "axis -1"),
            ({"mean": True}, 10, "max_pooling2d"),
            ({"more": True}, 12, "relu"),
        ],
    )
    def test_every_difference_is_refused_by_line(
        self, changes: dict[str, Any], line: int, words: str, ending: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"n{ending}"
        built(lambda x: same(x, **changes), (8, 6, 4)).save(path)
        problem = refused("E0635", EXIT_SOURCE, graph_of(SAID), path)
        (said,) = problem.diagnostics
        assert words in said.message and said.span is not None and said.span.source.position(said.span.start)[0] == line
        assert "--ignore-config" in str(said.hint)
        assert import_weights(graph_of(SAID), path, ignore_config=True).weights

    def test_all_differences_come_at_once(self, tmp_path: Path) -> None:
        changes = {"norm__epsilon": 1e-5, "leaky__negative_slope": 0.3, "after": "sigmoid"}
        built(lambda x: same(x, **changes), (8, 6, 4)).save(tmp_path / "n.keras")
        problem = refused("E0635", EXIT_SOURCE, graph_of(SAID), tmp_path / "n.keras")
        assert len(problem.diagnostics) == 3

    @pytest.mark.parametrize(
        ("text", "make", "words"),
        [
            ("conv2d(3, 2, strides=2, padding=same)", lambda x: layers.Conv2D(3, 2, strides=2)(x), "padding same"),
            ("conv2d(3, 2, strides=2)", lambda x: layers.Conv2D(3, 2, strides=1)(x), "strides [2, 2]"),
            ("conv2d(3, 2, dilation_rate=2)", lambda x: layers.Conv2D(3, 2)(x), "dilation_rate [2, 2]"),
            (
                "conv2d_transpose(3, 3, strides=2, padding=same)",
                lambda x: layers.Conv2DTranspose(3, 3, strides=2, padding="valid")(x),
                "padding same",
            ),
            (
                "depthwise_conv2d(3, padding=1)",
                lambda x: layers.DepthwiseConv2D(3, padding="valid")(x),
                "padding [[1, 1], [1, 1]]",
            ),
        ],
    )
    def test_windows_that_lie_otherwise(
        self, text: str, make: Callable[[Any], Any], words: str, tmp_path: Path
    ) -> None:
        built(make).save(tmp_path / "n.keras")
        net = f"net n {{ input x: [4, 5, 3] {text} output y }}"
        assert words in str(refused("E0635", EXIT_SOURCE, graph_of(net), tmp_path / "n.keras"))

    @pytest.mark.parametrize(
        ("text", "make"),
        [
            ("conv2d(3, 3, padding=1)", lambda x: layers.Conv2D(3, 3, padding="same")(x)),
            ("conv2d(3, 3, padding=1)", lambda x: layers.Conv2D(3, 3)(layers.ZeroPadding2D(1)(x))),
            ("zero_padding2d(1) conv2d(3, 3)", lambda x: layers.Conv2D(3, 3, padding="same")(x)),
            ("conv2d(3, 1) relu(negative_slope=0.1)", lambda x: layers.LeakyReLU(0.1)(layers.Conv2D(3, 1)(x))),
            ("conv2d(3, 1, activation=silu)", lambda x: layers.Conv2D(3, 1, activation="swish")(x)),
            ("conv2d(3, 1) flatten()", lambda x: layers.Reshape((60,))(layers.Conv2D(3, 1)(x))),
            ("conv2d(3, 1) add(2)", lambda x: layers.Rescaling(1.0, 2.0)(layers.Conv2D(3, 1)(x))),
            ("instance_normalization()", lambda x: layers.GroupNormalization(-1)(x)),
            ("instance_normalization()", lambda x: layers.GroupNormalization(3)(x)),
            ("conv2d(3, 1)", lambda x: layers.GaussianNoise(0.1)(layers.Conv2D(3, 1)(layers.SpatialDropout2D(0.5)(x)))),
        ],
    )  # fmt: skip
    def test_the_same_in_other_words(self, text: str, make: Callable[[Any], Any], tmp_path: Path) -> None:
        built(make).save(tmp_path / "n.keras")
        net = f"net n {{ input x: [4, 5, 3] {text} output y }}"
        assert not import_weights(graph_of(net), tmp_path / "n.keras").notes

    def test_momentum_is_mentioned(self, tmp_path: Path) -> None:
        built(lambda x: layers.BatchNormalization(momentum=0.9)(x)).save(tmp_path / "n.keras")
        graph = graph_of("net n { input x: [4, 5, 3] batch_normalization() output y }")
        (note,) = import_weights(graph, tmp_path / "n.keras").notes
        assert "momentum 0.99" in note and "no consequence" in note

    def test_what_is_not_known_is_said_not_to_be_compared(self, tmp_path: Path) -> None:
        built(lambda x: layers.Conv2D(3, 1)(keras.ops.abs(x))).save(tmp_path / "n.keras")
        graph = graph_of("net n { input x: [4, 5, 3] relu() conv2d(3, 1) output y }")
        (note,) = import_weights(graph, tmp_path / "n.keras").notes
        assert note.startswith("not compared") and "absolute" in note.lower()

    @pytest.mark.parametrize("seed", [2, 74, 80, 102, 159, 165])
    def test_what_upc_exports_is_what_it_imports(self, seed: int, tmp_path: Path) -> None:
        graph = graph_of(random_net(Random(seed)).text)
        weights = random_weights(graph, seed)
        export_weights(graph, weights, tmp_path / "n.keras")
        found = import_weights(graph, tmp_path / "n.keras").weights
        assert all(np.array_equal(found[key], array) for key, array in weights.items())


class TestDefaults:
    def warned(self, text: str, model: nn.Module, path: Path) -> list[tuple[int, str]]:
        warnings = import_weights(graph_of(text), saved(shaken(model), path)).warnings
        assert all(warning.severity == "warning" for warning in warnings)
        return [(w.span.source.position(w.span.start)[0], w.message) for w in warnings if w.span]

    def test_what_a_state_dict_does_not_say_is_warned_of_by_line(self, tmp_path: Path) -> None:
        text = "net n {input x: [4, 3, 2]\n\n batch_normalization()\n leaky_relu()\n instance_normalization() output y}"
        model = nn.Sequential(nn.BatchNorm2d(2), nn.LeakyReLU(), nn.InstanceNorm2d(2, affine=True))
        first, second, third = self.warned(text, model, tmp_path / "n.pt")
        assert first[0] == 3 and "epsilon 0.001, PyTorch's default is 1e-5" in first[1]
        assert second[0] == 4 and "negative_slope 0.3, PyTorch's default is 0.01" in second[1]
        assert third[0] == 5

    def test_nothing_is_warned_of_where_values_are_those(self, tmp_path: Path) -> None:
        text = "net n { input x: [4, 3, 2] batch_normalization(epsilon=1e-5) leaky_relu(0.2) output y }"
        assert not self.warned(text, nn.Sequential(nn.BatchNorm2d(2), nn.LeakyReLU(0.2)), tmp_path / "n.pt")

    def test_nor_for_a_module_that_upc_emitted(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [4, 3, 2] batch_normalization() output y }")
        export_weights(graph, random_weights(graph, 1), tmp_path / "n.pt")
        assert not import_weights(graph, tmp_path / "n.pt").warnings


class TestReparametrized:
    TEXT = "net n { input x: [4, 5, 3] conv2d(4, 3, padding=1) conv2d_transpose(4, 3, padding=1) dense(2) output y }"

    def model(self, wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
        parts = nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
        model = shaken(nn.Sequential(*parts))
        for part in parts:
            wrap(part)
        return model

    @pytest.mark.parametrize("ending", [".pt", ".safetensors"])
    @pytest.mark.parametrize(
        ("wrap", "words"),
        [
            (nn.utils.weight_norm, "was under weight norm: made one of .weight_g, .weight_v"),
            (nn.utils.parametrizations.weight_norm, "was under weight norm"),
            (nn.utils.spectral_norm, "was under spectral norm"),
            (nn.utils.parametrizations.spectral_norm, "was under spectral norm"),
            (lambda part: prune.l1_unstructured(part, "weight", 0.5), "was under pruning"),
        ],
        ids=["weight norm", "newer weight norm", "spectral norm", "newer spectral norm", "pruning"],
    )
    @pytest.mark.filterwarnings("ignore")
    def test_weights_in_parts_are_made_one(
        self, wrap: Callable[[nn.Module], nn.Module], words: str, ending: str, tmp_path: Path
    ) -> None:
        graph, model = graph_of(self.TEXT), self.model(wrap)
        model.train()
        for _ in range(3):  # spectral norm learns its vectors while it is trained
            model(torch.rand(1, 3, 4, 5))
        model.eval()
        imported = import_weights(graph, saved(model, tmp_path / f"n{ending}"))
        assert len(imported.notes) == 3 and words in imported.notes[0]
        x = np.random.default_rng(5).random((2, 4, 5, 3)).astype(np.float32)
        with torch.inference_mode():
            expected = channels_last(model(torch.from_numpy(channels_first(x))).numpy())
        np.testing.assert_allclose(results(graph, imported.weights, x), expected, rtol=2e-5, atol=2e-5)

    def test_the_command_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("n.upc").write_text(self.TEXT)
        saved(self.model(nn.utils.parametrizations.weight_norm), tmp_path / "n.pt")
        assert main(["weights", "import", "n.pt"]) == 0
        assert "0.weight was under weight norm" in capsys.readouterr().out
        assert load("n.safetensors", graph_of(self.TEXT))["conv2d.kernel"].shape == (3, 3, 3, 4)

    def test_half_of_a_pair_is_explained(self, tmp_path: Path) -> None:
        torch.save({"c.weight_v": torch.ones(4, 3, 3, 3), "c.more": torch.ones(1)}, tmp_path / "n.pt")
        graph = graph_of("net n { input x: [8, 8, 3] conv2d(4, 3, use_bias=false) output y }")
        refused("E0631", EXIT_SOURCE, graph, tmp_path / "n.pt")

    def test_parts_that_do_not_fit_each_other(self, tmp_path: Path) -> None:
        torch.save({"c.weight_g": torch.ones(3, 1, 1, 1), "c.weight_v": torch.ones(4, 3, 3, 3)}, tmp_path / "n.pt")
        graph = graph_of("net n { input x: [8, 8, 3] conv2d(4, 3, use_bias=false) output y }")
        problem = refused("E0630", EXIT_USAGE, graph, tmp_path / "n.pt")
        assert "are not the parts of a weight under weight norm" in str(problem)
