"""Mutated models: `.keras`, `.weights.h5` and `.pt` files with something wrong, given to `weights import`.

Survived is a file that is taken, with weights of the net's names, shapes and type, all finite; or one that is refused
in words that a terminal can be shown. Each within little time and memory, and nothing in a file runs: pickles and
configurations name functions that would leave a folder `ran` behind. The files are read in forked children, so that
one that kills a library is one loss and not the end.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import signal
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from mutated_weights import NUMBERS
from run import PORTION_S, Amount, Record

from upc.build import compile_source
from upc.convert import export_weights, import_weights
from upc.diagnostics import UpcError
from upc.ir import Graph
from upc.source import Source
from upc.weights import initialize

USUAL = Amount(inputs=20_000)
SECONDS, MEGABYTES = 2.0, 300
"""Processor time and memory that reading one small file may take."""

HANG_S = 60
TEXT = """net small {
  input x: [6, 5, 3]
  conv2d(4, kernel_size=[3, 2], activation=relu)
  batch_normalization()
  conv2d_transpose(2, kernel_size=3, strides=2)
  flatten()
  dense(3)
  output y
}
"""
ENDINGS = (".keras", ".weights.h5", ".pt")


class Evil:
    """What a pickle should not be able to do."""

    def __init__(self, how: Callable[..., object], *given: object) -> None:
        self.how, self.given = how, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.how, self.given


EVILS = (Evil(os.mkdir, "ran"), Evil(eval, "__import__('os').mkdir('ran')"), Evil(os.system, "mkdir ran"))


def flipped(content: bytes, r: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(r.choice((1, 1, 2, 8, 40))):
        changed[r.randrange(len(changed))] = r.choice((0, 1, 0xFF, 0x80, r.randrange(256)))
    return bytes(changed)


def one_bit(content: bytes, r: Random) -> bytes:
    changed = bytearray(content)
    changed[r.randrange(len(changed))] ^= 1 << r.randrange(8)
    return bytes(changed)


def cut(content: bytes, r: Random) -> bytes:
    return content[: r.randrange(len(content))]


def moved(content: bytes, r: Random) -> bytes:
    """A piece taken out, doubled or put elsewhere."""
    first = r.randrange(len(content))
    last = min(len(content), first + r.choice((1, 4, 8, 64, 512, 4096)))
    piece, rest = content[first:last], content[:first] + content[last:]
    at = r.randrange(len(rest) + 1)
    return r.choice((rest, content[:last] + piece + content[last:], rest[:at] + piece + rest[at:]))


def numbers(content: bytes, r: Random) -> bytes:
    """Four or eight bytes that become some notable number: lengths, offsets, counts."""
    size = r.choice((1, 2, 4, 8))
    at = r.randrange(max(len(content) - size, 1))
    if r.random() < 0.7:
        at -= at % size
    number = r.choice((0, 1, 2, 2**7, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1))
    return content[:at] + (number % 2 ** (8 * size)).to_bytes(size, "little") + content[at + size :]


def bits(content: bytes, r: Random) -> bytes:
    return r.choice((flipped, one_bit, cut, moved, numbers))(content, r)


def archived(content: bytes, r: Random) -> bytes:
    """An archive with a member more, less, twice, elsewhere, changed or squeezed."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    change, at = r.randrange(9), r.randrange(len(members))
    name, inside = members[at]
    how = zipfile.ZIP_STORED
    if change == 0:
        del members[at]
    elif change == 1:
        members.append((name, bits(inside, r)) if inside else (name, b"x"))
    elif change == 2:
        members[at] = (r.choice(("../" + name, "/" + name, name.upper(), "", name + "\x1b[31m", "a/" * 500)), inside)
    elif change == 3:
        members[at] = (name, bytes(r.choice((0, 1, 2**20, 2**25))))
        how = zipfile.ZIP_DEFLATED
    elif change == 4:
        how = r.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    elif change == 5:
        members[at] = (name, members[r.randrange(len(members))][1])
    elif change == 6:
        members = members * r.choice((2, 50))
    elif name.endswith(".json"):
        members[at] = (name, described(inside, r))
    elif name.endswith(".pkl"):
        members[at] = (name, pickled(inside, r))
    elif inside:
        members[at] = (name, bits(inside, r))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as new:
        for name, inside in members:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of two members by one name
                new.writestr(name, inside)
    return file.getvalue()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a value of JSON."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def described(content: bytes, r: Random) -> bytes:
    """A configuration with values in each other's places, of other types, or naming what would run."""
    config = json.loads(content)
    found = list(places(config))
    for _ in range(r.choice((1, 1, 3))):
        (into, key), (of, other) = r.choice(found), r.choice(found)
        kind = r.randrange(6)
        try:
            if kind == 0:
                into[key], of[other] = of[other], into[key]
            elif kind == 1:
                into[key] = json.loads(json.dumps(of[other]))
            elif kind == 2:
                into[key] = r.choice(NUMBERS)
            elif kind == 3 and isinstance(into, dict):
                del into[key]
            elif kind == 4:
                lambda_layer = {
                    "class_name": "Lambda",
                    "module": r.choice(("keras.layers", "os", "builtins", "subprocess")),
                    "config": {"function": {"class_name": "__lambda__", "config": {"code": "b3MubWtkaXIoJ3Jhbicp"}}},
                    "registered_name": r.choice((None, "os>mkdir", "builtins>eval")),
                    "build_config": {"input_shape": [None, 3]},
                }
                into[key] = lambda_layer
            else:
                into[key] = r.choice(
                    ("os.mkdir", "\x1b[31m", "eval", "a" * 5000, "é\u202e", "__import__('os').mkdir('ran')")
                )
        except (KeyError, IndexError, TypeError):
            continue
    try:
        text = json.dumps(config)
    except (ValueError, RecursionError):  # what holds itself
        return content
    return text.encode() if r.random() < 0.9 else bits(text.encode(), r)


def pickled(content: bytes, r: Random) -> bytes:
    """A state dict with other names of functions, or with calls of them."""
    kind = r.randrange(4)
    if kind == 0:
        return pickle.dumps({"a": r.choice(EVILS)}, protocol=r.choice((0, 1, 2, 4)))
    if kind == 1:
        named = r.choice(
            (b"cos\nsystem\n", b"cbuiltins\neval\n", b"cposix\nmkdir\n", b"ctorch\nload\n", b"cnumpy\nload\n")
        )
        return content.replace(b"ccollections\nOrderedDict\n", named, 1)
    if kind == 2:
        named = r.choice((b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor\n", b"ctorch.storage\nUntypedStorage\n"))
        return content.replace(b"ctorch._utils\n_rebuild_tensor_v2\n", named)
    call = b"cposix\nmkdir\n(S'ran'\ntR0"
    at = r.randrange(2, len(content))
    return content[:2] + call + content[2:] if r.random() < 0.5 else content[:at] + call + content[at:]


def originals(graph: Graph, folder: Path) -> dict[str, bytes]:
    """The files that are right, by their endings; PyTorch's in its older format as well."""
    import torch

    found = {}
    weights = initialize(graph, 3)
    for ending in ENDINGS:
        export_weights(graph, weights, folder / f"right{ending}")
        found[ending] = (folder / f"right{ending}").read_bytes()
    tensors = torch.load(folder / "right.pt", weights_only=True)
    torch.save(tensors, folder / "old.pt", _use_new_zipfile_serialization=False)
    found["old .pt"] = (folder / "old.pt").read_bytes()
    return found


def mutated(content: bytes, r: Random) -> bytes:
    for _ in range(r.choice((1, 1, 1, 2))):
        if not content:
            return content
        try:
            archive = r.random() < 0.6 and zipfile.is_zipfile(io.BytesIO(content))
            content = archived(content, r) if archive else bits(content, r)
        except Exception:  # what was changed before can no longer be taken apart
            content = bits(content, r)
    return content


def judge(graph: Graph, path: Path) -> str:
    """What is made of a file: "taken" or the code of the error. AssertionError where that is not right."""
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        weights = import_weights(graph, path).weights
    except UpcError as problem:
        verdict, words = problem.diagnostics[0].code, str(problem)
        assert words and not set(words) & set("\x1b\x9b\x07\x08"), f"said {words[:100]!a}"
    else:
        verdict = "taken"
        assert {key: weight.shape for key, weight, _ in graph.weights()} == {k: w.shape for k, w in weights.items()}
        assert all(w.dtype == np.float32 and np.isfinite(w).all() for w in weights.values())
    took = time.process_time() - before
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert took < SECONDS and grown < MEGABYTES, f"{verdict} took {took:.1f} s and {grown:.0f} MB"
    assert not Path("ran").exists(), "something in the file has run"
    return verdict


def attack(graph: Graph, files: dict[str, bytes], folder: Path, first: int, last: int, seed: int) -> Iterator[str]:
    """Judge mutated files by their numbers in a child, a verdict each; where it dies, that is the last one's."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            os.chdir(folder)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            for number in range(first, last):
                r = Random(f"models {seed} {number}")
                ending = r.choice(list(files))
                path = folder / f"x{ending.split()[-1]}"
                path.write_bytes(mutated(files[ending], r))
                signal.alarm(HANG_S)
                try:
                    said = judge(graph, path)
                except BaseException as problem:
                    said = f"lost: {ending}, {type(problem).__name__}: {str(problem)[:200]!a}"
                os.write(writer, (said + "\n").encode())
        finally:
            os._exit(0)
    os.close(writer)
    done = first
    with open(reader, errors="replace") as lines:
        for line in lines:
            done += 1
            yield line.rstrip("\n")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if done < last:
        yield f"lost: the process ended with {status}"


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import h5py  # noqa: F401
        import torch  # noqa: F401
    except ImportError as problem:
        return Record(notes=(f"not tried: {problem}",))
    graph = compile_source(Source("small.upc", TEXT))
    verdicts, lost, number = Counter[str](), [], 0
    end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = originals(graph, folder)
        import_weights(graph, folder / "right.pt"), import_weights(graph, folder / "right.keras")
        while time.monotonic() < end and number != amount.inputs:
            last = min(number + 50, amount.inputs or number + 50)
            for said in attack(graph, files, folder, number, last, seed):
                verdict = said.partition(":")[0]
                verdicts[verdict] += 1
                if verdict == "lost":
                    lost.append(f"{said[6:]} (file {number} of seed {seed})")
                number += 1
    return Record(number, number - len(lost), tuple(lost))
