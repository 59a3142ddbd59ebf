"""`upc.load`: what a program gets, and what it is told."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

import upc
from upc import pipeline, reference
from upc.diagnostics import UpcError
from upc.load_numba import load_module

SOURCE = """\
net pair(width=3) {
  input image: [H, W, 2]
  input mask: [H, W, 1]
  from image { conv2d(width, kernel_size=1) } as left
  conv2d(1, kernel_size=1, use_bias=false)
  multiply(left) as product
  output left, product
}

net other {
  input x: [4]
  dense(2)
  output y
}
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "pair.upc"
    path.write_text(SOURCE)
    return path


def pictures(n=2, h=3, w=5, c=2):
    return np.random.RandomState(0).random_sample((n, h, w, c)).astype(np.float32)


def test_several_outputs_are_a_tuple_in_order(source):
    net = upc.load(source, net="pair", target="reference")
    left, product = net(pictures(), pictures(c=1))
    assert left.shape == product.shape == (2, 3, 5, 3)
    np.testing.assert_allclose(product, left * (pictures(c=1) @ net.weights["conv2d_1.kernel"][0, 0]), rtol=1e-6)


def test_one_output_is_an_array_of_float32(source):
    y = upc.load(source, net="other", target="reference")(np.ones((7, 4), np.float32))
    assert (y.shape, y.dtype) == ((7, 2), np.float32)


def test_a_net_says_what_it_is(source):
    net = upc.load(source, net="pair", target="reference", defines={"width": 5})
    assert net.graph.name == "pair" and net.target == "reference"
    assert {key: w.shape for key, w in net.weights.items()} == {
        "conv2d.kernel": (1, 1, 2, 5),
        "conv2d.bias": (5,),
        "conv2d_1.kernel": (1, 1, 1, 1),
    }
    assert "Parameters: 16" in net.summary()


def test_seeds(source):
    one, same, two = (upc.load(source, net="other", target="reference", seed=s).weights for s in (1, 1, 2))
    assert (one["dense.kernel"] == same["dense.kernel"]).all() and (one["dense.kernel"] != two["dense.kernel"]).any()


def test_weights_from_a_file_and_from_arrays(source, tmp_path):
    weights = {"dense.kernel": np.arange(8, dtype=np.float32).reshape(4, 2), "dense.bias": np.ones(2, np.float32)}
    save_file(weights, tmp_path / "w.safetensors")
    x = np.eye(4, dtype=np.float32)
    for given in (weights, tmp_path / "w.safetensors", str(tmp_path / "w.safetensors")):
        y = upc.load(source, net="other", target="reference", weights=given)(x)
        assert y.tolist() == (weights["dense.kernel"] + 1).tolist()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((pictures(),), "got 1 array"),
        ((pictures().astype(np.float64), pictures(c=1)), "float32"),
        ((pictures().tolist(), pictures(c=1)), "got list"),
        ((pictures()[0], pictures(c=1)), "(batch, H, W, 2)"),
        ((pictures(c=3), pictures(c=1)), "(H, W, 2)"),
        ((pictures(), pictures(c=1, w=6)), "W is 5"),
        ((pictures(n=1), pictures(c=1)), "batch size"),
    ],
)
def test_inputs_that_do_not_fit(source, inputs, words):
    net = upc.load(source, net="pair", target="reference")
    with pytest.raises(UpcError) as problem:
        net(*inputs)
    assert words in str(problem.value)


@pytest.mark.parametrize(
    ("wanted", "shape", "hint"),
    [
        ("[2, 2, 1]", (2, 2), "add axes: `x[None, :, :, None]`"),
        ("[H, W, 1]", (2, 5), "add axes: `x[None, :, :, None]`"),
        ("[H, W, 1]", (7, 2, 5), "add the axis of channels: `x[..., None]`"),
        ("[H, W, 3]", (4, 5, 3), "add the batch: `x[None]`"),
        ("[48, 64, 3]", (3, 48, 64), "looks channels first: `x[None].transpose(0, 2, 3, 1)`"),
        ("[H, W, 3]", (2, 3, 48, 64), "looks channels first: `x.transpose(0, 2, 3, 1)`"),
        ("[48, 64, 3]", (1, 3, 48, 64), "looks channels first: `x.transpose(0, 2, 3, 1)`"),
        ("[6]", (6,), "add the batch: `x[None]`"),
        ("[6]", (2, 3), None),
        ("[4, 5, 3]", (1, 5, 4, 3), None),
        ("[4, 5, 3]", (), None),
    ],
)
def test_arrays_of_another_shape_are_shown_the_way(tmp_path, wanted, shape, hint):
    path = tmp_path / "net.upc"
    path.write_text(f"net n {{\n  input x: {wanted}\n  relu()\n  output y\n}}\n")
    x = np.zeros(shape, np.float32)
    for net in (
        upc.load(path, target="reference"),
        lambda x: reference.run(pipeline.graph(pipeline.tree(pipeline.read(str(path)))), {}, x),
    ):
        with pytest.raises(UpcError) as problem:
            net(x)
        assert problem.value.diagnostics[0].hint == hint
    with pytest.raises(ValueError, match="must have shape") as refused:
        load_module(pipeline.graph(pipeline.tree(pipeline.read(str(path)))), "auto", 1).load({})(x)
    assert str(refused.value).endswith(hint or f"got {shape}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "pair, other"),
        ({"net": "pear"}, "did you mean `pair`"),
        ({"net": "pair", "defines": {"widht": 1}}, "did you mean `width`"),
        ({"net": "other", "weights": {"dense.kernel": np.ones((4, 2))}}, "dense.bias"),
        ({"net": "other", "weights": "none.safetensors"}, "none.safetensors"),
    ],
)
def test_what_cannot_be_loaded(source, options, words):
    with pytest.raises(UpcError) as problem:
        upc.load(source, target="reference", **options)
    assert words in str(problem.value)


def test_an_unknown_target(source):
    with pytest.raises(ValueError, match="numba, keras, torch, reference, not 'caffe'"):
        upc.load(source, net="other", target="caffe")
