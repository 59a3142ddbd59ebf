"""Keras network `inverse_tanh`: image (32, 32, 1) -> restored (32, 32, 1).

Emitted by upc 0.0.0 from c4_inverse_tanh.upc, whose lines the comments name.
sha256 83a033ab2c175b927ff1adcebf1a91a2562f2c54fc15483037f4610053b30f5c

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_inverse_tanh() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 1), name="image"),
            layers.Conv2D(  # line 5
                20,
                3,
                padding="same",
                data_format="channels_last",
                activation="tanh",
                trainable=False,
                name="conv2d",
            ),
            layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d"),  # line 6
            layers.Conv2DTranspose(  # line 7
                1,
                3,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="tanh",
                name="conv2d_transpose",
            ),
        ],
        name="inverse_tanh",
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
