"""Keras network `unet`: image (H, W, 3) -> mask (H, W, 1).

Emitted by upc 0.0.0 from unet.upc, whose lines the comments name.
sha256 70a1ba3827610d971470bc69920e31c22fc63739550439112938020beef9d7a0

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def double(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Block `double`."""
    x = layers.Conv2D(  # line 2
        filters,
        3,
        padding="same",
        data_format="channels_last",
        activation="relu",
        name=f"{name}-conv2d",
    )(x)
    x = layers.Conv2D(  # line 3
        filters,
        3,
        padding="same",
        data_format="channels_last",
        activation="relu",
        name=f"{name}-conv2d_1",
    )(x)
    return x


def build_unet() -> keras.Model:
    """Build the network with fresh weights."""
    image = keras.Input((None, None, 3), name="image")
    e1 = double(image, 32, name="double")  # line 9
    x = layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d")(e1)  # line 10
    e2 = double(x, 64, name="double_1")  # line 11
    x = layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d_1")(e2)  # line 12
    x = double(x, 128, name="double_2")  # line 13
    x = layers.UpSampling2D(  # line 14
        2, interpolation="bilinear", data_format="channels_last", name="up_sampling2d"
    )(x)
    x = layers.Concatenate(axis=-1, name="concatenate")([x, e2])  # line 15
    x = double(x, 64, name="double_3")  # line 16
    x = layers.UpSampling2D(  # line 17
        2, interpolation="bilinear", data_format="channels_last", name="up_sampling2d_1"
    )(x)
    x = layers.Concatenate(axis=-1, name="concatenate_1")([x, e1])  # line 18
    x = double(x, 32, name="double_4")  # line 19
    x = layers.Conv2D(  # line 20
        1, 1, data_format="channels_last", activation="sigmoid", name="conv2d"
    )(x)
    return keras.Model(image, x, name="unet")


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
