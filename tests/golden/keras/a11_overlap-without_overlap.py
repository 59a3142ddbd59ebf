"""Keras network `without_overlap`: ones (5, 5, 1) -> overlap (10, 10, 1).

Emitted by upc 0.0.0 from a11_overlap.upc, whose lines the comments name.
sha256 a098a91239fadc2e171901fb1e28335ba8b84a23fb68bd061fa7c7f15ba7dad7

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_without_overlap() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((5, 5, 1), name="ones"),
            layers.Conv2DTranspose(  # line 18
                1,
                2,
                strides=2,
                data_format="channels_last",
                use_bias=False,
                kernel_initializer="ones",
                name="conv2d_transpose",
            ),
        ],
        name="without_overlap",
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
