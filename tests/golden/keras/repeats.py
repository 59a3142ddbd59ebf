"""Keras network `repeats`: x (32, 24, 3) -> y (4, 3, 4).

Emitted by upc 0.0.0 from repeats.upc, whose lines the comments name.
sha256 4df4f31106a4ebaffc94906a4485d7f668816ea3642fe66d023c928b2611ae64

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def stage(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Block `stage`."""
    for conv2d in ("conv2d", "conv2d_1"):  # line 2
        x = layers.Conv2D(  # line 2
            filters,
            3,
            padding="same",
            data_format="channels_last",
            activation="relu",
            name=f"{name}-{conv2d}",
        )(x)
    x = layers.MaxPooling2D(  # line 3
        2, data_format="channels_last", name=f"{name}-max_pooling2d"
    )(x)
    return x


def build_repeats() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((32, 24, 3), name="x")
    y = x
    for name, filters in (("stage", 2), ("stage_1", 4), ("stage_2", 8)):  # line 8
        y = stage(y, filters, name=name)  # line 8
    for conv2d, filters, relu, add in (  # line 10
        ("conv2d", 2, "relu", "add"),
        ("conv2d_1", 3, "relu_1", "add_1"),
    ):
        y = layers.Conv2D(filters, 1, data_format="channels_last", name=conv2d)(y)  # line 11
        y = layers.ReLU(name=relu)(y)  # line 12
        y = layers.Add(name=add)([y, y])  # line 13
    for conv2d, filters, relu, add in (  # line 10
        ("conv2d_2", 3, "relu_2", "add_2"),
        ("conv2d_3", 4, "relu_3", "add_3"),
    ):
        y = layers.Conv2D(filters, 1, data_format="channels_last", name=conv2d)(y)  # line 11
        y = layers.ReLU(name=relu)(y)  # line 12
        y = layers.Add(name=add)([y, y])  # line 13
    return keras.Model(x, y, name="repeats")


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
