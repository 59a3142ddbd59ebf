"""Keras network `several_inputs`: picture (8, 6, 3), style (5,) -> styled (8, 6, 3), code (4,),
features (8, 6, 4).

Emitted by upc 0.0.0 from several_inputs.upc, whose lines the comments name.
sha256 fb91125c2e065e876c0ddedd071d8523ae4b65bb44a88c37e6624a3131375154

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_several_inputs() -> keras.Model:
    """Build the network with fresh weights."""
    picture = keras.Input((8, 6, 3), name="picture")
    style = keras.Input((5,), name="style")
    features = layers.Conv2D(  # line 4
        4, 3, padding="same", data_format="channels_last", activation="relu", name="conv2d"
    )(picture)
    x = layers.Dense(192, name="dense")(style)  # line 6
    x = layers.Reshape((8, 6, 4), name="reshape")(x)  # line 7
    mixed = layers.Add(name="add")([x, features])  # line 8
    styled = layers.Conv2D(  # line 9
        3, 1, data_format="channels_last", activation="sigmoid", name="conv2d_1"
    )(mixed)
    x = layers.GlobalAveragePooling2D(  # line 11
        data_format="channels_last", name="global_average_pooling2d"
    )(mixed)
    return keras.Model([picture, style], [styled, x, features], name="several_inputs")


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
