"""Keras network `shadows`: x (4, 5, 3) -> y (4, 5, 4).

Emitted by upc 0.0.0 from shadows.upc, whose lines the comments name.
sha256 d12659f1938943cc1cc89cd7370c7d016e51df23701273d7542a88ff105a526c

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def filters_3(
    x: keras.KerasTensor, filters_: int, filters_2: int, name_: int, name: str
) -> keras.KerasTensor:
    """Block `filters`."""
    for conv2d, filters in (("conv2d", filters_), ("conv2d_1", filters_2)):  # line 3
        x = layers.Conv2D(  # line 3
            filters, 3, padding="same", data_format="channels_last", name=f"{name}-{conv2d}"
        )(x)
    x = layers.Conv2D(  # line 4
        filters_, 1, data_format="channels_last", name=f"{name}-conv2d_2"
    )(x)
    for conv2d, filters in (("conv2d_3", name_), ("conv2d_4", name_)):  # line 5
        x = layers.Conv2D(  # line 5
            filters, 1, data_format="channels_last", name=f"{name}-{conv2d}"
        )(x)
    return x


def units(
    x: keras.KerasTensor, x_: int, keras_: int, filters_2: int, name: str
) -> keras.KerasTensor:
    """Block `units`."""
    x = layers.Dense(x_, activation="tanh", name=f"{name}-dense")(x)  # line 9
    x = filters_3(x, keras_, filters_2, 3, name=f"{name}-filters")  # line 10
    return x


def build_shadows() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((4, 5, 3), name="x")
    filters_ = layers.Conv2D(  # line 15
        4, 3, padding="same", data_format="channels_last", name="conv2d"
    )(x)
    y = filters_
    for conv2d, filters in (("conv2d_1", 5), ("conv2d_2", 6)):  # line 17
        y = layers.Conv2D(filters, 1, data_format="channels_last", name=conv2d)(y)  # line 17
    y = layers.Dense(4, name="dense")(y)  # line 18
    for conv2d, filters in (("conv2d_3", 6), ("conv2d_4", 8)):  # line 17
        y = layers.Conv2D(filters, 1, data_format="channels_last", name=conv2d)(y)  # line 17
    y = layers.Dense(5, name="dense_1")(y)  # line 18
    y = filters_3(y, 5, 10, 6, name="filters")  # line 20
    y = units(y, 2, 3, 6, name="units")  # line 21
    y = units(y, 4, 5, 10, name="units_1")  # line 22
    y = layers.Conv2D(4, 1, data_format="channels_last", name="conv2d_5")(y)  # line 23
    for add, conv2d, filters, conv2d_ in (  # line 24
        ("add", "conv2d_6", 5, "conv2d_7"),
        ("add_1", "conv2d_8", 6, "conv2d_9"),
    ):
        y = layers.Add(name=add)([y, filters_])  # line 24
        y = layers.Conv2D(filters, 1, data_format="channels_last", name=conv2d)(y)  # line 24
        y = layers.Conv2D(4, 1, data_format="channels_last", name=conv2d_)(y)  # line 24
    return keras.Model(x, y, name="shadows")


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
