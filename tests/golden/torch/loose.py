"""PyTorch network Loose: x (3, 8, 8) -> y (3, 10, 10).

Emitted by upc 0.0.0 from loose.upc, whose lines the comments name.
sha256 fa1ce20a50aedb09e5d788b1360d03adc3d432da424be501905d70e29be5b2be

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


def he_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 2 / inputs."""
    limit = math.sqrt(6 / max(1.0, fans(shape)[0]))
    return torch.empty(shape).uniform_(-limit, limit)


class Pad(nn.Module):
    """Block `pad`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(14, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1))  # line 9
        x = self.conv2d(F.pad(x, (0, 1, 0, 1)))  # line 13
        return x


class Pad2(nn.Module):
    """Block `pad`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(4, 4, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (2, 2, 2, 2))  # line 9
        x = self.conv2d(x)  # line 13
        return x


class ReluTanhTurn(nn.Module):
    """A turn of line 23."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)  # line 23
        x = torch.tanh(x)  # line 23
        return x


class DenseTurn(nn.Module):
    """A turn of line 25."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # line 26
        return x


class Normalized(nn.Module):
    """Block `normalized`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(7, 3, 3, padding=1, bias=False)
        self.batch_normalization = nn.BatchNorm2d(3, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # shared.upc line 2
        x = self.batch_normalization(x)  # shared.upc line 3
        x = F.relu(x)  # shared.upc line 4
        return x


class Up(nn.Module):
    """Block `up`."""

    def __init__(self) -> None:
        super().__init__()
        self.normalized = Normalized()

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # up.upc line 4
        x = self.normalized(x)  # up.upc line 5
        return x


class Loose(nn.Module):
    """x (3, 8, 8) -> y (3, 10, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 14, 1)
        self.pad = Pad()
        self.pad_1 = Pad2()
        self.relu_tanh_turns = nn.Sequential(*(ReluTanhTurn() for _ in range(2)))
        self.dense_turns = nn.Sequential(DenseTurn(4, 3), DenseTurn(3, 2))
        self.conv2d_1 = nn.Conv2d(2, 7, 1)
        self.up = Up()
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 21
        x = self.pad(x)  # line 22
        x = self.pad_1(x)  # line 22
        x = self.relu_tanh_turns(x)  # line 23
        x = self.dense_turns(x)  # line 25
        x = F.relu(self.conv2d_1(x))  # line 27
        x = self.up(x)  # line 28
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (1, 1, 3, 14), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (14,), (0,), torch.zeros),
    "pad.conv2d.kernel": ("pad.conv2d.weight", (3, 3, 14, 4), (3, 2, 0, 1), glorot_uniform),
    "pad.conv2d.bias": ("pad.conv2d.bias", (4,), (0,), torch.zeros),
    "pad_1.conv2d.kernel": ("pad_1.conv2d.weight", (3, 3, 4, 4), (3, 2, 0, 1), glorot_uniform),
    "pad_1.conv2d.bias": ("pad_1.conv2d.bias", (4,), (0,), torch.zeros),
    "dense.kernel": ("dense_turns.0.dense.weight", (4, 3), (1, 0), glorot_uniform),
    "dense.bias": ("dense_turns.0.dense.bias", (3,), (0,), torch.zeros),
    "dense_1.kernel": ("dense_turns.1.dense.weight", (3, 2), (1, 0), glorot_uniform),
    "dense_1.bias": ("dense_turns.1.dense.bias", (2,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (1, 1, 2, 7), (3, 2, 0, 1), he_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (7,), (0,), torch.zeros),
    "up.normalized.conv2d.kernel": (
        "up.normalized.conv2d.weight",
        (3, 3, 7, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up.normalized.batch_normalization.gamma": (
        "up.normalized.batch_normalization.weight",
        (3,),
        (0,),
        torch.ones,
    ),
    "up.normalized.batch_normalization.beta": (
        "up.normalized.batch_normalization.bias",
        (3,),
        (0,),
        torch.zeros,
    ),
    "up.normalized.batch_normalization.moving_mean": (
        "up.normalized.batch_normalization.running_mean",
        (3,),
        (0,),
        torch.zeros,
    ),
    "up.normalized.batch_normalization.moving_variance": (
        "up.normalized.batch_normalization.running_var",
        (3,),
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
