"""First values of weights, as Keras's initializers of these names give them.

`shape` is that in the weights file: inputs and outputs of one unit are its last two axes.
"""

import math

import torch
from torch import Tensor, nn


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of one unit, counted as Keras does."""
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def truncated(shape: tuple[int, ...], deviation: float) -> Tensor:
    """A normal distribution cut at two deviations."""
    values = torch.empty(shape)
    return nn.init.trunc_normal_(values, std=deviation, a=-2 * deviation, b=2 * deviation)


def glorot_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 2 / (inputs + outputs)."""
    limit = math.sqrt(6 / max(2.0, sum(fans(shape))))
    return torch.empty(shape).uniform_(-limit, limit)


def glorot_normal(shape: tuple[int, ...]) -> Tensor:
    """Truncated normal, variance 2 / (inputs + outputs)."""
    # Cutting at two deviations narrows the distribution by this factor.
    return truncated(shape, math.sqrt(2 / max(2.0, sum(fans(shape)))) / 0.87962566103423978)


def he_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 2 / inputs."""
    limit = math.sqrt(6 / max(1.0, fans(shape)[0]))
    return torch.empty(shape).uniform_(-limit, limit)


def he_normal(shape: tuple[int, ...]) -> Tensor:
    """Truncated normal, variance 2 / inputs."""
    # Cutting at two deviations narrows the distribution by this factor.
    return truncated(shape, math.sqrt(2 / max(1.0, fans(shape)[0])) / 0.87962566103423978)


def lecun_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 1 / inputs."""
    limit = math.sqrt(3 / max(1.0, fans(shape)[0]))
    return torch.empty(shape).uniform_(-limit, limit)


def lecun_normal(shape: tuple[int, ...]) -> Tensor:
    """Truncated normal, variance 1 / inputs."""
    # Cutting at two deviations narrows the distribution by this factor.
    return truncated(shape, math.sqrt(1 / max(1.0, fans(shape)[0])) / 0.87962566103423978)


def random_normal(shape: tuple[int, ...]) -> Tensor:
    """Normal, deviation 0.05."""
    return 0.05 * torch.randn(shape)


def random_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform between -0.05 and 0.05."""
    return torch.empty(shape).uniform_(-0.05, 0.05)


def truncated_normal(shape: tuple[int, ...]) -> Tensor:
    """Truncated normal, deviation 0.05 before the cut."""
    return truncated(shape, 0.05)


def orthogonal(shape: tuple[int, ...]) -> Tensor:
    """Orthonormal columns, or rows where those are fewer, over all axes but the last."""
    return nn.init.orthogonal_(torch.empty(math.prod(shape[:-1]), shape[-1])).reshape(shape)
