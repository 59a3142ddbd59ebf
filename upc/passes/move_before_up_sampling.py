"""Do a 1x1 convolution or a batch normalisation on the small picture, not on the enlarged one."""

from __future__ import annotations

from dataclasses import replace

from upc.ir import Graph, Layer, Node, Value
from upc.layers.conv import Conv
from upc.layers.normalization import BatchNormalization
from upc.layers.resizing import UpSampling


def move_before_up_sampling(graph: Graph) -> Graph:
    """Swap `up_sampling` and the layer that alone reads it, where that layer works on each pixel by itself.

    Math:    an enlarged pixel is a mean of source pixels with shares that sum to 1, and what a 1x1
             convolution or a batch normalisation does to a pixel is affine, so that both orders agree, up to
             rounding; size[0]*size[1] times fewer multiplications.
    Source:  the identity is elementary; the order is what a person would write for speed.
    Non-goals: layers with an activation behind an interpolation that mixes pixels, where the orders differ.
    """
    nodes = list(graph.nodes)
    returned = {output.value.name for output in graph.outputs}
    moved = True
    while moved:
        moved = False
        for first, node in enumerate(nodes):
            if not isinstance(node.layer, UpSampling) or node.outputs[0].name in returned:
                continue
            readers = [i for i, other in enumerate(nodes) if node.outputs[0] in other.inputs]
            if len(readers) == 1 and _by_pixel(nodes[readers[0]].layer, node.layer):
                second = readers[0]
                nodes[first], nodes[second] = _swapped(node, nodes[second])
                moved = True
    return replace(graph, nodes=tuple(nodes))


def _by_pixel(layer: Layer, up: UpSampling) -> bool:
    """Whether a layer may be done before the enlargement."""
    if isinstance(layer, BatchNormalization):
        return True
    if not isinstance(layer, Conv) or set(layer.kernel_size) != {1} or set(layer.strides) != {1}:
        return False
    padded = not isinstance(layer.padding, str) and any(map(any, layer.padding))
    return not padded and (layer.activation is None or up.interpolation == "nearest")


def _swapped(up: Node, reader: Node) -> tuple[Node, Node]:
    """The two nodes in the other order. The value they make together keeps its name."""
    (small,) = up.inputs
    (made,) = reader.outputs
    between = Value(f"{made.name} before {up.path}", (*small.shape[:-1], made.shape[-1]), made.dtype)
    return (
        replace(reader, inputs=(small,), outputs=(between,)),
        replace(up, inputs=(between,), outputs=(made,)),
    )
