"""Resizing, upsampling and pixel shuffles against PyTorch, TensorFlow and JAX."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from upc.ir import Array
from upc.layers import construct

INPUTS = [(1, 1), (1, 4), (4, 5), (7, 3)]
TARGETS = [(1, 1), (8, 5), (3, 7), (9, 13), (2, 2)]
SIZES = [(*i, *t) for i, t in itertools.product(INPUTS, TARGETS)]


def drawn(*shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape)


def resized(x: Array, height: int, width: int, **arguments: Any) -> Array:
    return construct("resizing", [height, width], arguments).forward([x], {})[0]


def by_torch(x: Array, height: int, width: int, **arguments: Any) -> Array:
    nchw = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    return np.moveaxis(F.interpolate(nchw, (height, width), **arguments).numpy(), 1, -1)


@pytest.mark.parametrize(("h", "w", "height", "width"), SIZES)
def test_pytorchs_conventions(h: int, w: int, height: int, width: int) -> None:
    x = drawn(2, h, w, 3)
    cubic: dict[str, Any] = {"interpolation": "bicubic", "cubic_coefficient": -0.75, "border": "replicate"}
    linear: dict[str, Any] = {"interpolation": "bilinear"}
    nearest: dict[str, Any] = {"interpolation": "nearest"}
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (linear, {"mode": "bilinear", "align_corners": False}),
        ({**linear, "coordinates": "align_corners"}, {"mode": "bilinear", "align_corners": True}),
        (cubic, {"mode": "bicubic", "align_corners": False}),
        ({**cubic, "coordinates": "align_corners"}, {"mode": "bicubic", "align_corners": True}),
        ({**nearest, "coordinates": "asymmetric"}, {"mode": "nearest"}),
        (nearest, {"mode": "nearest-exact"}),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(resized(x, height, width, **ours), by_torch(x, height, width, **theirs), atol=1e-12)


@pytest.mark.parametrize(("h", "w", "height", "width"), SIZES)
def test_tensorflows_conventions(h: int, w: int, height: int, width: int) -> None:
    import tensorflow as tf

    x = drawn(2, h, w, 3).astype(np.float32)
    for method in ("bilinear", "nearest"):
        oracle = tf.image.resize(x, (height, width), method).numpy()
        np.testing.assert_allclose(resized(x, height, width, interpolation=method), oracle, atol=2e-6)


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [(2, 2), (4, 2), (1, 8)])
def test_up_sampling_is_tensorflows(size: tuple[int, int], method: str) -> None:
    """TensorFlow's bicubic looks its weights up in 1,024 steps: exact where the factor divides that."""
    import tensorflow as tf

    x = drawn(2, 4, 3, 5).astype(np.float32)
    (y,) = construct("up_sampling2d", [size], {"interpolation": method}).forward([x], {})
    np.testing.assert_allclose(y, tf.image.resize(x, y.shape[1:3], method).numpy(), atol=2e-6)


@pytest.mark.parametrize(("h", "w", "height", "width"), SIZES)
def test_bicubic_by_default_is_jaxs(h: int, w: int, height: int, width: int) -> None:
    """JAX computes what TensorFlow's table approximates: coefficient -0.5, weights beyond the edge dropped."""
    import jax

    x = drawn(2, h, w, 3).astype(np.float32)
    oracle = jax.image.resize(x, (2, height, width, 3), "cubic", antialias=False)
    np.testing.assert_allclose(resized(x, height, width, interpolation="bicubic"), np.asarray(oracle), atol=5e-6)


def test_asymmetric_bilinear_is_tensorflow_1s() -> None:
    import tensorflow as tf

    x = drawn(2, 4, 5, 3).astype(np.float32)
    for target in TARGETS:
        oracle = tf.compat.v1.image.resize_bilinear(x, target).numpy()
        np.testing.assert_allclose(resized(x, *target, coordinates="asymmetric"), oracle, atol=2e-6)


@pytest.mark.parametrize("factor", [1, 2, 3, (2, 5)])
def test_nearest_up_sampling_repeats_pixels(factor: Any) -> None:
    x = drawn(2, 3, 4, 5)
    layer = construct("up_sampling2d", [factor], {})
    rows, columns = layer.size  # type: ignore[attr-defined]
    np.testing.assert_array_equal(layer.forward([x], {})[0], x.repeat(rows, axis=1).repeat(columns, axis=2))


def test_nearest_is_exact_where_single_precision_is_not() -> None:
    """(i + 0.5) * n / n' is a whole number in many places; rounding must not move the pixel."""
    for size, result in itertools.product(range(1, 40), repeat=2):
        x = np.arange(size, dtype=np.float64).reshape(1, 1, size, 1)
        y = resized(x, 1, result, interpolation="nearest")[0, 0, :, 0]
        np.testing.assert_array_equal(y, [(2 * i + 1) * size // (2 * result) for i in range(result)])
        y = resized(x, 1, result, interpolation="nearest", coordinates="asymmetric")[0, 0, :, 0]
        np.testing.assert_array_equal(y, [i * size // result for i in range(result)])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("border", ["renormalize", "replicate"])
def test_a_plain_surface_stays_plain(interpolation: str, border: str) -> None:
    arguments = {"border": border} if interpolation == "bicubic" else {}
    y = resized(np.full((1, 3, 5, 2), 0.7), 11, 4, interpolation=interpolation, **arguments)
    np.testing.assert_allclose(y, 0.7, rtol=1e-14)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffle_is_pytorchs_and_tensorflows(factor: int) -> None:
    import tensorflow as tf

    x = drawn(2, 4, 3, 2 * factor**2)
    nchw = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    (crd,) = construct("pixel_shuffle", [factor], {"order": "crd"}).forward([x], {})
    np.testing.assert_array_equal(crd, np.moveaxis(F.pixel_shuffle(nchw, factor).numpy(), 1, -1))
    if factor > 1:  # TensorFlow refuses blocks of one pixel
        (dcr,) = construct("pixel_shuffle", [factor], {"order": "dcr"}).forward([x], {})
        np.testing.assert_array_equal(dcr, tf.nn.depth_to_space(x, factor).numpy())


@pytest.mark.parametrize("order", ["crd", "dcr"])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_unshuffle_undoes_pixel_shuffle(factor: int, order: str) -> None:
    x = drawn(2, 4, 3, 5 * factor**2)
    (y,) = construct("pixel_shuffle", [factor], {"order": order}).forward([x], {})
    (back,) = construct("pixel_unshuffle", [factor], {"order": order}).forward([y], {})
    np.testing.assert_array_equal(back, x)
