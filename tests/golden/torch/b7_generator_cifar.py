"""PyTorch network GeneratorCifar: z (32,) -> picture (3, 32, 32).

Emitted by upc 0.0.0 from b7_generator_cifar.upc, whose lines the comments name.
sha256 34f75879b74fd723e80f9065c1473f3325e17694e49fadb25daa0798ee59024c

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


class Conv2dLeakyReluTurn(nn.Module):
    """A turn of line 12."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(256, 256, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 13
        x = F.leaky_relu(x, 0.3)  # line 14
        return x


class GeneratorCifar(nn.Module):
    """z (32,) -> picture (3, 32, 32)"""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(32, 32768)
        self.conv2d = nn.Conv2d(128, 256, 5, padding=2)
        self.conv2d_transpose = nn.ConvTranspose2d(256, 256, 4, stride=2, padding=1)
        self.conv2d_leaky_relu_turns = nn.Sequential(*(Conv2dLeakyReluTurn() for _ in range(2)))
        self.conv2d_3 = nn.Conv2d(256, 3, 7, padding=3)
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z)  # line 5
        x = F.leaky_relu(x, 0.3)  # line 6
        x = x.unflatten(1, (16, 16, 128)).permute(0, 3, 1, 2)  # line 7
        x = self.conv2d(x)  # line 8
        x = F.leaky_relu(x, 0.3)  # line 9
        x = self.conv2d_transpose(x)  # line 10
        x = F.leaky_relu(x, 0.3)  # line 11
        x = self.conv2d_leaky_relu_turns(x)  # line 12
        x = torch.tanh(self.conv2d_3(x))  # line 16
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "dense.kernel": ("dense.weight", (32, 32768), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (32768,), (0,), torch.zeros),
    "conv2d.kernel": ("conv2d.weight", (5, 5, 128, 256), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (256,), (0,), torch.zeros),
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (4, 4, 256, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_transpose.bias": ("conv2d_transpose.bias", (256,), (0,), torch.zeros),
    "conv2d_1.kernel": (
        "conv2d_leaky_relu_turns.0.conv2d.weight",
        (5, 5, 256, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_1.bias": ("conv2d_leaky_relu_turns.0.conv2d.bias", (256,), (0,), torch.zeros),
    "conv2d_2.kernel": (
        "conv2d_leaky_relu_turns.1.conv2d.weight",
        (5, 5, 256, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_2.bias": ("conv2d_leaky_relu_turns.1.conv2d.bias", (256,), (0,), torch.zeros),
    "conv2d_3.kernel": ("conv2d_3.weight", (7, 7, 256, 3), (3, 2, 0, 1), glorot_uniform),
    "conv2d_3.bias": ("conv2d_3.bias", (3,), (0,), torch.zeros),
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
