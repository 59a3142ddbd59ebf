"""Weights from and to Keras's and PyTorch's files: exact round trips, models of other people, files that mean harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np
import pytest
import torch
from keras import layers
from safetensors.torch import save_file
from torch import nn

from upc.build import compile_source
from upc.cli import main
from upc.convert import export_weights, import_weights
from upc.convert.layouts import flattened
from upc.diagnostics import EXIT_MISSING, EXIT_SOURCE, EXIT_USAGE, UpcError
from upc.ir import Array, Graph
from upc.layers import LAYERS
from upc.layers.examples import as_source
from upc.load_frameworks import channels_first, channels_last
from upc.pipeline import graph as build_graph
from upc.pipeline import read, tree
from upc.reference import run
from upc.source import Source
from upc.weights import load, save

EXAMPLES = Path(__file__).parents[1] / "examples"
ENDINGS = [".keras", ".weights.h5", ".pt", ".safetensors"]
WEIGHTY = [
    pytest.param(as_source(example), id=f"{example.call}-{example.shapes}")
    for card, _ in LAYERS.values()
    for example in card.examples
    if compile_source(Source("example.upc", as_source(example))).weights()
]


def graph_of(text: str) -> Graph:
    return compile_source(Source("net.upc", text))


def drawn(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Weights in which every element differs, variances above 0."""
    rng = np.random.default_rng(seed)
    arrays = {key: rng.standard_normal(weight.shape).astype(np.float32) for key, weight, _ in graph.weights()}
    return {key: np.abs(a) + np.float32(0.5) if "variance" in key else a for key, a in arrays.items()}


def shaken(model: Any) -> Any:
    """A PyTorch model with statistics and parameters of no particular kind, evaluating."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype.is_floating_point:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.25)
    return model.eval()


def same_result(graph: Graph, weights: dict[str, Array], x: Array, expected: Array) -> None:
    (found,) = run(graph, weights, [x]).values()
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def refused(code: str, exit_code: int, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(UpcError) as caught:
        import_weights(*args, **kwargs)
    assert caught.value.diagnostics[0].code == code and caught.value.exit_code == exit_code
    return str(caught.value)


class TestRoundTrips:
    @pytest.mark.parametrize("ending", ENDINGS)
    @pytest.mark.parametrize("text", WEIGHTY)
    def test_of_every_layer_with_weights(self, text: str, ending: str, tmp_path: Path) -> None:
        graph = graph_of(text)
        weights = drawn(graph)
        export_weights(graph, weights, tmp_path / f"x{ending}")
        found = import_weights(graph, tmp_path / f"x{ending}").weights
        assert list(found) == list(weights)
        for key, array in weights.items():
            assert found[key].dtype == np.float32 and np.array_equal(found[key], array), key

    def test_the_examples_hold_every_kind_with_weights(self) -> None:
        kinds = {node.layer.name for p in WEIGHTY for node in graph_of(p.values[0]).nodes if node.weights}
        assert kinds >= {
            *("dense", "conv2d", "depthwise_conv2d", "conv2d_transpose", "prelu", "batch_normalization"),
            *("layer_normalization", "instance_normalization", "group_normalization"),
        }

    @pytest.mark.parametrize("ending", ENDINGS)
    @pytest.mark.parametrize("name", ["b3_dcgan_digits", "c1_autoencoder", "d3_realesr_animevideo", "d4_esrgan_slim"])
    def test_of_nets_with_blocks_branches_and_repeats(self, name: str, ending: str, tmp_path: Path) -> None:
        graph = build_graph(tree(read(str(EXAMPLES / f"{name}.upc"))))
        weights = drawn(graph)
        export_weights(graph, weights, tmp_path / f"x{ending}")
        imported = import_weights(graph, tmp_path / f"x{ending}")
        assert imported.match.how.startswith("by the")
        assert all(np.array_equal(imported.weights[key], array) for key, array in weights.items())

    def test_what_was_exported_loads_in_its_framework(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [5, 4, 3] conv2d(2, 3) batch_normalization() output y }")
        weights, x = drawn(graph), np.random.default_rng(1).standard_normal((2, 5, 4, 3)).astype(np.float32)
        export_weights(graph, weights, tmp_path / "n.keras")
        same_result(graph, weights, x, keras.saving.load_model(tmp_path / "n.keras").predict(x, verbose=0))
        export_weights(graph, weights, tmp_path / "n.pt")
        model = nn.ModuleDict({"conv2d": nn.Conv2d(3, 2, 3), "batch_normalization": nn.BatchNorm2d(2, eps=1e-3)})
        model.load_state_dict(torch.load(tmp_path / "n.pt", weights_only=True))
        result = model.eval()["batch_normalization"](model["conv2d"](torch.from_numpy(channels_first(x))))
        same_result(graph, weights, x, channels_last(result.detach().numpy()))

    def test_upc_own_files_are_taken_as_they_are(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [4] dense(4) dense(4) output y }")
        weights = drawn(graph)
        save(tmp_path / "n.safetensors", weights)
        found = import_weights(graph, tmp_path / "n.safetensors").weights
        assert all(np.array_equal(found[key], weights[key]) for key in weights)


MIXED = """
net mixed {
  input x: [6, 5, 4]
  conv2d(8, [3, 2], padding=1, groups=2)
  prelu(shared_axes=[1, 2])
  depthwise_conv2d(3, depth_multiplier=2, use_bias=false)
  batch_normalization(epsilon=1e-5)
  conv2d_transpose(6, [2, 3], strides=2, padding=valid, groups=2)
  instance_normalization(1e-5)
  group_normalization(3, 1e-5)
  output y
}
"""


def mixed() -> nn.Module:
    return shaken(
        nn.Sequential(
            nn.Conv2d(4, 8, (3, 2), padding=1, groups=2),
            nn.PReLU(8),
            nn.Conv2d(8, 16, 3, groups=8, bias=False),
            nn.BatchNorm2d(16),
            nn.ConvTranspose2d(16, 6, (2, 3), stride=2, groups=2),
            nn.InstanceNorm2d(6, affine=True),
            nn.GroupNorm(3, 6),
        )
    )


FLAT = """
net flat {
  input x: [3, 2, 5]
  flatten()
  dropout(0.5)
  batch_normalization(epsilon=1e-5)
  dense(4 * 3 * 2)
  batch_normalization(epsilon=1e-5)
  leaky_relu(0.1)
  reshape(4, 3, 2)
  conv2d(1, 1)
  output y
}
"""


def flat() -> nn.Module:
    return shaken(
        nn.Sequential(
            nn.Flatten(),
            nn.Dropout(),
            nn.BatchNorm1d(30),
            nn.Linear(30, 24),
            nn.BatchNorm1d(24),
            nn.LeakyReLU(0.1),
            nn.Unflatten(1, (2, 4, 3)),
            nn.Conv2d(2, 1, 1),
        )
    )


class TestPyTorchModels:
    @pytest.mark.parametrize("ending", [".pt", ".pth", ".tar", ".safetensors"])
    @pytest.mark.parametrize(("text", "made"), [(MIXED, mixed), (FLAT, flat)], ids=["convolutions", "flattened"])
    def test_mean_the_same_in_upc(self, text: str, made: Any, ending: str, tmp_path: Path) -> None:
        graph, model = graph_of(text), made()
        path = tmp_path / f"model{ending}"
        if ending == ".safetensors":
            save_file(model.state_dict(), path)
        else:
            torch.save(model.state_dict(), path)
        x = np.random.default_rng(5).standard_normal((2, *map(int, graph.inputs[0].shape))).astype(np.float32)
        with torch.inference_mode():
            expected = channels_last(model(torch.from_numpy(channels_first(x))).numpy())
        imported = import_weights(graph, path)
        assert imported.match.how.startswith("in order")
        same_result(graph, imported.weights, x, expected)

    def test_flat_vectors_are_known_from_both_ends(self) -> None:
        assert flattened(graph_of(FLAT)) == {
            "flatten": (3, 2, 5),
            "dropout": (3, 2, 5),
            "batch_normalization": (3, 2, 5),
            "dense": (4, 3, 2),
            "batch_normalization_1": (4, 3, 2),
            "leaky_relu": (4, 3, 2),
        }

    def test_the_flat_order_can_be_said(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [2, 3, 4] flatten() dense(1, use_bias=false) output y }")
        torch.save({"a.weight": torch.arange(24.0)[None]}, tmp_path / "n.pt")
        assert list(import_weights(graph, tmp_path / "n.pt").weights["dense.kernel"][:4, 0]) == [0, 6, 12, 18]
        as_it_is = import_weights(graph, tmp_path / "n.pt", flatten_order="channels_last")
        assert list(as_it_is.weights["dense.kernel"][:4, 0]) == [0, 1, 2, 3]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize("ending", [".pt", ".safetensors"])
    def test_other_precisions_become_float32(self, dtype: torch.dtype, ending: str, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [3] dense(2, use_bias=false) output y }")
        values = torch.tensor([[1.5, -0.1, 3e-5], [200.0, 1 / 3, -2.0]]).to(dtype)
        path = tmp_path / f"n{ending}"
        (save_file if ending == ".safetensors" else torch.save)({"l.weight": values}, path)
        found = import_weights(graph, path).weights["dense.kernel"]
        assert found.dtype == np.float32 and np.array_equal(found, values.float().numpy().T)

    def test_one_slope_serves_all_channels(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [2, 2, 3] prelu(shared_axes=[1, 2]) output y }")
        torch.save(nn.PReLU(init=0.3).state_dict(), tmp_path / "n.pt")
        found = import_weights(graph, tmp_path / "n.pt").weights["prelu.alpha"]
        assert np.array_equal(found, np.full((1, 1, 3), 0.3, np.float32))

    def test_a_linear_layer_fits_a_pointwise_convolution(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [2, 2, 3] conv2d(4, 1) output y }")
        model = shaken(nn.Linear(3, 4))
        torch.save(model.state_dict(), tmp_path / "n.pt")
        kernel = import_weights(graph, tmp_path / "n.pt").weights["conv2d.kernel"]
        assert np.array_equal(kernel[0, 0], model.weight.detach().numpy().T)

    def test_ones_and_zeros_that_a_layer_does_not_have_are_dropped(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [2, 2, 3] batch_normalization(scale=false) output y }")
        state = nn.BatchNorm2d(3).state_dict()
        torch.save(state, tmp_path / "n.pt")
        assert set(import_weights(graph, tmp_path / "n.pt").weights) == {key for key, _, _ in graph.weights()}
        state["weight"][1] = 2
        torch.save(state, tmp_path / "n.pt")
        message = refused("E0631", EXIT_SOURCE, graph, tmp_path / "n.pt")
        assert "`weight` (3,) has no place in batch_normalization" in message

    def test_names_beat_the_order_of_the_file(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [4] dense(4, use_bias=false) dense(4, use_bias=false) output y }")
        weights = drawn(graph)
        state = {"dense_1.weight": torch.from_numpy(weights["dense_1.kernel"].T.copy())}
        state["dense.weight"] = torch.from_numpy(weights["dense.kernel"].T.copy())
        torch.save(state, tmp_path / "n.pt")
        found = import_weights(graph, tmp_path / "n.pt").weights
        assert all(np.array_equal(found[key], weights[key]) for key in weights)

    def test_numbers_in_names_count_as_numbers(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [2] repeat 11 { dense(2, use_bias=false) } output y }")
        save_file({f"layers.{i}.weight": torch.full((2, 2), float(i)) for i in range(11)}, tmp_path / "n.safetensors")
        found = import_weights(graph, tmp_path / "n.safetensors").weights
        assert [array[0, 0] for array in found.values()] == list(range(11))


class TestParts:
    def test_the_only_state_dict_is_taken(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [3] dense(2) output y }")
        torch.save({"epoch": 3, "model": nn.Linear(3, 2).state_dict(), "loss": 0.5}, tmp_path / "n.pt")
        assert import_weights(graph, tmp_path / "n.pt").source.key == "model"

    def test_one_of_several_must_be_named(self, tmp_path: Path) -> None:
        graph = graph_of("net n { input x: [3] dense(2) output y }")
        g, d = nn.Linear(3, 2), nn.Linear(2, 1)
        torch.save({"state": {"g": g.state_dict(), "d": d.state_dict()}}, tmp_path / "n.tar")
        message = refused("E0632", EXIT_USAGE, graph, tmp_path / "n.tar")
        assert "several state dicts: state.g, state.d" in message and "--key" in message
        message = refused("E0632", EXIT_USAGE, graph, tmp_path / "n.tar", key="state.h")
        assert "no state dict `state.h`" in message and "did you mean state." in message
        found = import_weights(graph, tmp_path / "n.tar", key="state.g").weights
        assert np.array_equal(found["dense.bias"], g.bias.detach().numpy())


def keras_model() -> Any:
    """A functional model with a model inside, its layers called what nobody would guess."""
    inner = keras.Sequential(
        [keras.Input((4, 3, 6)), layers.DepthwiseConv2D(2, depth_multiplier=2), layers.BatchNormalization()], name="in"
    )
    x = keras.Input((6, 5, 4))
    y = layers.Conv2D(6, 3, groups=2, name="zeta")(x)
    y = layers.PReLU(shared_axes=[1, 2], name="alpha")(y)
    y = inner(y)
    y = layers.Conv2DTranspose(5, 2, strides=2, name="beta")(y)
    y = layers.GroupNormalization(5, name="delta")(y)
    y = layers.Conv2D(3, 1, name="a")(layers.LayerNormalization(name="gamma")(y))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    rng = np.random.default_rng(2)
    model.set_weights([rng.random(w.shape).astype(np.float32) + 0.25 for w in model.get_weights()])
    return model


KERAS_NET = """
net n {
  input x: [6, 5, 4]
  conv2d(6, 3, groups=2)
  prelu(shared_axes=[1, 2])
  depthwise_conv2d(2, depth_multiplier=2)
  batch_normalization()
  conv2d_transpose(5, 2, strides=2)
  group_normalization(5)
  layer_normalization()
  conv2d(3, 1)
  flatten()
  dense(2)
  output y
}
"""


class TestKerasModels:
    @pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
    def test_mean_the_same_in_upc(self, ending: str, tmp_path: Path) -> None:
        graph, model, path = graph_of(KERAS_NET), keras_model(), tmp_path / f"model{ending}"
        model.compile("adam", "mse")
        if ending == ".weights.h5":
            model.save_weights(path)
        else:
            model.save(path)
        x = np.random.default_rng(5).random((2, 6, 5, 4)).astype(np.float32)
        imported = import_weights(graph, path)
        assert imported.match.how == "in order" if ending == ".weights.h5" else "connections" in imported.match.how
        same_result(graph, imported.weights, x, model.predict(x, verbose=0))

    def test_the_older_format_keeps_its_order(self, tmp_path: Path) -> None:
        model = keras.Sequential([keras.Input((3,)), *(layers.Dense(3, name=name) for name in "zab")])
        model.save(tmp_path / "model.h5")
        graph = graph_of("net n { input x: [3] dense(3) dense(3) dense(3) output y }")
        imported = import_weights(graph, tmp_path / "model.h5")
        assert [pair.tensor.name.partition("/")[0] for pair in imported.match.pairs] == list("zzaabb")
        x = np.random.default_rng(1).random((2, 3)).astype(np.float32)
        same_result(graph, imported.weights, x, model.predict(x, verbose=0))

    def test_half_precision_is_widened(self, tmp_path: Path) -> None:
        values = np.array([[1.5, -0.1], [3e-5, 0.25]], np.float16)
        with h5py.File(tmp_path / "n.weights.h5", "w") as file:
            file["layers/dense/vars/0"] = values
        graph = graph_of("net n { input x: [2] dense(2, use_bias=false) output y }")
        assert np.array_equal(import_weights(graph, tmp_path / "n.weights.h5").weights["dense.kernel"], values)

    def test_bfloat16_is_widened(self, tmp_path: Path) -> None:
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2, use_bias=False, dtype="bfloat16")])
        model.save(tmp_path / "n.keras")
        graph = graph_of("net n { input x: [3] dense(2, use_bias=false) output y }")
        expected = keras.ops.convert_to_numpy(keras.ops.cast(model.layers[0].kernel, "float32"))
        assert np.array_equal(import_weights(graph, tmp_path / "n.keras").weights["dense.kernel"], expected)


class TestWhatDoesNotFit:
    NET = "net n {\n  input x: [8, 8, 3]\n  conv2d(4, 3)\n  conv2d(5, 3)\n  conv2d(6, 3)\n  output y\n}\n"

    def saved(self, folder: Path, *modules: nn.Module) -> Path:
        torch.save(nn.Sequential(*modules).state_dict(), folder / "n.pt")
        return folder / "n.pt"

    def test_the_first_layer_is_named_with_its_line(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 5), nn.Conv2d(5, 9, 3))
        message = refused("E0631", EXIT_SOURCE, graph_of(self.NET), path)
        assert "`1.weight` (5, 4, 5, 5) does not fit conv2d_1.kernel: expected (5, 4, 3, 3)" in message
        assert "net.upc:4:3" in message

    def test_too_few(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3))
        message = refused("E0631", EXIT_SOURCE, graph_of(self.NET), path)
        assert "2 layers with weights, none for conv2d_2" in message and "net.upc:5:3" in message

    def test_too_many(self, tmp_path: Path) -> None:
        convs = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 6, 3)]
        message = refused("E0631", EXIT_SOURCE, graph_of(self.NET), self.saved(tmp_path, *convs, nn.Linear(6, 1)))
        assert "has more than the net: `3` has no place" in message

    def test_a_missing_bias(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path, nn.Conv2d(3, 4, 3, bias=False))
        message = refused("E0631", EXIT_SOURCE, graph_of(self.NET), path)
        assert "`0` has no bias for conv2d" in message and "use_bias=false" in message

    def test_a_kind_that_a_weights_file_lacks(self, tmp_path: Path) -> None:
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        model.save_weights(tmp_path / "n.weights.h5")
        graph = graph_of("net n { input x: [3] dense(2) dense(2) output y }")
        assert "has 1 of kind dense, none for dense_1" in refused(
            "E0631", EXIT_SOURCE, graph, tmp_path / "n.weights.h5"
        )


class TestMap:
    NET = "net n { input x: [2] dense(2) dense(2) dense(2) output y }"

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        torch.save({f"{n}.{own}": torch.full(shape, float(i)) for i, n in enumerate("abcd")
                    for own, shape in (("weight", (2, 2)), ("bias", (2,)))}, tmp_path / "n.pt")  # fmt: skip
        return tmp_path / "n.pt"

    def values(self, file: Path, mapping: dict[str, str]) -> list[float]:
        return [float(a.flat[0]) for a in import_weights(graph_of(self.NET), file, mapping=mapping).weights.values()]

    def test_every_layer_by_name_and_the_rest_left_unused(self, file: Path) -> None:
        mapping = {"dense": "d", "dense_1": "a", "dense_2": "c"}
        assert self.values(file, mapping) == [3, 3, 0, 0, 2, 2]
        assert import_weights(graph_of(self.NET), file, mapping=mapping).match.unused == ("b",)

    def test_weights_by_name(self, file: Path) -> None:
        mapping = {"dense.kernel": "a.weight", "dense.bias": "b.bias", "dense_1": "c", "dense_2": "d"}
        assert self.values(file, mapping) == [0, 1, 2, 2, 3, 3]

    @pytest.mark.parametrize(
        ("mapping", "code", "words"),
        [
            ({"dens": "a"}, "E0632", "no weight or layer `dens`"),
            ({"dense": "x"}, "E0632", "no layer `x`"),
            ({"dense.bias": "a.bia"}, "E0632", "did you mean a.bias?"),
            ({"dense.kernel": "a.weight"}, "E0632", "leaves out dense.bias"),
            ({"dense.kernel": "a.bias", "dense.bias": "a.bias"}, "E0631", "does not fit dense.kernel"),
            ({"dense": "a", "dense.bias": "b.bias"}, "E0632", "gives dense.bias twice"),
            ({"dense": "d"}, "E0631", "more than the net"),
        ],
    )
    def test_what_is_wrong_is_said(self, file: Path, mapping: dict[str, str], code: str, words: str) -> None:
        exit_code = EXIT_USAGE if code == "E0632" else EXIT_SOURCE
        assert words in refused(code, exit_code, graph_of(self.NET), file, mapping=mapping)


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("was_here",)


class TestHostileFiles:
    NET = "net n { input x: [2] dense(2, use_bias=false) output y }"

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def refuse(self, path: str, code: str = "E0630", exit_code: int = EXIT_USAGE) -> str:
        return refused(code, exit_code, graph_of(self.NET), path)

    def keras_file(self, weights: bytes, config: Any = None, compression: int = zipfile.ZIP_STORED) -> str:
        with zipfile.ZipFile("x.keras", "w", compression) as archive:
            archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config or {}))
            archive.writestr("model.weights.h5", weights)
        return "x.keras"

    def h5(self, **data: Any) -> bytes:
        file = io.BytesIO()
        with h5py.File(file, "w") as root:
            for place, values in data.items():
                root[place.replace("__", "/")] = values
        return file.getvalue()

    @pytest.mark.parametrize("legacy", [True, False])
    def test_a_pickle_cannot_run(self, legacy: bool) -> None:
        torch.save({"a.weight": torch.zeros(2, 2), "b": Evil()}, "x.pt", _use_new_zipfile_serialization=not legacy)
        self.refuse("x.pt")
        Path("y.pt").write_bytes(pickle.dumps(Evil()))
        self.refuse("y.pt")
        assert not Path("was_here").exists()

    def test_code_in_a_keras_model_stays_text(self) -> None:
        model = keras.Sequential([keras.Input((2,)), layers.Dense(2, use_bias=False)])
        model.add(layers.Lambda(lambda x: [os.mkdir("was_here"), x][1], output_shape=(2,)))
        model.save("x.keras")
        assert import_weights(graph_of(self.NET), "x.keras").weights["dense.kernel"].shape == (2, 2)
        assert not Path("was_here").exists()

    def test_an_archive_that_unpacks_to_more_than_the_net_could_need(self) -> None:
        bomb = bytes(2**27)
        assert "more than the" in self.refuse(self.keras_file(bomb, compression=zipfile.ZIP_DEFLATED))
        assert os.path.getsize("x.keras") < 2**18

    def test_a_state_dict_that_unpacks_to_more_than_the_file(self) -> None:
        torch.save({"a.weight": torch.zeros(1000, 1000)}, "x.pt")
        with zipfile.ZipFile("x.pt") as old, zipfile.ZipFile("y.pt", "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        assert "larger than the file" in self.refuse("y.pt")

    def test_a_huge_view_of_one_number_is_not_filled(self) -> None:
        torch.save({"a.weight": torch.zeros(1).expand(10**7, 10**7)}, "x.pt")
        assert "does not fit" in self.refuse("x.pt", "E0631", EXIT_SOURCE)

    def test_a_huge_dataset_without_data_is_not_filled(self) -> None:
        file = io.BytesIO()
        with h5py.File(file, "w") as root:
            root.create_dataset("layers/dense/vars/0", (10**7, 10**7), "f4", chunks=(64, 64))
        Path("x.weights.h5").write_bytes(file.getvalue())
        assert "does not fit" in self.refuse("x.weights.h5", "E0631", EXIT_SOURCE)

    def test_a_piece_much_larger_than_its_data_is_not_unpacked(self) -> None:
        file = io.BytesIO()
        with h5py.File(file, "w") as root:
            how = {"maxshape": (None, None), "chunks": (9000, 9600), "compression": "gzip"}
            root.create_dataset("layers/dense/vars/0", (2, 2), "f4", **how)[...] = 1
        Path("x.weights.h5").write_bytes(file.getvalue())
        assert "is stored in pieces of 345600000, more than" in self.refuse("x.weights.h5")
        with h5py.File("y.weights.h5", "w") as root:  # in pieces of an ordinary size it is taken
            root.create_dataset("layers/dense/vars/0", (2, 2), "f4", chunks=(1, 2), compression="gzip")[...] = 1
        assert import_weights(graph_of(self.NET), "y.weights.h5").weights["dense.kernel"].sum() == 4

    def test_thousands_of_layers_with_long_names_take_no_time(self) -> None:
        graph = graph_of("net n { input x: [2] repeat 1500 { dense(2, use_bias=false) } output y }")
        with h5py.File("x.weights.h5", "w") as root:
            for i in range(1500):
                root[f"layers/{'x' * 900}_{i}/vars/0"] = np.full((2, 2), i, np.float32)
        before = time.process_time()
        found = import_weights(graph, "x.weights.h5").weights
        assert [array[0, 0] for array in found.values()] == list(range(1500))
        assert time.process_time() - before < 10  # 1.0 s; before it grew with the square of the layers
        with h5py.File("y.weights.h5", "w") as root:
            root[f"layers/{'x' * 10_000}/vars/0"] = np.ones((2, 2), np.float32)
        assert "characters in a name, more than 1024" in self.refuse("y.weights.h5")

    @pytest.mark.parametrize("number", [0, 3])
    def test_a_heap_without_an_end_is_not_walked(self, number: int) -> None:
        """HDF5's library would go round in it for ever: a size that leads to the same place, or around to it."""
        export_weights(graph_of(self.NET), {"dense.kernel": np.ones((2, 2), np.float32)}, "x.weights.h5")
        content = bytearray(Path("x.weights.h5").read_bytes())
        first = content.index(b"GCOL") + 16
        content[first : first + 2] = number.to_bytes(2, "little")
        content[first + 8 : first + 16] = (0 if number == 0 else 2**64 - 16).to_bytes(8, "little")
        Path("y.weights.h5").write_bytes(content)
        assert "a heap in it has no end" in self.refuse("y.weights.h5")
        assert "a heap in it has no end" in self.refuse(self.keras_file(bytes(content)))

    @pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_member_that_cannot_be_unpacked(self, how: int) -> None:
        weights = self.h5(layers__dense__vars__0=np.ones((2, 2), np.float32))
        path = Path(self.keras_file(weights, compression=how))
        content = bytearray(path.read_bytes())
        start = content.index(b"model.weights.h5") + len(b"model.weights.h5")
        content[start + 40 : start + 60] = b"\xff" * 20
        path.write_bytes(content)
        words = "Invalid data stream" if how == zipfile.ZIP_BZIP2 else "it is no .keras file"
        assert words in self.refuse("x.keras")

    def test_an_address_beyond_all_files(self) -> None:
        content = bytearray(self.h5(layers__dense__vars__0=np.ones((2, 2), np.float32)))
        content[48:56] = b"\xff\xfd" + b"\xff" * 6  # of what a driver of the file's own would need
        Path("x.weights.h5").write_bytes(content)
        assert "it is no HDF5 file of weights" in self.refuse("x.weights.h5")
        self.refuse(self.keras_file(bytes(content)))

    def test_archives_with_endless_lists_of_members(self) -> None:
        with zipfile.ZipFile("x.keras", "w") as archive:
            archive.writestr("config.json", "{}")
        content = bytearray(Path("x.keras").read_bytes())
        content[-10:-6] = (2**31).to_bytes(4, "little")
        Path("x.keras").write_bytes(content)
        assert "list of members has 2147483648 bytes" in self.refuse("x.keras")

    @pytest.mark.parametrize("ending", [".pt", ".pth", ".keras", ".weights.h5", ".safetensors"])
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"<!DOCTYPE html><html>", "it is a web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "pointer of Git LFS"),
            (b"", "it is empty"),
        ],
    )
    def test_what_came_in_place_of_weights_is_named(self, ending: str, content: bytes, words: str) -> None:
        Path(f"x{ending}").write_bytes(content)
        with pytest.raises(UpcError, match=words):
            import_weights(graph_of(self.NET), f"x{ending}")

    @pytest.mark.parametrize("legacy", [True, False])
    def test_a_whole_pickled_model_is_answered_in_our_words(self, legacy: bool) -> None:
        torch.save(nn.Linear(2, 2), "x.pt", _use_new_zipfile_serialization=not legacy)
        said = self.refuse("x.pt")
        assert "whole pickled model" in said and "torch.save(model.state_dict(), FILE)" in said
        assert "weights_only" not in said and "arbitrary" not in said

    def test_a_pipe_is_not_waited_for(self) -> None:
        for ending in (".pt", ".keras", ".weights.h5", ".safetensors"):
            os.mkfifo(f"x{ending}")
            with pytest.raises(UpcError, match="not a regular file"):
                import_weights(graph_of(self.NET), f"x{ending}")

    def test_values_that_are_not_finite(self) -> None:
        torch.save({"a.weight": torch.tensor([[1.0, np.nan], [np.inf, 2.0]])}, "x.pt")
        said = self.refuse("x.pt", "E0612", EXIT_SOURCE)
        assert "dense.kernel has 2 values that are NaN or infinite" in said
        assert np.isnan(import_weights(graph_of(self.NET), "x.pt", allow_nonfinite=True).weights["dense.kernel"]).any()

    def test_links_out_of_the_file_are_not_followed(self) -> None:
        Path("secret.h5").write_bytes(self.h5(values=np.ones((2, 2), np.float32)))
        with h5py.File("x.weights.h5", "w") as root:
            root.create_group("layers/dense/vars")["0"] = h5py.ExternalLink("secret.h5", "/values")
        assert "points elsewhere" in self.refuse("x.weights.h5")
        Path("secret.raw").write_bytes(np.ones((2, 2), np.float32).tobytes())
        with h5py.File("y.weights.h5", "w") as root:
            root.create_dataset("layers/dense/vars/0", (2, 2), "f4", external=[("secret.raw", 0, 16)])
        assert "not plain data" in self.refuse("y.weights.h5")
        layout = h5py.VirtualLayout((2, 2), "f4")
        layout[:] = h5py.VirtualSource("secret.h5", "values", (2, 2))
        with h5py.File("z.weights.h5", "w") as root:
            root.create_virtual_dataset("layers/dense/vars/0", layout)
        assert "not plain data" in self.refuse("z.weights.h5")

    def test_groups_that_hold_themselves_end(self) -> None:
        with h5py.File("x.weights.h5", "w") as root:
            group = root.create_group("layers")
            group["layers"] = group
        assert "17 groups inside groups, more than 16" in self.refuse("x.weights.h5")

    @pytest.mark.parametrize("config", ["", "[" * 10**5, "null", '{"config": {"layers": [1, {"class_name": {}}]}}'])
    def test_descriptions_that_make_no_sense(self, config: str) -> None:
        path = self.keras_file(self.h5(layers__dense__vars__0=np.ones((2, 2), np.float32)), config)
        try:
            import_weights(graph_of(self.NET), path)
        except UpcError as problem:
            assert problem.diagnostics[0].code == "E0630"

    def test_elements_that_are_no_numbers(self) -> None:
        Path("x.weights.h5").write_bytes(self.h5(layers__dense__vars__0=np.array([b"ab", b"cd"])))
        assert "expected floating-point" in self.refuse("x.weights.h5")
        torch.save({"a.weight": torch.zeros(2, 2, dtype=torch.int8)}, "x.pt")
        assert "expected dense floating-point" in self.refuse("x.pt")

    @pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5", ".pt", ".tar"])
    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x02}q\x00.", b"\xff" * 300])
    def test_broken_files_of_every_kind(self, ending: str, content: bytes) -> None:
        Path(f"x{ending}").write_bytes(content)
        assert f"x{ending}" in self.refuse(f"x{ending}")

    def test_cut_off_files(self) -> None:
        graph = graph_of(self.NET)
        for ending in (".keras", ".weights.h5", ".pt"):
            export_weights(graph, drawn(graph), f"x{ending}")
            whole = Path(f"x{ending}").read_bytes()
            for share in (0.2, 0.5, 0.9):
                Path(f"y{ending}").write_bytes(whole[: int(len(whole) * share)])
                self.refuse(f"y{ending}")

    def test_names_that_would_write_on_the_terminal(self) -> None:
        torch.save({"\x1b[31mred.weight": torch.zeros(3, 3)}, "x.pt")
        message = self.refuse("x.pt", "E0631", EXIT_SOURCE)
        assert "\x1b" not in message and "red" in message

    def test_endings_folders_and_missing_files(self) -> None:
        assert ".keras" in self.refuse("x.bin")
        assert "No such file" in self.refuse("x.pt")
        Path("folder.pt").mkdir()
        assert "folder" in self.refuse("folder.pt")


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("n.upc").write_text(
            "net n { input x: [2] dense(3) batch_normalization() dense(1, trainable=false) output y }"
        )

    def upc(self, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
        code = main(list(map(str, words)))
        return (code, *capsys.readouterr())

    def test_init_is_the_same_for_the_same_seed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.upc(capsys, "weights", "init") == (0, "n.safetensors\n", "")
        assert self.upc(capsys, "weights", "init", "n.upc", "--seed", 0, "-o", "same.safetensors")[0] == 0
        assert self.upc(capsys, "weights", "init", "n.upc", "--seed", 1, "-o", "other.safetensors")[0] == 0
        first, same, other = (Path(f"{name}.safetensors").read_bytes() for name in ("n", "same", "other"))
        assert first == same != other

    def test_show_prints_what_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        weights = drawn(graph_of(Path("n.upc").read_text()))
        weights["dense.kernel"][0, 0] = np.inf
        save("n.safetensors", weights)
        assert self.upc(capsys, "weights", "export", "--weights", "n.safetensors", "-o", "x.pt")[0] == EXIT_SOURCE
        how = ("--weights", "n.safetensors", "--allow-nonfinite")
        assert self.upc(capsys, "weights", "export", *how, "-o", "x.pt")[0] == 0
        code, out, _ = self.upc(capsys, "weights", "show", "--weights", "n.safetensors", "--json")
        rows = {row["key"]: row for row in json.loads(out)}
        assert code == 0 and list(rows) == list(weights)
        assert rows["dense_1.kernel"]["shape"] == [3, 1] and rows["dense_1.kernel"]["params"] == 3
        assert rows["dense.bias"]["mean"] == pytest.approx(float(weights["dense.bias"].mean()))
        assert rows["dense.bias"]["min"] == weights["dense.bias"].min() < rows["dense.bias"]["max"]
        assert rows["dense.kernel"]["max"] is None
        trained = [key for key, row in rows.items() if row["trainable"]]
        assert trained == ["dense.kernel", "dense.bias", "batch_normalization.gamma", "batch_normalization.beta"]
        code, out, _ = self.upc(capsys, "weights", "show", "--weights", "n.safetensors")
        assert code == 0 and "not finite" in out and out.endswith("25 parameters, 15 of them trained\n")

    def test_there_and_back(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.upc(capsys, "weights", "init")[0] == 0
        for ending in ENDINGS:
            code, out, _ = self.upc(capsys, "weights", "export", "--weights", "n.safetensors", "-o", f"x{ending}")
            assert (code, out) == (0, f"x{ending}\n")
            code, out, err = self.upc(capsys, "weights", "import", f"x{ending}", "-o", "back.safetensors")
            assert code == 0 and "dense_1.kernel" in out and " <- " in out and err == ""
            assert Path("back.safetensors").read_bytes() == Path("n.safetensors").read_bytes()

    def test_map_comes_from_arguments_and_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        graph = graph_of(Path("n.upc").read_text())
        save_file({f"{n}.{own}": torch.from_numpy(array) for n, own, array in (
            ("q", "weight", np.ones((3, 2), np.float32)), ("q", "bias", np.zeros(3, np.float32)),
            ("p", "weight", np.ones((1, 3), np.float32)), ("p", "bias", np.zeros(1, np.float32)),
            *(("r", own, np.ones(3, np.float32)) for own in ("weight", "bias", "running_mean", "running_var")),
        )}, "m.safetensors")  # fmt: skip
        assert self.upc(capsys, "weights", "import", "m.safetensors")[0] == EXIT_SOURCE
        Path("names").write_text("# the published model's names\ndense = q\n\ndense_1 = p  # last\n")
        words = ("weights", "import", "m.safetensors", "--map", "names", "--map", "batch_normalization=r")
        code, out, _ = self.upc(capsys, *words, "-o", "here/")
        assert (code, "cannot write" in out) == (EXIT_USAGE, False)
        assert self.upc(capsys, *words)[0] == 0
        assert load("n.safetensors", graph)["batch_normalization.beta"].tolist() == [1, 1, 1]

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("import", "none.pt"), EXIT_USAGE, "No such file"),
            (("import", "n.upc"), EXIT_USAGE, "cannot tell what n.upc is"),
            (("import", "n.upc", "n.upc", "--map", "none"), EXIT_USAGE, "cannot read none"),
            (("import", "n.upc", "x.pt", "--map", "=b"), EXIT_USAGE, "expected a layer or weight"),
            (("import", "n.upc", "x.pt", "--map", "a=b", "--map", "a=c"), EXIT_USAGE, "gives a twice"),
            (("export", "-o", "x.txt"), EXIT_USAGE, "cannot tell what to write"),
            (("export", "-o", "none/x.safetensors"), EXIT_USAGE, "cannot write none/x.safetensors"),
            (("init", "-o", "-"), EXIT_USAGE, "not written to a terminal"),
            (("show", "--weights", "n.upc"), EXIT_SOURCE, "not a safetensors file"),
        ],
    )
    def test_wrong_use(self, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str) -> None:
        found, out, err = self.upc(capsys, "weights", *words)
        assert (found, out) == (code, "") and said in err


class TestMissingPackages:
    NET = "net n { input x: [2] dense(2, use_bias=false) output y }"

    @pytest.mark.parametrize(
        ("package", "file"), [("torch", "x.pt"), ("h5py", "x.keras"), ("h5py", "x.weights.h5"), ("h5py", "x.h5")]
    )
    def test_reading(self, package: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / file).write_bytes(b"something")
        monkeypatch.setitem(__import__("sys").modules, package, None)
        message = refused("E0704", EXIT_MISSING, graph_of(self.NET), tmp_path / file)
        assert f"needs {package}" in message and "pip install 'upc[" in message

    @pytest.mark.parametrize(("package", "file"), [("torch", "x.pt"), ("keras", "x.keras"), ("h5py", "x.weights.h5")])
    def test_writing(self, package: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, package, None)
        graph = graph_of(self.NET)
        with pytest.raises(UpcError) as caught:
            export_weights(graph, drawn(graph), tmp_path / file)
        assert caught.value.exit_code == EXIT_MISSING and package in str(caught.value)
        assert not (tmp_path / file).exists()

    def test_state_dicts_in_safetensors_need_no_framework(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = graph_of(self.NET)
        weights = drawn(graph)
        export_weights(graph, weights, tmp_path / "x.safetensors")
        for package in ("torch", "keras", "h5py"):
            monkeypatch.setitem(__import__("sys").modules, package, None)
        found = import_weights(graph, tmp_path / "x.safetensors").weights
        assert np.array_equal(found["dense.kernel"], weights["dense.kernel"])
