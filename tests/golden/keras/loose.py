"""Keras network `loose`: x (8, 8, 3) -> y (10, 10, 3).

Emitted by upc 0.0.0 from loose.upc, whose lines the comments name.
sha256 fa1ce20a50aedb09e5d788b1360d03adc3d432da424be501905d70e29be5b2be

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def pad(size: int, name: str) -> list[keras.Layer]:
    """Block `pad`."""
    return [
        layers.ZeroPadding2D(  # line 9
            size, data_format="channels_last", name=f"{name}-zero_padding2d"
        ),
        layers.Conv2D(  # line 13
            4, 3, strides=2, padding="same", data_format="channels_last", name=f"{name}-conv2d"
        ),
    ]


def normalized(name: str) -> list[keras.Layer]:
    """Block `normalized`."""
    return [
        layers.Conv2D(  # shared.upc line 2
            3, 3, padding="same", data_format="channels_last", use_bias=False, name=f"{name}-conv2d"
        ),
        layers.BatchNormalization(  # shared.upc line 3
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
        layers.ReLU(name=f"{name}-relu"),  # shared.upc line 4
    ]


def up(name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.UpSampling2D(  # up.upc line 4
            2, interpolation="nearest", data_format="channels_last", name=f"{name}-up_sampling2d"
        ),
        *normalized(name=f"{name}-normalized"),  # up.upc line 5
    ]


def build_loose() -> keras.Sequential:
    """Build the network with fresh weights."""
    stack = [
        keras.Input((8, 8, 3), name="x"),
        layers.Conv2D(14, 1, data_format="channels_last", name="conv2d"),  # line 21
    ]
    for name, i in (("pad", 1), ("pad_1", 2)):  # line 22
        stack += pad(i, name=name)  # line 22
    for relu, tanh in (("relu", "tanh"), ("relu_1", "tanh_1")):  # line 23
        stack += [
            layers.ReLU(name=relu),  # line 23
            layers.Activation("tanh", name=tanh),  # line 23
        ]
    for dense, units in (("dense", 3), ("dense_1", 2)):  # line 25
        stack += [
            layers.Dense(units, name=dense),  # line 26
        ]
    stack += [
        layers.Conv2D(  # line 27
            7,
            1,
            padding="same",
            data_format="channels_last",
            activation="relu",
            kernel_initializer="he_uniform",
            name="conv2d_1",
        ),
        *up(name="up"),  # line 28
    ]
    return keras.Sequential(stack, name="loose")


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
