"""What the shape rules of several cards share: axes, spatial inputs, and when free sizes may be equal."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from upc.ir import LayerError
from upc.shape import Dim, Quotient, Shape, show, volume

Pair = tuple[Dim, Dim]


def spatial(name: str, rank: int, shape: Shape) -> tuple[Shape, int]:
    """The spatial axes and the channels of an input that must have `rank` of the former."""
    if len(shape) != rank + 1:
        axes = {1: "(length, channels)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}[rank]
        hint = None
        if len(shape) < rank + 1:
            hint = "`reshape(...)` before it gives the value height, width and channels" if rank == 2 else "reshape it"
        elif len(shape) > rank + 1:
            hint = "`reshape(...)` before it takes the extra axes away"
        raise LayerError(f"{name} works on {axes}, got shape {show(shape)}", inputs=(0,), hint=hint)
    return shape[:-1], channels(name, shape)


def channels(name: str, shape: Shape) -> int:
    """The last axis, which must be known for weights to have a shape."""
    if not shape:
        raise LayerError(f"{name} works on at least one axis, got shape {show(shape)}", inputs=(0,))
    last = shape[-1]
    if not isinstance(last, int):
        raise LayerError(
            f"{name} needs a known number of channels, got {last} in {show(shape)}",
            inputs=(0,),
            hint="only height and width can be left free here; write the channels as a number",
        )
    return last


def axis_index(name: str, axis: int, shape: Shape) -> int:
    """Where in a shape without batch Keras's `axis` points, the batch being its axis 0."""
    if axis == 0 or axis == -len(shape) - 1:
        raise LayerError(f"{name} cannot work along axis {axis}: that is the batch", argument="axis")
    if not -len(shape) <= axis <= len(shape):
        known = f"1 to {len(shape)} or -{len(shape)} to -1"
        raise LayerError(f"axis {axis} is not in {show(shape)}: expected {known}", argument="axis")
    return axis - 1 if axis > 0 else axis + len(shape)


def can_equal(a: Dim, b: Dim) -> bool:
    """Whether some values of the free names might make two dimensions equal."""
    difference = a - b
    if isinstance(difference, int):
        return difference == 0
    return difference.constant % gcd(*(factor for _, factor in difference.terms)) == 0


def _weight(dim: Dim) -> tuple[int, int]:
    """How hard a dimension is to read: parts, then length."""
    if isinstance(dim, int):
        return 0, 0
    parts = sum(1 + (_weight(atom.numerator)[0] if isinstance(atom, Quotient) else 0) for atom, _ in dim.terms)
    return parts + bool(dim.constant), len(str(dim))


def simpler(a: Dim, b: Dim) -> Dim:
    """The one of two equal dimensions that is easier to read."""
    return b if _weight(b) < _weight(a) else a


def common(a: Dim, b: Dim) -> Dim | None:
    """The dimension two must share to be joined, or None where they never can."""
    return simpler(a, b) if can_equal(a, b) else None


def exact_quotient(dim: Dim, divisor: int) -> tuple[Dim | None, tuple[Pair, ...]]:
    """dim / divisor and what must hold for it to come out even; None where it never does."""
    quotient = dim // divisor
    if quotient * divisor == dim:
        return quotient, ()
    if not can_equal(quotient * divisor, dim):
        return None, ()
    return quotient, ((quotient * divisor, dim),)


def axis_name(rank: int, axis: int) -> str:
    """What people call a spatial axis."""
    return "length" if rank == 1 else ("depth", "height", "width")[3 - rank + axis]


def fit_error(name: str, axis: int, rank: int, shape: Shape, equation: str, result: Dim, hint: str) -> LayerError:
    """A window or cut that leaves nothing of an axis."""
    message = f"{name} leaves nothing of the {axis_name(rank, axis)} of {show(shape)}: {equation} = {result}"
    return LayerError(message, inputs=(0,), hint=hint)


def positions(outputs: Shape, each: int) -> Dim | None:
    """Pixels of a shape with channels last, times something done at each."""
    pixels = volume(outputs[:-1])
    return None if pixels is None else pixels * each


def too_small(dim: Dim) -> bool:
    """Whether a dimension is known to hold no pixel."""
    return isinstance(dim, int) and dim < 1


def all_shapes(inputs: Sequence[Shape]) -> str:
    """Several shapes in a sentence."""
    shown = [show(s) for s in inputs]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
