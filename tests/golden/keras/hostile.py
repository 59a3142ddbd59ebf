"""Keras network `stack`: self (6, 5, 3), dense (3,) -> math (6, 5, 7), result (4,).

Emitted by upc 0.0.0 from hostile.upc, whose lines the comments name.
sha256 e9584e6c91b3c10e61152aec045d305090dae919b21755f2bb80737ca0b6b834

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def forward(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Block `forward`."""
    x = layers.Conv2D(  # line 3
        4, 3, padding="same", data_format="channels_last", name=f"{name}-conv2d"
    )(x)
    batch_normalization = layers.BatchNormalization(  # line 4
        momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
    )(x)
    x = layers.Conv2D(  # line 6
        2, 1, data_format="channels_last", name=f"{name}-conv2d_1"
    )(batch_normalization)
    x = layers.Concatenate(axis=-1, name=f"{name}-concatenate")([x, batch_normalization])  # line 7
    return x


def double(x: keras.KerasTensor, layers_: int, name: str) -> keras.KerasTensor:
    """Block `double`."""
    y = layers.Conv2D(  # line 12
        layers_, 1, data_format="channels_last", use_bias=False, name=f"{name}-conv2d"
    )(x)
    conv2d = layers.Conv2D(3, 1, data_format="channels_last", name=f"{name}-conv2d_1")(y)  # line 13
    y = layers.Conv2D(3, 1, data_format="channels_last", name=f"{name}-conv2d_2")(x)  # line 14
    y = layers.Add(name=f"{name}-add")([conv2d, y])  # line 15
    return y


def f(x: keras.KerasTensor, torch: int, name: str) -> keras.KerasTensor:
    """Block `f`."""
    x = layers.GroupNormalization(  # line 19
        -1, epsilon=0.001, name=f"{name}-instance_normalization"
    )(x)
    x = layers.Conv2D(torch, 1, data_format="channels_last", name=f"{name}-conv2d")(x)  # line 20
    return x


def tensor(x: keras.KerasTensor, state_dict: int, name: str) -> keras.KerasTensor:
    """Block `tensor`."""
    x = layers.Dropout(0.5, name=f"{name}-dropout")(x)  # line 24
    x = layers.Dense(state_dict, name=f"{name}-dense")(x)  # line 25
    return x


def build_stack() -> keras.Model:
    """Build the network with fresh weights."""
    self = keras.Input((6, 5, 3), name="self")
    dense = keras.Input((3,), name="dense")
    keras_ = forward(self, name="forward")  # line 30
    list_ = double(keras_, 4, name="double")  # line 31
    x = double(list_, 5, name="double_1")  # line 32
    x = layers.Concatenate(axis=-1, name="concatenate")([x, keras_, x])  # line 33
    x = f(x, 3, name="f")  # line 34
    x = f(x, 4, name="f_1")  # line 35
    x = tensor(x, 3, name="tensor")  # line 36
    x_ = tensor(x, 2, name="tensor_1")  # line 37
    y_ = layers.Rescaling(1.0, offset=1.5, name="add")(x_)  # line 38
    z_ = layers.Multiply(name="multiply")([y_, x_])  # line 39
    x = layers.Subtract(name="subtract")([z_, y_])  # line 40
    math = layers.Concatenate(axis=-1, name="concatenate_1")([x, list_, z_])  # line 41
    x = layers.Dense(4, name="dense_1")(dense)  # line 45
    return keras.Model([self, dense], [math, x], name="stack")


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
