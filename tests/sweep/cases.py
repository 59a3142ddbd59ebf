"""The configurations of the conformance sweep: single layers drawn from stated ranges, by family, always the same.

Kernels are said to start as zeros, which takes JAX no time to compile; the sweep gives them random values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from upc.ir import LayerError
from upc.layers import construct


@dataclass(frozen=True)
class Case:
    """One layer and the shape of its input (height, width, channels)."""

    family: str
    statement: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.statement} on {self.shape}"


def cases() -> dict[str, list[Case]]:
    """Every case of every family, without repetition."""
    found = {}
    for family, (count, draw) in _FAMILIES.items():
        distinct: dict[Case, None] = {}
        for statement, shape in draw(Random(family)):
            distinct[Case(family, statement, shape)] = None
            if len(distinct) == count:
                break
        assert len(distinct) == count, f"{family}: only {len(distinct)} of {count}"
        found[family] = list(distinct)
    return found


def written(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


Drawn = Iterator[tuple[str, tuple[int, ...]]]


def _case(kind: str, shape: tuple[int, ...], *positional: Any, **named: Any) -> Drawn:
    """The call and its input's shape, if that is a layer and fits."""
    named = {name: value for name, value in named.items() if value is not None}
    try:
        construct(kind, positional, named).output_shapes([shape])
    except LayerError:
        return
    arguments = [*map(written, positional), *(f"{name}={written(value)}" for name, value in named.items())]
    yield f"{kind}({', '.join(arguments)})", shape


def _axes(random: Random, most: int = 7) -> tuple[int, int]:
    """A height and a width that differ; one of them is 1 now and then."""
    height, width = random.sample(range(1, most + 1), 2)
    return height, width


def _pair(random: Random, value: int, choices: range) -> Any:
    """The value for both axes, or for the height alone."""
    return value if random.random() < 0.5 else (value, random.choice(choices))


def _channels(random: Random, groups: int) -> tuple[int, int]:
    return groups * random.randint(1, 3), groups * random.randint(1, 3)


def _sides(random: Random, most: int) -> Any:
    amounts = [random.randint(0, most) for _ in range(4)]
    return random.choice([amounts[0], ((amounts[0], amounts[1]), (amounts[2], amounts[3]))])


def _conv_transpose(random: Random) -> Drawn:
    """Every kernel 1-7, stride 1-4, dilation 1-3 and padding along the height, with every output_padding."""
    while True:
        for k, s, d, mode in product(range(1, 8), range(1, 5), range(1, 4), ("same", "valid", "explicit")):
            for q in (None, *range(max(s, d if mode == "explicit" else 1))):
                groups = random.choice((1, 1, 1, 2, 3))
                ci, co = _channels(random, groups)
                padding = _sides(random, (k - 1) * d) if mode == "explicit" else mode
                yield from _case(
                    "conv2d_transpose",
                    (*_axes(random, 6), ci),
                    co,
                    _pair(random, k, range(1, 6)),
                    strides=_pair(random, s, range(max(1, (q or 0) + 1), 5)),
                    padding=padding,
                    output_padding=q,
                    dilation_rate=_pair(random, d, range(1, 4)) if d > 1 else None,
                    groups=groups if groups > 1 else None,
                    use_bias=random.choice((None, None, False)),
                    kernel_initializer="zeros",
                )


def _conv(random: Random) -> Drawn:
    while True:
        for k, s, d, mode in product(range(1, 8), range(1, 5), range(1, 4), ("same", "valid", "explicit")):
            groups = random.choice((1, 1, 2, 3))
            ci, co = _channels(random, groups)
            yield from _case(
                "conv2d",
                (*_axes(random, 12), ci),
                co,
                _pair(random, k, range(1, 6)),
                strides=_pair(random, s, range(1, 4)),
                padding=_sides(random, 3) if mode == "explicit" else mode,
                dilation_rate=_pair(random, d, range(1, 3)) if d > 1 else None,
                groups=groups if groups > 1 else None,
                use_bias=random.choice((None, False)),
                kernel_initializer="zeros",
            )


def _depthwise_conv(random: Random) -> Drawn:
    while True:
        yield from _case(
            "depthwise_conv2d",
            (*_axes(random, 9), random.randint(1, 5)),
            _pair(random, random.randint(1, 5), range(1, 6)),
            strides=_pair(random, random.randint(1, 3), range(1, 4)),
            padding=random.choice(("same", "valid", _sides(random, 3))),
            depth_multiplier=random.choice((None, 2, 3)),
            dilation_rate=random.choice((None, None, 2)),
            depthwise_initializer="zeros",
        )


def _resampling(random: Random) -> dict[str, Any]:
    interpolation = random.choice(("nearest", "bilinear", "bicubic"))
    options: dict[str, Any] = {
        "interpolation": interpolation,
        "coordinates": random.choice((None, "half_pixel", "align_corners", "asymmetric")),
    }
    if interpolation == "bicubic":
        options["cubic_coefficient"] = random.choice((None, -0.75, -0.5))
        options["border"] = random.choice((None, "replicate"))
    return options


def _up_sampling(random: Random) -> Drawn:
    while True:
        shape = (*_axes(random), random.randint(1, 4))
        yield from _case(
            "up_sampling2d", shape, _pair(random, random.randint(1, 5), range(1, 5)), **_resampling(random)
        )


def _resizing(random: Random) -> Drawn:
    while True:
        target = (random.randint(1, 13), random.randint(1, 13))
        yield from _case("resizing", (*_axes(random, 9), random.randint(1, 4)), *target, **_resampling(random))


def _pooling(random: Random) -> Drawn:
    while True:
        kind = random.choice(("max_pooling2d", "average_pooling2d"))
        pool = _pair(random, random.randint(1, 4), range(1, 5))
        counted = random.choice((None, True)) if kind == "average_pooling2d" else None
        # Padding as large as the window would leave positions that see no pixel at all.
        least = pool if isinstance(pool, int) else min(pool)
        yield from _case(
            kind,
            (*_axes(random, 9), random.randint(1, 4)),
            pool,
            strides=random.choice((None, 1, 2, (3, 2), (1, 2))),
            padding=random.choice(("same", "valid", _sides(random, least - 1))),
            count_include_padding=counted,
        )


def _global_pooling(random: Random) -> Drawn:
    while True:
        kind = random.choice(("global_average_pooling2d", "global_max_pooling2d"))
        yield from _case(kind, (*_axes(random, 12), random.randint(1, 6)), keepdims=random.choice((None, True)))


def _pixel_shuffle(random: Random) -> Drawn:
    while True:
        kind, factor = random.choice(("pixel_shuffle", "pixel_unshuffle")), random.randint(1, 4)
        (h, w), c = _axes(random, 5), random.randint(1, 4)
        shape = (h, w, c * factor**2) if kind == "pixel_shuffle" else (h * factor, w * factor, c)
        yield from _case(kind, shape, factor, order=random.choice(("crd", "dcr")))


def _normalization(random: Random) -> Drawn:
    kinds = ("batch", "layer", "instance", "group")
    while True:
        kind = random.choice(kinds)
        groups = random.choice((1, 2, 3, 4)) if kind == "group" else None
        shape = (*_axes(random, 9), (groups or 1) * random.randint(1, 5))
        yield from _case(
            f"{kind}_normalization",
            shape,
            groups=groups,
            epsilon=random.choice((None, 1e-5, 1e-2, 1e-3)),
            center=random.choice((None, False)),
            scale=random.choice((None, False)),
        )


_FAMILIES: Mapping[str, tuple[int, Callable[[Random], Drawn]]] = {
    "conv2d_transpose": (2200, _conv_transpose),
    "conv2d": (800, _conv),
    "depthwise_conv2d": (160, _depthwise_conv),
    "up_sampling2d": (400, _up_sampling),
    "resizing": (400, _resizing),
    "pooling": (420, _pooling),
    "global pooling": (60, _global_pooling),
    "pixel_shuffle": (160, _pixel_shuffle),
    "normalization": (300, _normalization),
}
"""How many cases of each family, and what draws them."""

RANDOM_GRAPHS = 240
