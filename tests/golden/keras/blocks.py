"""Keras network `blocks`: x (8, 12, 3) -> y (8, 12, 2).

Emitted by upc 0.0.0 from blocks.upc, whose lines the comments name.
sha256 f99472f6672a58182b8adbca11d3bdd314b3660b99ce3ec7d4be5bfcfa23d384

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def squeeze(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Block `squeeze`."""
    x = layers.Conv2D(filters, 1, data_format="channels_last", name=f"{name}-conv2d")(x)  # line 10
    x = layers.LeakyReLU(negative_slope=0.1, name=f"{name}-leaky_relu")(x)  # line 11
    return x


def residual(x: keras.KerasTensor, inner: int, kernel: int, name: str) -> keras.KerasTensor:
    """Block `residual`."""
    y = squeeze(x, inner, name=f"{name}-squeeze")  # line 4
    y = layers.Conv2D(  # line 5
        8, kernel, padding="same", data_format="channels_last", name=f"{name}-conv2d"
    )(y)
    y = layers.Add(name=f"{name}-add")([y, x])  # line 6
    return y


def join(
    x: keras.KerasTensor, other: keras.KerasTensor, filters: int, name: str
) -> keras.KerasTensor:
    """Block `join`."""
    x = layers.UpSampling2D(  # line 15
        2, interpolation="nearest", data_format="channels_last", name=f"{name}-up_sampling2d"
    )(x)
    x = layers.Concatenate(axis=-1, name=f"{name}-concatenate")([x, other])  # line 16
    x = layers.Conv2D(  # line 17
        filters, 3, padding="same", data_format="channels_last", name=f"{name}-conv2d"
    )(x)
    return x


def build_blocks() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((8, 12, 3), name="x")
    y = layers.Conv2D(  # line 22
        8, 3, padding="same", data_format="channels_last", name="conv2d"
    )(x)
    fine = residual(y, 4, 3, name="residual")  # line 23
    y = layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d")(fine)  # line 24
    y = residual(y, 4, 5, name="residual_1")  # line 25
    y = residual(y, 3, 3, name="residual_2")  # line 26
    full = join(y, fine, 8, name="join")  # line 27
    y = layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d_1")(full)  # line 28
    y = join(y, full, 2, name="join_1")  # line 29
    return keras.Model(x, y, name="blocks")


def set_weights(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Set all weights from arrays by name: the layer's path, a dot, the variable's name."""
    variables = {
        f"{layer.name.replace('-', '.')}.{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights
    }
    if missing := sorted(set(variables) - set(arrays)):
        raise KeyError(f"the weights lack {', '.join(missing)}")
    if unknown := sorted(set(arrays) - set(variables)):
        raise KeyError(f"{model.name} has no {', '.join(unknown)}")
    for key, variable in variables.items():
        if tuple(variable.shape) != arrays[key].shape:
            raise ValueError(f"{key}: expected {tuple(variable.shape)}, got {arrays[key].shape}")
        variable.assign(arrays[key])


def load_weights(model: keras.Model, path: str) -> None:
    """Set all weights from a safetensors file."""
    from safetensors.numpy import load_file

    set_weights(model, load_file(path))
