"""PyTorch network Parameters: x (4, 6, 9) -> result (16,), fine (2, 108, 144).

Emitted by upc 0.0.0 from parameters.upc, whose lines the comments name.
sha256 080c363e57cb86eec57223a8231c436bf08d3d57a69de75968b8ae6b7a610728

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resample(
    x: Tensor,
    size: list[int],
    factor: list[int],
    interpolation: str,
    coordinates: str,
    cubic_coefficient: float = -0.5,
    border: str = "renormalize",
) -> Tensor:
    """Resize to `size`, or by `factor` where that is empty, every convention written out."""
    height, width = x.shape[2], x.shape[3]
    result = size if len(size) > 0 else [height * factor[0], width * factor[1]]
    rows = resampling_matrix(
        height, result[0], interpolation, coordinates, cubic_coefficient, border
    )
    columns = resampling_matrix(
        width, result[1], interpolation, coordinates, cubic_coefficient, border
    )
    return rows.to(x) @ x @ columns.to(x).t()


def resampling_matrix(
    size: int, result: int, interpolation: str, coordinates: str, a: float, border: str
) -> Tensor:
    """One row a result, holding the weights of the pixels it sees."""
    pixels = torch.arange(size)
    i = torch.arange(result)
    if interpolation == "nearest":
        if coordinates == "half_pixel":
            nearest = (2 * i + 1) * size // (2 * result)
        else:
            nearest = i * size // result
        return (nearest[:, None] == pixels[None, :]).to(torch.float32)
    if coordinates == "align_corners":
        place = i * (size - 1) / max(result - 1, 1)
    elif coordinates == "asymmetric":
        place = i * size / result
    else:
        place = (2 * i + 1) * size / (2 * result) - 0.5
    base = place.floor()
    matrix = torch.zeros(result, size)
    for tap in range(4):
        near = base + (tap - 1)
        t = (place - near).abs()
        if interpolation == "bilinear":
            weight = (1 - t).clamp(min=0)
        else:
            inner = ((a + 2) * t - (a + 3)) * t * t + 1
            outer = (((t - 5) * t + 8) * t - 4) * a
            weight = torch.where(t <= 1, inner, torch.where(t < 2, outer, torch.zeros_like(t)))
        seen = near.clamp(0, size - 1)
        if interpolation == "bicubic" and border == "renormalize":
            weight = weight * (seen == near)
        matrix = matrix + weight[:, None] * (seen[:, None] == pixels[None, :])
    return matrix / matrix.sum(dim=1, keepdim=True)


def pixel_shuffle_dcr(x: Tensor, factor: int) -> Tensor:
    """Move blocks of channels into space, channels read as (r, r, C) as TensorFlow does."""
    n, c, h, w = x.shape
    x = x.reshape(n, factor, factor, c // (factor * factor), h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(n, c // (factor * factor), h * factor, w * factor)


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


class Act(nn.Module):
    """Block `act`."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(x, self.slope)  # line 3
        return x


class Shrink(nn.Module):
    """Block `shrink`."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 0, 0, 1))  # line 7
        x = F.max_pool2d(x, 2, stride=1)  # line 8
        x = F.relu6(x)  # line 9
        return x


class Shrink2(nn.Module):
    """Block `shrink`."""

    def __init__(self, amounts: int, size: int, step: int, top: float) -> None:
        super().__init__()
        self.amounts = amounts
        self.size = size
        self.step = step
        self.top = top

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 0, 0, self.amounts))  # line 7
        x = F.max_pool2d(x, self.size, stride=self.step)  # line 8
        x = F.relu(x).clamp(max=self.top)  # line 9
        return x


class Grow(nn.Module):
    """Block `grow`."""

    def __init__(
        self, factor: float, in_channels: int, filters: int, offset: float, factor_: int
    ) -> None:
        super().__init__()
        self.factor = factor
        self.offset = offset
        self.factor_ = factor_
        self.conv2d = nn.Conv2d(in_channels, filters, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=self.factor, mode="nearest")  # line 14
        x = self.conv2d(x)  # line 15
        x = x * self.factor + self.offset  # line 16
        x = pixel_shuffle_dcr(x, self.factor_)  # line 17
        return x


class Both(nn.Module):
    """Block `both`."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.act = Act(slope)
        self.shrink = Shrink2(1, 2, 1, slope)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x)  # line 22
        x = self.shrink(x)  # line 23
        x = F.elu(x, alpha=self.slope)  # line 24
        x = resample(  # line 25
            x, size=[10, 8], factor=[], interpolation="nearest", coordinates="half_pixel"
        )
        return x


class Both2(nn.Module):
    """Block `both`."""

    def __init__(self) -> None:
        super().__init__()
        self.act = Act(0.25)
        self.shrink = Shrink2(2, 3, 1, 0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x)  # line 22
        x = self.shrink(x)  # line 23
        x = F.elu(x, alpha=0.25)  # line 24
        x = F.interpolate(x, size=[11, 9], mode="bilinear", align_corners=False)  # line 25
        return x


class LeakyReluZeroPadding2dTurn(nn.Module):
    """A turn of line 48."""

    def __init__(self, negative_slope: float, amounts: int, i: int) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.amounts = amounts
        self.i = i

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(x, self.negative_slope)  # line 48
        x = F.pad(x, (self.amounts, self.i, 1, 0))  # line 48
        return x


class Mixed(nn.Module):
    """Block `mixed`."""

    def __init__(self, share: float, min_value: float, bound: float, dim: int) -> None:
        super().__init__()
        self.share = share
        self.min_value = min_value
        self.bound = bound
        self.dim = dim

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        y = x + other + self.share  # line 30
        y = y * x * self.share  # line 31
        y = y.clamp(min=self.min_value, max=self.bound)  # line 32
        y = F.softmax(y, dim=self.dim)  # line 33
        return y


class ReshapeSoftmaxFlattenTurn(nn.Module):
    """A turn of line 56."""

    def __init__(self, sizes: int, sizes_: int, dim: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.sizes_ = sizes_
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (self.sizes, self.sizes_)).permute(0, 2, 1)  # line 56
        x = F.softmax(x, dim=self.dim)  # line 56
        x = x.permute(0, 2, 1).flatten(1)  # line 56
        return x


class Parameters(nn.Module):
    """x (4, 6, 9) -> result (16,), fine (2, 108, 144)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(4, 4, 1)
        self.act = Act(0.1)
        self.act_1 = Act(0.2)
        self.shrink = Shrink()
        self.shrink_1 = Shrink2(2, 3, 2, 0.75)
        self.grow = Grow(2.0, 4, 8, 1.0, 2)
        self.grow_1 = Grow(3.0, 2, 18, 2.25, 3)
        self.both = Both(0.5)
        self.both_1 = Both2()
        self.both_2 = Both(0.125)
        self.leaky_relu_zero_padding2d_turns = nn.Sequential(
            LeakyReluZeroPadding2dTurn(0.1, 0, 1),
            LeakyReluZeroPadding2dTurn(0.2, 1, 2),
            LeakyReluZeroPadding2dTurn(0.3, 2, 3),
        )
        self.acts = nn.Sequential(Act(0.25), Act(0.5))
        self.conv2d_1 = nn.Conv2d(2, 4, 1)
        self.mixed = Mixed(0.5, -1.0, 1.0, 2)
        self.mixed_1 = Mixed(1.5, -2.0, 2.0, 3)
        self.dense = nn.Linear(4, 16)
        self.reshape_softmax_flatten_turns = nn.Sequential(
            ReshapeSoftmaxFlattenTurn(4, 4, 2), ReshapeSoftmaxFlattenTurn(16, 1, 1)
        )
        initialize(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.conv2d(x)  # line 38
        x = self.act(skip)  # line 39
        x = self.act_1(x)  # line 40
        x = self.shrink(x)  # line 41
        x = self.shrink_1(x)  # line 42
        x = self.grow(x)  # line 43
        fine = self.grow_1(x)  # line 44
        x = self.both(fine)  # line 45
        x = self.both_1(x)  # line 46
        x = self.both_2(x)  # line 47
        x = self.leaky_relu_zero_padding2d_turns(x)  # line 48
        x = self.acts(x)  # line 49
        x = F.interpolate(x, size=[6, 9], mode="bilinear", align_corners=False)  # line 50
        x = self.conv2d_1(x)  # line 51
        x = self.mixed(x, skip)  # line 52
        x = self.mixed_1(x, skip)  # line 53
        x = x.mean(dim=(2, 3))  # line 54
        x = self.dense(x)  # line 55
        x = self.reshape_softmax_flatten_turns(x)  # line 56
        return x, fine


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (1, 1, 4, 4), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (4,), (0,), torch.zeros),
    "grow.conv2d.kernel": ("grow.conv2d.weight", (3, 3, 4, 8), (3, 2, 0, 1), glorot_uniform),
    "grow.conv2d.bias": ("grow.conv2d.bias", (8,), (0,), torch.zeros),
    "grow_1.conv2d.kernel": ("grow_1.conv2d.weight", (3, 3, 2, 18), (3, 2, 0, 1), glorot_uniform),
    "grow_1.conv2d.bias": ("grow_1.conv2d.bias", (18,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (1, 1, 2, 4), (3, 2, 0, 1), glorot_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (4,), (0,), torch.zeros),
    "dense.kernel": ("dense.weight", (4, 16), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (16,), (0,), torch.zeros),
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
