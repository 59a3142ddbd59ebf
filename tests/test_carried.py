"""What Keras and PyTorch modules carry, imported as it stands and held to the arithmetic of the cards."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

# In this process Keras runs on PyTorch, which starts fastest.
os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch

import upc.carried
from upc import initializers
from upc.carried.keras import axes, pixels, windows
from upc.carried.torch import functions, modules
from upc.carried.torch import initializers as first_values
from upc.emit.carried import FILES, parts, take, words
from upc.emit.keras import emit as emit_keras
from upc.emit.torch import emit as emit_torch
from upc.resources import read
from upc.runtime.resampling import axis_taps
from upc.shape import same_padding

from emission import compiled  # isort: skip

WINDOWS = list(itertools.product((1, 2, 5, 8), (1, 2, 3, 4), (1, 2, 3), (1, 2)))
"""(size, kernel, stride, dilation)"""
RESIZED = list(itertools.product((1, 2, 5), (1, 2, 3, 8)))
METHODS: list[tuple[str, str, float, str]] = [
    *(("nearest", coordinates, -0.5, "renormalize") for coordinates in ("half_pixel", "asymmetric")),
    *(("bilinear", coordinates, -0.5, "renormalize") for coordinates in ("half_pixel", "align_corners", "asymmetric")),
    ("bicubic", "half_pixel", -0.5, "renormalize"),
    ("bicubic", "half_pixel", -0.75, "replicate"),
    ("bicubic", "align_corners", -0.75, "renormalize"),
    ("bicubic", "asymmetric", -0.5, "replicate"),
]


def defined(lines: list[str]) -> list[str]:
    """The functions and classes in lines of Python, as they come."""
    return [re.split(r"[(:]", line)[0].split()[1] for line in lines if line.startswith(("def ", "class "))]


@pytest.mark.parametrize("target", FILES)
def test_every_file_is_carried_and_no_two_define_one_name(target: str) -> None:
    folder = Path(upc.carried.__file__).parent / target
    assert sorted(path.stem for path in folder.glob("*.py")) == sorted(["__init__", *FILES[target]])
    lines = [line for path in folder.glob("*.py") for line in path.read_text().splitlines()]
    assert sorted(defined(lines)) == sorted(parts(target))


@pytest.mark.parametrize("target", FILES)
def test_nothing_is_there_that_no_module_takes(target: str) -> None:
    """Each is named by the table of layers, an initializer, the end of every module, or another one."""
    closing = {"initialize", "set_weights", "load_weights"}
    named = words(read(f"templates/{target}/layers.j2").replace('"', " ")) | set(initializers.INITIALIZERS) | closing
    # The number of axes is part of this name.
    named |= {f"FrozenBatchNorm{rank}d" for rank in (1, 2, 3)}
    taken = {part.text for part in take(target, named)}
    assert [name for name, part in parts(target).items() if part.text not in taken] == []


def test_a_module_carries_what_it_uses_and_what_that_rests_on() -> None:
    free = "net n { input x: [H, W, 2] average_pooling2d(3, padding=same) output y }"
    text = emit_torch(compiled(free), source_name="n.upc", source_sha256="0", version="0")
    assert defined(text.splitlines()) == [
        *("same_amounts", "average_inside", "average_inside_same"),
        *("N", "initialize", "set_weights", "load_weights"),
    ]
    assert "import math" not in text and "upc.carried" not in text
    text = emit_keras(compiled(free), source_name="n.upc", source_sha256="0", version="0")
    assert defined(text.splitlines()) == [
        *("_pair", "_same_amounts", "PaddedPooling2D"),
        *("build_n", "set_weights", "load_weights"),
    ]
    assert "from keras import ops\n" in text and "upc.carried" not in text


def test_words_are_names_and_not_what_only_reads_like_one() -> None:
    text = 'y = fans(x.resample, "truncated \\" orthogonal", 2e5)  # he_normal\nz = F.relu(y, mode="pad_same")'
    assert words(text) == {"y", "fans", "x", "z", "F", "mode"}


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), WINDOWS)
def test_same_padding_is_the_cards(size: int, kernel: int, stride: int, dilation: int) -> None:
    other = (3, 2, 2, 1)  # rows unlike columns
    wanted = [same_padding(size, kernel, stride, dilation), same_padding(*other)]
    x = torch.zeros(2, 4, size, other[0])
    got = functions.same_amounts(x, [kernel, other[1]], [stride, other[2]], [dilation, other[3]])
    assert got == [*wanted[1], *wanted[0]]  # PyTorch pads the last axis first
    spans = [dilation * (kernel - 1) + 1, other[3] * (other[1] - 1) + 1]
    pictures = keras.ops.zeros((2, size, other[0], 4))
    assert axes._same_amounts(pictures, spans, (stride, other[2])) == wanted
    layer = windows.SamePadding2D((kernel, other[1]), (stride, other[2]), (dilation, other[3]))
    padded = (2, size + sum(wanted[0]), other[0] + sum(wanted[1]), 4)
    assert tuple(layer(pictures).shape) == layer.compute_output_shape((2, size, other[0], 4)) == padded


def dense(size: int, result: int, method: tuple[str, str, float, str]) -> np.ndarray:
    """The cards' weights of one axis as a matrix."""
    seen, shares = axis_taps(size, result, *method)
    matrix = np.zeros((result, size))
    for tap in range(seen.shape[1]):
        np.add.at(matrix, (np.arange(result), seen[:, tap]), shares[:, tap])
    return matrix


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(map(str, method)))
def test_resampling_is_the_cards(method: tuple[str, str, float, str]) -> None:
    interpolation, coordinates, coefficient, border = method
    options = {"interpolation": interpolation, "coordinates": coordinates}
    options |= {"cubic_coefficient": coefficient, "border": border}
    for size, result in RESIZED:
        wanted = dense(size, result, method)
        got = functions.resampling_matrix(size, result, interpolation, coordinates, coefficient, border)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6, err_msg=f"{size} to {result}")
        # One channel a row, 1 there and 0 elsewhere: what a pixel of the result sees of each row.
        rows = np.eye(size, dtype=np.float32)[None, :, None, :]
        layer = pixels.Resampling2D(size=(result, 2), **options)
        made = keras.ops.convert_to_numpy(layer(rows))
        np.testing.assert_allclose(made[0, :, 1], wanted, rtol=0, atol=2e-6, err_msg=f"{size} to {result}")


LAYERS: list[Any] = [
    *(lambda d=d: windows.TransposedConvolution2D(6, (3, 2), (2, 3), d, 2, ((1, -1), (0, 2))) for d in (1, 2)),
    lambda: windows.SamePadding2D((3, 2), 2, (1, 3)),
    lambda: windows.Subsampling2D((3, 4)),
    *(
        lambda kind=kind: windows.PaddedPooling2D(kind, (2, 3), (1, 2), "same")
        for kind in ("max", "mean", "mean_inside")
    ),
    lambda: windows.PaddedPooling2D("mean_inside", 2, 2, ((1, 0), (0, 1))),
    lambda: pixels.EdgePadding2D(((0, 2), (3, 1)), "replicate"),
    lambda: pixels.EdgePadding2D(((1, 0), (1, 2)), "reflect"),
    lambda: pixels.Resampling2D(size=(7, 1)),
    lambda: pixels.Resampling2D(factor=(2, 3), interpolation="bicubic"),
    *(lambda order=order: pixels.PixelShuffle2D(2, order) for order in ("crd", "dcr")),
    *(lambda order=order: pixels.PixelUnshuffle2D(2, order) for order in ("crd", "dcr")),
]


@pytest.mark.parametrize("make", LAYERS, ids=lambda make: type(make()).__name__)
def test_layers_of_keras_know_their_shapes_and_can_be_made_again(make: Any) -> None:
    layer = make()
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 8)).astype(np.float32)
    y = keras.ops.convert_to_numpy(layer(x))
    assert layer.compute_output_shape(x.shape) == y.shape
    unknown = layer.compute_output_shape((None, None, None, 8))
    assert all(a in (None, b) for a, b in zip(unknown, y.shape, strict=True)) and unknown[3] == y.shape[3]
    again = type(layer).from_config(layer.get_config())
    again(x)  # makes its weights
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x)), y)


def test_blocks_of_channels_move_as_in_keras() -> None:
    """Each layout of the two frameworks is the other's, and unshuffling undoes it."""
    x = np.arange(2 * 4 * 6 * 8, dtype=np.float32).reshape(2, 4, 6, 8)
    first = torch.from_numpy(x).permute(0, 3, 1, 2)
    for order, shuffle, unshuffle in (
        ("dcr", functions.pixel_shuffle_dcr, functions.pixel_unshuffle_dcr),
        ("crd", torch.nn.functional.pixel_shuffle, functions.pixel_unshuffle_crd),
    ):
        wanted = keras.ops.convert_to_numpy(pixels.PixelShuffle2D(2, order)(x))
        np.testing.assert_array_equal(shuffle(first, 2).permute(0, 2, 3, 1), wanted)
        np.testing.assert_array_equal(unshuffle(shuffle(first, 2), 2), first)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(pixels.PixelUnshuffle2D(2, order)(wanted)), x)


@pytest.mark.parametrize("shape", [(7,), (5, 3), (3, 2, 5, 4), (1, 1, 1, 1)])
def test_units_have_the_inputs_and_outputs_of_the_reference(shape: tuple[int, ...]) -> None:
    assert first_values.fans(shape) == initializers.fans(shape)


@pytest.mark.parametrize("name", [n for n in initializers.INITIALIZERS if n not in ("zeros", "ones")])
def test_first_values_are_drawn_as_the_reference_draws_them(name: str) -> None:
    """Alike in deviation and in the largest, over 40,000 draws: three in a hundred would show."""
    torch.manual_seed(0)
    shape = (2, 2, 20, 30) if name == "orthogonal" else (2, 2, 100, 100)
    got = getattr(first_values, name)(shape).numpy()
    wanted = initializers.INITIALIZERS[name](np.random.default_rng(0), shape)
    assert got.shape == shape and got.dtype == np.float32
    assert abs(got.mean()) < 0.02 * wanted.std()
    assert got.std() == pytest.approx(wanted.std(), rel=0.03)
    if name != "random_normal":
        assert np.abs(got).max() == pytest.approx(np.abs(wanted).max(), rel=0.3 if name == "orthogonal" else 0.01)
    if name == "orthogonal":
        flat = got.reshape(-1, 30)
        np.testing.assert_allclose(flat.T @ flat, np.eye(30), atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_frozen_statistics_stay_in_training(rank: int) -> None:
    layer = getattr(modules, f"FrozenBatchNorm{rank}d")(3).train()
    x = torch.randn(4, 3, *[2] * rank)
    assert not layer.training
    torch.testing.assert_close(layer(x), x / (1 + layer.eps) ** 0.5)
