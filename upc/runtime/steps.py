"""What a network does, step by step: the words in which a plan is made, a module is written and kernels are chosen.

Data only: it needs neither Numba nor NumPy, so that a plan is made where neither is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

Pair = tuple[int, int]
"""Something of rows and of columns."""

Padding = str | tuple[Pair, Pair]
"""Zeros around: "same" for as many as keep the size, or (before, after) of rows and of columns."""

NO_PADDING = ((0, 0), (0, 0))

KernelAndBias = tuple[str, str | None]
"""The keys of a layer's weights."""

Entries = tuple[tuple[tuple[int, ...], ...], ...]
"""For each phase and each of its taps the kernel entries that meet it."""


# What is done to every value that a step makes, before it is stored.


FUNCTION_NUMBERS: dict[str, int] = {
    **dict.fromkeys(["selu", "gelu", "gelu_tanh", "silu", "softplus", "tanh", "sigmoid", "exp"], 0),
    **dict.fromkeys(["hard_sigmoid", "hard_swish"], 0),
    **dict.fromkeys(["leaky_relu", "elu", "times", "plus", "minus_from", "at_least", "at_most"], 1),
    **dict.fromkeys(["relu", "clip", "affine"], 2),
}
"""The functions of one value, and how many numbers each takes besides."""

CombineName = Literal["add", "subtract", "subtract_from", "multiply", "maximum", "minimum"]


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of the value and of numbers: y = function(x, *numbers)."""

    function: str
    numbers: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """A batch normalisation at inference: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    `path` is the layer's, with a gamma if it `scales` and a beta if it `centers`. `flat` if its channels are those
    of a dense layer whose numbers are then laid out as a picture.
    """

    path: str
    epsilon: float
    scales: bool = True
    centers: bool = True
    flat: bool = False

    @property
    def weight_keys(self) -> tuple[str, ...]:
        own = ("gamma",) * self.scales + ("beta",) * self.centers
        return tuple(f"{self.path}.{name}" for name in (*own, "moving_mean", "moving_variance"))


@dataclass(frozen=True, slots=True)
class PixelPRelu:
    """y = x, or x * alpha where x < 0. Alpha is a weight of a `shape` (rows, columns, channels), 1 where shared."""

    alpha: str
    shape: tuple[int, int, int]

    @property
    def weight_keys(self) -> tuple[str, ...]:
        return (self.alpha,)


@dataclass(frozen=True, slots=True)
class Combine:
    """A function of the value and of that in the same place of one of the step's operands: "subtract_from" is y - x."""

    function: CombineName
    operand: int


Operation = Apply | BatchNorm | PixelPRelu | Combine


# How values are moved.


@dataclass(frozen=True, slots=True)
class Pad:
    """Rows and columns put around, (before, after) of each: "zero", or pixels by "reflect" or "replicate"."""

    rim: tuple[Pair, Pair]
    mode: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Every `steps`-th row, column and channel, from `starts` on."""

    starts: tuple[int, int, int] = (0, 0, 0)
    steps: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Every pixel in so many rows and columns."""

    size: Pair


@dataclass(frozen=True, slots=True)
class RepeatChannels:
    """Every channel so many times in a row."""

    times: int


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Blocks of factor * factor channels as pixels; in "crd" order they are neighbours, in "dcr" far apart."""

    factor: int
    order: str


@dataclass(frozen=True, slots=True)
class Unshuffle:
    """Blocks of pixels as channels: what `Shuffle` undoes."""

    factor: int
    order: str


@dataclass(frozen=True, slots=True)
class Permute:
    """Rows, columns and channels in another order: `axes` says which becomes the first, second and third."""

    axes: tuple[int, int, int]


Move = Pad | Cut | Repeat | RepeatChannels | Shuffle | Unshuffle | Permute

STAY = Cut()


# Steps.


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call: the layer's path and its line, the value it reads and the one it makes.

    `then` is done to every value made, in order. `operands` are the values that this reads, by position.
    """

    name: str
    line: int
    source: str
    target: str
    then: tuple[Operation, ...] = field(default=(), kw_only=True)
    operands: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.source, *self.operands)

    @property
    def own_weights(self) -> tuple[str, ...]:
        """Keys of the weights that it reads itself."""
        return ()

    @property
    def weight_keys(self) -> tuple[str, ...]:
        """Keys of all weights that it reads, its epilogue's among them."""
        after = [key for o in self.then if isinstance(o, (BatchNorm, PixelPRelu)) for key in o.weight_keys]
        return (*self.own_weights, *after)


def _given(weights: KernelAndBias) -> tuple[str, ...]:
    return tuple(key for key in weights if key is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Step):
    """A convolution by phases: of target pixels at equal distances that see the same taps.

    `form` is how the kernel meets the pixels: "convolution", "transposed" or "upsampled" (each source pixel
    first repeated `size` times). `layout` is how the canonical array is read as (row, column, input, output):
    "conv", "conv_transpose", "spread" (dense that makes a whole picture) or "gather" (dense that reads a whole
    picture). `shuffle` moves blocks of channels into space. `images` are those of a usual call, which say how large
    tiles are and what is asked for ahead.
    """

    form: Literal["convolution", "transposed", "upsampled"] = "convolution"
    layout: Literal["conv", "conv_transpose", "spread", "gather"] = "conv"
    kernel: Pair
    inputs: int
    outputs: int
    weights: KernelAndBias
    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = NO_PADDING
    size: Pair = (1, 1)
    groups: int = 1
    shuffle: Shuffle | None = None
    images: int = 1

    @property
    def own_weights(self) -> tuple[str, ...]:
        return _given(self.weights)

    @property
    def floats(self) -> int:
        """Of the kernel."""
        return prod(self.kernel) * self.inputs // self.groups * self.outputs

    @property
    def longest_sum(self) -> int:
        """At most so many products are added up for one number of the result."""
        taps = 1 if self.layout == "spread" else prod(self.kernel)
        return taps * self.inputs // self.groups

    @property
    def enlargement(self) -> int:
        """Rows and columns of a pixel's block of channels once it is moved into space."""
        return self.shuffle.factor if self.shuffle else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtering(Step):
    """A convolution by minimal filtering.

    Every axis has phases that see equally many taps: `rows[p]` says which rows of the kernel meet each tap of
    phase p. Target row p + i * (number of phases) is pixel i of phase p. Patches make `patch` pixels each way of
    every phase; the first starts `before` pixels in front of the source, and of its pixels the first `skips[0][p]`
    of phase p are not wanted. `layout` says how the canonical kernel is stored. `images` are those of a usual call,
    which say how large tiles are.
    """

    layout: Literal["conv", "conv_transpose"] = "conv"
    inputs: int
    outputs: int
    weights: KernelAndBias
    patch: int
    rows: Entries
    columns: Entries
    before: Pair
    skips: tuple[tuple[int, ...], tuple[int, ...]]
    images: int = 1

    @property
    def own_weights(self) -> tuple[str, ...]:
        return _given(self.weights)

    @property
    def taps(self) -> int:
        return len(self.rows[0])

    @property
    def points(self) -> int:
        """Pairs of points."""
        return (self.patch + self.taps - 1) ** 2

    @property
    def channels(self) -> int:
        """Of the products: those of all phases."""
        return len(self.rows) * len(self.columns) * self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Depthwise(Step):
    """A window of its own for every channel."""

    kernel: Pair
    weights: KernelAndBias
    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = NO_PADDING

    @property
    def own_weights(self) -> tuple[str, ...]:
        return _given(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Step):
    """Values moved, none computed."""

    move: Move = STAY


@dataclass(frozen=True, slots=True)
class Reshape(Step):
    """The same values, channels-last in order, under another shape."""


@dataclass(frozen=True, slots=True)
class Pointwise(Step):
    """Functions of each value, of channels' numbers and of other values of the same picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Step):
    """Largest or mean value of windows; of a mean, zeros of the padding may count."""

    window: Pair
    strides: Pair
    padding: Padding = NO_PADDING
    largest: bool
    count_padding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalPool(Step):
    """Largest or mean value of each channel's whole picture."""

    largest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Step):
    """Interpolation; the numbers are those of the layer."""

    interpolation: str
    coordinates: str
    cubic_coefficient: float
    border: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize(Step):
    """Layer (`groups` 0), group or instance (`groups` = channels) normalisation.

    `path` is the layer's, with a gamma if it `scales` and a beta if it `centers`.
    """

    path: str
    epsilon: float
    groups: int
    scales: bool = True
    centers: bool = True

    @property
    def own_weights(self) -> tuple[str, ...]:
        return (f"{self.path}.gamma",) * self.scales + (f"{self.path}.beta",) * self.centers


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Step):
    """e**x over its sum along `axis` (0 rows, 1 columns, 2 channels)."""

    axis: int


# Written modules.


FIRST_IMPORT = "from __future__ import annotations"
NETWORK_MARK = "# The network"
"""The lines of a written module between which all modules are alike; what follows describes its network."""
