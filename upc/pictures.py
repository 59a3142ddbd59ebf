"""Pictures in and out: PNG files as arrays, and many pictures in one. Needs Pillow, which is an extra of upc."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from upc.diagnostics import EXIT_MISSING, EXIT_USAGE, error
from upc.files import open_regular
from upc.ir import Array, Graph

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""What upc takes for a picture's file name."""


def read_picture(path: Path, channels: int) -> Array:
    """A picture as float32 from 0 to 1, with that many channels.

    Shape: (height, width, channels)
    """
    image_module = _pillow()
    if channels not in _MODES:
        raise error(
            "E0811",
            f"a picture has 1, 3 or 4 channels; the net takes {channels}: give an .npy file",
            exit_code=EXIT_USAGE,
        )
    try:
        with open_regular(path) as file, image_module.open(file) as image:
            pixels = np.asarray(image.convert(_MODES[channels]), np.float32)
    except (OSError, SyntaxError, image_module.DecompressionBombError) as cause:
        if isinstance(cause, OSError) and cause.errno:  # the file's trouble, not the picture's
            raise
        raise error("E0812", f"{path} is not a picture that Pillow can read", exit_code=EXIT_USAGE) from cause
    return (pixels / np.float32(255)).reshape(pixels.shape[0], pixels.shape[1], channels)


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


def as_picture(values: Array, graph: Graph, output: int = 0) -> Array:
    """Bring a net's values to 0 to 1: those of a net that ends in tanh lie from -1 to 1."""
    value = graph.outputs[output].value
    maker = next((node for node in graph.nodes if value in node.outputs), None)
    signed = maker is not None and "tanh" in (maker.layer.name, getattr(maker.layer, "activation", None))
    return (values + 1) / 2 if signed else values


def _pillow() -> ModuleType:
    try:
        return import_module("PIL.Image")
    except ImportError as cause:
        hint = "pip install 'upc[pictures]', or use .npy files"
        raise error(
            "E0810", "pictures need Pillow, which is not installed", hint=hint, exit_code=EXIT_MISSING
        ) from cause
