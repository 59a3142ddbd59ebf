"""What a node of the Graph comes down to, before any pass has looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from upc.gaps import CannotSay
from upc.ir import Node
from upc.layers.shapes import axis_index
from upc.plan.operations import activation_operations
from upc.plan.plan import Place, Size, picture
from upc.runtime.steps import Pair, Softmax, Step


@dataclass(frozen=True, slots=True)
class Lowered:
    """Steps in order; sizes of the values that stand between them; places of values in the buffers of others."""

    steps: tuple[Step, ...]
    sizes: Mapping[str, Size] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)


def head(node: Node) -> tuple[str, int, str, str]:
    """What every step begins with: path, line, the first input and the first output."""
    return node.path, node.span.line, node.inputs[0].name, node.outputs[0].name


def pair(numbers: tuple[int, ...]) -> Pair:
    """Numbers of rows and of columns."""
    rows, columns = numbers
    return rows, columns


def channels_of(size: Size) -> int:
    """Channels are never free."""
    assert isinstance(size[2], int)
    return size[2]


def position(node: Node, axis: int) -> Literal[0, 1, 2]:
    """Which of rows, columns and channels an axis of the node's first input is. Raises CannotSay where it is none."""
    shape = node.inputs[0].shape
    at = axis_index(node.layer.name, axis, shape) - len(shape) + 3
    if len(shape) > 3 and at < 2:
        raise CannotSay("an axis before the last two, of values of more than three axes")
    return 0 if at == 0 else 1 if at == 1 else 2


def activated(step: Step, node: Node, activation: str | None, lowered: Lowered | None = None) -> Lowered:
    """A layer's last step with its `activation=`, after what was `lowered` before it."""
    before = lowered or Lowered(())
    operations = activation_operations(activation)
    if operations is not None:
        return replace(before, steps=(*before.steps, replace(step, then=operations)))
    made = f"{step.target} before softmax"
    softmax = Softmax(node.path, node.span.line, made, step.target, axis=2)
    sizes = {**before.sizes, made: picture(node.outputs[0].shape)}
    return replace(before, steps=(*before.steps, replace(step, target=made), softmax), sizes=sizes)
