"""Keras network `esrgan_slim`: image (H, W, 3) -> picture (2*H, 2*W, 3).

Emitted by upc 0.0.0 from d4_esrgan_slim.upc, whose lines the comments name.
sha256 2569da918cc29b9dcdd7cebfd7859e4d1fe6af79a8cfa8cf70edf8ee59818d51

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def dense_residual(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Block `dense_residual`."""
    y = layers.Conv2D(  # line 7
        4, 3, padding="same", data_format="channels_last", activation="relu", name=f"{name}-conv2d"
    )(x)
    y = layers.Concatenate(axis=-1, name=f"{name}-concatenate")([x, y])  # line 8
    y = layers.Conv2D(64, 1, data_format="channels_last", name=f"{name}-conv2d_1")(y)  # line 9
    y = layers.Add(name=f"{name}-add")([y, x])  # line 10
    return y


def build_esrgan_slim() -> keras.Model:
    """Build the network with fresh weights."""
    image = keras.Input((None, None, 3), name="image")
    shallow = layers.Conv2D(  # line 15
        64, 3, padding="same", data_format="channels_last", name="conv2d"
    )(image)
    x = layers.Conv2D(  # line 16
        64, 3, padding="same", data_format="channels_last", name="conv2d_1"
    )(shallow)
    first = dense_residual(x, name="dense_residual")  # line 17
    x = dense_residual(first, name="dense_residual_1")  # line 18
    x = layers.Concatenate(axis=-1, name="concatenate")([first, x])  # line 19
    x = layers.Conv2D(  # line 20
        64, 1, padding="same", data_format="channels_last", name="conv2d_2"
    )(x)
    x = layers.Conv2D(  # line 21
        64, 3, padding="same", data_format="channels_last", name="conv2d_3"
    )(x)
    x = layers.Add(name="add")([x, shallow])  # line 22
    x = layers.Conv2D(  # line 23
        64, 5, padding="same", data_format="channels_last", activation="relu", name="conv2d_4"
    )(x)
    x = layers.Conv2D(  # line 24
        32, 3, padding="same", data_format="channels_last", activation="relu", name="conv2d_5"
    )(x)
    x = layers.Conv2D(  # line 25
        12, 3, padding="same", data_format="channels_last", name="conv2d_6"
    )(x)
    x = layers.UpSampling2D(  # line 26
        2, interpolation="nearest", data_format="channels_last", name="up_sampling2d"
    )(x)
    x = layers.Conv2D(  # line 27
        3, 3, padding="same", data_format="channels_last", name="conv2d_7"
    )(x)
    return keras.Model(image, x, name="esrgan_slim")


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
