"""Functions of pictures that PyTorch does not have."""

import torch
import torch.nn.functional as F
from torch import Tensor


def same_amounts(x: Tensor, kernel: list[int], stride: list[int], dilation: list[int]) -> list[int]:
    """TensorFlow's `same`: ceil(size / stride) windows, the odd pixel after; last axis first."""
    amounts: list[int] = []
    sizes = x.shape[2:]
    for axis in range(len(kernel)):
        size, step = sizes[axis], stride[axis]
        span = dilation[axis] * (kernel[axis] - 1) + 1
        total = max(0, ((size + step - 1) // step - 1) * step + span - size)
        amounts = [total // 2, total - total // 2] + amounts
    return amounts


def pad_same(
    x: Tensor, kernel: list[int], stride: list[int], dilation: list[int], value: float = 0.0
) -> Tensor:
    """Pad as TensorFlow's `same` does, for whatever size x has."""
    return F.pad(x, same_amounts(x, kernel, stride, dilation), value=value)


def average_inside(x: Tensor, kernel: list[int], stride: list[int], amounts: list[int]) -> Tensor:
    """Average pooling over real pixels only, whatever the padding."""
    inside = F.pad(torch.ones_like(x[:1, :1]), amounts)
    return F.avg_pool2d(F.pad(x, amounts), kernel, stride) / F.avg_pool2d(inside, kernel, stride)


def average_inside_same(x: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
    """Average pooling with TensorFlow's `same`, over real pixels only."""
    return average_inside(x, kernel, stride, same_amounts(x, kernel, stride, [1, 1]))


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


def pixel_unshuffle_crd(x: Tensor, factor: int) -> Tensor:
    """Move blocks of pixels into channels; PyTorch's own gives an empty batch back as it is."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // factor, factor, w // factor, factor)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(n, c * factor * factor, h // factor, w // factor)


def pixel_unshuffle_dcr(x: Tensor, factor: int) -> Tensor:
    """Move blocks of pixels into channels, laid out as (r, r, C) as TensorFlow does."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // factor, factor, w // factor, factor)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, c * factor * factor, h // factor, w // factor)
