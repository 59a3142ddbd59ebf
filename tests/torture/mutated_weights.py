"""Safetensors files with something wrong, the same for the same seed, and what every reader of upc makes of one."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load as load_official
from safetensors.numpy import save as to_bytes

from torture.run import PORTION_S, Amount, Record
from upc.diagnostics import UpcError
from upc.ir import Array, Graph
from upc.runtime.stored import unique_names
from upc.weights import load

DTYPES = ("F32", "F16", "BF16", "F64", "BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64", "F8_E4M3",
          "F8_E5M2", "F8_E8M0", "F4", "C64", "f32", "", "F32\x1b[31m")  # fmt: skip
NUMBERS = (0, 1, 2, -1, 3.0, True, None, "4", 1e400, 2**31, 2**63, 2**64, 10**30, [], [1], {})


def pack(header: Any, data: bytes, length: int | None = None) -> bytes:
    """A file of a header, given as a value of JSON or as its very bytes, and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def unpack(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Its inverse, of a file that is right."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _flip(content: bytes, draw: random.Random, first: int, last: int) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        changed[draw.randrange(first, last)] = draw.randrange(256)
    return bytes(changed)


def _other_bytes(content: bytes, draw: random.Random) -> bytes:
    return _flip(content, draw, 0, len(content))


def _other_header_bytes(content: bytes, draw: random.Random) -> bytes:
    return _flip(content, draw, 8, 8 + int.from_bytes(content[:8], "little"))


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _longer(content: bytes, draw: random.Random) -> bytes:
    return content + bytes(draw.choice((1, 4, 8, 100)))


def _length(content: bytes, draw: random.Random) -> bytes:
    true = int.from_bytes(content[:8], "little")
    length = draw.choice((0, 1, true - 1, true + 1, len(content) - 8, len(content), 2**24, 2**25, 2**62, 2**64 - 1))
    return (length % 2**64).to_bytes(8, "little") + content[8:]  # the true one may be 0, or the largest there is


def _dtype(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    entry = header[draw.choice(list(header))]
    entry["dtype"] = draw.choice(DTYPES)
    return pack(header, data)


def _whole_dtype(content: bytes, draw: random.Random) -> bytes:
    """A tensor of another type, stored as that type must be."""
    header, data = unpack(content)
    sizes = {"F64": 8, "F16": 2, "BF16": 2, "BOOL": 1, "U8": 1, "I32": 4, "I64": 8, "F8_E4M3": 1, "U16": 2}
    changed = draw.choice(list(header))
    dtype, parts, place = draw.choice(list(sizes)), [], 0
    for name, entry in header.items():
        part = data[slice(*entry["data_offsets"])]
        if name == changed:
            part = bytes(len(part) // 4 * sizes[dtype])
            entry["dtype"] = dtype
        entry["data_offsets"] = [place, place + len(part)]
        place += len(part)
        parts.append(part)
    return pack(header, b"".join(parts))


def _numbers(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    field = header[draw.choice(list(header))][draw.choice(("shape", "data_offsets"))]
    field[draw.randrange(len(field))] = draw.choice(NUMBERS)
    return pack(header, data)


def _fields(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    entry = header[draw.choice(list(header))]
    field = draw.choice(("dtype", "shape", "data_offsets"))
    change = draw.randrange(4)
    if change == 0:
        del entry[field]
    elif change == 1:
        entry[field] = draw.choice(NUMBERS)
    elif change == 2:
        entry["more"] = draw.choice(NUMBERS)
    else:
        entry["shape"] = draw.sample(entry["shape"], len(entry["shape"])) + [1] * draw.randrange(3)
    return pack(header, data)


def _names(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    name = draw.choice(list(header))
    entry = header.pop(name)
    others = (name + " ", name.upper(), "", "\x1b[31mred", "\ud800", "a" * 300, "__metadata__", "é", name + "\x00")
    header[draw.choice((*others, *header))] = entry
    return pack(header, data)


def _swap(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    one, other = draw.sample(list(header), 2)
    header[one], header[other] = header[other], header[one]
    return pack(header, data)


def _twice(content: bytes, draw: random.Random) -> bytes:
    """A name that stands there twice, for a tensor or within one."""
    header, data = unpack(content)
    text = json.dumps(header)
    if draw.random() < 0.5:
        name = draw.choice(list(header))
        text = text[:-1] + f", {json.dumps(name)}: {json.dumps(header[draw.choice(list(header))])}}}"
    else:
        field = draw.choice(('"dtype": "F32"', '"shape": [1]', '"data_offsets": [0, 4]'))
        text = text.replace('"dtype"', f'{field}, "dtype"', 1)
    return pack(text.encode(), data)


def _metadata(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    remarks: tuple[Any, ...] = ({}, {"format": "pt"}, {"a": 1}, {"a": {}}, [], "text", None, {"dtype": "F32"})
    return pack({"__metadata__": draw.choice(remarks), **header}, data)


def _syntax(content: bytes, draw: random.Random) -> bytes:
    header, data = unpack(content)
    text = json.dumps(header).encode()
    deep = draw.choice((10, 500, 3000, 100_000))
    forms = (
        b" " + text, text + b"  ", b"\xef\xbb\xbf" + text, text + b"\x00", text.replace(b",", b",,", 1), b"[" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep, text.replace(b'"', b"'"), text[:-1] + b"," + text[-1:], b"null", b"{}",
        b"[]", b"1", b"NaN", b"", text.replace(b"0", b"NaN", 1), text.replace(b"0", b"-0", 1),
        text.replace(b"0", b"00", 1), text.replace(b"0", b"0.0", 1), text.replace(b"[", b"[0, ", 1),
        text.replace(b'"F32"', b'"\\u00463\\u0032"', 1), text.replace(b"{", b"{/**/", 1),
    )  # fmt: skip
    return pack(draw.choice(forms), data)


def _values(content: bytes, draw: random.Random) -> bytes:
    """Numbers that are no ordinary ones."""
    header, data = unpack(content)
    numbers = np.frombuffer(data, np.float32).copy()
    some = (np.nan, np.inf, -np.inf, np.float32(1e-45), -0.0, np.finfo(np.float32).max)
    numbers[draw.randrange(len(numbers))] = draw.choice(some)
    return pack(header, numbers.tobytes())


def _moved(content: bytes, draw: random.Random) -> bytes:
    """Overlaps and gaps that add up to the same length."""
    header, data = unpack(content)
    entry = header[draw.choice(list(header))]
    by = draw.choice((-8, -4, -1, 1, 4, 8))
    entry["data_offsets"] = [n + by for n in entry["data_offsets"]]
    return pack(header, data)


def _as_it_is(content: bytes, draw: random.Random) -> bytes:
    return content


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_other_bytes, _other_header_bytes, _cut, _longer, _length, _dtype, _whole_dtype, _numbers, _fields, _names),
    *(_swap, _twice, _metadata, _syntax, _values, _moved, _as_it_is),
)


def mutated(weights: Mapping[str, Array], count: int, seed: int) -> Iterator[bytes]:
    """So many files made from one that is right by one or two changes each."""
    right = to_bytes(dict(weights))
    draw = random.Random(seed)
    for _ in range(count):
        content = right
        for _ in range(draw.choice((1, 1, 1, 2))):
            mutation = draw.choice(MUTATIONS)
            try:
                content = mutation(content, draw)
            except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
                break  # what was changed before can no longer be taken apart
        yield content


def compare(content: bytes, file: Path, graph: Graph, module: ModuleType) -> str:
    """What upc and a written module make of a file: "taken" or why not. AssertionError where that is not right.

    The judge is the safetensors package: what both take, it reads with the same bits, and what it takes and has
    names, shapes, types and values of the graph, both take.
    """
    file.write_bytes(content)
    try:
        ours, verdict, words = load(file, graph), "taken", ""
    except UpcError as problem:
        ours, verdict, words = None, problem.diagnostics[0].code, str(problem)
        assert verdict in ("E0611", "E0612"), verdict
        assert "\x1b" not in words
    try:
        theirs = module.load(file).weights
    except ValueError as problem:
        assert ours is None, f"upc takes what the module refuses: {problem}"
        assert "\x1b" not in str(problem)
    else:
        assert ours is not None, f"the module takes what upc refuses: {words}"
        assert list(theirs) == list(ours) and all(np.array_equal(theirs[k], v, equal_nan=True) for k, v in ours.items())
    official = _official(content, graph)
    if ours is None:
        assert official is None, f"upc refuses what is right: {words}"
        return verdict
    deserialize(content)  # or it raises
    if official is not None:
        assert all(np.array_equal(ours[key], array) for key, array in official.items())
    return verdict


def _official(content: bytes, graph: Graph) -> dict[str, Array] | None:
    """The graph's weights as the safetensors package reads them; None where they are not all there.

    Of two tensors of one name it takes the last. Here, as for upc, that is no file of weights.
    """
    try:
        found = load_official(content)
        json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")], object_pairs_hook=unique_names)
    except (SafetensorError, ValueError, KeyError, OverflowError, TypeError, AttributeError):
        return None  # the last ones are of types that NumPy lacks
    wanted = {key: weight.shape for key, weight, _ in graph.weights()}
    if {key: array.shape for key, array in found.items()} != wanted:
        return None
    if any(array.dtype.kind != "f" or not np.isfinite(array.astype(np.float32)).all() for array in found.values()):
        return None
    return {key: array.astype(np.float32) for key, array in found.items()}


def attack(weights: Mapping[str, Array], graph: Graph, module: ModuleType, amount: Amount, seed: int) -> Record:
    """Compare the readers on so many files; `notes` count the verdicts."""
    verdicts: Counter[str] = Counter()
    lost = []
    end = time.monotonic() + (PORTION_S if amount.seconds is None else min(amount.seconds, PORTION_S))
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(mutated(weights, amount.inputs or 100_000, seed)):
            if time.monotonic() > end:
                break
            try:
                verdicts[compare(content, Path(folder, "w.safetensors"), graph, module)] += 1
            except Exception as problem:  # whatever is not among the errors that are promised
                verdicts["lost"] += 1
                lost.append(f"file {number} of seed {seed}: {type(problem).__name__}: {str(problem)[:200]}")
    count = sum(verdicts.values())
    return Record(tried=count, survived=count - len(lost), lost=tuple(lost))


TEXT = "net small { input x: [3, 2, 2] conv2d(3, kernel_size=2, activation=relu) batch_normalization() output y }"


def setting() -> tuple[dict[str, Array], Graph, ModuleType]:
    """A small net's weights, the net, its written module."""
    from upc.build import compile_source
    from upc.load_numba import load_module
    from upc.source import Source
    from upc.weights import initialize

    graph = compile_source(Source("small.upc", TEXT))
    return initialize(graph, 3), graph, load_module(graph, "auto", 1)


USUAL = Amount(inputs=50_000)


def run(amount: Amount, seed: int) -> Record:
    """One portion of the attack."""
    return attack(*setting(), amount, seed)
