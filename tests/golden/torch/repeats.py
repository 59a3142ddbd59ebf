"""PyTorch network Repeats: x (3, 32, 24) -> y (4, 4, 3).

Emitted by upc 0.0.0 from repeats.upc, whose lines the comments name.
sha256 4df4f31106a4ebaffc94906a4485d7f668816ea3642fe66d023c928b2611ae64

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


class Conv2dTurn(nn.Module):
    """A turn of line 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2d(x))  # line 2
        return x


class Stage(nn.Module):
    """Block `stage`."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d_turns = nn.Sequential(
            Conv2dTurn(in_channels, filters), Conv2dTurn(filters, filters)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_turns(x)  # line 2
        x = F.max_pool2d(x, 2)  # line 3
        return x


class Conv2dReluAddTurn(nn.Module):
    """A turn of line 10."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 11
        x = F.relu(x)  # line 12
        x = x + x  # line 13
        return x


class BlockTurn(nn.Module):
    """A turn of line 9."""

    def __init__(self, in_channels: int, i: int, out_channels: int) -> None:
        super().__init__()
        self.conv2d_relu_add_turns = nn.Sequential(
            Conv2dReluAddTurn(in_channels, i), Conv2dReluAddTurn(i, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_relu_add_turns(x)  # line 10
        return x


class Repeats(nn.Module):
    """x (3, 32, 24) -> y (4, 4, 3)"""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(Stage(3, 2), Stage(2, 4), Stage(4, 8))
        self.block_turns = nn.Sequential(BlockTurn(8, 2, 3), BlockTurn(3, 3, 4))
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(x)  # line 8
        x = self.block_turns(x)  # line 9
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "stage.conv2d.kernel": (
        "stages.0.conv2d_turns.0.conv2d.weight",
        (3, 3, 3, 2),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "stage.conv2d.bias": ("stages.0.conv2d_turns.0.conv2d.bias", (2,), (0,), torch.zeros),
    "stage.conv2d_1.kernel": (
        "stages.0.conv2d_turns.1.conv2d.weight",
        (3, 3, 2, 2),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "stage.conv2d_1.bias": ("stages.0.conv2d_turns.1.conv2d.bias", (2,), (0,), torch.zeros),
    "stage_1.conv2d.kernel": (
        "stages.1.conv2d_turns.0.conv2d.weight",
        (3, 3, 2, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "stage_1.conv2d.bias": ("stages.1.conv2d_turns.0.conv2d.bias", (4,), (0,), torch.zeros),
    "stage_1.conv2d_1.kernel": (
        "stages.1.conv2d_turns.1.conv2d.weight",
        (3, 3, 4, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "stage_1.conv2d_1.bias": ("stages.1.conv2d_turns.1.conv2d.bias", (4,), (0,), torch.zeros),
    "stage_2.conv2d.kernel": (
        "stages.2.conv2d_turns.0.conv2d.weight",
        (3, 3, 4, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "stage_2.conv2d.bias": ("stages.2.conv2d_turns.0.conv2d.bias", (8,), (0,), torch.zeros),
    "stage_2.conv2d_1.kernel": (
        "stages.2.conv2d_turns.1.conv2d.weight",
        (3, 3, 8, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "stage_2.conv2d_1.bias": ("stages.2.conv2d_turns.1.conv2d.bias", (8,), (0,), torch.zeros),
    "conv2d.kernel": (
        "block_turns.0.conv2d_relu_add_turns.0.conv2d.weight",
        (1, 1, 8, 2),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d.bias": ("block_turns.0.conv2d_relu_add_turns.0.conv2d.bias", (2,), (0,), torch.zeros),
    "conv2d_1.kernel": (
        "block_turns.0.conv2d_relu_add_turns.1.conv2d.weight",
        (1, 1, 2, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_1.bias": ("block_turns.0.conv2d_relu_add_turns.1.conv2d.bias", (3,), (0,), torch.zeros),
    "conv2d_2.kernel": (
        "block_turns.1.conv2d_relu_add_turns.0.conv2d.weight",
        (1, 1, 3, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_2.bias": ("block_turns.1.conv2d_relu_add_turns.0.conv2d.bias", (3,), (0,), torch.zeros),
    "conv2d_3.kernel": (
        "block_turns.1.conv2d_relu_add_turns.1.conv2d.weight",
        (1, 1, 3, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_3.bias": ("block_turns.1.conv2d_relu_add_turns.1.conv2d.bias", (4,), (0,), torch.zeros),
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
