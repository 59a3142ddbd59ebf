"""Convolutions against PyTorch, TensorFlow and Keras's own NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from upc.ir import Array, LayerError
from upc.layers import construct

RNG_SEED = 5


def drawn(*shape: int) -> Array:
    return np.random.default_rng(RNG_SEED).standard_normal(shape)


def to_torch(x: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def from_torch(t: torch.Tensor) -> Array:
    return np.moveaxis(t.numpy(), 1, -1)


def kernel_to_torch(kernel: Array) -> torch.Tensor:
    """(*window, in, out) to (out, in, *window); for a transposed kernel the same move gives (in, out, *window)."""
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))


def apply(name: str, arguments: dict[str, Any], x: Array) -> tuple[Array, Array, Array]:
    """Result, kernel and bias of a layer with drawn weights."""
    layer = construct(name, [], arguments)
    weights = {w.name: drawn(*w.shape) for w in layer.weights([x.shape[1:]])}
    (y,) = layer.forward([x], weights)
    assert y.shape[1:] == layer.output_shapes([x.shape[1:]])[0]
    return y, weights["kernel"], weights["bias"]


def assert_close(y: Array, oracle: Array, tolerance: float = 1e-12) -> None:
    assert y.shape == oracle.shape
    np.testing.assert_allclose(y, oracle, rtol=tolerance, atol=tolerance * max(1.0, np.abs(oracle).max()))


@pytest.mark.parametrize("dilation", [1, (2, 1), 3])
@pytest.mark.parametrize("strides", [1, 2, (3, 1), 4])
@pytest.mark.parametrize("padding", ["valid", 0, 1, (3, 2), ((2, 0), (1, 4)), 9])
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), ((3, 2), 1), (3, 2), ((2, 4), 4)])
def test_conv2d_is_pytorchs(kernel: Any, groups: int, padding: Any, strides: Any, dilation: Any) -> None:
    x = drawn(2, 13, 14, 4)
    y, w, b = apply(
        "conv2d",
        {
            "filters": 8,
            "kernel_size": kernel,
            "strides": strides,
            "padding": padding,
            "dilation_rate": dilation,
            "groups": groups,
        },
        x,
    )
    (top, bottom), (left, right) = construct(
        "zero_padding2d", [], {"padding": 0 if padding == "valid" else padding}
    ).padding  # type: ignore[attr-defined]
    padded = F.pad(to_torch(x), (left, right, top, bottom))
    oracle = F.conv2d(padded, kernel_to_torch(w), torch.from_numpy(b), strides, 0, dilation, groups)
    assert_close(y, from_torch(oracle))


@pytest.mark.parametrize("size", [(1, 1), (4, 7), (9, 6)])
@pytest.mark.parametrize("kernel", [1, 2, 3, (5, 4)])
@pytest.mark.parametrize("strides", [1, 2, 3, 5])
def test_same_conv2d_is_tensorflows(size: tuple[int, int], kernel: Any, strides: int) -> None:
    import tensorflow as tf

    x = drawn(2, *size, 3)
    y, w, b = apply("conv2d", {"filters": 4, "kernel_size": kernel, "strides": strides, "padding": "same"}, x)
    assert_close(y, tf.nn.conv2d(x, w, strides, "SAME").numpy() + b)


@pytest.mark.parametrize(("kernel", "dilation"), [(2, 2), (3, (2, 3)), ((1, 4), 3)])
def test_same_dilated_conv2d_is_tensorflows(kernel: Any, dilation: Any) -> None:
    import tensorflow as tf

    x = drawn(2, 7, 8, 3)
    y, w, b = apply("conv2d", {"filters": 4, "kernel_size": kernel, "dilation_rate": dilation, "padding": "same"}, x)
    assert_close(y, tf.nn.convolution(x, w, 1, "SAME", dilations=dilation).numpy() + b)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "strides", "dilation"), [(3, 1, 1), ((2, 3), 2, 1), (2, 1, 3), (1, 3, 1)])
def test_depthwise_conv2d_is_tensorflows(kernel: Any, strides: int, dilation: int, padding: str) -> None:
    import tensorflow as tf

    x = drawn(2, 8, 7, 3)
    y, w, b = apply(
        "depthwise_conv2d",
        {
            "kernel_size": kernel,
            "strides": strides,
            "padding": padding,
            "depth_multiplier": 2,
            "dilation_rate": dilation,
        },
        x,
    )
    oracle = tf.nn.depthwise_conv2d(x, w, (1, strides, strides, 1), padding.upper(), dilations=(dilation, dilation))
    assert_close(y, oracle.numpy() + b)


@pytest.mark.parametrize("dilation", [1, (2, 3)])
@pytest.mark.parametrize(("strides", "output_padding"), [(1, 0), (2, 1), ((3, 2), (2, 0)), (4, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 1), 3])
@pytest.mark.parametrize(("kernel", "groups"), [((3, 2), 1), (4, 2), ((5, 3), 4)])
def test_conv2d_transpose_is_pytorchs(
    kernel: Any, groups: int, padding: Any, strides: Any, output_padding: Any, dilation: Any
) -> None:
    x = drawn(2, 6, 7, 4)
    arguments = {
        "filters": 8,
        "kernel_size": kernel,
        "strides": strides,
        "padding": padding,
        "output_padding": output_padding,
        "dilation_rate": dilation,
        "groups": groups,
    }
    y, w, b = apply("conv2d_transpose", arguments, x)
    oracle = F.conv_transpose2d(
        to_torch(x),
        kernel_to_torch(w),
        torch.from_numpy(b),
        strides,
        padding,
        output_padding,
        groups,
        dilation,
    )
    assert_close(y, from_torch(oracle))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(1, 3), (4, 5)])
def test_conv2d_transpose_is_tensorflows(size: tuple[int, int], padding: str) -> None:
    import tensorflow as tf

    x = drawn(2, *size, 3)
    for k, s in itertools.product(range(1, 6), range(1, 5)):
        y, w, b = apply("conv2d_transpose", {"filters": 2, "kernel_size": (k, 3), "strides": s, "padding": padding}, x)
        assert_close(y, tf.nn.conv2d_transpose(x, w, y.shape, s, padding.upper()).numpy() + b)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv2d_transpose_is_that_of_keras_own_tests(padding: str) -> None:
    """Keras checks its layers with a NumPy transposed convolution that its wheel carries: a second opinion."""
    from keras.src.layers.convolutional.conv_transpose_test import np_conv2d_transpose

    x = drawn(2, 5, 4, 3)
    ran = 0
    for k, s, q in itertools.product(range(1, 5), range(1, 5), (None, 0, 1, 2, 3)):
        if q is not None and q >= s:
            continue
        arguments = {"filters": 2, "kernel_size": k, "strides": s, "padding": padding, "output_padding": q}
        y, w, b = apply("conv2d_transpose", arguments, x)
        oracle = np_conv2d_transpose(x, w, b, s, padding, q, "channels_last", (1, 1))
        assert_close(y, oracle)
        ran += 1
    assert ran == 4 * (4 + 1 + 2 + 3 + 4)
    y, w, b = apply(
        "conv2d_transpose",
        {"filters": 2, "kernel_size": 7, "strides": 16, "padding": padding, "output_padding": 2},
        x,
    )
    assert_close(y, np_conv2d_transpose(x, w, b, 16, padding, 2, "channels_last", (1, 1)))


@pytest.mark.parametrize("padding", ["same", "valid", 1, ((0, 1), (2, 1))])
@pytest.mark.parametrize(("k", "s", "d"), [(3, 2, 1), (4, 3, 1), (3, 2, 2), (2, 3, 1)])
def test_output_size_names_the_size_that_output_padding_counts(k: int, s: int, d: int, padding: Any) -> None:
    x = drawn(2, 4, 4, 2)
    common = {"filters": 2, "kernel_size": k, "strides": s, "dilation_rate": d, "padding": padding}
    for q in range(s):
        by_padding, *_ = apply("conv2d_transpose", {**common, "output_padding": q}, x)
        size = by_padding.shape[1:3]
        if padding == "same" and not (3 * s < size[0] <= 4 * s):
            with pytest.raises(LayerError, match="out of reach"):
                apply("conv2d_transpose", {**common, "output_size": size}, x)
            continue
        by_size, *_ = apply("conv2d_transpose", {**common, "output_size": size}, x)
        np.testing.assert_array_equal(by_size, by_padding)


@pytest.mark.parametrize("padding", ["same", "valid", ((1, 0), (2, 3))])
@pytest.mark.parametrize(("kernel", "strides", "dilation"), [((3, 4), 2, 1), (2, (3, 4), 1), (3, (2, 1), (2, 3))])
def test_a_transposed_convolution_is_the_transpose_of_the_convolution(
    kernel: Any, strides: Any, dilation: Any, padding: Any
) -> None:
    """<conv(y), x> = <y, transpose(x)> for every x and y, with one kernel for both."""
    arguments = {"kernel_size": kernel, "strides": strides, "dilation_rate": dilation, "padding": padding}
    forth = construct("conv2d", [], {**arguments, "filters": 5, "use_bias": False})
    back = construct("conv2d_transpose", [], {**arguments, "filters": 3, "use_bias": False})
    x = drawn(1, 4, 5, 5)
    (wide,) = back.output_shapes([(4, 5, 5)])
    if forth.output_shapes([wide]) != ((4, 5, 5),):
        pytest.fail("the convolution does not come back")
    y = drawn(1, *(n for n in wide if isinstance(n, int)))
    kernel_array = drawn(*forth.weights([wide])[0].shape)
    left = (forth.forward([y], {"kernel": kernel_array})[0] * x).sum()
    right = (back.forward([x], {"kernel": kernel_array})[0] * y).sum()
    np.testing.assert_allclose(left, right, rtol=1e-12)
