"""Canonical weights: first values, files, and what a hostile file cannot do."""

from __future__ import annotations

import json
import math
import os
import stat
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upc import limits
from upc.build import compile_source
from upc.diagnostics import EXIT_USAGE, UpcError
from upc.files import write_atomic
from upc.initializers import INITIALIZERS, fans, generator
from upc.ir import Array, Graph
from upc.source import Source
from upc.weights import check, initialize, load, save

TEXT = """
net small {
  input z: [6]
  dense(2 * 3 * 4)
  reshape(2, 3, 4)
  batch_normalization()
  conv2d_transpose(5, 3, strides=2, padding=same, kernel_initializer=he_normal)
  output y
}
"""


def graph(text: str = TEXT) -> Graph:
    return compile_source(Source("small.upc", text))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save(path, initialize(graph(), 1))
    return path


# First values


def test_keys_shapes_and_kinds() -> None:
    weights = initialize(graph(), 0)
    assert {key: w.shape for key, w in weights.items()} == {
        "dense.kernel": (6, 24),
        "dense.bias": (24,),
        "batch_normalization.gamma": (4,),
        "batch_normalization.beta": (4,),
        "batch_normalization.moving_mean": (4,),
        "batch_normalization.moving_variance": (4,),
        "conv2d_transpose.kernel": (3, 3, 5, 4),
        "conv2d_transpose.bias": (5,),
    }
    assert all(w.dtype == np.float32 for w in weights.values())
    assert (weights["batch_normalization.moving_variance"] == 1).all()
    assert (weights["dense.bias"] == 0).all()


def test_a_seed_gives_the_same_weights_and_another_others() -> None:
    first, again, other = initialize(graph(), 5), initialize(graph(), 5), initialize(graph(), 6)
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
    assert not np.array_equal(first["dense.kernel"], other["dense.kernel"])


def test_a_new_layer_leaves_the_others_as_they_were() -> None:
    longer = graph(TEXT.replace("  batch_norm", "  conv2d(4, 1)\n  batch_norm"))
    before, after = initialize(graph(), 5), initialize(longer, 5)
    for key, values in before.items():
        np.testing.assert_array_equal(after[key], values)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 5), (3, 5)), ((2, 3, 5, 7), (30, 42)), ((4, 5, 7), (20, 28))],
)
def test_fans_are_keras(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


@pytest.mark.parametrize(
    ("name", "deviation", "limit"),
    [
        ("glorot_uniform", math.sqrt(2 / (1350 + 2250)), math.sqrt(6 / (1350 + 2250))),
        ("glorot_normal", math.sqrt(2 / (1350 + 2250)), 2 * math.sqrt(2 / (1350 + 2250)) / 0.8796),
        ("he_uniform", math.sqrt(2 / 1350), math.sqrt(6 / 1350)),
        ("he_normal", math.sqrt(2 / 1350), 2 * math.sqrt(2 / 1350) / 0.8796),
        ("lecun_uniform", math.sqrt(1 / 1350), math.sqrt(3 / 1350)),
        ("lecun_normal", math.sqrt(1 / 1350), 2 * math.sqrt(1 / 1350) / 0.8796),
        ("random_normal", 0.05, 0.5),
        ("random_uniform", 0.05 / math.sqrt(3), 0.05),
        ("truncated_normal", 0.05 * 0.8796, 0.1),
    ],
)
def test_initializers_spread_as_keras_do(name: str, deviation: float, limit: float) -> None:
    values = INITIALIZERS[name](generator(0, "k"), (3, 3, 150, 250)).astype(np.float64)
    assert values.std() == pytest.approx(deviation, rel=0.01)
    assert abs(values.mean()) < 0.01 * deviation
    assert np.abs(values).max() <= limit * 1.0001
    assert np.abs(values).max() > 0.9 * min(limit, 4 * deviation)


def test_orthogonal_columns() -> None:
    for shape in ((3, 3, 4, 10), (10, 30)):
        matrix = INITIALIZERS["orthogonal"](generator(0, "k"), shape).reshape(-1, shape[-1])
        small = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
        np.testing.assert_allclose(small.T @ small, np.eye(small.shape[1]), atol=1e-6)


def test_absurdly_large_weights_are_refused_unmade() -> None:
    with limits.changed({"parameters": 1 << 40}):
        huge = graph("net huge {\n  input x: [100000]\n  dense(1000000)\n  output y\n}\n")
    with pytest.raises(UpcError, match=r"would take 372 GiB.*\n[^$]*dense.kernel"):
        initialize(huge, 0)


def test_seeds_count_from_zero() -> None:
    with pytest.raises(UpcError, match="seed from 0 up, got -1"):
        initialize(graph(), -1)


# Files


def test_what_is_saved_is_loaded(file: Path) -> None:
    expected = initialize(graph(), 1)
    loaded = load(file, graph())
    assert list(loaded) == [key for key, _, _ in graph().weights()]
    for key, values in expected.items():
        np.testing.assert_array_equal(loaded[key], values)
        assert loaded[key].dtype == np.float32


def test_saving_is_deterministic(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save(other, dict(reversed(initialize(graph(), 1).items())))
    assert other.read_bytes() == file.read_bytes()


def test_other_tools_read_the_file(file: Path) -> None:
    from safetensors.numpy import load_file

    for key, values in load_file(file).items():
        np.testing.assert_array_equal(values, initialize(graph(), 1)[key])


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_floats_become_single_precision(file: Path, dtype: str) -> None:
    import torch
    from safetensors.torch import save_file

    expected = initialize(graph(), 1)
    save_file({key: torch.from_numpy(w).to(getattr(torch, dtype)) for key, w in expected.items()}, file)
    for key, values in load(file, graph()).items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[key], rtol=2**-7 if dtype == "bfloat16" else 2**-10, atol=1e-7)
        rounded = torch.from_numpy(expected[key]).to(getattr(torch, dtype)).to(torch.float32).numpy()
        np.testing.assert_array_equal(values, rounded)


def changed(weights: dict[str, Array]) -> dict[str, Array]:
    weights["conv2d_transpose.kernal"] = weights.pop("conv2d_transpose.kernel")
    weights["dense.bias"] = np.zeros(23, np.float32)
    weights["stray"] = np.zeros(1, np.float32)
    return weights


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    wrong = changed(initialize(graph(), 1))
    save(path, wrong)
    for attempt in (lambda: load(path, graph()), lambda: check(wrong, graph())):
        with pytest.raises(UpcError) as raised:
            attempt()
        text = str(raised.value)
        assert len(raised.value.diagnostics) == 4
        assert "conv2d_transpose.kernel (3, 3, 5, 4) is missing" in text
        assert "`conv2d_transpose.kernal`" in text
        assert "nearest is `conv2d_transpose.kernel`" in text
        assert "dense.bias: expected shape (24,), got (23,)" in text
        assert "`stray`, which small does not" in text


def test_check_takes_anything_like_an_array() -> None:
    small = graph("net n {\n  input x: [2]\n  dense(1)\n  output y\n}\n")
    checked = check({"dense.kernel": [[1], [2]], "dense.bias": np.array([0.5])}, small)
    np.testing.assert_array_equal(checked["dense.kernel"], np.array([[1], [2]], np.float32))
    assert {w.dtype for w in checked.values()} == {np.dtype(np.float32)}
    with pytest.raises(UpcError, match="elements of type"):
        check({"dense.kernel": [["a"], ["b"]], "dense.bias": [0]}, small)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UpcError, match="cannot read weights") as raised:
        load(tmp_path / "none.safetensors", graph())
    assert raised.value.exit_code == EXIT_USAGE  # as for a model or a source that cannot be read


def test_what_is_not_finite_is_refused_unless_it_is_wanted(file: Path) -> None:
    weights = initialize(graph(), 1)
    weights["dense.bias"][[2, 5]] = np.nan, -np.inf
    weights["conv2d_transpose.kernel"][1, 2, 0, 3] = np.inf
    save(file, weights)
    for read in (lambda **how: load(file, graph(), **how), lambda **how: check(weights, graph(), **how)):
        with pytest.raises(UpcError) as raised:
            read()
        text = str(raised.value)
        assert "dense.bias has 2 values that are NaN or infinite" in text
        assert "conv2d_transpose.kernel has 1 value that is NaN or infinite" in text
        assert "--allow-nonfinite" in text
        assert len(raised.value.diagnostics) == 2
        taken = read(allow_nonfinite=True)
        assert all(np.array_equal(taken[key], array, equal_nan=True) for key, array in weights.items())


def test_a_double_beyond_single_precision_is_not_finite(file: Path) -> None:
    from safetensors.numpy import save_file

    doubles = {key: array.astype(np.float64) for key, array in initialize(graph(), 1).items()}
    doubles["dense.bias"][0] = 1e300
    save_file(doubles, file)
    with pytest.raises(UpcError, match=r"dense\.bias has 1 value that is NaN or infinite"):
        load(file, graph())
    assert load(file, graph(), allow_nonfinite=True)["dense.bias"][0] == np.inf


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html><head>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "pointer of Git LFS"),
        (b"", "it is empty"),
        (b"PK\x03\x04" + bytes(40), "`upc weights import NET.upc"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "`upc weights import NET.upc"),
        (b"\x80\x02}q\x00." + bytes(40), "`upc weights import NET.upc"),
    ],
)
def test_what_a_file_is_instead_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(UpcError) as raised:
        load(path, graph())
    assert raised.value.diagnostics[0].code == "E0611" and words in str(raised.value)


def packed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(shape: Any, offsets: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "short": b"\x01\x02",
    "zip": b"PK\x03\x04" + bytes(40),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "header beyond the file": (2**60).to_bytes(8, "little") + b"{}",
    "not JSON": packed(b"{nonsense"),
    "not UTF-8": packed(b'{"\xff\xfe": 1}'),
    "nested without end": packed(b"[" * 200_000),
    "a list": packed([1, 2]),
    "a number": packed({"dense.bias": 3}),
    "no offsets": packed({"dense.bias": {"dtype": "F32", "shape": [24]}}),
    "negative shape": packed({"dense.bias": tensor([-24], [0, 96])}, bytes(96)),
    "fractional shape": packed({"dense.bias": tensor([24.0], [0, 96])}, bytes(96)),
    "boolean shape": packed({"a": tensor([True], [0, 4])}, bytes(4)),
    "shape of many axes": packed({"a": tensor([1] * 10_000, [0, 4])}, bytes(4)),
    "huge shape": packed({"a": tensor([2**62, 2**62], [0, 4])}, bytes(4)),
    "endless number": packed(
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 4000 + b'], "data_offsets": [0, 4]}}', bytes(4)
    ),
    "number too long for Python": packed(
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 9000 + b'], "data_offsets": [0, 4]}}', bytes(4)
    ),
    "unhashable type": packed({"a": tensor([1], [0, 4], ["F32"])}, bytes(4)),
    "offsets beyond the data": packed({"dense.bias": tensor([24], [0, 96])}, bytes(95)),
    "offsets backwards": packed({"dense.bias": tensor([24], [96, 0])}, bytes(96)),
    "shape and offsets differ": packed({"dense.bias": tensor([24], [0, 92])}, bytes(92)),
    "overlapping": packed({"a": tensor([2], [0, 8]), "b": tensor([2], [4, 12])}, bytes(12)),
    "a gap": packed({"a": tensor([1], [0, 4]), "b": tensor([1], [8, 12])}, bytes(12)),
    "data left over": packed({"a": tensor([1], [0, 4])}, bytes(8)),
    "a name twice": packed(b'{"a": {}, "a": {}}'),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_refused_cheaply(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    wanted = graph()
    tracemalloc.start()
    with pytest.raises(UpcError, match="is not a safetensors file"):
        load(path, wanted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6


def test_a_long_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with open(path, "wb") as file:  # sparse: 64 MiB of header that take no room
        file.write((2**26).to_bytes(8, "little"))
        file.truncate(2**26 + 8)
    with pytest.raises(UpcError, match="header has 67108864 bytes"):
        load(path, graph())


def test_names_from_a_file_are_printed_tame(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(packed({"\x1b[31mred" + "x" * 500: tensor([1], [0, 4])}, bytes(4)))
    with pytest.raises(UpcError) as raised:
        load(path, graph())
    text = str(raised.value)
    assert "\x1b" not in text
    assert "x" * 200 not in text


def test_any_number_of_strange_names_is_answered_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    strays = {f"dense.kernel{i}": tensor([1], [4 * i, 4 * i + 4]) for i in range(20_000)}
    strays["d" * 5_000_000] = tensor([1], [80_000, 80_004])
    path.write_bytes(packed(strays, bytes(80_004)))
    with pytest.raises(UpcError, match="has 19981 more that small does not") as raised:
        load(path, graph())
    assert len(raised.value.diagnostics) < 40


def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UpcError, match="not a regular file"):
            load(path, graph())


def test_whole_numbers_are_not_weights(tmp_path: Path) -> None:
    small = graph("net n {\n  input x: [2]\n  dense(1, use_bias=false)\n  output y\n}\n")
    path = tmp_path / "w.safetensors"
    path.write_bytes(packed({"dense.kernel": tensor([2, 1], [0, 16], "I64")}, bytes(16)))
    with pytest.raises(UpcError, match="elements of type I64, expected one of F32, F16, F64, BF16"):
        load(path, small)


# Writing


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "first, and longer")
    write_atomic(path, "secönd")
    assert path.read_bytes() == "secönd".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "old")

    def fail(source: object, target: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="fire"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_writing_keeps_modes_and_links(tmp_path: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "link"
    write_atomic(path, "old")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    link.symlink_to(path)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
