"""Modules that PyTorch does not have."""

import torch
from torch import Tensor, nn


class FrozenBatchNorm1d(nn.BatchNorm1d):
    """Batch normalization that keeps its statistics in training too, as Keras does."""

    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that keeps its statistics in training too, as Keras does."""

    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


class FrozenBatchNorm3d(nn.BatchNorm3d):
    """Batch normalization that keeps its statistics in training too, as Keras does."""

    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


class SingleGroupNorm(nn.GroupNorm):
    """Group normalization of one channel a group; a single pixel becomes the offset."""

    def forward(self, x: Tensor) -> Tensor:
        values = x.flatten(1).unflatten(1, (self.num_groups, -1))
        values = values - values.mean(dim=2, keepdim=True)
        y = torch.group_norm(values, self.num_groups, self.weight, self.bias, self.eps)
        return y.reshape(x.shape)


class PReLUEverywhere(nn.Module):
    """Leaky ReLU with a learned slope at every place that is not shared."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x >= 0, x, self.weight * x)
