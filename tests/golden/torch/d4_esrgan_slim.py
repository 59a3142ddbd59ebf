"""PyTorch network EsrganSlim: image (3, H, W) -> picture (3, 2*H, 2*W).

Emitted by upc 0.0.0 from d4_esrgan_slim.upc, whose lines the comments name.
sha256 2569da918cc29b9dcdd7cebfd7859e4d1fe6af79a8cfa8cf70edf8ee59818d51

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


class DenseResidual(nn.Module):
    """Block `dense_residual`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(64, 4, 3, padding=1)
        self.conv2d_1 = nn.Conv2d(68, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv2d(x))  # line 7
        y = torch.cat((x, y), dim=1)  # line 8
        y = self.conv2d_1(y)  # line 9
        y = y + x  # line 10
        return y


class EsrganSlim(nn.Module):
    """image (3, H, W) -> picture (3, 2*H, 2*W)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 64, 3, padding=1)
        self.conv2d_1 = nn.Conv2d(64, 64, 3, padding=1)
        self.dense_residual = DenseResidual()
        self.dense_residual_1 = DenseResidual()
        self.conv2d_2 = nn.Conv2d(128, 64, 1)
        self.conv2d_3 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv2d_4 = nn.Conv2d(64, 64, 5, padding=2)
        self.conv2d_5 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv2d_6 = nn.Conv2d(32, 12, 3, padding=1)
        self.conv2d_7 = nn.Conv2d(12, 3, 3, padding=1)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        shallow = self.conv2d(image)  # line 15
        x = self.conv2d_1(shallow)  # line 16
        first = self.dense_residual(x)  # line 17
        x = self.dense_residual_1(first)  # line 18
        x = torch.cat((first, x), dim=1)  # line 19
        x = self.conv2d_2(x)  # line 20
        x = self.conv2d_3(x)  # line 21
        x = x + shallow  # line 22
        x = F.relu(self.conv2d_4(x))  # line 23
        x = F.relu(self.conv2d_5(x))  # line 24
        x = self.conv2d_6(x)  # line 25
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # line 26
        x = self.conv2d_7(x)  # line 27
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 3, 64), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (64,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (3, 3, 64, 64), (3, 2, 0, 1), glorot_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (64,), (0,), torch.zeros),
    "dense_residual.conv2d.kernel": (
        "dense_residual.conv2d.weight",
        (3, 3, 64, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "dense_residual.conv2d.bias": ("dense_residual.conv2d.bias", (4,), (0,), torch.zeros),
    "dense_residual.conv2d_1.kernel": (
        "dense_residual.conv2d_1.weight",
        (1, 1, 68, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "dense_residual.conv2d_1.bias": ("dense_residual.conv2d_1.bias", (64,), (0,), torch.zeros),
    "dense_residual_1.conv2d.kernel": (
        "dense_residual_1.conv2d.weight",
        (3, 3, 64, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "dense_residual_1.conv2d.bias": ("dense_residual_1.conv2d.bias", (4,), (0,), torch.zeros),
    "dense_residual_1.conv2d_1.kernel": (
        "dense_residual_1.conv2d_1.weight",
        (1, 1, 68, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "dense_residual_1.conv2d_1.bias": ("dense_residual_1.conv2d_1.bias", (64,), (0,), torch.zeros),
    "conv2d_2.kernel": ("conv2d_2.weight", (1, 1, 128, 64), (3, 2, 0, 1), glorot_uniform),
    "conv2d_2.bias": ("conv2d_2.bias", (64,), (0,), torch.zeros),
    "conv2d_3.kernel": ("conv2d_3.weight", (3, 3, 64, 64), (3, 2, 0, 1), glorot_uniform),
    "conv2d_3.bias": ("conv2d_3.bias", (64,), (0,), torch.zeros),
    "conv2d_4.kernel": ("conv2d_4.weight", (5, 5, 64, 64), (3, 2, 0, 1), glorot_uniform),
    "conv2d_4.bias": ("conv2d_4.bias", (64,), (0,), torch.zeros),
    "conv2d_5.kernel": ("conv2d_5.weight", (3, 3, 64, 32), (3, 2, 0, 1), glorot_uniform),
    "conv2d_5.bias": ("conv2d_5.bias", (32,), (0,), torch.zeros),
    "conv2d_6.kernel": ("conv2d_6.weight", (3, 3, 32, 12), (3, 2, 0, 1), glorot_uniform),
    "conv2d_6.bias": ("conv2d_6.bias", (12,), (0,), torch.zeros),
    "conv2d_7.kernel": ("conv2d_7.weight", (3, 3, 12, 3), (3, 2, 0, 1), glorot_uniform),
    "conv2d_7.bias": ("conv2d_7.bias", (3,), (0,), torch.zeros),
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
