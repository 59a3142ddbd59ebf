"""Keras network `upsample_decoder`: features (16, 16, 256) -> picture (128, 128, 3).

Emitted by upc 0.0.0 from b8_upsample_decoder.upc, whose lines the comments name.
sha256 98453a9b1c9b86c92a603736267e427c5146a8204e115a68b143b23643a51cd2

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def up(filters: int, name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.UpSampling2D(  # line 4
            2, interpolation="nearest", data_format="channels_last", name=f"{name}-up_sampling2d"
        ),
        layers.Conv2D(  # line 5
            filters,
            3,
            padding="same",
            data_format="channels_last",
            activation="relu",
            name=f"{name}-conv2d",
        ),
    ]


def build_upsample_decoder() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 256), name="features"),
            *up(128, name="up"),  # line 10
            *up(64, name="up_1"),  # line 11
            *up(32, name="up_2"),  # line 12
            layers.Conv2D(  # line 13
                3, 3, padding="same", data_format="channels_last", activation="tanh", name="conv2d"
            ),
        ],
        name="upsample_decoder",
    )


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
