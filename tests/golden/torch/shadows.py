"""PyTorch network Shadows: x (3, 4, 5) -> y (4, 4, 5).

Emitted by upc 0.0.0 from shadows.upc, whose lines the comments name.
sha256 d12659f1938943cc1cc89cd7370c7d016e51df23701273d7542a88ff105a526c

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


class Conv2dTurn(nn.Module):
    """A turn of line 17."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 17
        return x


class BlockDenseTurn(nn.Module):
    """A turn of line 16."""

    def __init__(self, out_channels: int, out_channels_: int, out_features: int) -> None:
        super().__init__()
        self.conv2d_turns = nn.Sequential(
            Conv2dTurn(4, out_channels), Conv2dTurn(out_channels, out_channels_)
        )
        self.dense = nn.Linear(out_channels_, out_features)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_turns(x)  # line 17
        x = self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # line 18
        return x


class Conv2dTurn2(nn.Module):
    """A turn of line 3."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 3
        return x


class Conv2dTurn3(nn.Module):
    """A turn of line 5."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 5
        return x


class Filters(nn.Module):
    """Block `filters`."""

    def __init__(self, in_channels: int, filters: int, out_channels: int, name: int) -> None:
        super().__init__()
        self.conv2d_turn2s = nn.Sequential(
            Conv2dTurn2(in_channels, filters), Conv2dTurn2(filters, out_channels)
        )
        self.conv2d_2 = nn.Conv2d(out_channels, filters, 1)
        self.conv2d_turn3s = nn.Sequential(Conv2dTurn3(filters, name), Conv2dTurn3(name, name))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_turn2s(x)  # line 3
        x = self.conv2d_2(x)  # line 4
        x = self.conv2d_turn3s(x)  # line 5
        return x


class Units(nn.Module):
    """Block `units`."""

    def __init__(self, in_features: int, x_: int, keras: int, out_channels: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, x_)
        self.filters = Filters(x_, keras, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))  # line 9
        x = self.filters(x)  # line 10
        return x


class AddConv2dConv2dTurn(nn.Module):
    """A turn of line 24."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(4, out_channels, 1)
        self.conv2d_2 = nn.Conv2d(out_channels, 4, 1)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        x = x + other  # line 24
        x = self.conv2d(x)  # line 24
        x = self.conv2d_2(x)  # line 24
        return x


class Shadows(nn.Module):
    """x (3, 4, 5) -> y (4, 4, 5)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 4, 3, padding=1)
        self.block_dense_turns = nn.Sequential(BlockDenseTurn(5, 6, 4), BlockDenseTurn(6, 8, 5))
        self.filters = Filters(5, 5, 10, 6)
        self.units = Units(6, 2, 3, 6)
        self.units_1 = Units(3, 4, 5, 10)
        self.conv2d_5 = nn.Conv2d(3, 4, 1)
        self.add_conv2d_conv2d_turns = nn.ModuleList(
            [AddConv2dConv2dTurn(5), AddConv2dConv2dTurn(6)]
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        filters = self.conv2d(x)  # line 15
        x = self.block_dense_turns(filters)  # line 16
        x = self.filters(x)  # line 20
        x = self.units(x)  # line 21
        x = self.units_1(x)  # line 22
        x = self.conv2d_5(x)  # line 23
        for turn in self.add_conv2d_conv2d_turns:  # line 24
            x = turn(x, filters)
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (4,), (0,), torch.zeros),
    "conv2d_1.kernel": (
        "block_dense_turns.0.conv2d_turns.0.conv2d.weight",
        (1, 1, 4, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_1.bias": ("block_dense_turns.0.conv2d_turns.0.conv2d.bias", (5,), (0,), torch.zeros),
    "conv2d_2.kernel": (
        "block_dense_turns.0.conv2d_turns.1.conv2d.weight",
        (1, 1, 5, 6),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_2.bias": ("block_dense_turns.0.conv2d_turns.1.conv2d.bias", (6,), (0,), torch.zeros),
    "dense.kernel": ("block_dense_turns.0.dense.weight", (6, 4), (1, 0), glorot_uniform),
    "dense.bias": ("block_dense_turns.0.dense.bias", (4,), (0,), torch.zeros),
    "conv2d_3.kernel": (
        "block_dense_turns.1.conv2d_turns.0.conv2d.weight",
        (1, 1, 4, 6),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_3.bias": ("block_dense_turns.1.conv2d_turns.0.conv2d.bias", (6,), (0,), torch.zeros),
    "conv2d_4.kernel": (
        "block_dense_turns.1.conv2d_turns.1.conv2d.weight",
        (1, 1, 6, 8),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_4.bias": ("block_dense_turns.1.conv2d_turns.1.conv2d.bias", (8,), (0,), torch.zeros),
    "dense_1.kernel": ("block_dense_turns.1.dense.weight", (8, 5), (1, 0), glorot_uniform),
    "dense_1.bias": ("block_dense_turns.1.dense.bias", (5,), (0,), torch.zeros),
    "filters.conv2d.kernel": (
        "filters.conv2d_turn2s.0.conv2d.weight",
        (3, 3, 5, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "filters.conv2d.bias": ("filters.conv2d_turn2s.0.conv2d.bias", (5,), (0,), torch.zeros),
    "filters.conv2d_1.kernel": (
        "filters.conv2d_turn2s.1.conv2d.weight",
        (3, 3, 5, 10),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "filters.conv2d_1.bias": ("filters.conv2d_turn2s.1.conv2d.bias", (10,), (0,), torch.zeros),
    "filters.conv2d_2.kernel": (
        "filters.conv2d_2.weight",
        (1, 1, 10, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "filters.conv2d_2.bias": ("filters.conv2d_2.bias", (5,), (0,), torch.zeros),
    "filters.conv2d_3.kernel": (
        "filters.conv2d_turn3s.0.conv2d.weight",
        (1, 1, 5, 6),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "filters.conv2d_3.bias": ("filters.conv2d_turn3s.0.conv2d.bias", (6,), (0,), torch.zeros),
    "filters.conv2d_4.kernel": (
        "filters.conv2d_turn3s.1.conv2d.weight",
        (1, 1, 6, 6),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "filters.conv2d_4.bias": ("filters.conv2d_turn3s.1.conv2d.bias", (6,), (0,), torch.zeros),
    "units.dense.kernel": ("units.dense.weight", (6, 2), (1, 0), glorot_uniform),
    "units.dense.bias": ("units.dense.bias", (2,), (0,), torch.zeros),
    "units.filters.conv2d.kernel": (
        "units.filters.conv2d_turn2s.0.conv2d.weight",
        (3, 3, 2, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units.filters.conv2d.bias": (
        "units.filters.conv2d_turn2s.0.conv2d.bias",
        (3,),
        (0,),
        torch.zeros,
    ),
    "units.filters.conv2d_1.kernel": (
        "units.filters.conv2d_turn2s.1.conv2d.weight",
        (3, 3, 3, 6),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units.filters.conv2d_1.bias": (
        "units.filters.conv2d_turn2s.1.conv2d.bias",
        (6,),
        (0,),
        torch.zeros,
    ),
    "units.filters.conv2d_2.kernel": (
        "units.filters.conv2d_2.weight",
        (1, 1, 6, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units.filters.conv2d_2.bias": ("units.filters.conv2d_2.bias", (3,), (0,), torch.zeros),
    "units.filters.conv2d_3.kernel": (
        "units.filters.conv2d_turn3s.0.conv2d.weight",
        (1, 1, 3, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units.filters.conv2d_3.bias": (
        "units.filters.conv2d_turn3s.0.conv2d.bias",
        (3,),
        (0,),
        torch.zeros,
    ),
    "units.filters.conv2d_4.kernel": (
        "units.filters.conv2d_turn3s.1.conv2d.weight",
        (1, 1, 3, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units.filters.conv2d_4.bias": (
        "units.filters.conv2d_turn3s.1.conv2d.bias",
        (3,),
        (0,),
        torch.zeros,
    ),
    "units_1.dense.kernel": ("units_1.dense.weight", (3, 4), (1, 0), glorot_uniform),
    "units_1.dense.bias": ("units_1.dense.bias", (4,), (0,), torch.zeros),
    "units_1.filters.conv2d.kernel": (
        "units_1.filters.conv2d_turn2s.0.conv2d.weight",
        (3, 3, 4, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units_1.filters.conv2d.bias": (
        "units_1.filters.conv2d_turn2s.0.conv2d.bias",
        (5,),
        (0,),
        torch.zeros,
    ),
    "units_1.filters.conv2d_1.kernel": (
        "units_1.filters.conv2d_turn2s.1.conv2d.weight",
        (3, 3, 5, 10),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units_1.filters.conv2d_1.bias": (
        "units_1.filters.conv2d_turn2s.1.conv2d.bias",
        (10,),
        (0,),
        torch.zeros,
    ),
    "units_1.filters.conv2d_2.kernel": (
        "units_1.filters.conv2d_2.weight",
        (1, 1, 10, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units_1.filters.conv2d_2.bias": ("units_1.filters.conv2d_2.bias", (5,), (0,), torch.zeros),
    "units_1.filters.conv2d_3.kernel": (
        "units_1.filters.conv2d_turn3s.0.conv2d.weight",
        (1, 1, 5, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units_1.filters.conv2d_3.bias": (
        "units_1.filters.conv2d_turn3s.0.conv2d.bias",
        (3,),
        (0,),
        torch.zeros,
    ),
    "units_1.filters.conv2d_4.kernel": (
        "units_1.filters.conv2d_turn3s.1.conv2d.weight",
        (1, 1, 3, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "units_1.filters.conv2d_4.bias": (
        "units_1.filters.conv2d_turn3s.1.conv2d.bias",
        (3,),
        (0,),
        torch.zeros,
    ),
    "conv2d_5.kernel": ("conv2d_5.weight", (1, 1, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "conv2d_5.bias": ("conv2d_5.bias", (4,), (0,), torch.zeros),
    "conv2d_6.kernel": (
        "add_conv2d_conv2d_turns.0.conv2d.weight",
        (1, 1, 4, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_6.bias": ("add_conv2d_conv2d_turns.0.conv2d.bias", (5,), (0,), torch.zeros),
    "conv2d_7.kernel": (
        "add_conv2d_conv2d_turns.0.conv2d_2.weight",
        (1, 1, 5, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_7.bias": ("add_conv2d_conv2d_turns.0.conv2d_2.bias", (4,), (0,), torch.zeros),
    "conv2d_8.kernel": (
        "add_conv2d_conv2d_turns.1.conv2d.weight",
        (1, 1, 4, 6),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_8.bias": ("add_conv2d_conv2d_turns.1.conv2d.bias", (6,), (0,), torch.zeros),
    "conv2d_9.kernel": (
        "add_conv2d_conv2d_turns.1.conv2d_2.weight",
        (1, 1, 6, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_9.bias": ("add_conv2d_conv2d_turns.1.conv2d_2.bias", (4,), (0,), torch.zeros),
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
