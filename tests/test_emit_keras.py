"""Emitted Keras source: it means what the cards mean, on every backend, and it trains and saves."""

from __future__ import annotations

import os
import subprocess
import sys

# In this process Keras runs on PyTorch, which starts fastest; the other backends have a process each.
os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from emission import (
    EXAMPLES,
    FREED,
    NETS,
    ROOT,
    Net,
    assert_clean,
    assert_close,
    compiled,
    drawn_inputs,
    drawn_weights,
    example_graph,
    example_inputs,
    expected,
    is_small,
    small_inputs,
)

from upc.diagnostics import UpcError
from upc.emit import keras as emitter
from upc.emit import keras_spelling
from upc.emit.carried import parts
from upc.emit.common import Unsupported
from upc.layers import LAYERS, Selu
from upc.load_frameworks import execute, load_keras
from upc.weights import save

GOLDEN = ROOT / "tests" / "golden" / "keras"
SMALL = [net for net in NETS if is_small(net.graph)]


def emitted(graph):
    return emitter.emit(graph, source_name="net.upc", source_sha256="0" * 64, version="0.0.0")


def built(graph):
    return vars(execute(emitted(graph), graph.name))[emitter.builder_name(graph)]()


def identify(value):
    return value.golden.removesuffix(".py") if isinstance(value, Net) else None


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_spelled_or_says_why_not(name):
    spelling = keras_spelling.SPELLINGS[LAYERS[name][0]]
    assert callable(spelling) or (isinstance(spelling, Unsupported) and spelling.reason)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{e.call}-{e.shapes}" for _, e in EXAMPLES])
def test_examples_mean_what_the_card_means(name, example):
    graph = example_graph(example)
    weights, inputs = drawn_weights(graph), example_inputs(example)
    loaded = load_keras(graph, weights)
    assert_close(graph, expected(graph, weights, inputs), loaded(inputs))
    if name != "global_max_pooling2d":  # Keras refuses to take the maximum of an empty array
        assert [y.shape for y in loaded([x[:0] for x in inputs])] == [(0, *o.value.shape) for o in graph.outputs]


@pytest.mark.parametrize("text", FREED)
def test_one_model_takes_a_single_pixel_too(text):
    graph = compiled(text)
    weights = drawn_weights(graph)
    loaded = load_keras(graph, weights)
    for inputs in small_inputs(graph, batch=1):
        assert_close(graph, expected(graph, weights, inputs), loaded(inputs))


def in_a_process(backend, *command, path=()):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *map(str, path)]),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("backend", "every", "data_format"), [("tensorflow", 1, "channels_first"), ("jax", 14, "channels_last")]
)
def test_other_backends_mean_the_same_whatever_the_data_format(backend, every, data_format):
    done = in_a_process(backend, str(ROOT / "tests" / "keras_backend.py"), str(every), "0", data_format)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= len(EXAMPLES) // every


@pytest.fixture
def channels_first():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{e.call}-{e.shapes}" for _, e in EXAMPLES])
def test_examples_mean_the_same_where_keras_is_set_to_channels_first(name, example, channels_first):
    graph = example_graph(example)
    weights, inputs = drawn_weights(graph), example_inputs(example)
    assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))


def test_the_dcgan_is_built_alike_where_keras_is_set_to_channels_first(channels_first):
    (net,) = (net for net in NETS if net.golden == "dcgan_faces.py")
    first = built(net.graph)
    keras.config.set_image_data_format("channels_last")
    assert first.get_config() == built(net.graph).get_config()
    assert first.output_shape == (None, 64, 64, 3)


LOADING = """
import importlib, sys
from pathlib import Path
import keras, numpy as np

folder, imported = Path(sys.argv[1]), sys.argv[2] == "imported"
for path in sorted(folder.glob("*.keras")):
    keras.saving.get_custom_objects().clear()
    if imported:
        importlib.import_module(path.stem)
    arrays = np.load(path.with_suffix(".npz"))
    inputs = [arrays[key] for key in arrays if key.startswith("x")]
    (result,) = keras.tree.flatten(keras.saving.load_model(path)(inputs[0] if len(inputs) == 1 else inputs))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(result), arrays["y"])
    print(path.stem)
"""


def save_all(folder, graphs):
    """Models, modules, inputs and results of nets, each under its number."""
    for number, graph in enumerate(graphs):
        weights, inputs = drawn_weights(graph), drawn_inputs(graph)
        loaded = load_keras(graph, weights)
        (folder / f"net_{number}.py").write_text(emitted(graph))
        loaded.model.save(folder / f"net_{number}.keras")
        np.savez(folder / f"net_{number}.npz", y=loaded(inputs)[0], **{f"x{i}": x for i, x in enumerate(inputs)})


def test_a_saved_model_loads_where_only_the_emitted_module_is_imported(tmp_path):
    free = "net free { input x: [H, W, 2] depthwise_conv2d(3, strides=2, padding=same, dilation_rate=2) output y }"
    own = {name for name, part in parts("keras").items() if part.text.startswith("@keras.saving")}
    chosen = {}
    for graph in [compiled(free), *(example_graph(example) for _, example in EXAMPLES)]:
        text = emitted(graph)
        for name in own:
            if f"class {name}" in text:
                assert "Import this module before you load a saved model" in text
                chosen.setdefault(name, []).append(graph)
    assert set(chosen) == own
    graphs = [graph for found in chosen.values() for graph in found[::3]]
    save_all(tmp_path, graphs)
    done = in_a_process("torch", "-c", LOADING, str(tmp_path), "imported", path=[tmp_path])
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(graphs)


OF_KERAS_ALONE = [
    "clip(0, 1)",
    "maximum(-0.25) clip(-1, 0.25) minimum(0.125)",
    "as e relu() maximum(e, 0.125) minimum(e, 0.75) maximum(e) maximum(0.25)",
    "gelu() gelu(approximate=true) gelu()",
    "slice(1, 3) slice(0, 1)",
    "split(2) as a, b concatenate(a)",
    "conv2d(4, 3, strides=2) conv2d_transpose(2, 3, strides=2, padding=1) flatten() dense(3)",
]


def test_a_saved_model_of_layers_that_keras_has_loads_anywhere(tmp_path):
    graphs = [compiled(f"net n {{ input x: [7, 6, 4] {text} output y }}") for text in OF_KERAS_ALONE]
    assert not any("class" in emitted(graph) for graph in graphs)
    save_all(tmp_path, graphs)
    done = in_a_process("torch", "-c", LOADING, str(tmp_path), "nothing imported")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(graphs)


@pytest.mark.parametrize("word", keras_spelling.OPERATIONS)
def test_an_input_may_be_called_as_an_operation(word):
    """Keras numbers its operations, so that this only fails where the numbers begin: after `clear_session`."""
    layers = "split(2) as a, b concatenate(a) slice(1, 3) clip(0, 1) gelu() gelu(approximate=true)"
    graph = compiled(f"net n {{ input {word}: [3, 4] {layers} output y }}")
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    keras.backend.clear_session()
    assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))


@pytest.mark.parametrize("net", NETS, ids=identify)
def test_golden(net, golden):
    graph = net.graph
    text = emitter.emit(graph, source_name=net.file.name, source_sha256=graph.span.source.sha256, version="0.0.0")
    golden(GOLDEN / net.golden, text)
    model = vars(execute(text, net.name))[emitter.builder_name(graph)]()
    assert model.count_params() == sum(int(np.prod(w.shape)) for _, w, _ in graph.weights())
    trained = {f"{layer.name.replace('-', '.')}.{v.name}" for layer in model.layers for v in layer.trainable_weights}
    assert trained == {key for key, _, trainable in graph.weights() if trainable}
    assert [tuple(y.shape[1:]) for y in model.outputs] == [
        tuple(n if isinstance(n, int) else None for n in output.value.shape) for output in graph.outputs
    ]


@pytest.mark.parametrize("net", SMALL, ids=identify)
def test_nets_agree_with_the_reference(net):
    graph = net.graph
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))


@pytest.mark.parametrize(
    "text",
    [
        "conv2d(4, [2, 5], strides=[2, 3], padding=same)",
        "conv2d(4, [2, 3], strides=[2, 3], padding=same, dilation_rate=[3, 2])",
        "depthwise_conv2d(3, strides=2, padding=same, dilation_rate=2)",
        "max_pooling2d(3, strides=2, padding=same)",
        "average_pooling2d(3, strides=2, padding=same)",
        "average_pooling2d([2, 3], strides=2, padding=same, count_include_padding=true)",
        "up_sampling2d([2, 3], interpolation=bicubic)",
        "up_sampling2d(2, interpolation=bilinear, coordinates=asymmetric)",
        "resizing(7, 5, interpolation=nearest)",
        "pixel_shuffle(2, order=dcr)",
        "conv2d_transpose(4, 3, strides=2, padding=same, output_padding=1)",
        "conv2d_transpose(4, 3, strides=2, padding=1, dilation_rate=2, groups=2)",
        "reflect_padding2d([[1, 0], [0, 2]])",
        "reflect_padding2d(0)",
        "replicate_padding2d([[1, 0], [0, 2]])",
    ],
)
def test_one_model_takes_any_height_and_width_and_saves(text, tmp_path):
    graph = compiled(f"net free {{ input x: [H, W, 4] {text} output y }}")
    weights = drawn_weights(graph)
    loaded = load_keras(graph, weights)
    loaded.model.save(tmp_path / "free.keras")
    again = keras.saving.load_model(tmp_path / "free.keras")
    for height, width in [(3, 4), (7, 3), (8, 11)]:
        x = np.random.default_rng(3).standard_normal((2, height, width, 4)).astype(np.float32)
        wanted = expected(graph, weights, [x])
        assert_close(graph, wanted, loaded([x]))
        assert_close(graph, wanted, (keras.ops.convert_to_numpy(again(x)),))


TRAINED = """
net trained {
  input x: [6, 5, 2]
  conv2d(3, 3, padding=same, activation=relu, trainable=false)
  batch_normalization(trainable=false)
  conv2d(3, 1)
  batch_normalization(scale=false)
  dropout(0.2)
  conv2d_transpose(2, 3, strides=2, padding=[[1, 0], [0, 1]])
  layer_normalization(center=false)
  output y
}
"""


def named_weights(model):
    return {
        f"{layer.name.replace('-', '.')}.{v.name}": keras.ops.convert_to_numpy(v).copy()
        for layer in model.layers
        for v in layer.weights
    }


def test_a_training_step_moves_what_is_trained_and_nothing_else():
    graph = compiled(TRAINED)
    model = built(graph)
    keras.utils.set_random_seed(0)
    before = named_weights(model)
    model.compile(keras.optimizers.SGD(0.5), "mse")
    x = np.random.default_rng(0).standard_normal((4, 6, 5, 2)).astype(np.float32)
    model.train_on_batch(x, np.ones((4, *model.output_shape[1:]), np.float32))
    after = named_weights(model)
    moved = {key for key in before if not np.array_equal(before[key], after[key])}
    trained = {key for key, _, trainable in graph.weights() if trainable}
    statistics = {"batch_normalization_1.moving_mean", "batch_normalization_1.moving_variance"}
    # A bias in front of a batch normalization has no gradient.
    assert moved - {"conv2d_1.bias"} == (trained | statistics) - {"conv2d_1.bias"}


def test_weights_load_from_a_file_of_safetensors(tmp_path):
    graph = compiled(TRAINED)
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    save(tmp_path / "weights.safetensors", weights)
    module = execute(emitted(graph), "trained")
    model = module.build_trained()
    module.load_weights(model, str(tmp_path / "weights.safetensors"))
    result = keras.ops.convert_to_numpy(model(inputs[0], training=False))
    assert_close(graph, expected(graph, weights, inputs), (result,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("conv2d.bias"), "the weights lack conv2d.bias"),
        (lambda w: w.update(more=np.zeros(1)), "trained has no more"),
        (lambda w: w.update({"conv2d.bias": np.zeros(4)}), r"conv2d.bias: expected \(3,\), got \(4,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message):
    graph = compiled(TRAINED)
    module = execute(emitted(graph), "trained")
    weights = drawn_weights(graph)
    change(weights)
    with pytest.raises((KeyError, ValueError), match=message):
        module.set_weights(module.build_trained(), weights)


@pytest.mark.parametrize("word", ["keras", "layers", "ops", "np", "stack", "name", "mapping", "int", "super", "print"])
def test_hostile_names_give_valid_source(word):
    """The word names a net, a block, a parameter, an input, a value and an output, one net after another."""
    for net, block, value in ((word, "b", "v"), ("n", word, "v"), ("n", "b", word)):
        graph = compiled(
            f"block {block}({word}) {{ conv2d({word}, 1) }} net {net} {{ input a: [2, 3, 1] {block}(2) as {value} "
            f"{block}(3) concatenate({value}) output out }}"
        )
        weights, inputs = drawn_weights(graph), drawn_inputs(graph)
        assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))


def test_an_input_may_be_called_as_a_layer():
    graph = compiled("net n { input dense: [3] dense(2) output y }")
    assert built(graph).output_shape == (None, 2)


def test_emitted_source_is_formatted_and_clean(tmp_path):
    assert_clean(tmp_path, emitter.emit)


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.glob("*.py")} == {net.golden for net in NETS}


def test_what_keras_cannot_say_is_refused_where_it_stands(monkeypatch):
    monkeypatch.setitem(keras_spelling.SPELLINGS, Selu, Unsupported("for once"))
    graph = compiled("net n {\n  input x: [3]\n  selu()\n  output y\n}")
    with pytest.raises(UpcError, match=r"net.upc:3:3: error\[E0701\]: unsupported on keras: selu: for once"):
        emitted(graph)


def test_chains_are_sequential_with_blocks_as_lists_and_repeats_as_loops():
    text = emitted(
        compiled(
            "block up(filters) { conv2d_transpose(filters, 4, strides=2, padding=same) relu() }"
            "net n { input x: [2, 2, 8] repeat i in 1..2 { up(8 / 2 ** i) } output y }"
        )
    )
    assert "def up(filters: int, name: str) -> list[keras.Layer]:" in text
    assert 'for name, filters in (("up", 4), ("up_1", 2)):' in text
    assert "return keras.Sequential(stack" in text


def test_branches_are_functional():
    text = emitted(compiled("net n { input x: [2, 2, 8] as e conv2d(8, 1) add(x) output y }".replace(" as e", "")))
    assert 'y = layers.Conv2D(8, 1, data_format="channels_last", name="conv2d")(x)' in text
    assert 'return keras.Model(x, y, name="n")' in text
