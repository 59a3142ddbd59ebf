"""Emitted PyTorch source: it means what the cards mean, and it trains, scripts and exports."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
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
from upc.emit import torch as emitter
from upc.emit import torch_spelling
from upc.emit.common import Unsupported
from upc.layers import LAYERS, Selu
from upc.load_frameworks import channels_first, channels_last, execute, load_torch
from upc.weights import save

GOLDEN = ROOT / "tests" / "golden" / "torch"
SMALL = [net for net in NETS if is_small(net.graph)]


def emitted(graph):
    return emitter.emit(graph, source_name="net.upc", source_sha256="0" * 64, version="0.0.0")


def identify(value):
    return value.golden.removesuffix(".py") if isinstance(value, Net) else None


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_spelled_or_says_why_not(name):
    spelling = torch_spelling.SPELLINGS[LAYERS[name][0]]
    assert callable(spelling) or (isinstance(spelling, Unsupported) and spelling.reason)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{e.call}-{e.shapes}" for _, e in EXAMPLES])
def test_examples_mean_what_the_card_means(name, example):
    graph = example_graph(example)
    weights, inputs = drawn_weights(graph), example_inputs(example)
    loaded = load_torch(graph, weights)
    assert_close(graph, expected(graph, weights, inputs), loaded(inputs))
    assert [y.shape for y in loaded([x[:0] for x in inputs])] == [(0, *o.value.shape) for o in graph.outputs]


@pytest.mark.parametrize("text", FREED)
def test_one_module_takes_a_single_pixel_and_an_empty_batch_too(text):
    graph = compiled(text)
    weights = drawn_weights(graph)
    loaded = load_torch(graph, weights)
    for inputs in itertools.chain(*(small_inputs(graph, batch) for batch in (0, 1, 2))):
        assert_close(graph, expected(graph, weights, inputs), loaded(inputs))


@pytest.mark.parametrize("layer", ["instance_normalization()", "group_normalization(4)"])
@pytest.mark.parametrize("height", ["H", "1"])
def test_a_single_pixel_becomes_the_offset(layer, height):
    """Exactly, however large it is: whatever it is divided by, it is as far from its mean as can be."""
    graph = compiled(f"net n {{ input x: [{height}, {height}, 4] {layer} output y }}")
    weights = drawn_weights(graph)
    (beta,) = (array for key, array in weights.items() if key.endswith("beta"))
    x = np.float32([3e4, -1e-3, 70000.7, 0.1]) * np.ones((2, 1, 1, 4), np.float32)
    loaded = load_torch(graph, weights)
    for inputs in (x, x[:1]):
        (y,) = loaded([inputs])
        np.testing.assert_array_equal(y, np.broadcast_to(beta, y.shape))
        scripted = torch.jit.script(loaded.model)(torch.from_numpy(channels_first(inputs)))
        np.testing.assert_array_equal(channels_last(scripted.detach().numpy()), y)


@pytest.mark.parametrize("net", NETS, ids=identify)
def test_golden(net, golden):
    graph = net.graph
    text = emitter.emit(graph, source_name=net.file.name, source_sha256=graph.span.source.sha256, version="0.0.0")
    golden(GOLDEN / net.golden, text)
    module = execute(text, net.name)
    model = vars(module)[emitter.class_name(graph)]()
    held = sum(p.numel() for p in model.state_dict().values() if p.dtype == torch.float32)
    # An affine pair of which the source has one half holds the other as a constant.
    assert held >= sum(int(np.prod(w.shape)) for _, w, _ in graph.weights())
    trained = {key for key, _, trainable in graph.weights() if trainable}
    parameters = dict(model.named_parameters())
    entries = {key: entry for key, (entry, *_) in module.WEIGHTS.items()}
    assert {key for key, entry in entries.items() if entry in parameters and parameters[entry].requires_grad} == trained


@pytest.mark.parametrize("net", SMALL, ids=identify)
def test_nets_agree_with_the_reference_scripted_and_exported_too(net):
    graph = net.graph
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    wanted = expected(graph, weights, inputs)
    loaded = load_torch(graph, weights)
    assert_close(graph, wanted, loaded(inputs))
    tensors = tuple(torch.from_numpy(channels_first(x)) for x in inputs)
    for model in (torch.jit.script(loaded.model), torch.export.export(loaded.model, tensors).module()):
        results = model(*tensors)
        results = results if isinstance(results, tuple) else (results,)
        assert_close(graph, wanted, tuple(channels_last(y.detach().numpy()) for y in results))


@pytest.mark.parametrize(
    "text",
    [
        "conv2d(4, 3, strides=2, padding=same)",
        "conv2d(4, [2, 5], strides=[2, 3], padding=same)",
        "max_pooling2d(3, strides=2, padding=same)",
        "average_pooling2d(3, strides=2, padding=same)",
        "average_pooling2d([2, 3], strides=2, padding=same, count_include_padding=true)",
        "up_sampling2d([2, 3], interpolation=bicubic)",
        "up_sampling2d(2, interpolation=bilinear, coordinates=asymmetric)",
        "resizing(7, 5, interpolation=nearest)",
        "resizing(7, 5, interpolation=nearest, coordinates=asymmetric)",
        "pixel_shuffle(2, order=dcr)",
        "conv2d_transpose(4, 3, strides=2, padding=same, output_padding=1)",
        "reflect_padding2d([[1, 0], [0, 2]])",
        "global_average_pooling2d(keepdims=true)",
        "instance_normalization()",
        "group_normalization(4)",
        "max_pooling2d(3, strides=2, padding=same) max_pooling2d(2, strides=3, padding=same)",
    ],
)
@pytest.mark.parametrize(("height", "width"), [(3, 4), (7, 3), (8, 11)])
def test_one_module_takes_any_height_and_width(text, height, width):
    graph = compiled(f"net free {{ input x: [H, W, 4] {text} output y }}")
    weights = drawn_weights(graph)
    inputs = [np.random.default_rng(3).standard_normal((2, height, width, 4)).astype(np.float32)]
    loaded = load_torch(graph, weights)
    wanted = expected(graph, weights, inputs)
    assert_close(graph, wanted, loaded(inputs))
    scripted = torch.jit.script(loaded.model)(torch.from_numpy(channels_first(inputs[0])))
    assert_close(graph, wanted, (channels_last(scripted.detach().numpy()),))


@pytest.mark.parametrize("file", ["unet.py", "d2_waifu2x_upconv7.py", "d3_realesr_animevideo.py"])
def test_exports_with_free_height_and_width(file):
    (net,) = (net for net in NETS if net.golden == file)
    graph = net.graph
    weights = drawn_weights(graph)
    free = (dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO),)
    program = torch.export.export(load_torch(graph, weights).model, (torch.zeros(2, 3, 24, 32),), dynamic_shapes=free)
    x = drawn_inputs(graph, batch=1)[0]
    result = program.module()(torch.from_numpy(channels_first(x))).detach().numpy()
    assert_close(graph, expected(graph, weights, [x]), (channels_last(result),))


def test_exports_to_onnx(tmp_path):
    import onnxruntime

    (net,) = (net for net in NETS if net.golden == "unet.py")
    graph = net.graph
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    tensors = tuple(torch.from_numpy(channels_first(x)) for x in inputs)
    path = tmp_path / "unet.onnx"
    torch.onnx.export(load_torch(graph, weights).model, tensors, path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: tensors[0].numpy()})
    assert_close(graph, expected(graph, weights, inputs), (channels_last(result),))


TRAINED = """
net trained {
  input x: [6, 5, 2]
  conv2d(3, 3, padding=same, activation=relu, trainable=false)
  batch_normalization(trainable=false)
  conv2d(3, 1)
  batch_normalization(scale=false)
  dropout(0.2)
  conv2d_transpose(2, 3, strides=2, padding=same)
  layer_normalization(center=false)
  output y
}
"""


def test_a_training_step_moves_what_is_trained_and_nothing_else():
    graph = compiled(TRAINED)
    module = execute(emitted(graph), "trained")
    torch.manual_seed(0)
    model = module.Trained().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.randn(4, 2, 6, 5)).square().mean().backward()
    optimizer.step()
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    entries = {key: entry for key, (entry, *_) in module.WEIGHTS.items()}
    trained = {entries[key] for key, _, trainable in graph.weights() if trainable}
    statistics = {entries[f"batch_normalization_1.{name}"] for name in ("moving_mean", "moving_variance")}
    # A bias in front of a batch normalization has no gradient.
    assert moved - {"conv2d_1.bias", "batch_normalization_1.num_batches_tracked"} == (trained | statistics) - {
        "conv2d_1.bias"
    }


def test_batch_normalization_gathers_statistics_with_keras_momentum():
    graph = compiled("net n { input x: [1, 1, 3] batch_normalization(momentum=0.9) output y }")
    model = execute(emitted(graph), "n").N().train()
    x = torch.randn(64, 3, 1, 1)
    model(x)
    assert torch.allclose(model.batch_normalization.running_mean, 0.1 * x.mean(dim=(0, 2, 3)), atol=1e-6)


@pytest.mark.parametrize("initializer", ["he_uniform", "he_normal", "glorot_normal", "lecun_normal", "orthogonal"])
def test_first_weights_are_spread_as_in_keras(initializer):
    layer = f"conv2d(40, 3, kernel_initializer={initializer}, bias_initializer=ones)"
    graph = compiled(f"net n {{ input x: [4, 4, 16] {layer} output y }}")
    torch.manual_seed(1)
    model = execute(emitted(graph), "n").N()
    from upc.weights import initialize

    ours = initialize(graph, 0)["conv2d.kernel"]
    weight = model.conv2d.weight.detach().numpy()
    assert weight.std() == pytest.approx(ours.std(), rel=0.05)
    assert np.abs(weight).max() == pytest.approx(np.abs(ours).max(), rel=0.25)
    assert torch.equal(model.conv2d.bias, torch.ones(40))


def test_weights_load_from_a_file_of_safetensors(tmp_path):
    graph = compiled(TRAINED)
    weights, inputs = drawn_weights(graph), drawn_inputs(graph)
    save(tmp_path / "weights.safetensors", weights)
    module = execute(emitted(graph), "trained")
    model = module.Trained().eval()
    module.load_weights(model, str(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        result = model(torch.from_numpy(channels_first(inputs[0])))
    assert_close(graph, expected(graph, weights, inputs), (channels_last(result.numpy()),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("conv2d.bias"), "the weights lack conv2d.bias"),
        (lambda w: w.update(more=torch.zeros(1)), "Trained has no more"),
        (lambda w: w.update({"conv2d.bias": torch.zeros(4)}), r"conv2d.bias: expected \(3,\), got \(4,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message):
    graph = compiled(TRAINED)
    module = execute(emitted(graph), "trained")
    weights = {key: torch.from_numpy(array) for key, array in drawn_weights(graph).items()}
    change(weights)
    with pytest.raises((KeyError, ValueError), match=message):
        module.set_weights(module.Trained(), weights)


@pytest.mark.parametrize("word", ["f", "tensor", "nn", "weights", "math", "initialize", "int", "super", "print"])
def test_hostile_names_give_valid_source(word):
    """The word names a net, a block, a parameter, an input, a value and an output, one net after another."""
    for net, block, value in ((word, "b", "v"), ("n", word, "v"), ("n", "b", word)):
        graph = compiled(
            f"block {block}({word}) {{ conv2d({word}, 1) }} net {net} {{ input a: [2, 3, 1] {block}(2) as {value} "
            f"{block}(3) concatenate({value}) output out }}"
        )
        weights, inputs = drawn_weights(graph), drawn_inputs(graph)
        assert_close(graph, expected(graph, weights, inputs), load_torch(graph, weights)(inputs))


def test_emitted_source_is_formatted_and_clean(tmp_path):
    assert_clean(tmp_path, emitter.emit)


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.glob("*.py")} == {net.golden for net in NETS}


def test_emission_needs_no_framework_and_is_the_same_in_every_process():
    code = (
        "import sys; from pathlib import Path; from upc import pipeline\n"
        f"graph = pipeline.graph(pipeline.tree(pipeline.read({str(NETS[-1].file)!r})), {NETS[-1].name!r})\n"
        "print(pipeline.emit(graph, 'torch') + pipeline.emit(graph, 'keras'))\n"
        "assert not {'torch', 'keras', 'tensorflow', 'jax', 'numba'} & set(sys.modules)\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_a_layer_without_words_is_refused_where_it_stands(monkeypatch):
    monkeypatch.setitem(torch_spelling.SPELLINGS, Selu, Unsupported("for once"))
    graph = compiled("net n {\n  input x: [3]\n  selu()\n  output y\n}")
    with pytest.raises(UpcError, match=r"net.upc:3:3: error\[E0701\]: unsupported on torch: selu: for once"):
        emitted(graph)


def test_blocks_are_classes_and_repeats_are_sequences():
    text = emitted(
        compiled(
            "block up(filters) { conv2d_transpose(filters, 4, strides=2, padding=same) relu() }"
            "net n { input x: [2, 2, 8] repeat i in 1..2 { up(8 / 2 ** i) } output y }"
        )
    )
    assert "class Up(nn.Module):" in text
    assert "self.ups = nn.Sequential(Up(8, 4), Up(4, 2))" in text
    assert "nn.ConvTranspose2d(in_channels, filters, 4, stride=2, padding=1)" in text


def test_source_names_cannot_leave_the_docstring():
    graph = compiled("net n { input x: [3] relu() output y }")
    text = emitter.emit(graph, source_name='a"""\nimport os\n#\\.upc', source_sha256="0" * 64, version="0")
    compile(text, "text", "exec")
    assert "\nimport os" not in text


def test_files_of_the_corpus_are_found():
    assert {Path(net.file).stem for net in NETS} >= {"unet", "blocks", "hostile", "shadows"}
