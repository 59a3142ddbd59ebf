"""PyTorch network Unet: image (3, H, W) -> mask (1, H, W).

Emitted by upc 0.0.0 from unet.upc, whose lines the comments name.
sha256 70a1ba3827610d971470bc69920e31c22fc63739550439112938020beef9d7a0

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


class Double(nn.Module):
    """Block `double`."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, filters, 3, padding=1)
        self.conv2d_1 = nn.Conv2d(filters, filters, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2d(x))  # line 2
        x = F.relu(self.conv2d_1(x))  # line 3
        return x


class Unet(nn.Module):
    """image (3, H, W) -> mask (1, H, W)"""

    def __init__(self) -> None:
        super().__init__()
        self.double_ = Double(3, 32)
        self.double_1 = Double(32, 64)
        self.double_2 = Double(64, 128)
        self.double_3 = Double(192, 64)
        self.double_4 = Double(96, 32)
        self.conv2d = nn.Conv2d(32, 1, 1)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        e1 = self.double_(image)  # line 9
        x = F.max_pool2d(e1, 2)  # line 10
        e2 = self.double_1(x)  # line 11
        x = F.max_pool2d(e2, 2)  # line 12
        x = self.double_2(x)  # line 13
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # line 14
        x = torch.cat((x, e2), dim=1)  # line 15
        x = self.double_3(x)  # line 16
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # line 17
        x = torch.cat((x, e1), dim=1)  # line 18
        x = self.double_4(x)  # line 19
        x = torch.sigmoid(self.conv2d(x))  # line 20
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "double.conv2d.kernel": ("double_.conv2d.weight", (3, 3, 3, 32), (3, 2, 0, 1), glorot_uniform),
    "double.conv2d.bias": ("double_.conv2d.bias", (32,), (0,), torch.zeros),
    "double.conv2d_1.kernel": (
        "double_.conv2d_1.weight",
        (3, 3, 32, 32),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double.conv2d_1.bias": ("double_.conv2d_1.bias", (32,), (0,), torch.zeros),
    "double_1.conv2d.kernel": (
        "double_1.conv2d.weight",
        (3, 3, 32, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_1.conv2d.bias": ("double_1.conv2d.bias", (64,), (0,), torch.zeros),
    "double_1.conv2d_1.kernel": (
        "double_1.conv2d_1.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_1.conv2d_1.bias": ("double_1.conv2d_1.bias", (64,), (0,), torch.zeros),
    "double_2.conv2d.kernel": (
        "double_2.conv2d.weight",
        (3, 3, 64, 128),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_2.conv2d.bias": ("double_2.conv2d.bias", (128,), (0,), torch.zeros),
    "double_2.conv2d_1.kernel": (
        "double_2.conv2d_1.weight",
        (3, 3, 128, 128),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_2.conv2d_1.bias": ("double_2.conv2d_1.bias", (128,), (0,), torch.zeros),
    "double_3.conv2d.kernel": (
        "double_3.conv2d.weight",
        (3, 3, 192, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_3.conv2d.bias": ("double_3.conv2d.bias", (64,), (0,), torch.zeros),
    "double_3.conv2d_1.kernel": (
        "double_3.conv2d_1.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_3.conv2d_1.bias": ("double_3.conv2d_1.bias", (64,), (0,), torch.zeros),
    "double_4.conv2d.kernel": (
        "double_4.conv2d.weight",
        (3, 3, 96, 32),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_4.conv2d.bias": ("double_4.conv2d.bias", (32,), (0,), torch.zeros),
    "double_4.conv2d_1.kernel": (
        "double_4.conv2d_1.weight",
        (3, 3, 32, 32),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_4.conv2d_1.bias": ("double_4.conv2d_1.bias", (32,), (0,), torch.zeros),
    "conv2d.kernel": ("conv2d.weight", (1, 1, 32, 1), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (1,), (0,), torch.zeros),
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
