"""Pooling, normalization, activations and padding against PyTorch and TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from upc.ir import Array
from upc.layers import construct
from upc.layers.activations import ACTIVATIONS


def drawn(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def to_torch(x: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def from_torch(t: torch.Tensor) -> Array:
    return np.moveaxis(t.numpy(), 1, -1)


def applied(name: str, arguments: dict[str, Any], x: Array, weights: dict[str, Array] | None = None) -> Array:
    return construct(name, [], arguments).forward([x], weights or {})[0]


@pytest.mark.parametrize(("pool", "strides"), [(2, None), (3, 2), ((2, 4), (3, 1)), (2, 3), (1, 2)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_is_tensorflows(pool: Any, strides: Any, padding: str) -> None:
    import tensorflow as tf

    arguments = {"pool_size": pool, "strides": strides, "padding": padding}
    for shape, offset in (((2, 7, 8, 3), -5), ((2, 4, 5, 3), 0)):  # all below zero: padding must not win
        x = (drawn(*shape) + offset).astype(np.float32)
        oracle = tf.nn.max_pool2d(x, pool, strides or pool, padding.upper()).numpy()
        np.testing.assert_array_equal(applied("max_pooling2d", arguments, x), oracle)
        oracle = tf.nn.avg_pool2d(x, pool, strides or pool, padding.upper()).numpy()
        np.testing.assert_allclose(applied("average_pooling2d", arguments, x), oracle, atol=1e-6)


@pytest.mark.parametrize(("pool", "strides"), [(2, None), (3, 2), ((2, 4), (3, 1))])
def test_explicitly_padded_pooling_is_pytorchs(pool: Any, strides: Any) -> None:
    x = drawn(2, 7, 8, 3) - 5
    arguments = {"pool_size": pool, "strides": strides, "padding": 1}
    oracle = F.max_pool2d(to_torch(x), pool, strides, 1)
    np.testing.assert_array_equal(applied("max_pooling2d", arguments, x), from_torch(oracle))
    for counted in (True, False):
        oracle = F.avg_pool2d(to_torch(x), pool, strides, 1, count_include_pad=counted)
        y = applied("average_pooling2d", {**arguments, "count_include_padding": counted}, x)
        np.testing.assert_allclose(y, from_torch(oracle), atol=1e-12)


def test_global_pooling_is_the_pooling_of_the_whole_picture() -> None:
    x = drawn(2, 5, 7, 3)
    for keepdims in (False, True):
        y = applied("global_average_pooling2d", {"keepdims": keepdims}, x)
        np.testing.assert_allclose(y.reshape(2, 3), from_torch(F.avg_pool2d(to_torch(x), (5, 7))).reshape(2, 3))
        y = applied("global_max_pooling2d", {"keepdims": keepdims}, x)
        np.testing.assert_array_equal(y.reshape(2, 3), from_torch(F.max_pool2d(to_torch(x), (5, 7))).reshape(2, 3))


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 0.1])
def test_normalizations_are_pytorchs(epsilon: float) -> None:
    x = drawn(2, 5, 4, 6) * 3 + 1
    gamma, beta, mean = (drawn(6, seed=i) for i in (1, 2, 3))
    variance = drawn(6, seed=4) ** 2
    t, g, b, m, v = to_torch(x), *(torch.from_numpy(a) for a in (gamma, beta, mean, variance))
    own = {"gamma": gamma, "beta": beta}
    own_all = {**own, "moving_mean": mean, "moving_variance": variance}
    cases: list[tuple[str, dict[str, Any], dict[str, Array], torch.Tensor]] = [
        ("batch_normalization", {}, own_all, F.batch_norm(t, m, v, g, b, eps=epsilon)),
        ("instance_normalization", {}, own, F.instance_norm(t, weight=g, bias=b, eps=epsilon)),
        ("group_normalization", {"groups": 3}, own, F.group_norm(t, 3, g, b, eps=epsilon)),
        ("group_normalization", {"groups": 6}, own, F.instance_norm(t, weight=g, bias=b, eps=epsilon)),
        (
            "layer_normalization",
            {},
            own,
            F.layer_norm(torch.from_numpy(x), (6,), g, b, eps=epsilon).permute(0, 3, 1, 2),
        ),
    ]
    for name, arguments, weights, oracle in cases:
        y = applied(name, {**arguments, "epsilon": epsilon}, x, weights)
        np.testing.assert_allclose(y, from_torch(oracle), atol=1e-11, err_msg=name)


def test_normalizations_keep_their_digits_far_from_zero() -> None:
    """A variance worked out as a difference of squares would be lost here."""
    x = (drawn(1, 6, 5, 4) + 4000).astype(np.float32)
    exact = applied("instance_normalization", {"center": False, "scale": False}, x.astype(np.float64))
    single = applied("instance_normalization", {"center": False, "scale": False}, x)
    np.testing.assert_allclose(single, exact, atol=2e-3)


GRID = np.concatenate([np.linspace(-30, 30, 601), [-1e4, -100.0, 100.0, 1e4]])[None]

ORACLES: dict[str, Any] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda t: F.leaky_relu(t, 0.2),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": lambda t: F.softplus(t, threshold=1000),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "softmax": lambda t: F.softmax(t, dim=-1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_pytorchs(name: str) -> None:
    (y,) = ACTIVATIONS[name].forward([GRID], {})
    np.testing.assert_allclose(y, ORACLES[name](torch.from_numpy(GRID)).numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_do_not_overflow_in_single_precision(name: str) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        (y,) = ACTIVATIONS[name].forward([GRID.astype(np.float32)], {})
    assert y.dtype == np.float32
    assert np.isfinite(y).all()


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"relu6"}))
def test_activations_are_keras(name: str) -> None:
    """Keras's functions with Keras's own defaults, which `activation=` promises."""
    import keras

    (y,) = ACTIVATIONS[name].forward([GRID.astype(np.float32)], {})
    oracle = keras.ops.convert_to_numpy(getattr(keras.activations, name)(keras.ops.convert_to_tensor(GRID, "float32")))
    np.testing.assert_allclose(y, oracle, rtol=2e-6, atol=2e-6)


def test_activation_layers_take_keras_arguments() -> None:
    x = drawn(3, 40) * 4
    t = torch.from_numpy(x)
    cases = [
        ("leaky_relu", {}, F.leaky_relu(t, 0.3)),
        ("leaky_relu", {"negative_slope": 0.01}, F.leaky_relu(t, 0.01)),
        ("elu", {"alpha": 0.5}, F.elu(t, 0.5)),
        ("gelu", {"approximate": True}, F.gelu(t, approximate="tanh")),
        ("relu", {"max_value": 2}, torch.clamp(t, 0, 2)),
        ("clip", {"min_value": -1, "max_value": 0.5}, torch.clamp(t, -1, 0.5)),
        ("softmax", {"axis": 1}, F.softmax(t, 1)),
    ]
    for name, arguments, oracle in cases:
        np.testing.assert_allclose(applied(name, arguments, x), oracle.numpy(), rtol=1e-12, atol=1e-14, err_msg=name)


def test_prelu_is_pytorchs() -> None:
    x, alpha = drawn(2, 4, 3, 5), drawn(5)
    y = applied("prelu", {"shared_axes": [1, 2]}, x, {"alpha": alpha.reshape(1, 1, 5)})
    np.testing.assert_array_equal(y, from_torch(F.prelu(to_torch(x), torch.from_numpy(alpha))))
    one = applied("prelu", {"shared_axes": [1, 2, 3]}, x, {"alpha": alpha[:1].reshape(1, 1, 1)})
    np.testing.assert_array_equal(one, from_torch(F.prelu(to_torch(x), torch.from_numpy(alpha[:1]))))


@pytest.mark.parametrize("padding", [0, 1, (2, 1), ((0, 3), (2, 1))])
@pytest.mark.parametrize(
    ("name", "mode"),
    [("zero_padding2d", "constant"), ("reflect_padding2d", "reflect"), ("replicate_padding2d", "replicate")],
)
def test_padding_is_pytorchs(name: str, mode: str, padding: Any) -> None:
    x = drawn(2, 4, 5, 3)
    layer = construct(name, [padding], {})
    (top, bottom), (left, right) = layer.padding  # type: ignore[attr-defined]
    oracle = F.pad(to_torch(x), (left, right, top, bottom), mode=mode)
    np.testing.assert_array_equal(layer.forward([x], {})[0], from_torch(oracle))
    cropped = applied("cropping2d", {"cropping": layer.padding}, layer.forward([x], {})[0])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(cropped, x)


def test_broadcasting_is_numpys() -> None:
    x, y, c = drawn(2, 4, 3, 5), drawn(2, 3, 1, seed=8), drawn(2, 5, seed=9)
    (z,) = construct("add", [], {}).forward([x, y, c], {})
    np.testing.assert_allclose(z, x + y[:, None] + c[:, None, None])
    (z,) = construct("subtract", [0.5], {}).forward([x], {})
    np.testing.assert_array_equal(z, x - 0.5)
    (z,) = construct("maximum", [0.1], {}).forward([x, y], {})
    np.testing.assert_array_equal(z, np.maximum(np.maximum(x, y[:, None]), 0.1))


def test_slices_are_pythons() -> None:
    x = drawn(2, 4, 3, 9)
    for start, stop, step in [(0, 9, 1), (2, 7, 2), (-4, None, 1), (1, -1, 3), (0, None, 4)]:
        (y,) = construct("slice", [start, stop, step], {}).forward([x], {})
        np.testing.assert_array_equal(y, x[..., start:stop:step])
        assert construct("slice", [start, stop, step], {}).output_shapes([(4, 3, 9)]) == (y.shape[1:],)
