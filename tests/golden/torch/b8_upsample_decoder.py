"""PyTorch network UpsampleDecoder: features (256, 16, 16) -> picture (3, 128, 128).

Emitted by upc 0.0.0 from b8_upsample_decoder.upc, whose lines the comments name.
sha256 98453a9b1c9b86c92a603736267e427c5146a8204e115a68b143b23643a51cd2

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of one unit, counted as Keras does."""
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def glorot_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 2 / (inputs + outputs)."""
    limit = math.sqrt(6 / max(2.0, sum(fans(shape))))
    return torch.empty(shape).uniform_(-limit, limit)


class Up(nn.Module):
    """Block `up`."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, filters, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # line 4
        x = F.relu(self.conv2d(x))  # line 5
        return x


class UpsampleDecoder(nn.Module):
    """features (256, 16, 16) -> picture (3, 128, 128)"""

    def __init__(self) -> None:
        super().__init__()
        self.up = Up(256, 128)
        self.up_1 = Up(128, 64)
        self.up_2 = Up(64, 32)
        self.conv2d = nn.Conv2d(32, 3, 3, padding=1)
        initialize(self)

    def forward(self, features: Tensor) -> Tensor:
        x = self.up(features)  # line 10
        x = self.up_1(x)  # line 11
        x = self.up_2(x)  # line 12
        x = torch.tanh(self.conv2d(x))  # line 13
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "up.conv2d.kernel": ("up.conv2d.weight", (3, 3, 256, 128), (3, 2, 0, 1), glorot_uniform),
    "up.conv2d.bias": ("up.conv2d.bias", (128,), (0,), torch.zeros),
    "up_1.conv2d.kernel": ("up_1.conv2d.weight", (3, 3, 128, 64), (3, 2, 0, 1), glorot_uniform),
    "up_1.conv2d.bias": ("up_1.conv2d.bias", (64,), (0,), torch.zeros),
    "up_2.conv2d.kernel": ("up_2.conv2d.weight", (3, 3, 64, 32), (3, 2, 0, 1), glorot_uniform),
    "up_2.conv2d.bias": ("up_2.conv2d.bias", (32,), (0,), torch.zeros),
    "conv2d.kernel": ("conv2d.weight", (3, 3, 32, 3), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (3,), (0,), torch.zeros),
}


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """Give all weights their first values, as Keras's initializers do."""
    state = model.state_dict()
    for entry, shape, axes, initial in WEIGHTS.values():
        state[entry].copy_(initial(shape).permute(axes).reshape(state[entry].shape))


@torch.no_grad()
def set_weights(model: nn.Module, arrays: Mapping[str, Tensor]) -> None:
    """Set all weights from arrays by their names in the weights file."""
    if missing := sorted(set(WEIGHTS) - set(arrays)):
        raise KeyError(f"the weights lack {', '.join(missing)}")
    if unknown := sorted(set(arrays) - set(WEIGHTS)):
        raise KeyError(f"{type(model).__name__} has no {', '.join(unknown)}")
    state = model.state_dict()
    for key, (entry, shape, axes, _) in WEIGHTS.items():
        if tuple(arrays[key].shape) != shape:
            raise ValueError(f"{key}: expected {shape}, got {tuple(arrays[key].shape)}")
        state[entry].copy_(arrays[key].permute(axes).reshape(state[entry].shape))


def load_weights(model: nn.Module, path: str) -> None:
    """Set all weights from a safetensors file."""
    from safetensors.torch import load_file

    set_weights(model, load_file(path))
