"""Where each canonical weight lives in a PyTorch module, and the order its axes have there.

Canonical arrays have Keras's layouts. The permutation is that of the canonical axes; a depthwise kernel's
channels and multiples then become one axis.
"""

from __future__ import annotations

from upc.emit.torch_spelling import first_axes
from upc.ir import Node, Weight
from upc.layers import Dense, DepthwiseConv, PRelu

_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "alpha": "weight",
}


def entries(node: Node) -> tuple[tuple[Weight, str, tuple[int, ...]], ...]:
    """Each weight of a node with its name in the module and the permutation of its axes."""
    return tuple((weight, _NAMES.get(weight.name, weight.name), _axes(node, weight)) for weight in node.weights)


def _axes(node: Node, weight: Weight) -> tuple[int, ...]:
    rank = len(weight.shape)
    spatial = tuple(range(rank - 2))
    if weight.name == "kernel" and not isinstance(node.layer, Dense):
        # (*k, in, multiples) -> (in, multiples, *k); (*k, in, out) or (*k, out, in) -> its last two turned round.
        last = (rank - 2, rank - 1) if isinstance(node.layer, DepthwiseConv) else (rank - 1, rank - 2)
        return (*last, *spatial)
    if weight.name == "kernel":
        return (1, 0)
    if isinstance(node.layer, PRelu):
        return tuple(axis - 1 for axis in first_axes(rank)[1:])
    return tuple(range(rank))
