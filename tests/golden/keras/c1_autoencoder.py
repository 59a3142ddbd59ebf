"""Keras network `autoencoder`: digit (28, 28, 1) -> reconstruction (28, 28, 1).

Emitted by upc 0.0.0 from c1_autoencoder.upc, whose lines the comments name.
sha256 4bacdb67a8e8ca7bbfdc1b11b99276b3b3fbd581a976bea18ee654400aaa5799

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_autoencoder() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="digit"),
            layers.Conv2D(  # line 5
                8,
                2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                kernel_initializer="he_uniform",
                name="conv2d",
            ),
            layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d"),  # line 6
            layers.Conv2D(  # line 7
                8,
                2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                name="conv2d_1",
            ),
            layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d_1"),  # line 8
            layers.Conv2D(  # line 9
                8,
                2,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                name="conv2d_2",
            ),
            layers.Conv2D(  # line 10
                8,
                2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                name="conv2d_3",
            ),
            layers.UpSampling2D(  # line 11
                2, interpolation="bilinear", data_format="channels_last", name="up_sampling2d"
            ),
            layers.Conv2D(  # line 12
                8, 2, data_format="channels_last", activation="relu", name="conv2d_4"
            ),
            layers.UpSampling2D(  # line 13
                2, interpolation="bilinear", data_format="channels_last", name="up_sampling2d_1"
            ),
            layers.Conv2D(  # line 14
                8,
                2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                name="conv2d_5",
            ),
            layers.UpSampling2D(  # line 15
                2, interpolation="bilinear", data_format="channels_last", name="up_sampling2d_2"
            ),
            layers.Conv2D(  # line 16
                1,
                2,
                padding="same",
                data_format="channels_last",
                activation="sigmoid",
                name="conv2d_6",
            ),
        ],
        name="autoencoder",
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
