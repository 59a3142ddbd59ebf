"""The layer cards: what every layer is. Look a layer up in `LAYERS`, make one with `construct`.

A card is known by standing in one of the modules; the imports by name are for those who want it by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any

from upc.diagnostics import nearest
from upc.ir import Layer, LayerError, Literal
from upc.layers import (
    activations,
    conv,
    conv_transpose,
    dense,
    merge,
    normalization,
    padding,
    pixel_shuffle,
    pointwise,
    pooling,
    reshaping,
    resizing,
    slicing,
)
from upc.layers.activations import (
    ACTIVATIONS,
    Clip,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Tanh,
)
from upc.layers.conv import Conv, DepthwiseConv
from upc.layers.conv_transpose import ConvTranspose
from upc.layers.dense import Dense
from upc.layers.merge import Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract
from upc.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)
from upc.layers.padding import Cropping, ReflectPadding, ReplicatePadding, ZeroPadding
from upc.layers.pixel_shuffle import PixelShuffle, PixelUnshuffle
from upc.layers.pointwise import Dropout, Rescaling
from upc.layers.pooling import AveragePooling, GlobalAveragePooling, GlobalMaxPooling, MaxPooling
from upc.layers.reshaping import Flatten, Permute, Reshape
from upc.layers.resizing import Resizing, UpSampling
from upc.layers.slicing import Slice, Split

_MODULES = (
    *(dense, reshaping, conv, conv_transpose, resizing, pixel_shuffle, pooling, normalization),
    *(activations, pointwise, merge, padding, slicing),
)
"""Where the cards are, in the order in which they are listed."""

_CARDS: tuple[type[Layer], ...] = tuple(
    card
    for module in _MODULES
    for card in vars(module).values()
    if isinstance(card, type)
    and issubclass(card, Layer)
    and card.__module__ == module.__name__
    and "kind" in vars(card)
)

RANKS = (2,)
"""The numbers of spatial axes that layers are there for."""

LAYERS: dict[str, tuple[type[Layer], int]] = {
    card.kind.format(rank=rank): (card, rank) for rank in RANKS for card in _CARDS
}
"""Every layer by the name users write, with the number of spatial axes it works on."""


def _expected(argument: Field[Any], rank: int) -> str:
    """What an argument's converter says it takes."""
    try:
        argument.metadata["convert"](None, rank)
    except LayerError as e:
        return e.message.removeprefix("expected ").partition(", got")[0]
    return "any value"


def construct(name: str, positional: Sequence[Literal], named: Mapping[str, Literal]) -> Layer:
    """The layer card of a written call, its arguments checked and in stored form.

    Errors: LayerError with `argument` set to the argument at fault, where there is one.
    """
    if name not in LAYERS:
        near = nearest(name, LAYERS)
        raise LayerError(f"there is no layer `{name}`", hint=f"did you mean `{near}`?" if near else None)
    card, rank = LAYERS[name]
    values: dict[str, Any] = {}
    arguments = card.arguments()
    places = [a for a in arguments if not a.metadata["keyword"]]
    variadic = next((a for a in places if a.metadata["variadic"]), None)
    if variadic is not None:
        # What follows a variadic argument can only be named.
        before = places[: places.index(variadic)]
        values.update({a.name: value for a, value in zip(before, positional, strict=False)})
        rest = tuple(positional[len(before) :])
        if rest:
            # A single list stands for its values: reshape([4, 4, 512]).
            values[variadic.name] = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
    elif len(positional) > len(places):
        takes = (
            f"at most {len(places)} unnamed argument{'' if len(places) == 1 else 's'}"
            if places
            else "no unnamed arguments"
        )
        named_only = [a.name for a in arguments if a.metadata["keyword"]]
        hint = f"write `{named_only[0]}=...`" if named_only else None
        raise LayerError(f"{name} takes {takes}, got {len(positional)}", hint=hint)
    else:
        values.update({a.name: value for a, value in zip(places, positional, strict=False)})
    known = [a.name for a in arguments]
    for key, value in named.items():
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean `{near}`?" if near else f"it takes {', '.join(known)}" if known else "it takes none"
            raise LayerError(f"{name} has no argument `{key}`", argument=key, hint=hint)
        if key in values:
            raise LayerError(f"{name} is given `{key}` twice", argument=key, hint="once by its place, once by its name")
        values[key] = value
    missing = [a for a in arguments if a.default is MISSING and a.name not in values]
    if missing:
        listed = " and ".join(f"`{a.name}` ({_expected(a, rank)})" for a in missing)
        raise LayerError(f"{name} is missing its argument{'' if len(missing) == 1 else 's'} {listed}")
    return card(rank=rank, **values)
