"""PyTorch network Waifu2xUpconv7: image (3, H, W) -> enlarged (3, 2*H - 28, 2*W - 28).

Emitted by upc 0.0.0 from d2_waifu2x_upconv7.upc, whose lines the comments name.
sha256 19a6f398ea9eb84cc062d857d3c56fea93f7a77dc2c9a9be29783a88ce5ab6eb

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


class Waifu2xUpconv7(nn.Module):
    """image (3, H, W) -> enlarged (3, 2*H - 28, 2*W - 28)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 16, 3)
        self.conv2d_1 = nn.Conv2d(16, 32, 3)
        self.conv2d_2 = nn.Conv2d(32, 64, 3)
        self.conv2d_3 = nn.Conv2d(64, 128, 3)
        self.conv2d_4 = nn.Conv2d(128, 128, 3)
        self.conv2d_5 = nn.Conv2d(128, 256, 3)
        self.conv2d_transpose = nn.ConvTranspose2d(256, 3, 4, stride=2, padding=3)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv2d(image)  # line 6
        x = F.leaky_relu(x, 0.1)  # line 7
        x = self.conv2d_1(x)  # line 8
        x = F.leaky_relu(x, 0.1)  # line 9
        x = self.conv2d_2(x)  # line 10
        x = F.leaky_relu(x, 0.1)  # line 11
        x = self.conv2d_3(x)  # line 12
        x = F.leaky_relu(x, 0.1)  # line 13
        x = self.conv2d_4(x)  # line 14
        x = F.leaky_relu(x, 0.1)  # line 15
        x = self.conv2d_5(x)  # line 16
        x = F.leaky_relu(x, 0.1)  # line 17
        x = self.conv2d_transpose(x)  # line 18
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 3, 16), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (16,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (3, 3, 16, 32), (3, 2, 0, 1), glorot_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (32,), (0,), torch.zeros),
    "conv2d_2.kernel": ("conv2d_2.weight", (3, 3, 32, 64), (3, 2, 0, 1), glorot_uniform),
    "conv2d_2.bias": ("conv2d_2.bias", (64,), (0,), torch.zeros),
    "conv2d_3.kernel": ("conv2d_3.weight", (3, 3, 64, 128), (3, 2, 0, 1), glorot_uniform),
    "conv2d_3.bias": ("conv2d_3.bias", (128,), (0,), torch.zeros),
    "conv2d_4.kernel": ("conv2d_4.weight", (3, 3, 128, 128), (3, 2, 0, 1), glorot_uniform),
    "conv2d_4.bias": ("conv2d_4.bias", (128,), (0,), torch.zeros),
    "conv2d_5.kernel": ("conv2d_5.weight", (3, 3, 128, 256), (3, 2, 0, 1), glorot_uniform),
    "conv2d_5.bias": ("conv2d_5.bias", (256,), (0,), torch.zeros),
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (4, 4, 3, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_transpose.bias": ("conv2d_transpose.bias", (3,), (0,), torch.zeros),
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
