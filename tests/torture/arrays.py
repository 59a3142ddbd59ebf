"""Arrays of every make as inputs and `out=`: what a module takes it takes right, all else it refuses in words.

Inputs and results are views into one pool of memory: at any offset, with any strides, overlapping, read-only,
of other types, orders and shapes. Survived is a call that returns what it returns for plain copies, bit by bit, and
writes nowhere but into `out`; or one that raises TypeError or ValueError and writes nowhere at all.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from run import PORTION_S, Amount, Record
from written import PAIR, TINY, Written, write

USUAL = Amount(inputs=200_000)

SAME = """
net upc_test_same {
  input a: [3, 2, 4]
  input b: [3, 2, 4]
  add(a)
  conv2d(4, 3, padding=same)
  output y
}
"""
POOL = 1 << 16
TYPES = ("f8", "f2", ">f4", "i4", "u1", "?", "c8", "S4", "M8[s]", "O")


def laid(pool: np.ndarray, shape: tuple[int, ...], r: Random, values: np.ndarray | None) -> np.ndarray:
    """A float32 view of this shape into the pool, somehow; it is given these values."""
    order = list(range(len(shape)))
    if r.random() < 0.3:
        r.shuffle(order)
    steps, stride = [0] * len(shape), 4
    for axis in reversed(order):
        step = stride * (r.choice((1, 1, 1, 1, 2, 3)) if r.random() < 0.5 else 1)
        steps[axis] = step
        stride = step * max(shape[axis], 1)
    for axis in range(len(shape)):
        if r.random() < 0.06:
            steps[axis] = -steps[axis]
        elif r.random() < 0.02:
            steps[axis] = 0
    low = sum(step * (n - 1) for step, n in zip(steps, shape, strict=True) if step < 0 and n)
    high = sum(step * (n - 1) for step, n in zip(steps, shape, strict=True) if step > 0 and n)
    if high - low + 4 > len(pool):
        return np.zeros(shape, np.float32) if values is None else values.copy()
    first = r.randrange(0, len(pool) - (high - low) - 3)
    if r.random() < 0.9:
        first -= first % 4
    view = np.ndarray(shape, np.float32, buffer=pool.data, offset=first - low, strides=tuple(steps))
    if values is not None:
        view[...] = values
    return view


def odd(array: np.ndarray, r: Random) -> Any:
    """Something else in an array's place."""
    kind = r.randrange(9)
    if kind == 0:
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(array).astype(r.choice(TYPES[:7]))
    if kind == 1:
        return np.zeros(array.shape, r.choice(TYPES))
    if kind == 2:
        return r.choice((array.reshape(-1), array[None], array[..., None], array[:1].sum(0)))
    if kind == 3:
        return np.zeros([max(n + r.choice((-1, 0, 0, 1)), 0) for n in array.shape], np.float32)
    if kind == 4:
        return r.choice(
            (None, "x", 1.0, array.tolist(), (array,), {}, array.tobytes(), memoryview(array.copy()), object())
        )
    if kind == 5:
        return np.ma.masked_array(array, mask=array > 0)
    if kind == 6:
        return array.view(np.recarray)
    if kind == 7:
        return np.zeros((0,) * array.ndim, np.float32)
    return np.broadcast_to(array[:1], array.shape)


class Attack:
    """The nets under attack."""

    def __init__(self, folder: Path) -> None:
        self.written: list[Written] = []
        for text in (SAME, PAIR, TINY):
            place = folder / f"net{len(self.written)}"
            place.mkdir()
            self.written.append(write(text, place))
        self.nets = [[w.module.load(w.weights, threads=n) for n in (1, 2)] for w in self.written]

    def one(self, r: Random) -> str:
        """One call: "taken" or "refused"; AssertionError where it went wrong."""
        number = r.randrange(len(self.nets))
        written, net = self.written[number], r.choice(self.nets[number])
        batch = r.choice((0, 1, 1, 2, 3, 5, 40))
        h = 2 * r.randint(1, 4)
        sizes = {"H": h, "W": 2 * r.randint(1, 4)} if number == 1 else {}
        pool = np.frombuffer(
            bytearray(np.random.default_rng(r.getrandbits(32)).random(POOL // 4, np.float32).tobytes()), np.uint8
        )
        plain = written.inputs(batch, r.randrange(4), **sizes)
        inputs: list[Any] = [laid(pool, x.shape, r, x) for x in plain]
        results = _tuple(net(*(np.array(x) for x in inputs)))
        if r.random() < 0.15:
            at = r.randrange(len(inputs))
            inputs[at] = odd(inputs[at], r)
        for x in inputs:
            if isinstance(x, np.ndarray) and r.random() < 0.05:
                x.flags.writeable = False
        if r.random() < 0.02:
            inputs = inputs[:-1] if r.random() < 0.5 else [*inputs, inputs[0]]
        out: Any = None
        if r.random() < 0.75:
            outs: list[Any] = [
                laid(pool, y.shape, r, None) if r.random() < 0.7 else np.empty(y.shape, np.float32) for y in results
            ]
            if r.random() < 0.15:
                at = r.randrange(len(outs))
                outs[at] = odd(outs[at], r)
            for y in outs:
                if isinstance(y, np.ndarray) and r.random() < 0.03:
                    y.flags.writeable = False
            if r.random() < 0.02:
                outs = outs[:-1] if r.random() < 0.5 else [*outs, outs[0]]
            out = outs[0] if len(outs) == 1 and r.random() < 0.8 else r.choice((tuple, tuple, list))(outs)
        return self.judge(net, inputs, out, pool)

    def judge(self, net: Any, inputs: list[Any], out: Any, pool: np.ndarray) -> str:
        copies = [np.array(x) if isinstance(x, np.ndarray) else x for x in inputs]
        expected: tuple[np.ndarray, ...] | None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of imaginary parts
                expected = _tuple(net(*(np.array(x, np.float32, order="C") for x in copies)))
        except (TypeError, ValueError):
            expected = None  # what is no numbers of that shape
        before = pool.copy()
        try:
            found = net(*inputs) if out is None else net(*inputs, out=out)
        except (TypeError, ValueError) as problem:
            assert str(problem), "refused without a word"
            assert np.array_equal(pool, before), f"refused, but something was written: {problem}"
            return "refused"
        assert expected is not None, "taken, though it is nothing of its kind"
        for y, right in zip(_tuple(found), expected, strict=True):
            assert y.shape == right.shape and y.dtype == np.float32
            assert np.array(y).tobytes() == right.tobytes(), "taken, and the result is another"
        if out is not None:
            given = out if isinstance(out, (tuple, list)) else (out,)
            assert all(y is wanted for y, wanted in zip(_tuple(found), given, strict=True)), (
                "out is not what is returned"
            )
            for y in given:  # what lies in the pool may have changed there, and nowhere else
                if isinstance(y, np.ndarray) and np.may_share_memory(y, pool):
                    start = y.__array_interface__["data"][0] - pool.__array_interface__["data"][0]
                    before[start : start + y.nbytes] = pool[start : start + y.nbytes]
        assert np.array_equal(pool, before), "something beside the result was written"
        return "taken"


def _tuple(found: Any) -> tuple[np.ndarray, ...]:
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    r, verdicts, lost = Random(f"arrays {seed}"), Counter[str](), []
    end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
    with tempfile.TemporaryDirectory() as folder:
        attack = Attack(Path(folder))
        while time.monotonic() < end and verdicts.total() != amount.inputs:
            state = r.getrandbits(60)
            try:
                verdicts[attack.one(Random(state))] += 1
            except Exception as problem:
                verdicts["lost"] += 1
                lost.append(f"{type(problem).__name__}: {str(problem)[:160]} (call {state})")
    tried = verdicts.total()
    return Record(tried, tried - len(lost), tuple(lost))
