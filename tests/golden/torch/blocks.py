"""PyTorch network Blocks: x (3, 8, 12) -> y (2, 8, 12).

Emitted by upc 0.0.0 from blocks.upc, whose lines the comments name.
sha256 f99472f6672a58182b8adbca11d3bdd314b3660b99ce3ec7d4be5bfcfa23d384

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


class Squeeze(nn.Module):
    """Block `squeeze`."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(8, filters, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 10
        x = F.leaky_relu(x, 0.1)  # line 11
        return x


class Residual(nn.Module):
    """Block `residual`."""

    def __init__(self, inner: int, kernel: int, padding: int) -> None:
        super().__init__()
        self.squeeze = Squeeze(inner)
        self.conv2d = nn.Conv2d(inner, 8, kernel, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze(x)  # line 4
        y = self.conv2d(y)  # line 5
        y = y + x  # line 6
        return y


class Join(nn.Module):
    """Block `join`."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(16, filters, 3, padding=1)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # line 15
        x = torch.cat((x, other), dim=1)  # line 16
        x = self.conv2d(x)  # line 17
        return x


class Blocks(nn.Module):
    """x (3, 8, 12) -> y (2, 8, 12)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 8, 3, padding=1)
        self.residual = Residual(4, 3, 1)
        self.residual_1 = Residual(4, 5, 2)
        self.residual_2 = Residual(3, 3, 1)
        self.join = Join(8)
        self.join_1 = Join(2)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 22
        fine = self.residual(x)  # line 23
        x = F.max_pool2d(fine, 2)  # line 24
        x = self.residual_1(x)  # line 25
        x = self.residual_2(x)  # line 26
        full = self.join(x, fine)  # line 27
        x = F.max_pool2d(full, 2)  # line 28
        x = self.join_1(x, full)  # line 29
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 3, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (8,), (0,), torch.zeros),
    "residual.squeeze.conv2d.kernel": (
        "residual.squeeze.conv2d.weight",
        (1, 1, 8, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "residual.squeeze.conv2d.bias": ("residual.squeeze.conv2d.bias", (4,), (0,), torch.zeros),
    "residual.conv2d.kernel": (
        "residual.conv2d.weight",
        (3, 3, 4, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "residual.conv2d.bias": ("residual.conv2d.bias", (8,), (0,), torch.zeros),
    "residual_1.squeeze.conv2d.kernel": (
        "residual_1.squeeze.conv2d.weight",
        (1, 1, 8, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "residual_1.squeeze.conv2d.bias": ("residual_1.squeeze.conv2d.bias", (4,), (0,), torch.zeros),
    "residual_1.conv2d.kernel": (
        "residual_1.conv2d.weight",
        (5, 5, 4, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "residual_1.conv2d.bias": ("residual_1.conv2d.bias", (8,), (0,), torch.zeros),
    "residual_2.squeeze.conv2d.kernel": (
        "residual_2.squeeze.conv2d.weight",
        (1, 1, 8, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "residual_2.squeeze.conv2d.bias": ("residual_2.squeeze.conv2d.bias", (3,), (0,), torch.zeros),
    "residual_2.conv2d.kernel": (
        "residual_2.conv2d.weight",
        (3, 3, 3, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "residual_2.conv2d.bias": ("residual_2.conv2d.bias", (8,), (0,), torch.zeros),
    "join.conv2d.kernel": ("join.conv2d.weight", (3, 3, 16, 8), (3, 2, 0, 1), glorot_uniform),
    "join.conv2d.bias": ("join.conv2d.bias", (8,), (0,), torch.zeros),
    "join_1.conv2d.kernel": ("join_1.conv2d.weight", (3, 3, 16, 2), (3, 2, 0, 1), glorot_uniform),
    "join_1.conv2d.bias": ("join_1.conv2d.bias", (2,), (0,), torch.zeros),
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
