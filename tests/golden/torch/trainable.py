"""PyTorch network Trainable: x (1, 16, 12) -> y (4, 6, 2).

Emitted by upc 0.0.0 from trainable.upc, whose lines the comments name.
sha256 11369b5c2751a4da78d0e71a2993ab12c08229a870f159cc912ecb98a53ffe8f

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

import math
from collections.abc import Mapping

import torch
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


class Pair(nn.Module):
    """Block `pair`."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, filters, 3)
        self.conv2d.requires_grad_(False)
        self.conv2d_1 = nn.Conv2d(filters, filters, 3)
        self.conv2d_1.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 2
        x = self.conv2d_1(x)  # line 3
        return x


class Trainable(nn.Module):
    """x (1, 16, 12) -> y (4, 6, 2)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(1, 2, 3)
        self.conv2d.requires_grad_(False)
        self.pair = Pair(2, 3)
        self.pair_1 = Pair(3, 4)
        self.batch_normalization = nn.BatchNorm2d(4, eps=0.001, momentum=0.01)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 8
        x = self.pair(x)  # line 9
        x = self.pair_1(x)  # line 10
        x = self.batch_normalization(x)  # line 11
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 1, 2), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (2,), (0,), torch.zeros),
    "pair.conv2d.kernel": ("pair.conv2d.weight", (3, 3, 2, 3), (3, 2, 0, 1), glorot_uniform),
    "pair.conv2d.bias": ("pair.conv2d.bias", (3,), (0,), torch.zeros),
    "pair.conv2d_1.kernel": ("pair.conv2d_1.weight", (3, 3, 3, 3), (3, 2, 0, 1), glorot_uniform),
    "pair.conv2d_1.bias": ("pair.conv2d_1.bias", (3,), (0,), torch.zeros),
    "pair_1.conv2d.kernel": ("pair_1.conv2d.weight", (3, 3, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "pair_1.conv2d.bias": ("pair_1.conv2d.bias", (4,), (0,), torch.zeros),
    "pair_1.conv2d_1.kernel": (
        "pair_1.conv2d_1.weight",
        (3, 3, 4, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "pair_1.conv2d_1.bias": ("pair_1.conv2d_1.bias", (4,), (0,), torch.zeros),
    "batch_normalization.gamma": ("batch_normalization.weight", (4,), (0,), torch.ones),
    "batch_normalization.beta": ("batch_normalization.bias", (4,), (0,), torch.zeros),
    "batch_normalization.moving_mean": (
        "batch_normalization.running_mean",
        (4,),
        (0,),
        torch.zeros,
    ),
    "batch_normalization.moving_variance": (
        "batch_normalization.running_var",
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
