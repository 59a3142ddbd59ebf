"""Random networks as `.upc` text: every layer kind, skip connections, several inputs and outputs, free sizes, blocks.

A network is drawn by a `random.Random`, so the same code serves a recorded run (`random_net(Random(7))`) and
Hypothesis (`nets()`), which draws every choice itself and shrinks them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from upc.build import compile_source
from upc.ir import Array, Graph, LayerError
from upc.layers import ACTIVATIONS, LAYERS, construct
from upc.shape import Dim, Shape, evaluate, free, names_of
from upc.source import Source

MOST_ELEMENTS = 6_000  # of one value
MOST_AXIS = 40
KINDS = frozenset(LAYERS)
JOINS = ("add", "subtract", "multiply", "average", "maximum", "minimum")

_TURNS = {
    "conv2d": 14,
    "conv2d_transpose": 12,
    "depthwise_conv2d": 7,
    "dense": 5,
    "batch_normalization": 5,
    "up_sampling2d": 6,
    "zero_padding2d": 5,
    "resizing": 4,
    "pixel_shuffle": 6,
    "pixel_unshuffle": 4,
    "concatenate": 4,
    "max_pooling2d": 4,
    "average_pooling2d": 4,
    "split": 4,
    "flatten": 3,
    "reshape": 4,
    "prelu": 3,
    **dict.fromkeys(["elu", "selu", "gelu", "silu", "softplus", "hard_sigmoid", "hard_swish", "dropout"], 1),
}
"""How often each kind is tried; 2 where it is not listed."""

Sizes = dict[str, int]

_SIZES: tuple[tuple[Sizes, ...], ...] = (
    ({"H": 7, "W": 10}, {"H": 12, "W": 5}, {"H": 9, "W": 9}),
    ({"H": 4, "W": 8}, {"H": 12, "W": 4}),
    ({"H": 6, "W": 10}, {"H": 14, "W": 8}),
    ({"H": 5, "W": 6}, {"H": 11, "W": 13}),
    ({"H": 7, "W": 10}, {"H": 1, "W": 1}, {"H": 2, "W": 1}, {"H": 1, "W": 2}),
    ({"H": 2, "W": 3}, {"H": 1, "W": 8}, {"H": 9, "W": 2}),
    ({"H": 2, "W": 4}, {"H": 4, "W": 2}, {"H": 2, "W": 2}, {"H": 6, "W": 10}),
)
"""Numbers that free sizes may have together. Those of 1 and 2 leave phases, windows and tiles with nothing to do."""


@dataclass(frozen=True)
class RandomNet:
    """The text of a net, and numbers that its free sizes may have: `({},)` where it has none.

    `parts` are the outputs of each of the networks in it that share nothing.
    """

    text: str
    sizes: tuple[Sizes, ...]
    parts: tuple[tuple[str, ...], ...] = ()

    def graph(self) -> Graph:
        return compile_source(Source("random.upc", self.text))


@dataclass(frozen=True)
class _Value:
    name: str
    shape: Shape


@dataclass
class _Call:
    """A layer as it will be written: the values it takes besides the current one, and its arguments."""

    layer: str
    positional: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    others: tuple[_Value, ...] = ()

    def __str__(self) -> str:
        parts = [v.name for v in self.others] + [written(p) for p in self.positional]
        parts += [f"{k}={written(v)}" for k, v in self.named.items()]
        return f"{self.layer}({', '.join(parts)})"

    def lifted(self) -> tuple[str, list[str]]:
        """The call with a parameter `p0`, `p1`, ... for each number in it, and the numbers."""
        numbers: list[str] = []

        def lift(value: Any) -> Any:
            if isinstance(value, (tuple, list)):
                return tuple(map(lift, value))
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                return value
            numbers.append(written(value))
            return f"p{len(numbers) - 1}"

        positional = tuple(map(lift, self.positional))
        named = {k: lift(v) for k, v in self.named.items()}
        return str(_Call(self.layer, positional, named)), numbers


def written(value: Any) -> str:
    """A value as the language writes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


def random_net(
    random: Random,
    *,
    name: str = "random_net",
    kinds: Collection[str] = KINDS,
    layers: int = 10,
    parts: int = 1,
    with_free: bool | None = None,
    allows: Callable[[_Call, Sequence[Shape]], bool] = lambda call, shapes: True,
) -> RandomNet:
    """A net of up to `layers` layers of those kinds; with several `parts`, that many networks that share nothing.

    `with_free` says whether it has free sizes; by default one in four has. `allows` can refuse single layers.
    """
    return _Drawing(random, kinds, with_free, allows).net(name, layers, parts)


def nets(**options: Any) -> st.SearchStrategy[RandomNet]:
    """Hypothesis's strategy for `random_net` with these options."""
    return st.randoms(use_true_random=False).map(lambda random: random_net(random, **options))


def random_weights(graph: Graph, seed: int) -> dict[str, Array]:
    """Weights that hide nothing: no zeros, nothing that grows from layer to layer, variances above 0."""
    rng = np.random.default_rng(seed)
    made = {}
    for key, weight, _ in graph.weights():
        values = rng.standard_normal(weight.shape)
        if "variance" in weight.name:
            values = np.abs(values) + 0.5
        elif len(weight.shape) > 1:
            values *= (2.0 / max(1, prod(weight.shape[:-1]))) ** 0.5
        made[key] = values.astype(np.float32)
    return made


def random_inputs(graph: Graph, seed: int, batch: int, sizes: Mapping[str, int]) -> list[Array]:
    rng = np.random.default_rng([seed, batch])
    shapes = [tuple(evaluate(dim, sizes) for dim in value.shape) for value in graph.inputs]
    return [rng.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]


class _Drawing:
    """One net in the making."""

    def __init__(
        self,
        random: Random,
        kinds: Collection[str],
        with_free: bool | None,
        allows: Callable[[_Call, Sequence[Shape]], bool],
    ) -> None:
        self.random, self.allows = random, allows
        # As often as they are interesting, in an order that does not depend on hashing.
        self.kinds = [kind for kind in LAYERS if kind in kinds for _ in range(_TURNS.get(kind, 2))]
        self.lines: list[str] = []
        self.blocks: dict[str, str] = {}
        self.values: list[_Value] = []
        self.used: set[str] = set()
        self.current = ""
        self.sizes: tuple[Sizes, ...] = ({},)
        if with_free if with_free is not None else self.chance(0.25):
            self.sizes = random.choice(_SIZES)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def whole(self, low: int, high: int) -> int:
        return self.random.randint(low, max(low, high))

    # The net

    def net(self, name: str, layers: int, parts: int) -> RandomNet:
        made = tuple(tuple(self.part(layers)) for _ in range(parts))
        outputs = ", ".join(output for part in made for output in part)
        blocks = [f"block {named} {{ {call} }}" for call, named in self.blocks.items()]
        lines = [*blocks, f"net {name} {{", *(f"  {line}" for line in self.lines), f"  output {outputs}", "}", ""]
        return RandomNet("\n".join(lines), self.sizes, made)

    def part(self, layers: int) -> list[str]:
        """Inputs and layers of one network that knows no other; the names of its outputs."""
        self.values, self.used = [], set()
        inputs = self.random.choice([1, 1, 1, 2, 2, 3])
        for _ in range(inputs):
            self.input()
        for _ in range(self.whole(1, layers)):
            self.layer()
        made = self.values[inputs:] or self.values
        ends = [v for v in made if v.name not in self.used] or made[-1:]
        # A value left out here is dead, unless another output is made from it.
        outputs = [v.name for v in ends if self.chance(0.85)] or [ends[-1].name]
        inner = [v.name for v in made if v.name not in outputs]
        if inner and self.chance(0.25):
            outputs.append(self.random.choice(inner))
        self.random.shuffle(outputs)
        return outputs

    def input(self) -> None:
        name = f"x{self.count()}"
        axis = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13]
        channels = self.random.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 18, 24, 33])
        shape: Shape
        if self.sizes[0] and not (self.values and self.chance(0.4)):
            shape = (free("H"), free("W"), channels)
            if self.chance(0.15):
                shape = (free("H"), self.random.choice(axis[:6]), channels)
        else:
            form = self.random.choice(["picture"] * 8 + ["vector", "rows"])
            pixels = {"picture": 2, "vector": 0, "rows": 1}[form]
            shape = (*(self.random.choice(axis) for _ in range(pixels)), channels)
            if self.values and self.chance(0.5):
                shape = self.random.choice(self.values).shape
        self.lines.append(f"input {name}: [{', '.join(map(str, shape))}]")
        self.values.append(_Value(name, shape))
        self.current = name

    def count(self) -> int:
        return sum(line.count(":") + line.count(" as ") for line in self.lines)

    def layer(self) -> None:
        """One more layer, of whatever kind can be had."""
        for _ in range(60):
            # Mostly go on from the newest value: that is how layers come to be fused.
            source = self.values[-1] if self.chance(0.7) else self.random.choice(self.values)
            call = self.call(source)
            if call is None:
                continue
            inputs = (source, *call.others)
            shapes = self.results(call, [v.shape for v in inputs])
            if shapes is not None:
                held = len(self.blocks)
                self.write(source, call, shapes)
                if len(self.blocks) > held and self.chance(0.7):
                    self.again(call)
                return

    def again(self, call: _Call) -> None:
        """Use the newest block once more, with other numbers, where such a call comes along."""
        form, numbers = call.lifted()
        source, draw = self.values[-1], _DRAW[call.layer]
        for _ in range(30):
            other = draw(self, call.layer, source)
            if other is None or other.others or other.lifted()[0] != form or other.lifted()[1] == numbers:
                continue
            shapes = self.results(other, [source.shape])
            if shapes is not None:
                self.write(source, other, shapes, in_block=True)
                return

    def call(self, source: _Value) -> _Call | None:
        kind = self.random.choice(self.kinds)
        if self.chance(0.12):
            kind = self.random.choice([k for k in (*JOINS, "concatenate") if k in self.kinds] or [kind])
        draw = _DRAW.get(kind)
        return _Call(kind) if draw is None else draw(self, kind, source)

    def results(self, call: _Call, shapes: list[Shape]) -> tuple[Shape, ...] | None:
        """The shapes of a call's results, or None where it cannot be made here."""
        try:
            card = construct(call.layer, call.positional, call.named)
            made = card.output_shapes(shapes)
            card.weights(shapes)
            limits = [(d, least) for d, least in card.at_least(shapes)]
            equal = card.demands(shapes)
        except LayerError:
            return None
        for sizes in self.sizes:
            if any(evaluate(a, sizes) != evaluate(b, sizes) for a, b in equal):
                return None
            if any(evaluate(d, sizes) < evaluate(least, sizes) for d, least in limits):
                return None
            here = [self.numbers(shape, sizes) for shape in made]
            if any(min(shape, default=1) < 1 or max(shape, default=1) > MOST_AXIS for shape in here):
                return None
            if any(prod(shape) > MOST_ELEMENTS for shape in here):
                return None
            try:
                again = [tuple(s) for s in card.output_shapes([self.numbers(shape, sizes) for shape in shapes])]
            except LayerError:
                return None
            assert again == here, f"{call} on {shapes}: {made} does not give {again} at {sizes}"
        return made if self.allows(call, shapes) and all(len(shape) <= 3 for shape in made) else None

    def numbers(self, shape: Shape, sizes: Sizes | None = None) -> tuple[int, ...]:
        return tuple(evaluate(dim, self.sizes[0] if sizes is None else sizes) for dim in shape)

    def write(self, source: _Value, call: _Call, shapes: tuple[Shape, ...], *, in_block: bool | None = None) -> None:
        first = self.count()
        made = [_Value(f"v{first}_{i}" if len(shapes) > 1 else f"v{first}", shape) for i, shape in enumerate(shapes)]
        names = ", ".join(v.name for v in made)
        if in_block is None:
            in_block = len(made) == 1 and self.chance(0.4)
        text = self.said(call) if in_block else str(call)
        if len(made) > 1 and source.name != self.current:
            # Results of a branch have one name; make the source the current value by a layer that does nothing.
            made = made[:1]
            names = made[0].name
            self.lines.append(f"from {source.name} {{ {text} }} as {names}")
        elif source.name == self.current:
            self.lines.append(f"{text} as {names}")
            self.current = made[0].name
        else:
            self.lines.append(f"from {source.name} {{ {text} }} as {names}")
        self.used |= {source.name, *(v.name for v in call.others)}
        self.values += made

    def said(self, call: _Call) -> str:
        """The call as it stands, or as a use of a block that holds it and takes its numbers."""
        form, numbers = call.lifted()
        if call.others or not numbers:
            return str(call)
        parameters = ", ".join(f"p{i}" for i in range(len(numbers)))
        named = self.blocks.setdefault(form, f"b{len(self.blocks)}({parameters})")
        return f"{named.partition('(')[0]}({', '.join(numbers)})"

    # Pieces of arguments

    def pair(self, *choices: Any) -> Any:
        """One choice for both axes, or one for each."""
        if self.chance(0.4):
            return self.random.choice(choices)
        return (self.random.choice(choices), self.random.choice(choices))

    def sides(self, most: int) -> Any:
        """An amount for all sides, for each axis, or for each side."""
        if self.chance(0.3):
            return self.whole(0, most)
        return tuple((self.whole(0, most), self.whole(0, most)) for _ in range(2))

    def activation(self) -> str | None:
        return self.random.choice(sorted(ACTIVATIONS)) if self.chance(0.35) else None

    def groups(self, channels: int) -> int:
        return self.random.choice([g for g in range(1, min(channels, 8) + 1) if channels % g == 0])


def _is_picture(value: _Value) -> bool:
    return len(value.shape) == 3


def _channels(value: _Value) -> int:
    channels = value.shape[-1]
    assert isinstance(channels, int)
    return channels


def _trimmed(d: _Drawing, named: dict[str, Any]) -> dict[str, Any]:
    """Without those set to what mostly is the default, so that defaults are used too."""
    return {k: v for k, v in named.items() if v is not None}


def _dense(d: _Drawing, kind: str, source: _Value) -> _Call:
    units = d.random.choice([1, 2, 3, 5, 8, 12, 16, 24, 36])
    return _Call(
        kind, (units,), _trimmed(d, {"activation": d.activation(), "use_bias": False if d.chance(0.2) else None})
    )


def _reshape(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    if names_of(source.shape):
        return _Call(kind, (-1, _channels(source))) if d.chance(0.2) else None
    total, target = prod(d.numbers(source.shape)), []
    for _ in range(d.whole(0, 2)):
        target.append(d.random.choice([n for n in range(1, 17) if total % n == 0]))
        total //= target[-1]
    target.append(total)
    d.random.shuffle(target)
    if d.chance(0.3):
        target[d.random.randrange(len(target))] = -1
    return _Call(kind, tuple(target))


def _permute(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    order = list(range(1, len(source.shape) + 1))
    d.random.shuffle(order)
    last = source.shape[order[-1] - 1]
    return _Call(kind, tuple(order)) if isinstance(last, int) else None


def _window(d: _Drawing) -> dict[str, Any]:
    named: dict[str, Any] = {}
    named["kernel_size"] = d.pair(1, 2, 3, 3, 4, 5)
    if d.chance(0.4):
        named["strides"] = d.pair(1, 2, 2, 3, 4)
    if d.chance(0.25):
        named["dilation_rate"] = d.pair(1, 2, 3)
    if d.chance(0.75):
        named["padding"] = "same" if d.chance(0.6) else d.sides(3)
    return named


def _conv(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    if not _is_picture(source):
        return None
    named = _window(d)
    groups = d.groups(_channels(source)) if d.chance(0.3) else 1
    filters = groups * d.random.choice([1, 1, 2, 3, 4])
    if d.chance(0.3) and _channels(source) % groups == 0:
        filters = _channels(source)
    if d.chance(0.1):
        filters = groups * d.random.choice([8, 16, 17])
    if groups > 1:
        named["groups"] = groups
    named |= _trimmed(d, {"activation": d.activation(), "use_bias": False if d.chance(0.2) else None})
    return _Call(kind, (filters,), named)


def _conv_transpose(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    call = _conv(d, kind, source)
    if call is None:
        return None
    if d.chance(0.3):
        call.named["output_padding"] = d.pair(0, 1, 2)
    elif d.chance(0.2) and not names_of(source.shape):
        call.named["output_size"] = tuple(d.whole(1, 3 * n + 2) for n in d.numbers(source.shape)[:2])
    return call


def _depthwise(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    if not _is_picture(source):
        return None
    named = _window(d)
    if d.chance(0.3):
        named["depth_multiplier"] = d.whole(2, 3)
    named |= _trimmed(d, {"activation": d.activation(), "use_bias": False if d.chance(0.2) else None})
    return _Call(kind, (), named)


def _interpolation(d: _Drawing) -> dict[str, Any]:
    how = d.random.choice(["nearest", "nearest", "bilinear", "bilinear", "bicubic"])
    places = ["half_pixel", "asymmetric"] + (["align_corners"] if how != "nearest" else [])
    named: dict[str, Any] = {"interpolation": how, "coordinates": d.random.choice(places)}
    if how == "bicubic":
        named["cubic_coefficient"] = d.random.choice([-0.5, -0.75])
        named["border"] = d.random.choice(["renormalize", "replicate"])
    return named


def _up_sampling(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    named = {} if d.chance(0.4) else _interpolation(d)
    return _Call(kind, (d.pair(1, 2, 2, 3),), named) if _is_picture(source) else None


def _resizing(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    sizes = tuple(d.random.choice([1, 2, 3, 4, 5, 7, 8, 10, 13]) for _ in range(2))
    return _Call(kind, sizes, _interpolation(d)) if _is_picture(source) else None


def _shuffle(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    if not _is_picture(source):
        return None
    return _Call(kind, (d.random.choice([1, 2, 2, 3]),), {"order": d.random.choice(["crd", "dcr"])})


def _pooling(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    if not _is_picture(source):
        return None
    named: dict[str, Any] = {} if d.chance(0.3) else {"pool_size": d.pair(1, 2, 3, 4)}
    if d.chance(0.5):
        named["strides"] = d.pair(1, 2, 3, 4)
    if d.chance(0.6):
        named["padding"] = "same" if d.chance(0.6) else d.sides(2)
    if kind == "average_pooling2d" and d.chance(0.4):
        named["count_include_padding"] = True
    return _Call(kind, (), named)


def _global_pooling(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    return _Call(kind, (), {"keepdims": d.chance(0.5)}) if _is_picture(source) else None


def _normalization(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    named: dict[str, Any] = {}
    if kind == "group_normalization":
        named["groups"] = d.groups(_channels(source))
    if d.chance(0.3):
        named["epsilon"] = d.random.choice([1e-2, 1e-5])
    if d.chance(0.2):
        named["center"] = False
    if d.chance(0.2):
        named["scale"] = False
    return _Call(kind, (), named)


def _activation(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    axes = len(source.shape)
    options: dict[str, list[dict[str, Any]]] = {
        "relu": [{}, {"max_value": 0.7}, {"max_value": 6.0, "negative_slope": 0.1}],
        "leaky_relu": [{}, {"negative_slope": 0.05}],
        "prelu": [{}, {"shared_axes": (1, 2)}, {"shared_axes": (1,)}, {"shared_axes": (axes,)}],
        "elu": [{}, {"alpha": 0.6}],
        "gelu": [{}, {"approximate": True}],
        "softmax": [{}, {"axis": d.whole(1, axes)}, {"axis": -d.whole(1, axes)}],
        "clip": [{"min_value": -0.5, "max_value": 0.8}, {"min_value": 0.1, "max_value": 1.5}],
        "dropout": [{"rate": 0.4}],
        "rescaling": [{"scale": -1.5}, {"scale": 0.25, "offset": 0.5}],
    }
    return _Call(kind, (), d.random.choice(options.get(kind, [{}])))


def _fits(a: Shape, b: Shape) -> bool:
    """Whether the one is repeated along the other, or the other way round."""
    return len(a) == len(b) and all(m == n or 1 in (m, n) for m, n in zip(a, b, strict=True))


def _join(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    others = [v for v in d.values if _fits(v.shape, source.shape)]
    wanted = 1 if kind == "subtract" else d.random.choice([1, 1, 1, 2, 3])
    if kind == "multiply" and sum("multiply" in line for line in d.lines[-12:]) > 1:
        return None  # powers of powers leave no digits to compare
    constants = (d.random.choice([-1.25, 0.2, 0.5, 2.0]),) if d.chance(0.25) else ()
    if constants and (kind == "subtract" or d.chance(0.5)):
        return _Call(kind, constants)  # a difference is of two
    other = [v for v in others if v.name != source.name] or others
    chosen = tuple(d.random.choice(other if d.chance(0.9) else others) for _ in range(wanted)) if others else ()
    return _Call(kind, constants, {}, chosen)


def _concatenate(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    at = d.random.randrange(len(source.shape))

    def rest(shape: Shape) -> tuple[Dim, ...]:
        return (*shape[:at], *shape[at + 1 :])

    others = [v for v in d.values if len(v.shape) == len(source.shape) and rest(v.shape) == rest(source.shape)]
    others = [v for v in others if v.name != source.name or d.chance(0.1)]
    if not others:
        return None
    chosen = tuple(d.random.choice(others) for _ in range(d.random.choice([1, 1, 2, 3])))
    axis = at + 1 if d.chance(0.5) else at - len(source.shape)
    return _Call(kind, (), {} if axis == -1 and d.chance(0.5) else {"axis": axis}, chosen)


def _padding(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    return _Call(kind, (d.sides(2 if kind != "cropping2d" else 3),)) if _is_picture(source) else None


def _slice(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    at = d.random.randrange(len(source.shape)) if d.chance(0.4) else len(source.shape) - 1
    named: dict[str, Any] = {"axis": at + 1} if at < len(source.shape) - 1 or d.chance(0.3) else {}
    start = d.whole(0, 4)
    if d.chance(0.7):
        named["stop"] = d.whole(-2, 8)
    if d.chance(0.3):
        named["step"] = d.whole(2, 3)
    return _Call(kind, (start if d.chance(0.8) else -start,), named)


def _split(d: _Drawing, kind: str, source: _Value) -> _Call | None:
    at = d.random.randrange(len(source.shape)) if d.chance(0.4) else len(source.shape) - 1
    size = source.shape[at]
    if not isinstance(size, int) or size < 2:
        return None
    sections = d.random.choice([n for n in range(2, 5) if size % n == 0] or [size])
    return _Call(kind, (sections,), {"axis": at + 1} if at < len(source.shape) - 1 or d.chance(0.3) else {})


_DRAW: dict[str, Callable[[_Drawing, str, _Value], _Call | None]] = {
    "dense": _dense,
    "reshape": _reshape,
    "permute": _permute,
    "conv2d": _conv,
    "conv2d_transpose": _conv_transpose,
    "depthwise_conv2d": _depthwise,
    "up_sampling2d": _up_sampling,
    "resizing": _resizing,
    **dict.fromkeys(["pixel_shuffle", "pixel_unshuffle"], _shuffle),
    **dict.fromkeys(["max_pooling2d", "average_pooling2d"], _pooling),
    **dict.fromkeys(["global_average_pooling2d", "global_max_pooling2d"], _global_pooling),
    **{kind: _normalization for kind in LAYERS if kind.endswith("_normalization")},
    **dict.fromkeys(
        ["relu", "leaky_relu", "prelu", "elu", "gelu", "softmax", "clip", "dropout", "rescaling"], _activation
    ),
    **dict.fromkeys(JOINS, _join),
    "concatenate": _concatenate,
    **dict.fromkeys(["zero_padding2d", "reflect_padding2d", "replicate_padding2d", "cropping2d"], _padding),
    "slice": _slice,
    "split": _split,
}
"""How the arguments of each kind are drawn; a kind that takes none is not listed."""
