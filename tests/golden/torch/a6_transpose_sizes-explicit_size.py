"""PyTorch network ExplicitSize: image (1, 7, 7) -> enlarged (1, 22, 22).

Emitted by upc 0.0.0 from a6_transpose_sizes.upc, whose lines the comments name.
sha256 6c56517a4c443db55db5aa3e14bbc3ec4e729f7abd4fe82d66a8cf4b9d1dae80

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


class ExplicitSize(nn.Module):
    """image (1, 7, 7) -> enlarged (1, 22, 22)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(1, 1, 4, stride=3, padding=1, output_padding=2)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv2d_transpose(image)  # line 20
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (4, 4, 1, 1),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_transpose.bias": ("conv2d_transpose.bias", (1,), (0,), torch.zeros),
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
