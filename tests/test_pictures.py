"""Pictures in and out of `upc run`: what a viewer shows comes in; what is done to values on their way out is said."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

from upc.cli import main
from upc.diagnostics import UpcError
from upc.pictures import MOST_PIXELS, read_picture

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (3, 5), np.uint8)
COLOURS = RNG.integers(0, 256, (3, 5, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (3, 5, 1), np.uint8)


def png(path: Path, width: int, height: int, depth: int, kind: int, rows: bytes) -> None:
    """A PNG file as its specification has it, for what Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def of_16_bits(path: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits: grey, grey and alpha, RGB or RGBA by its channels."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    png(path, width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows)


def test_16_bits_mean_what_8_do(tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    of_16_bits(file, GREY[:, :, None].astype(np.uint16) * 257)
    wanted = GREY[:, :, None] / 255
    np.testing.assert_allclose(read_picture(file, 1), wanted, atol=1e-6)
    np.testing.assert_allclose(read_picture(file, 3), wanted.repeat(3, 2), atol=1e-6)
    of_16_bits(file, np.arange(15, dtype=np.uint16).reshape(3, 5, 1) + 1000)
    np.testing.assert_allclose(read_picture(file, 1).ravel(), (np.arange(15) + 1000) / 65535, rtol=1e-6)


def test_16_bits_of_colour_and_alpha(tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    of_16_bits(file, COLOURS.astype(np.uint16) * 257)
    np.testing.assert_allclose(read_picture(file, 3), COLOURS / 255, atol=1e-6)
    of_16_bits(file, np.concatenate([COLOURS, ALPHA], 2).astype(np.uint16) * 257)
    np.testing.assert_allclose(read_picture(file, 4), np.concatenate([COLOURS, ALPHA], 2) / 255, atol=1e-6)
    of_16_bits(file, np.concatenate([GREY[:, :, None], ALPHA], 2).astype(np.uint16) * 257)
    said: list[str] = []
    over_white = (GREY[:, :, None] / 255) * (ALPHA / 255) + 1 - ALPHA / 255
    np.testing.assert_allclose(read_picture(file, 1, said.append), over_white, atol=1e-6)
    assert len(said) == 1


def test_one_bit_and_palettes(tmp_path: Path) -> None:
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "bits.png", 1)[:, :, 0], bits)
    paletted = Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE, colors=15)
    paletted.save(tmp_path / "palette.png")
    wanted = np.asarray(paletted.convert("RGB")) / 255
    np.testing.assert_allclose(read_picture(tmp_path / "palette.png", 3), wanted, atol=1e-6)
    paletted.save(tmp_path / "clear.png", transparency=0)
    clear = np.asarray(paletted) == 0
    found = read_picture(tmp_path / "clear.png", 4)
    np.testing.assert_array_equal(found[:, :, 3], ~clear)
    assert (read_picture(tmp_path / "clear.png", 3)[clear] == 1).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (5, 3), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
    np.testing.assert_allclose(read_picture(tmp_path / "ink.jpg", 3), np.tile([1.0, 0, 0], (3, 5, 1)), atol=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(COLOURS)
    # What a camera does that was held in that way: its first row and column are those that the number says.
    turned = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: COLOURS.transpose(1, 0, 2)[::-1],
        7: COLOURS.transpose(1, 0, 2)[::-1, ::-1],
        8: COLOURS.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    tags = upright.getexif()
    tags[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "held.png", exif=tags)
    np.testing.assert_allclose(read_picture(tmp_path / "held.png", 3), COLOURS / 255, atol=1e-6)


def test_transparency_is_kept_or_laid_over_white_with_a_word(tmp_path: Path) -> None:
    file, said = tmp_path / "glass.png", list[str]()
    Image.fromarray(np.concatenate([COLOURS, ALPHA], 2)).save(file)
    np.testing.assert_allclose(read_picture(file, 4, said.append)[:, :, 3:], ALPHA / 255, atol=1e-6)
    assert not said
    over_white = COLOURS / 255 * (ALPHA / 255) + 1 - ALPHA / 255
    np.testing.assert_allclose(read_picture(file, 3, said.append), over_white, atol=1e-6)
    assert len(said) == 1 and "alpha" in said[0] and "white" in said[0]
    Image.fromarray(np.concatenate([COLOURS, np.full_like(ALPHA, 255)], 2)).save(file)
    np.testing.assert_allclose(read_picture(file, 3, said.append), COLOURS / 255, atol=1e-6)
    assert len(said) == 1
    Image.fromarray(COLOURS).save(file)
    assert (read_picture(file, 4)[:, :, 3] == 1).all()


def test_pictures_that_cannot_be(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(RNG.integers(0, 256, (60, 50, 3), np.uint8)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    png(tmp_path / "bomb.png", 30_000, 30_000, 8, 0, b"")
    png(tmp_path / "large.png", 12_000, 12_000, 8, 0, b"")
    png(tmp_path / "short.png", 50, 60, 8, 0, bytes(100))
    for name, words in {
        "cut.png": "is a damaged picture",
        "short.png": "is a damaged picture",
        "text.png": "is not a picture",
        "empty.png": "is not a picture",
        "bomb.png": f"more than {MOST_PIXELS:,} pixels",
        "large.png": f"more than {MOST_PIXELS:,} pixels",
    }.items():
        with pytest.raises(UpcError) as found:
            read_picture(tmp_path / name, 3)
        assert words in str(found.value) and found.value.exit_code == 2, str(found.value)


SAME = "net same {{\n  input x: [H, W, 1]\n  {call}\n  output y\n}}\n"


@pytest.fixture
def drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run a net of one layer on an array, write a picture: its levels, what was printed, and said."""

    def draw(values: list[float], call: str = "dropout(0)", *options: str) -> tuple[list[int], str, str]:
        monkeypatch.chdir(tmp_path)
        Path("net.upc").write_text(SAME.format(call=call))
        np.save("x.npy", np.array(values, np.float32).reshape(1, -1, 1))
        command = ["run", "net.upc", "--target", "reference", "--input", "x.npy", "-o", "out.png", *options]
        with np.errstate(invalid="ignore"):
            code = main(command)
        out, err = capsys.readouterr()
        assert code == 0, err
        about_picture = "".join(line for line in err.splitlines(True) if "weights" not in line)
        with Image.open("out.png") as image:
            return np.asarray(image).ravel().tolist(), out, about_picture

    return draw


def test_values_of_a_picture_go_out_as_they_are(drawn) -> None:
    assert drawn([0, 0.2, 1])[::2] == ([0, 51, 255], "")


def test_values_that_overshoot_are_clipped_with_a_word(drawn) -> None:
    levels, _, err = drawn([-0.05, 0.2, 1.0, 1.02])
    assert levels == [0, 51, 255, 255]
    assert err == "upc: out.png: values from -0.05 to 1.02; 2 of 4 outside 0.0...1.0 clipped\n"


def test_other_values_are_scaled_with_a_word(drawn) -> None:
    levels, _, err = drawn([-1, -0.6, 1])
    assert levels == [0, 51, 255]
    assert err == "upc: out.png: values from -1.0 to 1.0 scaled to 0...1; --range LO,HI sets another\n"
    assert drawn([4, 4])[0] == [255, 255] and drawn([-3, -3])[0] == [0, 0]


def test_the_range_of_tanh_is_known(drawn) -> None:
    half = float(np.arctanh(0.5))
    for call in ("tanh()", "tanh()\n  cropping2d(0)\n  dropout(0.5)"):
        levels, _, err = drawn([0, half, -50], call)
        assert levels == [128, 191, 0]
        assert "-1.0 to 1.0 scaled to 0...1 (the net ends in tanh)" in err
    assert drawn([0, 50], "sigmoid()") == ([128, 255], drawn([0, 50], "sigmoid()")[1], "")


def test_a_range_can_be_said(drawn) -> None:
    levels, _, err = drawn([-2, -1, 0, 3, 4], "dropout(0)", "--range", "-1,3")
    assert levels == [0, 0, 64, 255, 255]
    assert (
        "values from -2.0 to 4.0, -1.0 to 3.0 scaled to 0...1\n" in err and "2 of 5 outside -1.0...3.0 clipped" in err
    )
    assert drawn([0, 0.5, 3], "dropout(0)", "--range=0,1")[0] == [0, 128, 255]
    assert drawn([0, 0.5, 3], "dropout(0)", "-q", "--range", "0,1")[2] == ""


def test_what_is_no_number_is_said(drawn) -> None:
    levels, out, err = drawn([0, np.nan, 1, np.inf, -np.inf])
    assert levels == [0, 0, 255, 255, 0]
    assert "from 0 to 1, mean 0.5, 3 of 5 not finite" in out
    assert "3 of 5 values are not finite; NaN is drawn black" in err
    assert drawn([np.nan, np.nan])[1].strip().startswith("y: (1, 1, 2, 1) 2 of 2 not finite")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "out.png", "--range", "1,0"], "the smaller first"),
        (["-o", "out.png", "--range", "3"], "expected two numbers"),
        (["-o", "out.png", "--range", "0,nan"], "expected two numbers"),
        (["-o", "out.npy", "--range", "0,1"], "--range is for pictures"),
        (["--range", "0,1"], "--range is for pictures"),
    ],
)
def test_ranges_that_cannot_be(tmp_path, monkeypatch, capsys, options: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.upc").write_text(SAME.format(call="relu()"))
    np.save("x.npy", np.zeros((2, 3, 1), np.float32))
    try:
        code = main(["run", "net.upc", "--target", "reference", "--input", "x.npy", *options])
    except SystemExit as end:
        code = end.code
    assert code == 2 and words in capsys.readouterr().err
