"""What a layer refuses, the words it refuses with, and where they point."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upc import limits
from upc.ir import LayerError
from upc.layers import LAYERS, construct
from upc.layers.arguments import LARGEST
from upc.layers.shapes import can_equal
from upc.shape import Shape, evaluate, free

H, W = free("H"), free("W")

ARGUMENTS: list[tuple[str, list[Any], dict[str, Any], str | None, str]] = [
    ("conv2d", [8, 0], {}, "kernel_size", "expected a whole number from 1 up, got 0"),
    ("conv2d", [0, 3], {}, "filters", "expected a whole number from 1 up, got 0"),
    ("conv2d", [8, 3], {"strides": 0}, "strides", "expected a whole number from 1 up"),
    ("conv2d", [8, 3], {"strides": [1, 2, 3]}, "strides", "a list of 2"),
    ("conv2d", [8, 3], {"padding": -1}, "padding", "expected a whole number from 0 up, got -1"),
    ("conv2d", [8, 3], {"padding": [[1, 2, 3], [0, 0]]}, "padding", "[before, after]"),
    ("conv2d", [8, 3], {"padding": "vaild"}, "padding", "expected same, valid or amounts"),
    ("conv2d", [8, 3], {"dilation_rate": 0}, "dilation_rate", "from 1 up"),
    ("conv2d", [8, 3], {"groups": 3}, "groups", "filters must be a multiple of groups: 8 = 2*3 + 2"),
    ("conv2d", [8, 3], {"use_bias": 1}, "use_bias", "expected true or false, got 1"),
    ("conv2d", [8, 3], {"activation": "reluu"}, "activation", 'expected an activation, got "reluu"'),
    ("conv2d", [8, 3], {"kernel_initializer": "he_unifrom"}, "kernel_initializer", "expected zeros, ones"),
    ("conv2d", [8.0, 3], {}, "filters", "expected a whole number from 1 up, got 8.0"),
    ("conv2d", [True, 3], {}, "filters", "got true"),
    ("conv2d", ["8", 3], {}, "filters", 'got "8"'),
    ("conv2d", [None, 3], {}, "filters", "got none"),
    ("conv2d", [LARGEST + 1, 3], {}, "filters", "beyond 2**31 - 1"),
    ("conv2d", [10**5000, 3], {}, "filters", "beyond 2**31 - 1"),
    ("conv2d", [8], {}, None, "missing its argument `kernel_size` (a whole number from 1 up)"),
    ("conv2d", [], {}, None, "missing its arguments `filters` (a whole number from 1 up) and `kernel_size`"),
    ("conv2d", [8, 3], {"kernel": 3}, "kernel", "has no argument `kernel`"),
    ("conv2d", [8, 3], {"filters": 3}, "filters", "given `filters` twice"),
    ("conv2d", [8, 3, 1, "same", 1, 1, None, True, "zeros", "zeros", 1], {}, None, "at most 10 unnamed arguments"),
    ("flatten", [1], {}, None, "takes no unnamed arguments, got 1"),
    ("cnov2d", [8, 3], {}, None, "there is no layer `cnov2d`"),
    ("conv2d_transpose", [8, 3], {"output_padding": 1}, "output_padding", "must be below strides (height): 1 >= 1"),
    ("conv2d_transpose", [8, 3], {"strides": [3, 2], "output_padding": 2}, "output_padding", "(width): 2 >= 2"),
    (
        "conv2d_transpose",
        [8, 3],
        {"strides": 2, "output_padding": 1, "output_size": 7},
        "output_size",
        "both set the size",
    ),
    ("conv2d_transpose", [8, 3], {"strides": 2, "output_padding": -1}, "output_padding", "from 0 up, got -1"),
    ("conv2d_transpose", [8, 3], {"groups": 5}, "groups", "multiple of groups"),
    ("up_sampling2d", [0], {}, "size", "from 1 up"),
    ("up_sampling2d", [1.5], {}, "size", "expected a whole number"),
    ("up_sampling2d", [2], {"interpolation": "bilinaer"}, "interpolation", "expected nearest, bilinear or bicubic"),
    ("up_sampling2d", [2], {"coordinates": "align_corners"}, "coordinates", "nearest has no align_corners"),
    ("up_sampling2d", [2], {"border": "replicate"}, "border", "for interpolation=bicubic only"),
    ("resizing", [4], {}, "target", "takes 2 sizes (height, width), got (4,)"),
    ("resizing", [4, 4], {"cubic_coefficient": -0.75}, "cubic_coefficient", "bicubic only, not bilinear"),
    (
        "resizing",
        [4, 4],
        {"interpolation": "bicubic", "cubic_coefficient": float("nan")},
        "cubic_coefficient",
        "finite",
    ),
    ("resizing", [4, 4], {"interpolation": "bicubic", "cubic_coefficient": 4}, "cubic_coefficient", "at most 0, got 4"),
    ("pixel_shuffle", [2], {}, None, "missing its argument `order` (crd or dcr)"),
    ("pixel_shuffle", [2], {"order": "rcd"}, "order", "expected crd or dcr"),
    ("pixel_shuffle", [2, "crd"], {}, None, "at most 1 unnamed argument, got 2"),
    ("max_pooling2d", [2], {"padding": 2}, "padding", "padding must be below pool_size"),
    ("max_pooling2d", [[3, 2]], {"padding": [[2, 0], [0, 2]]}, "padding", "2 >= 2"),
    ("average_pooling2d", [2, 0], {}, "strides", "from 1 up"),
    ("batch_normalization", [], {"epsilon": 0}, "epsilon", "expected a number above 0, got 0"),
    ("batch_normalization", [], {"momentum": 1.5}, "momentum", "from 0 and at most 1"),
    ("group_normalization", [0], {}, "groups", "from 1 up"),
    ("relu", [-1], {}, "max_value", "from 0"),
    ("leaky_relu", [-0.1], {}, "negative_slope", "from 0"),
    ("leaky_relu", [float("inf")], {}, "negative_slope", "finite"),
    ("prelu", [0], {}, "shared_axes", "from 1 up"),
    ("dropout", [1.5], {}, "rate", "from 0 and at most 1"),
    ("clip", [1, 0], {}, "max_value", "min_value must not be above max_value: 1 > 0"),
    ("reshape", [], {}, None, "missing its argument `target`"),
    ("reshape", [-1, -1], {}, "target", "only one size can be -1"),
    ("reshape", [0, 4], {}, "target", "sizes from 1 up, or -1"),
    ("reshape", [-2], {}, "target", "got -2"),
    ("permute", [0, 1], {}, "dims", "from 1 up"),
    ("slice", [0], {"step": 0}, "step", "from 1 up"),
    ("split", [0], {}, "sections", "from 1 up"),
    ("split", [LARGEST], {}, "sections", "at most 1024 parts"),
    ("multiply", ["x"], {}, "constants", "expected a number"),
    ("cropping2d", [-1], {}, "cropping", "from 0 up"),
]


@pytest.mark.parametrize(("name", "positional", "named", "argument", "words"), ARGUMENTS)
def test_arguments(name: str, positional: list[Any], named: dict[str, Any], argument: str | None, words: str) -> None:
    with pytest.raises(LayerError, match=re.escape(words)) as raised:
        construct(name, positional, named)
    assert raised.value.argument == argument


HINTS = [
    ("cnov2d", [8, 3], {}, "conv2d"),
    ("conv2d", [8, 3], {"paddign": "same"}, "padding"),
    ("conv2d", [8, 3], {"padding": "smae"}, "same"),
    ("conv2d", [8, 3], {"activation": "simgoid"}, "sigmoid"),
    ("conv2d", [8, 3], {"kernel_initializer": "he_unifrom"}, "he_uniform"),
    ("resizing", [4, 4], {"interpolation": "biliniar"}, "bilinear"),
]


@pytest.mark.parametrize(("name", "positional", "named", "near"), HINTS)
def test_misspelt_words_get_the_nearest(name: str, positional: list[Any], named: dict[str, Any], near: str) -> None:
    with pytest.raises(LayerError) as raised:
        construct(name, positional, named)
    assert raised.value.hint == f"did you mean `{near}`?"


SHAPES: list[tuple[str, list[Any], dict[str, Any], list[Shape], str]] = [
    ("conv2d", [8, 3], {}, [(100,)], "conv2d works on (height, width, channels), got shape (100,)"),
    ("conv2d", [8, 3], {}, [(2, 4, 4, 3)], "got shape (2, 4, 4, 3)"),
    ("conv2d", [8, 5], {}, [(3, 8, 4)], "nothing of the height of (3, 8, 4): floor((3 + 0 + 0 - 5) / 1) + 1 = -1"),
    ("conv2d", [8, 3], {"dilation_rate": 4}, [(20, 8, 4)], "width of (20, 8, 4): floor((8 + 0 + 0 - (4*(3 - 1) + 1))"),
    ("conv2d", [8, 3], {}, [(H, W, free("C"))], "needs a known number of channels, got C in (H, W, C)"),
    ("conv2d", [9, 3], {"groups": 3}, [(8, 8, 4)], "needs channels divisible by 3, got 4 in (8, 8, 4): 4 = 1*3 + 1"),
    ("conv2d_transpose", [8, 3], {"padding": 4}, [(3, 8, 4)], "(3 - 1)*1 + 3 - 4 - 4 + 0 = -3"),
    (
        "conv2d_transpose",
        [8, 4],
        {"strides": 2, "padding": "same", "output_padding": 0},
        [(1, 3, 4)],
        "(1 - 1)*2 + 4 % 2 + 0 = 0",
    ),
    (
        "conv2d_transpose",
        [8, 3],
        {"strides": 2, "output_size": 20},
        [(7, 7, 4)],
        "(7 - 1)*2 + 3 - 0 - 0 + output_padding",
    ),
    (
        "conv2d_transpose",
        [8, 3],
        {"strides": 2, "padding": "same", "output_size": 12},
        [(7, 7, 4)],
        "output_size 12 is out of reach from (7, 7, 4) (height): 7 = ceil(output_size / 2)",
    ),
    ("conv2d_transpose", [8, 3], {"strides": 2, "output_size": 9}, [(H, 4, 4)], "needs a known input size, got H"),
    ("pixel_shuffle", [2], {"order": "crd"}, [(3, 5, 6)], "divisible by 2**2 = 4, got 6 in (3, 5, 6): 6 = 1*4 + 2"),
    ("pixel_unshuffle", [2], {"order": "crd"}, [(4, 5, 3)], "divisible by 2, got 5 in (4, 5, 3)"),
    ("pixel_unshuffle", [2], {"order": "crd"}, [(H * 2 + 1, 4, 3)], "got 2*H + 1"),
    ("max_pooling2d", [3], {}, [(2, 8, 3)], "nothing of the height of (2, 8, 3)"),
    ("global_average_pooling2d", [], {}, [(7,)], "works on (height, width, channels)"),
    ("instance_normalization", [], {}, [(7,)], "works over pixels, got shape (7,)"),
    ("group_normalization", [4], {}, [(3, 3, 6)], "divisible by 4, got 6 in (3, 3, 6): 6 = 1*4 + 2"),
    ("dense", [4], {}, [(3, W)], "needs a known number of channels, got W"),
    ("reshape", [4, 4], {}, [(3, 5)], "cannot reshape (3, 5) to (4, 4): it has 15 elements, 4 * 4 = 16"),
    ("reshape", [-1, 4], {}, [(3, 5)], "15 elements / 4 is not whole"),
    ("reshape", [-1, 4], {}, [(H, W)], "(H, W) has more than one free size"),
    ("reshape", [4, 4], {}, [(H, 4)], "it has 4*H elements, 4 * 4 = 16"),
    ("flatten", [], {}, [(H, W, 3)], "cannot flatten (H, W, 3)"),
    ("permute", [1, 3], {}, [(4, 5, 6)], "each of the 3 axes of (4, 5, 6) once, got (1, 3)"),
    ("softmax", [0], {}, [(4, 5, 6)], "that is the batch"),
    ("softmax", [4], {}, [(4, 5, 6)], "axis 4 is not in (4, 5, 6): expected 1 to 3 or -3 to -1"),
    ("prelu", [], {}, [(H, W, 3)], "has a free size"),
    ("prelu", [[4]], {}, [(4, 5, 3)], "axis 4 is not in (4, 5, 3)"),
    ("add", [], {}, [(4, 5, 6)], "add takes at least 2 operands"),
    ("add", [], {}, [(4, 5, 6), (4, 5, 3)], "add cannot join (4, 5, 6) and (4, 5, 3): 6 and 3 differ (axis -1)"),
    ("add", [], {}, [(H, 5, 6), (H + 1, 5, 6)], "H and H + 1 differ (axis -3)"),
    ("add", [], {}, [(H * 2, 5, 6), (H * 4 + 1, 5, 6)], "2*H and 4*H + 1 differ"),
    ("subtract", [1, 2], {}, [(4,)], "subtract takes 2 operands"),
    ("concatenate", [], {}, [(4, 5, 6), (4, 4, 3)], "cannot join (4, 5, 6) and (4, 4, 3): 5 and 4 differ (axis 2)"),
    ("concatenate", [], {}, [(4, 5, 6), (4,)], "(4,) has 1 axes, not 3"),
    ("concatenate", [], {"axis": 0}, [(4, 5, 6), (4, 5, 6)], "that is the batch"),
    ("reflect_padding2d", [4], {}, [(4, 9, 3)], "mirrors at most 3 of the 4 pixels in (4, 9, 3), got 4"),
    ("cropping2d", [[2, 3]], {}, [(5, 6, 3)], "nothing of the width of (5, 6, 3): 6 - 3 - 3 = 0"),
    ("slice", [2, 9], {}, [(4, 5, 6)], "stop 9 is not within its 6"),
    ("slice", [-7], {}, [(4, 5, 6)], "start -7 is not within its 6"),
    ("slice", [3, 3], {}, [(4, 5, 6)], "keeps nothing of (4, 5, 6)"),
    ("split", [4], {}, [(4, 5, 6)], "6 / 4 is not whole"),
]


@pytest.mark.parametrize(("name", "positional", "named", "shapes", "words"), SHAPES)
def test_shapes(name: str, positional: list[Any], named: dict[str, Any], shapes: list[Shape], words: str) -> None:
    layer = construct(name, positional, named)
    with pytest.raises(LayerError, match=re.escape(words)):
        layer.output_shapes(shapes)


def test_sizes_that_may_be_equal_are_demanded_and_the_simpler_kept() -> None:
    restored = H // 2 * 2
    for name in ("add", "concatenate"):
        layer = construct(name, [], {})
        for shapes in ([(restored, W, 3), (H, W, 3)], [(H, W, 3), (restored, W, 3)]):
            (shape,) = layer.output_shapes(shapes)
            assert shape[0] == H
            ((left, right),) = layer.demands(shapes)
            assert {left, right} == {H, restored}


@given(st.lists(st.integers(-6, 6), min_size=6, max_size=6), st.integers(2, 5))
def test_sizes_called_different_never_meet(n: list[int], divisor: int) -> None:
    left, right = H * n[0] + H // divisor * n[1] + n[2], H * n[3] + H // divisor * n[4] + n[5]
    if not can_equal(left, right):
        assert all(evaluate(left, {"H": h}) != evaluate(right, {"H": h}) for h in range(1, 60))


def test_a_free_size_may_have_to_be_a_number() -> None:
    layer = construct("add", [], {})
    assert layer.output_shapes([(H, W, 3), (4, W, 3)]) == ((4, W, 3),)
    assert layer.demands([(H, W, 3), (4, W, 3)]) == ((H, 4),)
    assert layer.demands([(H, W, 3), (1, W, 3)]) == ()


def test_least_sizes() -> None:
    assert construct("reflect_padding2d", [[[0, 3], [2, 1]]], {}).at_least([(H, 9, 3)]) == ((H, 4),)
    assert construct("slice", [2, 7], {"axis": 1}).at_least([(H, 9, 3)]) == ((H, 2), (H, 7))
    assert construct("slice", [-4], {"axis": 1}).at_least([(H, 9, 3)]) == ((H - 4, 0),)


def test_cards_cannot_be_made_wrong_by_hand_either() -> None:
    card, _ = LAYERS["conv2d"]
    with pytest.raises(LayerError) as raised:
        card(filters=0, kernel_size=3)  # type: ignore[call-arg]
    assert raised.value.argument == "filters"


def test_enormous_sizes_are_only_numbers() -> None:
    """Shapes and weight specifications of absurd layers are worked out without memory for them."""
    huge = 2**31 - 1
    with limits.changed({"kernel": huge, "strides": huge}):
        layer = construct("conv2d_transpose", [huge, huge], {"strides": huge, "padding": "same"})
        assert layer.output_shapes([(huge, huge, huge)]) == ((huge * huge, huge * huge, huge),)
        assert layer.weights([(huge, huge, huge)])[0].shape == (huge,) * 4
        assert layer.multiply_adds([(huge, huge, huge)], [(huge, huge, huge)]) == huge**6
        assert construct("up_sampling2d", [huge], {}).output_shapes([(huge, 1, 1)]) == ((huge**2, huge, 1),)
