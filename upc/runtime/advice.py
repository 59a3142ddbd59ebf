"""What would make an array fit that is of another shape than a network takes."""

from __future__ import annotations

from collections.abc import Sequence


def shape_advice(name: str, given: Sequence[int], wanted: Sequence[object]) -> str | None:
    """A hint for the array `name`, or None where none is known.

    `wanted` leaves the batch out; what is no number in it is a free size.
    """

    def fits(sizes: Sequence[int], dims: Sequence[object]) -> bool:
        return len(sizes) == len(dims) and all(
            not isinstance(dim, int) or size == dim for size, dim in zip(sizes, dims, strict=True)
        )

    if fits(given, wanted):
        return f"add the batch: `{name}[None]`"
    if len(wanted) > 1 and wanted[-1] == 1:
        if fits(given[1:], wanted[:-1]):
            return f"add the axis of channels: `{name}[..., None]`"
        if fits(given, wanted[:-1]):
            return f"add axes: `{name}[None, {', '.join(':' for _ in given)}, None]`"
    if len(wanted) == 3:
        for batch, added in ((1, ""), (0, "[None]")):
            channels, *pixels = given[batch:] or (0,)
            if fits((*pixels, channels), wanted):
                return f"looks channels first: `{name}{added}.transpose(0, 2, 3, 1)`"
    return None
