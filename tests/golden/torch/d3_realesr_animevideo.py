"""PyTorch network RealesrAnimevideo: image (3, H, W) -> picture (3, 4*H, 4*W).

Emitted by upc 0.0.0 from d3_realesr_animevideo.upc, whose lines the comments name.
sha256 d5a56ae555e269af38f2930d818211f36b6ed51b125316073db14ce9932ff29e

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


class Layer(nn.Module):
    """Block `layer`."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, 64, 3, padding=1)
        self.prelu = nn.PReLU(64)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 5
        x = self.prelu(x)  # line 6
        return x


class RealesrAnimevideo(nn.Module):
    """image (3, H, W) -> picture (3, 4*H, 4*W)"""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Layer(3),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
            Layer(64),
        )
        self.conv2d = nn.Conv2d(64, 48, 3, padding=1)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        enlarged = F.interpolate(image, scale_factor=4.0, mode="nearest")  # line 11
        x = self.layers(image)  # line 12
        x = self.conv2d(x)  # line 13
        x = F.pixel_shuffle(x, 4)  # line 14
        x = x + enlarged  # line 15
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "layer.conv2d.kernel": ("layers.0.conv2d.weight", (3, 3, 3, 64), (3, 2, 0, 1), glorot_uniform),
    "layer.conv2d.bias": ("layers.0.conv2d.bias", (64,), (0,), torch.zeros),
    "layer.prelu.alpha": ("layers.0.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_1.conv2d.kernel": (
        "layers.1.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_1.conv2d.bias": ("layers.1.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_1.prelu.alpha": ("layers.1.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_2.conv2d.kernel": (
        "layers.2.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_2.conv2d.bias": ("layers.2.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_2.prelu.alpha": ("layers.2.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_3.conv2d.kernel": (
        "layers.3.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_3.conv2d.bias": ("layers.3.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_3.prelu.alpha": ("layers.3.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_4.conv2d.kernel": (
        "layers.4.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_4.conv2d.bias": ("layers.4.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_4.prelu.alpha": ("layers.4.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_5.conv2d.kernel": (
        "layers.5.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_5.conv2d.bias": ("layers.5.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_5.prelu.alpha": ("layers.5.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_6.conv2d.kernel": (
        "layers.6.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_6.conv2d.bias": ("layers.6.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_6.prelu.alpha": ("layers.6.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_7.conv2d.kernel": (
        "layers.7.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_7.conv2d.bias": ("layers.7.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_7.prelu.alpha": ("layers.7.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_8.conv2d.kernel": (
        "layers.8.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_8.conv2d.bias": ("layers.8.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_8.prelu.alpha": ("layers.8.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_9.conv2d.kernel": (
        "layers.9.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_9.conv2d.bias": ("layers.9.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_9.prelu.alpha": ("layers.9.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_10.conv2d.kernel": (
        "layers.10.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_10.conv2d.bias": ("layers.10.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_10.prelu.alpha": ("layers.10.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_11.conv2d.kernel": (
        "layers.11.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_11.conv2d.bias": ("layers.11.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_11.prelu.alpha": ("layers.11.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_12.conv2d.kernel": (
        "layers.12.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_12.conv2d.bias": ("layers.12.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_12.prelu.alpha": ("layers.12.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_13.conv2d.kernel": (
        "layers.13.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_13.conv2d.bias": ("layers.13.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_13.prelu.alpha": ("layers.13.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_14.conv2d.kernel": (
        "layers.14.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_14.conv2d.bias": ("layers.14.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_14.prelu.alpha": ("layers.14.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_15.conv2d.kernel": (
        "layers.15.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_15.conv2d.bias": ("layers.15.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_15.prelu.alpha": ("layers.15.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "layer_16.conv2d.kernel": (
        "layers.16.conv2d.weight",
        (3, 3, 64, 64),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "layer_16.conv2d.bias": ("layers.16.conv2d.bias", (64,), (0,), torch.zeros),
    "layer_16.prelu.alpha": ("layers.16.prelu.weight", (1, 1, 64), (2, 0, 1), torch.zeros),
    "conv2d.kernel": ("conv2d.weight", (3, 3, 64, 48), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (48,), (0,), torch.zeros),
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
