"""Files of weights with something wrong: upc and the modules it writes judge each alike, and as the format demands."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from torture.mutated_weights import compare, mutated, pack, run, setting
from torture.run import Amount

from upc.weights import load

SETTING = setting()


def test_both_readers_judge_thousands_of_mutated_files_alike() -> None:
    record = run(Amount(inputs=2000), seed=1)
    assert record.lost == () and record.tried > 500


def test_the_attack_gets_to_every_judgement(tmp_path: Path) -> None:
    weights, graph, module = SETTING
    files = mutated(weights, 200, seed=2)
    verdicts = {compare(content, tmp_path / "w.safetensors", graph, module) for content in files}
    assert verdicts == {"taken", "E0611", "E0612"}


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def parts(dtype: str, size: int) -> bytes:
    """A file whose kernel is of another type."""
    weights, _, _ = SETTING
    header, data, place = {}, b"", 0
    for name, array in weights.items():
        part = array.tobytes() if name != "conv2d.kernel" else bytes(array.size * size)
        header[name] = entry("F32" if name != "conv2d.kernel" else dtype, list(array.shape), place, place + len(part))
        data, place = data + part, place + len(part)
    return pack(header, data)


@pytest.mark.parametrize(
    ("dtype", "size", "verdict"),
    [
        *((dtype, size, "taken") for dtype, size in (("F32", 4), ("F16", 2), ("BF16", 2), ("F64", 8))),
        *((dtype, size, "E0612") for dtype, size in (("U8", 1), ("BOOL", 1), ("I32", 4), ("I64", 8))),
        *((dtype, 1, "E0612") for dtype in ("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8")),
    ],
)
def test_types_that_both_take_and_that_both_refuse(dtype: str, size: int, verdict: str, tmp_path: Path) -> None:
    _, graph, module = SETTING
    assert compare(parts(dtype, size), tmp_path / "w.safetensors", graph, module) == verdict


HEAVY = {
    "three thousand brackets": b"[" * 3000,
    "brackets without end": b"[" * 2**23,
    "lists in a list": b"[" + b"[]," * (2**22) + b"[]]",
    "a list of numbers": b"[" + b"1," * (2**23 - 2) + b"1]",
    "one name many times": b"{" + b'"a":1,' * (2**21) + b'"a":1}',
    "many names": b"{" + b",".join(b'"%d":{}' % i for i in range(1_000_000)) + b"}",
    "a name of sixteen megabytes": b'{"' + b"a" * (2**24 - 40) + b'":{}}',
    "letters that take four bytes each": b'{"' + "\U0001f600".encode() * (2**21) + b'":{}}',
}


@pytest.mark.parametrize("header", HEAVY.values(), ids=HEAVY)
def test_headers_that_mean_to_fill_the_memory(header: bytes, tmp_path: Path) -> None:
    _, graph, module = SETTING
    path = tmp_path / "w.safetensors"
    path.write_bytes(pack(header, b""))
    for read in (lambda: load(path, graph), lambda: module.load(path)):
        tracemalloc.start()
        with pytest.raises(Exception, match="not a safetensors file"):
            read()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 120e6
