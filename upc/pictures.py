"""Pictures in and out: PNG files as arrays, and many pictures in one. Needs Pillow, which is an extra of upc."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from upc import memory
from upc.diagnostics import EXIT_MISSING, EXIT_USAGE, UpcError, error
from upc.files import open_regular
from upc.ir import Array, Graph

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""What upc takes for a picture's file name."""

MOST_PIXELS = 1 << 27
"""Of a picture that is read: a file of a few bytes can claim any number."""

_COPIES = 3
"""Arrays of the picture's size, channels and opacity, that reading it may hold at once."""

Say = Callable[[str], None]


def read_picture(path: Path, channels: int, say: Say = lambda words: None, most: int | None = None) -> Array:
    """A picture as float32 from 0 to 1, the way a viewer shows it, with that many channels.

    Whole numbers of 8 or 16 bits and of one bit go from 0 to 1, palettes and CMYK become RGB, the orientation that a
    camera noted is applied. Transparency is kept where the net takes 4 channels; else the picture is laid over white,
    which `say` is told. Of several frames the first is taken, which it is told too. `most` is how much memory it may
    take.

    Shape: (height, width, channels)
    Errors: UpcError for a file that is damaged, or no picture, or of too many pixels.
    """
    image_module = _pillow()
    if channels not in _MODES:
        raise error(
            "E0811",
            f"a picture has 1, 3 or 4 channels; the net takes {channels}: give an .npy file",
            exit_code=EXIT_USAGE,
        )
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit, which ours is below
            with image_module.open(file) as image:
                frames, (width, height) = getattr(image, "n_frames", 1), image.size
                if width * height <= MOST_PIXELS:
                    needed = 4 * width * height * (channels + 1) * _COPIES
                    memory.check(needed, most, lambda: f"the picture of {width}x{height} pixels in {path}")
                    values, alpha = _values(import_module("PIL.ImageOps").exif_transpose(image), channels)
    except UpcError:
        raise
    except image_module.DecompressionBombError:
        width = height = MOST_PIXELS
    except Exception as cause:  # decoders raise whatever a damaged file leads them to
        if isinstance(cause, OSError) and cause.errno:  # the file's trouble, not the picture's
            raise
        if isinstance(cause, image_module.UnidentifiedImageError):
            raise error("E0812", f"{path} is not a picture that Pillow can read", exit_code=EXIT_USAGE) from cause
        raise error("E0812", f"{path} is a damaged picture: {cause}", exit_code=EXIT_USAGE) from cause
    if width * height > MOST_PIXELS:
        raise error("E0812", f"{path} has more than {MOST_PIXELS:,} pixels", exit_code=EXIT_USAGE)
    if frames > 1:
        say(f"{path}: the first of {frames} frames is taken")
    if channels == 4:
        return np.concatenate([values, alpha], axis=2)
    if alpha.min() < 1:
        say(
            f"{path}: its transparency (alpha) is dropped: the picture is laid over white, the net takes {channels} "
            f"channel{'' if channels == 1 else 's'}"
        )
        values = values * alpha + (1 - alpha)
    return np.ascontiguousarray(values, np.float32)


def _values(image: Any, channels: int) -> tuple[Array, Array]:
    """Colours (grey where one channel is wanted) and opacity, from 0 to 1: (height, width, 3 or 1) and one channel."""
    if image.mode.startswith("I"):  # grey of 16 bits, which `convert` would cut off at 255
        grey = (np.asarray(image, np.float32) / np.float32(65535)).clip(0, 1)[:, :, np.newaxis]
        return grey.repeat(1 if channels == 1 else 3, axis=2), np.ones_like(grey)
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    pixels = np.asarray(image.convert("RGBA"), np.float32) if transparent else None
    alpha = np.float32(1) if pixels is None else pixels[:, :, 3:] / np.float32(255)
    opaque = image.convert("RGBA").convert("RGB") if transparent else image
    colours = np.asarray(opaque.convert("L" if channels == 1 else "RGB"), np.float32) / np.float32(255)
    colours = colours.reshape(*colours.shape[:2], -1)
    return colours, np.broadcast_to(alpha, (*colours.shape[:2], 1)).astype(np.float32)


def picture_bytes(picture: Array) -> bytes:
    """A picture of values from 0 to 1 (what is beyond is clipped) as the bytes of a PNG file.

    Shape: (height, width, channels), 1, 3 or 4 channels
    """
    import io

    levels = np.rint(np.nan_to_num(picture).clip(0, 1) * 255).astype(np.uint8)
    mode = _MODES[levels.shape[2]]
    image = _pillow().fromarray(levels[:, :, 0] if mode == "L" else levels)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def grid(pictures: Sequence[Array] | Array, columns: int | None = None, gap: int = 2) -> Array:
    """Pictures of one size side by side, row by row, with white lines between; as square as may be by default.

    Shape: n times (height, width, channels) -> one picture
    """
    count = len(pictures)
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    height, width, channels = pictures[0].shape
    sheet = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.float32)
    for position, picture in enumerate(pictures):
        top, left = (position // columns) * (height + gap), (position % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


Range = tuple[float, float]

_KEEPERS = {
    *("reshape", "flatten", "permute", "dropout", "slice", "split", "pixel_shuffle", "pixel_unshuffle"),
    *("cropping2d", "max_pooling2d", "average_pooling2d", "reflect_padding2d", "replicate_padding2d"),
}
"""Layers whose results stay within their input's range."""

_RANGES: dict[str, Range] = {"tanh": (-1, 1), "sigmoid": (0, 1), "hard_sigmoid": (0, 1), "softmax": (0, 1)}

OVERSHOOT = 0.1
"""How far beyond 0 and 1 the values of a picture may go that is meant to lie between them."""


def output_range(graph: Graph, output: int = 0) -> Range | None:
    """The range that the values of an output are known to lie in, by the activation that it ends in."""
    value = graph.outputs[output].value
    while True:
        maker = next((node for node in graph.nodes if value in node.outputs), None)
        if maker is None:
            return None
        found = _RANGES.get(getattr(maker.layer, "activation", None) or maker.layer.name)
        if found or maker.layer.name not in _KEEPERS:
            return found
        value = maker.inputs[0]


def as_picture(values: Array, known: Range | None, name: str, say: Say, wanted: Range | None = None) -> Array:
    """Bring a net's values to 0 to 1, and `say` what was done where they are not shown as they are.

    The range is the one `wanted`, else the one `known` (of a net that ends in tanh: -1 to 1). Where neither is, values
    from 0 to 1 are a picture, clipped where they overshoot by up to a tenth; others are scaled so that the smallest
    is black and the largest white. What is not a number is black.
    """
    finite = np.isfinite(values)
    if not finite.all():
        say(f"{name}: {(~finite).sum():,} of {values.size:,} values are not finite; NaN is drawn black")
    held = values[finite] if finite.any() else np.zeros(1, np.float32)
    least, most = float(held.min()), float(held.max())
    span = f"values from {_said(least)} to {_said(most)}"
    low, high = wanted or known or (0.0, 1.0)
    if not (wanted or known) and (least < -OVERSHOOT or most > 1 + OVERSHOOT):
        low, high = (least, most) if least < most else (min(least, 0.0), max(most, 0.0))
    if (low, high) != (0, 1):
        by = "" if wanted else " (the net ends in tanh)" if known else "; --range LO,HI sets another"
        scaled = span if (low, high) == (least, most) else f"{span}, {_said(low)} to {_said(high)}"
        say(f"{name}: {scaled} scaled to 0...1{by}")
    outside = int(((held < low) | (held > high)).sum())
    if outside:
        say(f"{name}: {span}; {outside:,} of {values.size:,} outside {_said(low)}...{_said(high)} clipped")
    with np.errstate(invalid="ignore", over="ignore"):
        unit = (values.astype(np.float64) - low) / (high - low)
    return np.nan_to_num(unit, nan=0, posinf=1, neginf=0).clip(0, 1).astype(np.float32)


def _said(number: float) -> str:
    text = f"{number:.4g}"
    return f"{text}.0" if text.lstrip("-").isdigit() else text


def _pillow() -> ModuleType:
    try:
        return import_module("PIL.Image")
    except ImportError as cause:
        hint = "pip install 'upc[pictures]', or use .npy files"
        raise error(
            "E0810", "pictures need Pillow, which is not installed", hint=hint, exit_code=EXIT_MISSING
        ) from cause
