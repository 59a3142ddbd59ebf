"""Keras network `waifu2x_upconv7`: image (H, W, 3) -> enlarged (2*H - 28, 2*W - 28, 3).

Emitted by upc 0.0.0 from d2_waifu2x_upconv7.upc, whose lines the comments name.
sha256 19a6f398ea9eb84cc062d857d3c56fea93f7a77dc2c9a9be29783a88ce5ab6eb

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_waifu2x_upconv7() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((None, None, 3), name="image"),
            layers.Conv2D(16, 3, data_format="channels_last", name="conv2d"),  # line 6
            layers.LeakyReLU(negative_slope=0.1, name="leaky_relu"),  # line 7
            layers.Conv2D(32, 3, data_format="channels_last", name="conv2d_1"),  # line 8
            layers.LeakyReLU(negative_slope=0.1, name="leaky_relu_1"),  # line 9
            layers.Conv2D(64, 3, data_format="channels_last", name="conv2d_2"),  # line 10
            layers.LeakyReLU(negative_slope=0.1, name="leaky_relu_2"),  # line 11
            layers.Conv2D(128, 3, data_format="channels_last", name="conv2d_3"),  # line 12
            layers.LeakyReLU(negative_slope=0.1, name="leaky_relu_3"),  # line 13
            layers.Conv2D(128, 3, data_format="channels_last", name="conv2d_4"),  # line 14
            layers.LeakyReLU(negative_slope=0.1, name="leaky_relu_4"),  # line 15
            layers.Conv2D(256, 3, data_format="channels_last", name="conv2d_5"),  # line 16
            layers.LeakyReLU(negative_slope=0.1, name="leaky_relu_5"),  # line 17
            layers.Conv2DTranspose(  # line 18
                3, 4, strides=2, data_format="channels_last", name="conv2d_transpose"
            ),
            layers.Cropping2D(  # line 18
                3, data_format="channels_last", name="conv2d_transpose-cropping"
            ),
        ],
        name="waifu2x_upconv7",
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
