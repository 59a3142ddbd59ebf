"""How layers with several inputs or outputs are lowered: merged place by place, joined along an axis, cut apart."""

from __future__ import annotations

from upc.gaps import CannotSay
from upc.ir import Node
from upc.layers.merge import Concatenate, Merge
from upc.layers.slicing import Split
from upc.plan.lowered import Lowered, channels_of, position
from upc.plan.operations import constant_operations, merge_function
from upc.plan.plan import Place, Size, picture
from upc.runtime.steps import Combine, Gather, Operation, Pointwise, RepeatChannels, Step
from upc.shape import Dim

MOST_OPERANDS = 2  # values that one epilogue can read


def merge(layer: Merge, node: Node) -> Lowered:
    """The first value with the others merged in, as many in one step as it can read; the last does the constants."""
    result, line = node.outputs[0], node.span.line
    size = picture(result.shape)
    if len(result.shape) > 3 and any(v.shape != result.shape for v in node.inputs):
        raise CannotSay("repeating values of more than three axes")
    steps: list[Step] = []
    sizes: dict[str, Size] = {}
    sources: list[str] = []
    for value in node.inputs:
        rows, columns, channels = picture(value.shape)
        name = value.name
        if channels != size[2]:
            name = f"{node.path} {value.name} repeated"
            if name not in sizes:
                sizes[name] = rows, columns, size[2]
                steps.append(Gather(name, line, value.name, name, move=RepeatChannels(channels_of(size))))
        sources.append(name)
    current, rest = sources[0], sources[1:]
    function = merge_function(layer)
    for turn in range(-(-len(rest) // MOST_OPERANDS) or 1):
        now, later = rest[:MOST_OPERANDS], rest[MOST_OPERANDS:]
        then: tuple[Operation, ...] = tuple(Combine(function, operand) for operand in range(len(now)))
        if later:
            name = target = f"{result.name} so far {turn}"
            sizes[target] = size
        else:
            name, target = node.path, result.name
            then += constant_operations(layer, len(node.inputs))
        steps.append(Pointwise(name, line, current, target, then=then, operands=tuple(now)))
        current, rest = target, later
    return Lowered(tuple(steps), sizes)


def concatenate(layer: Concatenate, node: Node) -> Lowered:
    """Every part copied to its place; a pass finds those that can be made there at once."""
    axis, whole = position(node, layer.axis), node.outputs[0].name
    steps: list[Step] = []
    sizes: dict[str, Size] = {}
    places: dict[str, Place] = {}
    offset: list[Dim] = [0, 0, 0]
    for number, value in enumerate(node.inputs):
        part = f"{whole} part {number}"
        sizes[part], places[part] = picture(value.shape), Place(whole, *offset)
        steps.append(Gather(part, node.span.line, value.name, part))
        offset[axis] = offset[axis] + sizes[part][axis]
    return Lowered(tuple(steps), sizes, places)


def split(layer: Split, node: Node) -> Lowered:
    """Runs of channels stay where they are; rows and columns are copied.

    Around a value its readers want zeros, not the neighbouring part; beside its channels they look at nothing.
    """
    axis, source = position(node, layer.axis), node.inputs[0].name
    steps: list[Step] = []
    sizes: dict[str, Size] = {}
    places: dict[str, Place] = {}
    offset: list[Dim] = [0, 0, 0]
    for value in node.outputs:
        size = picture(value.shape)
        if axis == 2:
            places[value.name] = Place(source, *offset)
        else:
            cut = f"{value.name} cut"
            sizes[cut], places[cut] = size, Place(source, *offset)
            steps.append(Gather(node.path, node.span.line, cut, value.name))
        offset[axis] = offset[axis] + size[axis]
    return Lowered(tuple(steps), sizes, places)
