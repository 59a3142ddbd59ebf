"""What a state dict leaves unsaid: arguments of layers that hold no weights, where frameworks' defaults differ."""

from __future__ import annotations

from upc.convert.foreign import Foreign
from upc.convert.match import Match
from upc.diagnostics import Diagnostic
from upc.ir import Graph, Layer
from upc.layers import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    LeakyRelu,
)

_EPSILON = 1e-5
_KERAS_SLOPE, _TORCH_SLOPE = 0.3, 0.01


def unsaid(graph: Graph, foreign: Foreign, found: Match) -> tuple[Diagnostic, ...]:
    """A warning for each line whose layer has an argument that PyTorch gives another value by default.

    None for the state dict of a module that upc emitted: its arguments are the net's.
    """
    if foreign.convention != "torch" or found.how.startswith("by the emitted"):
        return ()
    warnings: dict[object, Diagnostic] = {}
    for node in graph.nodes:
        if (words := _differs(node.layer)) is not None:
            message = f"{node.path} has {words}; a state dict does not tell what its network has"
            warnings.setdefault(
                (node.span.source.name, node.span.start), Diagnostic("W0636", message, node.span, severity="warning")
            )
    return tuple(warnings.values())


def _differs(layer: Layer) -> str | None:
    if isinstance(layer, (BatchNormalization, GroupNormalization, InstanceNormalization, LayerNormalization)):
        return f"epsilon {layer.epsilon:g}, PyTorch's default is 1e-5" if layer.epsilon != _EPSILON else None
    if isinstance(layer, LeakyRelu) and layer.negative_slope == _KERAS_SLOPE:
        return f"negative_slope {_KERAS_SLOPE:g}, PyTorch's default is {_TORCH_SLOPE:g}"
    return None
