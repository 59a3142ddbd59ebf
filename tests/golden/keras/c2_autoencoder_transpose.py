"""Keras network `autoencoder_transpose`: digit (28, 28, 1) -> reconstruction (28, 28, 1).

Emitted by upc 0.0.0 from c2_autoencoder_transpose.upc, whose lines the comments name.
sha256 b3300a738ff768d313070b51a4adbc2f512066b7d4ea3a05da847a20ab3c0b65

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_autoencoder_transpose() -> keras.Sequential:
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
            layers.Conv2DTranspose(  # line 11
                8,
                4,
                strides=2,
                data_format="channels_last",
                activation="relu",
                name="conv2d_transpose",
            ),
            layers.Cropping2D(  # line 11
                ((1, 2), (1, 2)), data_format="channels_last", name="conv2d_transpose-cropping"
            ),
            layers.Conv2DTranspose(  # line 12
                8,
                4,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="relu",
                name="conv2d_transpose_1",
            ),
            layers.Conv2DTranspose(  # line 13
                1,
                4,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="sigmoid",
                name="conv2d_transpose_2",
            ),
        ],
        name="autoencoder_transpose",
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
