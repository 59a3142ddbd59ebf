"""Which convolutions take the way of minimal filtering: fewer multiplications, more memory moved, some bits lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from upc.plan.steps import Size, Step
from upc.shape import Dim, ceil_div

Algorithm = Literal["exact", "fast", "auto"]
"""Minimal filtering: never, wherever it can be done, or where it pays."""

PATCH_SIZE = 4  # pixels of the target, each way, of one patch
LEAST_CHANNELS, LEAST_PIXELS = 32, 16

# Measured on one core of a Zen 5, of which the ratios matter.
MULTIPLY_ADDS_PER_SECOND = 50e9  # in large convolutions
FLOATS_PER_SECOND = 0.8e9  # of scratch made, with the sums that takes, written and read again
FLOATS_OF_KERNEL_PER_SECOND = 4e9  # read once for a call, and there are more of them
MOST_SCRATCH_BYTES = 64 << 20  # of one image; more, or a free amount, is for "fast" alone


def steps_of(step: Step, sizes: Mapping[str, Size], algorithm: Algorithm) -> tuple[list[Step], dict[str, Size]]:
    """The steps that do the work of one, and the sizes of the values between them."""
    if algorithm == "exact" or not _fits(step, sizes):
        return [step], {}
    taps, inputs, outputs = step.setting("kernel")[0], step.setting("inputs"), step.setting("outputs")
    rows, columns, _ = sizes[step.target]
    if algorithm == "auto" and not pays(rows, columns, taps, inputs, outputs):
        return [step], {}
    down, across = ceil_div(rows, PATCH_SIZE), ceil_div(columns, PATCH_SIZE)
    if isinstance(down, int) and isinstance(across, int):
        down, across = 1, down * across
    points = (PATCH_SIZE + taps - 1) ** 2
    values, products = f"values for {step.target}", f"products for {step.target}"
    made: dict[str, Size] = {values: (down, across, points * inputs), products: (down, across, points * outputs)}
    padding, (kernel, bias) = step.setting("padding"), step.setting("weights")
    if padding == "same":
        padding = (((taps - 1) // 2, taps // 2),) * 2
    transform = (("taps", taps), ("padding", padding))
    multiply = (
        *(("form", "convolution"), ("layout", "minimal"), ("kernel", (1, 1))),
        *(("inputs", points * inputs), ("outputs", points * outputs), ("weights", (kernel, None)), ("groups", points)),
    )
    inverse = (("taps", taps), ("bias", bias))
    return [
        Step("Transform", step.name, step.line, step.source, values, transform),
        Step("Convolution", step.name, step.line, values, products, multiply),
        Step("Inverse", step.name, step.line, products, step.target, inverse, step.then, step.operands),
    ], made


def _fits(step: Step, sizes: Mapping[str, Size]) -> bool:
    """Whether it is a convolution of the kind, of enough channels and pixels."""
    if step.kind != "Convolution":
        return False
    settings: dict[str, Any] = dict(step.settings)
    rows, columns, _ = sizes[step.target]
    plain = settings["form"] == "convolution" and settings["layout"] == "conv" and "shuffle" not in settings
    return (
        plain
        and settings["kernel"] in ((3, 3), (5, 5))
        and settings.get("groups", 1) == 1
        and all(set(settings.get(name, (1, 1))) == {1} for name in ("strides", "dilation"))
        and min(settings["inputs"], settings["outputs"]) >= LEAST_CHANNELS
        and all(n >= LEAST_PIXELS for n in (rows, columns) if isinstance(n, int))
    )


def pays(rows: Dim, columns: Dim, taps: int, inputs: int, outputs: int) -> bool:
    """Whether the multiplications saved take longer than moving the scratch, and that is not too large."""
    if not isinstance(rows, int) or not isinstance(columns, int):
        return False
    patches, points = -(-rows // PATCH_SIZE) * -(-columns // PATCH_SIZE), (PATCH_SIZE + taps - 1) ** 2
    saved = (rows * columns * taps * taps - patches * points) * inputs * outputs
    scratch = patches * points * (inputs + outputs)
    if 4 * scratch > MOST_SCRATCH_BYTES:
        return False
    kernel = (points - taps * taps) * inputs * outputs
    moving = scratch / FLOATS_PER_SECOND + kernel / FLOATS_OF_KERNEL_PER_SECOND
    return saved / MULTIPLY_ADDS_PER_SECOND > moving
