"""The gallery's single layers, A1 to A11, figure for figure on the reference."""

from __future__ import annotations

import numpy as np
import pytest

from upc.build import compile_source
from upc.ir import Array, Graph
from upc.layers import construct
from upc.reference import run
from upc.source import Source

SQUARE = [[1, 2], [3, 4]]
IMAGE = [[4, 5, 8, 7], [1, 8, 8, 8], [3, 6, 6, 4], [6, 5, 7, 8]]
KERNEL = np.array([[10, -4, 10], [10, 0, 30], [30, 30, -1]], float)
CONVOLVED = [[614, 764], [591, 660]]


def net(layer: str, height: int, width: int) -> Graph:
    text = f"net one {{\n  input x: [{height}, {width}, 1]\n  {layer}\n  output y\n}}\n"
    return compile_source(Source("one.upc", text))


def count(graph: Graph) -> int:
    return sum(int(np.prod(w.shape)) for _, w, _ in graph.weights())


def picture(layer: str, image: list[list[float]] | Array, kernel: Array | None = None) -> Array:
    """A grey picture through one layer, with that kernel and no bias."""
    x = np.array(image, float)
    graph = net(layer, *x.shape)
    weights = {}
    for key, weight, _ in graph.weights():
        weights[key] = np.zeros(weight.shape) if kernel is None or "bias" in key else kernel.reshape(weight.shape)
    return run(graph, weights, {"x": x[None, :, :, None]})["y"][0, :, :, 0]


def test_a1_nearest_up_sampling() -> None:
    y = picture("up_sampling2d()", SQUARE)
    np.testing.assert_array_equal(y, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    assert count(net("up_sampling2d()", 2, 2)) == 0


def test_a2_a_factor_for_each_axis() -> None:
    y = picture("up_sampling2d([2, 3])", SQUARE)
    np.testing.assert_array_equal(y, [[1, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 3, 4, 4, 4]] * 2)


def test_a3_bilinear_up_sampling() -> None:
    y = picture("up_sampling2d([2, 3], interpolation=bilinear)", SQUARE)
    expected = [
        [1, 1, 4 / 3, 5 / 3, 2, 2],
        [1.5, 1.5, 11 / 6, 13 / 6, 2.5, 2.5],
        [2.5, 2.5, 17 / 6, 19 / 6, 3.5, 3.5],
        [3, 3, 10 / 3, 11 / 3, 4, 4],
    ]
    np.testing.assert_allclose(y, expected, rtol=1e-14)


def test_a4_a_smooth_picture() -> None:
    y = picture("up_sampling2d([32, 32], interpolation=bilinear)", [[0, 0.5], [1, 1.5]])
    assert y.shape == (64, 64)
    assert (y[0, 0], y[0, -1], y[-1, 0], y[-1, -1]) == (0, 0.5, 1, 1.5)
    ramp = np.clip((np.arange(64) + 0.5) / 32 - 0.5, 0, 1)
    np.testing.assert_allclose(y, ramp[:, None] + ramp[None, :] / 2, rtol=1e-14, atol=1e-15)


def test_a5_a_transposed_layer_spreads_pixels() -> None:
    layer = "conv2d_transpose(1, kernel_size=1, strides=2)"
    y = picture(layer, SQUARE, np.ones(1))
    np.testing.assert_array_equal(y, [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]])
    assert count(net(layer, 2, 2)) == 2


@pytest.mark.parametrize(
    ("size", "arguments", "expected"),
    [
        (7, "4, strides=3, padding=same", 21),
        (7, "4, strides=3", 22),
        (5, "3, strides=2, padding=same", 10),
        (5, "3, strides=2", 11),
        (5, "1, strides=3", 15),  # Keras: (H - 1)*s + max(k, s)
        (5, "3, strides=2, padding=1, output_padding=1", 10),  # (5 - 1)*2 + 2 + 1 - 2 + 1
        (5, "3, strides=3, padding=2, output_padding=2, dilation_rate=2", 15),  # 4*3 + 2*2 + 1 - 4 + 2
    ],
)
def test_a6_sizes_of_transposed_layers(size: int, arguments: str, expected: int) -> None:
    graph = net(f"conv2d_transpose(1, {arguments})", size, size)
    assert graph.outputs[0].value.shape == (expected, expected, 1)


A7 = [
    [6140, 5184, 3084, 7640],
    [12050, 11876, 21690, 29520],
    [24330, 47940, 40036, 19036],
    [17730, 37530, 19209, -660],
]
A8 = [
    [6140, -2456, 13780, -3056, 7640],
    [6140, 0, 26060, 0, 22920],
    [24330, 16056, 34816, 20280, 5836],
    [5910, 0, 24330, 0, 19800],
    [17730, 17730, 19209, 19800, -660],
]
A9 = [
    [6140, 7640, -2456, -3056, 6140, 7640],
    [5910, 6600, -2364, -2640, 5910, 6600],
    [6140, 7640, 0, 0, 18420, 22920],
    [5910, 6600, 0, 0, 17730, 19800],
    [18420, 22920, 18420, 22920, -614, -764],
    [17730, 19800, 17730, 19800, -591, -660],
]


def test_a7_transposed_convolution_is_the_transposed_matrix() -> None:
    np.testing.assert_array_equal(picture("conv2d(1, 3)", IMAGE, KERNEL), CONVOLVED)
    matrix = np.zeros((4, 16))
    for row in range(4):
        window = np.zeros((4, 4))
        window[row // 2 : row // 2 + 3, row % 2 : row % 2 + 3] = KERNEL
        matrix[row] = window.reshape(-1)
    np.testing.assert_array_equal((matrix @ np.array(IMAGE).reshape(-1)).reshape(2, 2), CONVOLVED)
    np.testing.assert_array_equal((matrix.T @ np.array(CONVOLVED).reshape(-1)).reshape(4, 4), A7)
    np.testing.assert_array_equal(picture("conv2d_transpose(1, 3)", CONVOLVED, KERNEL), A7)


def test_a8_strides() -> None:
    np.testing.assert_array_equal(picture("conv2d_transpose(1, 3, strides=2)", CONVOLVED, KERNEL), A8)


def test_a9_dilation() -> None:
    np.testing.assert_array_equal(picture("conv2d_transpose(1, 3, dilation_rate=2)", CONVOLVED, KERNEL), A9)


@pytest.mark.parametrize(("stride", "expected"), [(1, A7), (2, A8)])
def test_a10_zeros_between_pixels_and_the_flipped_kernel_give_the_same(stride: int, expected: list[list[int]]) -> None:
    spread = np.zeros((stride + 1, stride + 1))
    spread[::stride, ::stride] = CONVOLVED
    padded = picture("zero_padding2d(2)", spread)
    np.testing.assert_array_equal(picture("conv2d(1, 3)", padded, KERNEL[::-1, ::-1].copy()), expected)


@pytest.mark.parametrize(
    ("kernel", "stride", "row"),
    [
        (2, 2, [1] * 12),
        (4, 2, [1, 1] + [2] * 10 + [1, 1]),
        (3, 2, [1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1]),
    ],
)
def test_a11_overlap_is_even_where_the_stride_divides_the_kernel(kernel: int, stride: int, row: list[int]) -> None:
    layer = f"conv2d_transpose(1, {kernel}, strides={stride})"
    overlap = picture(layer, np.ones((6, 6)), np.ones((kernel, kernel)))
    np.testing.assert_array_equal(overlap, np.outer(row, row))
    inside = overlap[kernel:-kernel, kernel:-kernel]
    assert (inside.min() == inside.max()) == (kernel % stride == 0)


def test_a11_patches_that_do_not_overlap() -> None:
    """A 2x2 kernel at stride 2 writes each pixel's patch by itself."""
    patch = np.array([[1, 2], [3, 4]], float)
    y = picture("conv2d_transpose(1, 2, strides=2)", IMAGE, patch)
    np.testing.assert_array_equal(y, np.kron(np.array(IMAGE), patch))


def test_a_transposed_layer_multiplies_once_for_each_input_pixel_and_tap() -> None:
    after_up_sampling = construct("conv2d", [1, 3], {"padding": "same"})
    transposed = construct("conv2d_transpose", [1, 3], {"strides": 2, "padding": "same"})
    assert after_up_sampling.multiply_adds([(10, 10, 128)], [(10, 10, 1)]) == 10 * 10 * 9 * 128
    assert transposed.multiply_adds([(5, 5, 128)], [(10, 10, 1)]) == 5 * 5 * 9 * 128
