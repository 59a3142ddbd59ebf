"""PyTorch network Used: x (3, 8, 8) -> y (4, 8, 8).

Emitted by upc 0.0.0 from use.upc, whose lines the comments name.
sha256 46ab1f88a8bd8b524d39b20fc0c3e3870ee92c339dc1539ce584cff0366d906e

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


class Normalized(nn.Module):
    """Block `normalized`."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, filters, 3, padding=1, bias=False)
        self.batch_normalization = nn.BatchNorm2d(filters, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # shared.upc line 2
        x = self.batch_normalization(x)  # shared.upc line 3
        x = F.relu(x)  # shared.upc line 4
        return x


class Down(nn.Module):
    """Block `down`."""

    def __init__(self) -> None:
        super().__init__()
        self.normalized = Normalized(3, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalized(x)  # down.upc line 4
        x = F.max_pool2d(x, 2)  # down.upc line 5
        return x


class Up(nn.Module):
    """Block `up`."""

    def __init__(self) -> None:
        super().__init__()
        self.normalized = Normalized(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # up.upc line 4
        x = self.normalized(x)  # up.upc line 5
        return x


class Used(nn.Module):
    """x (3, 8, 8) -> y (4, 8, 8)"""

    def __init__(self) -> None:
        super().__init__()
        self.down = Down()
        self.up = Up()
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)  # line 6
        x = self.up(x)  # line 7
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "down.normalized.conv2d.kernel": (
        "down.normalized.conv2d.weight",
        (3, 3, 3, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "down.normalized.batch_normalization.gamma": (
        "down.normalized.batch_normalization.weight",
        (8,),
        (0,),
        torch.ones,
    ),
    "down.normalized.batch_normalization.beta": (
        "down.normalized.batch_normalization.bias",
        (8,),
        (0,),
        torch.zeros,
    ),
    "down.normalized.batch_normalization.moving_mean": (
        "down.normalized.batch_normalization.running_mean",
        (8,),
        (0,),
        torch.zeros,
    ),
    "down.normalized.batch_normalization.moving_variance": (
        "down.normalized.batch_normalization.running_var",
        (8,),
        (0,),
        torch.ones,
    ),
    "up.normalized.conv2d.kernel": (
        "up.normalized.conv2d.weight",
        (3, 3, 8, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up.normalized.batch_normalization.gamma": (
        "up.normalized.batch_normalization.weight",
        (4,),
        (0,),
        torch.ones,
    ),
    "up.normalized.batch_normalization.beta": (
        "up.normalized.batch_normalization.bias",
        (4,),
        (0,),
        torch.zeros,
    ),
    "up.normalized.batch_normalization.moving_mean": (
        "up.normalized.batch_normalization.running_mean",
        (4,),
        (0,),
        torch.zeros,
    ),
    "up.normalized.batch_normalization.moving_variance": (
        "up.normalized.batch_normalization.running_var",
        (4,),
        (0,),
        torch.ones,
    ),
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
