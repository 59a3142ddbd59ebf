"""Every file of the gallery: its sizes, its parameters and, where they are known, its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import upc
from upc import build, pipeline
from upc.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
TARGETS = ("reference", "numba")

SQUARE = np.array([[1, 2], [3, 4]], np.float32)
PICTURE = np.array([[4, 5, 8, 7], [1, 8, 8, 8], [3, 6, 6, 4], [6, 5, 7, 8]], np.float32)
KERNEL = np.array([[10, -4, 10], [10, 0, 30], [30, 30, -1]], np.float32)
PATCH = np.array([[614, 764], [591, 660]], np.float32)
TRANSPOSED = [
    [6140, 5184, 3084, 7640],
    [12050, 11876, 21690, 29520],
    [24330, 47940, 40036, 19036],
    [17730, 37530, 19209, -660],
]
STRIDED = [
    [6140, -2456, 13780, -3056, 7640],
    [6140, 0, 26060, 0, 22920],
    [24330, 16056, 34816, 20280, 5836],
    [5910, 0, 24330, 0, 19800],
    [17730, 17730, 19209, 19800, -660],
]
DILATED = [
    [6140, 7640, -2456, -3056, 6140, 7640],
    [5910, 6600, -2364, -2640, 5910, 6600],
    [6140, 7640, 0, 0, 18420, 22920],
    [5910, 6600, 0, 0, 17730, 19800],
    [18420, 22920, 18420, 22920, -614, -764],
    [17730, 19800, 17730, 19800, -591, -660],
]

# file, output shape, all parameters, frozen ones
FIGURES = [
    ("a1_up_sampling", [4, 4, 1], 0, 0),
    ("a2_up_sampling_uneven", [4, 6, 1], 0, 0),
    ("a3_up_sampling_bilinear", [4, 6, 1], 0, 0),
    ("a4_smooth_gradient", [64, 64, 1], 0, 0),
    ("a5_transpose_spread", [4, 4, 1], 2, 0),
    ("a8_transpose_strided", [5, 5, 1], 10, 0),
    ("a9_transpose_dilated", [6, 6, 1], 10, 0),
    ("b1_up_then_convolve", [10, 10, 1], 324_353, 0),
    ("b2_transpose", [10, 10, 1], 324_353, 0),
    ("b3_dcgan_digits", [28, 28, 1], 2_330_944, 2 * (12_544 + 128 + 64)),
    ("b4_dcgan_faces", [64, 64, 3], 3_585_219, 2 * (256 + 128 + 64)),
    ("b5_dcgan_paper", [64, 64, 3], 18_876_163, 2 * (1024 + 512 + 256 + 128)),
    ("b6_generator_200", [200, 200, 3], 27_678_111, 2 * (192 + 96 + 3)),
    ("b7_generator_cifar", [32, 32, 3], 6_264_579, 0),
    ("b8_upsample_decoder", [128, 128, 3], 388_163, 0),
    ("c1_autoencoder", [28, 28, 1], 1_393, 0),
    ("c2_autoencoder_transpose", [28, 28, 1], 3_025, 0),
    ("c3_inverse_filter", [4, 4, 1], 20, 10),
    ("c4_inverse_tanh", [32, 32, 1], 381, 200),
    ("c5_inverse_sigmoid", [32, 32, 1], 286, 150),
    ("d1_dcgan_faces_torch", [64, 64, 3], 3_578_624, 2 * (512 + 256 + 128 + 64)),
    ("d2_waifu2x_upconv7", ["2*H - 28", "2*W - 28", 3], 552_483, 0),
    ("d3_realesr_animevideo", ["4*H", "4*W", 3], 621_424, 0),
    ("d4_esrgan_slim", ["2*H", "2*W", 3], 222_075, 0),
]


def summary(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> dict:
    assert main(["summary", str(EXAMPLES / f"{name}.upc"), "--json", "-q", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def image(values: object) -> np.ndarray:
    """A batch of one picture with one channel."""
    return np.asarray(values, np.float32)[np.newaxis, :, :, np.newaxis]


def run(name: str, values: object, target: str, **options: object) -> np.ndarray:
    """The only channel of what a net makes of one picture."""
    result = upc.load(EXAMPLES / f"{name}.upc", target=target, **options)(image(values))
    assert result.dtype == np.float32
    return result[0, :, :, 0]


def kernel_weights(layer: str, kernel: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{layer}.kernel": kernel[:, :, None, None].astype(np.float32), f"{layer}.bias": np.zeros(1, np.float32)}


@pytest.mark.parametrize(("name", "shape", "params", "frozen"), FIGURES, ids=[f[0] for f in FIGURES])
def test_sizes_and_parameters(capsys, name, shape, params, frozen):
    table = summary(capsys, name)
    assert [output["shape"] for output in table["outputs"]] == [shape]
    assert (table["params"], table["params"] - table["trainable"]) == (params, frozen)


def test_every_file_of_the_gallery_has_its_figures():
    tested = {name for name, *_ in FIGURES} | {
        "a6_transpose_sizes", "a7_transpose_as_matrix", "a10_transpose_by_convolution", "a11_overlap"
    }  # fmt: skip
    assert tested == {path.stem for path in EXAMPLES.glob("*.upc")}


def test_b1_and_b2_are_as_large(capsys):
    enlarged, transposed = summary(capsys, "b1_up_then_convolve"), summary(capsys, "b2_transpose")
    assert enlarged["outputs"][0]["shape"] == transposed["outputs"][0]["shape"]
    assert enlarged["params"] == transposed["params"] == 323_200 + 1_153


def test_c1_shapes_in_between(capsys):
    sides = [layer["shape"][0] for layer in summary(capsys, "c1_autoencoder")["layers"]]
    assert sides == [28, 14, 14, 7, 4, 4, 8, 7, 14, 14, 28, 28]


def test_b4_dense_layer(capsys):
    assert summary(capsys, "b4_dcgan_faces")["layers"][0]["params"] == 827_392


@pytest.mark.parametrize(("scale", "params"), [(2, 222_075), (3, 226_815), (4, 233_451), (8, 278_955)])
def test_d4_at_every_scale(capsys, scale, params):
    table = summary(capsys, "d4_esrgan_slim", "-D", f"scale={scale}")
    assert (table["params"], table["outputs"][0]["shape"]) == (params, [f"{scale}*H", f"{scale}*W", 3])


def test_c5_warns_of_the_dead_value_and_gives_it_no_weights(capsys):
    assert main(["summary", str(EXAMPLES / "c5_inverse_sigmoid.upc")]) == 0
    shown = capsys.readouterr()
    assert "warning" in shown.err and "nothing uses the result of `conv2d`" in shown.err
    net = upc.load(EXAMPLES / "c5_inverse_sigmoid.upc", target="reference")
    assert sum(w.size for w in net.weights.values()) == 286


@pytest.mark.parametrize("target", TARGETS)
class TestValues:
    def test_a1(self, target):
        assert run("a1_up_sampling", SQUARE, target).tolist() == SQUARE.repeat(2, 0).repeat(2, 1).tolist()

    def test_a2(self, target):
        assert run("a2_up_sampling_uneven", SQUARE, target).tolist() == SQUARE.repeat(2, 0).repeat(3, 1).tolist()

    def test_a3(self, target):
        expected = [
            [1, 1, 4 / 3, 5 / 3, 2, 2],
            [1.5, 1.5, 11 / 6, 13 / 6, 2.5, 2.5],
            [2.5, 2.5, 17 / 6, 19 / 6, 3.5, 3.5],
            [3, 3, 10 / 3, 11 / 3, 4, 4],
        ]
        np.testing.assert_allclose(run("a3_up_sampling_bilinear", SQUARE, target), expected, rtol=1e-6)

    def test_a4(self, target):
        gradient = run("a4_smooth_gradient", [[0, 0.5], [1, 1.5]], target)
        ramp = ((np.arange(64) + 0.5) / 32 - 0.5).clip(0, 1)
        np.testing.assert_allclose(gradient, ramp[:, None] + ramp / 2, atol=1e-6)

    def test_a5(self, target):
        spread = run("a5_transpose_spread", SQUARE, target, weights=kernel_weights("conv2d_transpose", np.ones((1, 1))))
        assert spread.tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]

    def test_a7(self, target):
        weights = kernel_weights("conv2d", KERNEL)
        assert (
            run("a7_transpose_as_matrix", PICTURE, target, net="convolution", weights=weights).tolist()
            == PATCH.tolist()
        )
        weights = kernel_weights("conv2d_transpose", KERNEL)
        assert run("a7_transpose_as_matrix", PATCH, target, net="transposed", weights=weights).tolist() == TRANSPOSED

    def test_a7_by_matrices(self, target):
        """Each column of the matrix is what the convolution makes of one pixel."""
        pixels = np.eye(16, dtype=np.float32).reshape(16, 4, 4, 1)
        net = upc.load(
            EXAMPLES / "a7_transpose_as_matrix.upc",
            net="convolution",
            target=target,
            weights=kernel_weights("conv2d", KERNEL),
        )
        matrix = net(pixels).reshape(16, 4).T
        assert (matrix @ PICTURE.ravel()).reshape(2, 2).tolist() == PATCH.tolist()
        assert (matrix.T @ PATCH.ravel()).reshape(4, 4).tolist() == TRANSPOSED

    def test_a8(self, target):
        weights = kernel_weights("conv2d_transpose", KERNEL)
        assert run("a8_transpose_strided", PATCH, target, weights=weights).tolist() == STRIDED

    def test_a9(self, target):
        weights = kernel_weights("conv2d_transpose", KERNEL)
        assert run("a9_transpose_dilated", PATCH, target, weights=weights).tolist() == DILATED

    @pytest.mark.parametrize(("stride", "expected"), [(1, TRANSPOSED), (2, STRIDED)])
    def test_a10(self, target, stride, expected):
        name, defines = "a10_transpose_by_convolution", {"stride": stride}
        weights = kernel_weights("conv2d_transpose", KERNEL)
        assert run(name, PATCH, target, net="transposed", weights=weights, defines=defines).tolist() == expected
        weights = kernel_weights("conv2d", KERNEL[::-1, ::-1])
        weights["conv2d_transpose.kernel"] = np.ones((1, 1, 1, 1), np.float32)
        assert run(name, PATCH, target, net="by_convolution", weights=weights, defines=defines).tolist() == expected

    def test_a11(self, target):
        ones = np.ones((5, 5), np.float32)
        uneven = run("a11_overlap", ones, target, net="uneven")
        along = np.array([1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1])
        assert uneven.tolist() == np.outer(along, along).tolist()
        even = run("a11_overlap", ones, target, net="even")
        assert even[2:-2, 2:-2].tolist() == np.full((8, 8), 4).tolist()
        assert run("a11_overlap", ones, target, net="without_overlap").tolist() == np.ones((10, 10)).tolist()


@pytest.mark.parametrize(
    ("net", "defines", "side"),
    [
        ("same_size", {}, 21),
        ("valid_size", {}, 22),
        ("same_size", {"size": 5, "stride": 2, "kernel": 3}, 10),
        ("valid_size", {"size": 5, "stride": 2, "kernel": 3}, 11),
        ("valid_size", {"size": 5, "stride": 3, "kernel": 2}, 15),
        ("explicit_size", {}, 6 * 3 + 3 + 1 - 2 + 2),
        (
            "explicit_size",
            {"size": 4, "stride": 2, "kernel": 3, "pad": 2, "extra": 1, "dilation": 2},
            3 * 2 + 4 + 1 - 4 + 1,
        ),
    ],
)
def test_a6(capsys, net, defines, side):
    arguments = [word for name, value in defines.items() for word in ("-D", f"{name}={value}")]
    table = summary(capsys, "a6_transpose_sizes", "--net", net, *arguments)
    assert table["outputs"][0]["shape"] == [side, side, 1]
    assert run(
        "a6_transpose_sizes", np.ones((defines.get("size", 7),) * 2), "reference", net=net, defines=defines
    ).shape == (side, side)


@pytest.mark.parametrize("name", [name for name, *_ in FIGURES if name[0] == "d" and name[1] != "1"])
def test_pictures_of_any_size(name):
    small = np.random.RandomState(0).random_sample((1, 17, 22, 3)).astype(np.float32)
    result = upc.load(EXAMPLES / f"{name}.upc", target="reference")(small)
    scale = {"d2": (2, -28), "d3": (4, 0), "d4": (2, 0)}[name[:2]]
    assert result.shape == (1, 17 * scale[0] + scale[1], 22 * scale[0] + scale[1], 3)


def test_c1_draws_digits_it_was_not_trained_on():
    """The committed weights, on a digit's like: a ring, as an eight-year-old draws a nought."""
    y, x = np.mgrid[:28, :28] - 13.5
    ring = np.clip(2.5 - abs(np.hypot(x * 1.4, y) - 8), 0, 1)
    drawn = run("c1_autoencoder", ring, "reference", weights=EXAMPLES / "c1_autoencoder.safetensors")
    assert np.abs(drawn - ring).mean() < 0.5 * np.abs(drawn.mean() - ring).mean()


def test_the_language_of_the_readme_builds(capsys, tmp_path):
    readme = (EXAMPLES.parent / "README.md").read_text()
    file = tmp_path / "faces.upc"
    file.write_text(readme.split("```\n", 2)[1])
    assert main(["summary", str(file), "--json"]) == 0
    shown = capsys.readouterr()
    faces, skip = json.loads(shown.out)
    assert (faces["params"], skip["outputs"][0]["shape"], shown.err) == (3_585_219, ["H", "W", 3], "")


@pytest.mark.parametrize("target", ["numba", "keras", "torch"])
@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.upc")), ids=lambda file: file.stem)
def test_every_net_can_be_written_for_every_target(file, target):
    tree = pipeline.tree(pipeline.read(str(file)))
    for net in build.nets(tree):
        text = pipeline.emit(pipeline.graph(tree, net), target)
        compile(text, f"{net}.py", "exec")
        assert text == pipeline.emit(pipeline.graph(tree, net), target)
