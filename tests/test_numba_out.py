"""`out=` of a written module: where results may be written, and where not, because inputs are still read."""

from __future__ import annotations

import numpy as np
import pytest
from written import PAIR, Written, write

# Inputs and outputs of equal size, so that every offset between them is an overlap of some kind.
SAME = """
net upc_test_same {
  input a: [3, 2, 4]
  input b: [3, 2, 4]
  add(a)
  conv2d(4, 3, padding=same)
  output y
}
"""
IMAGE = 3 * 2 * 4


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(SAME, tmp_path_factory.mktemp("same"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(PAIR, tmp_path_factory.mktemp("pair"))


def laid(memory: np.ndarray, first: int, batch: int) -> np.ndarray:
    """A batch that starts at a float of the memory."""
    return memory[first : first + batch * IMAGE].reshape(batch, 3, 2, 4)


def test_results_are_written_where_the_caller_wants(same: Written, pair: Written) -> None:
    net, inputs = same.module.load(), same.inputs(5)
    out = np.full((5, 3, 2, 4), 7, np.float32)
    assert net(*inputs, out=out) is out
    np.testing.assert_array_equal(out, net(*inputs))
    pair_inputs = pair.inputs(2, H=4, W=6)
    outs = (np.empty((2, 4, 6, 4), np.float32), np.empty((2, 2, 3, 7), np.float32))
    returned = pair.module.load()(*pair_inputs, out=outs)
    assert all(a is b for a, b in zip(returned, outs, strict=True))
    pair.check(outs, pair_inputs)


@pytest.mark.parametrize("batch", [1, 300])
@pytest.mark.parametrize("offset", [0, 1, 4, 20, -1, -4, -20, "last", "first"])
@pytest.mark.parametrize("name", ["a", "b"])
def test_results_may_not_overlap_an_input(same: Written, batch: int, offset: int | str, name: str) -> None:
    net, size = same.module.load(), batch * IMAGE
    memory = np.zeros(4 * size, np.float32)
    moved = {"last": size - 1, "first": 1 - size}.get(offset, offset)
    taken = {"a": np.ones((batch, 3, 2, 4), np.float32), "b": np.ones((batch, 3, 2, 4), np.float32)}
    taken[name] = laid(memory, 2 * size, batch)
    out = laid(memory, 2 * size + moved, batch)
    with pytest.raises(ValueError, match=f"out for y shares memory with {name}"):
        net(taken["a"], taken["b"], out=out)
    assert not memory.any(), "nothing is written"


@pytest.mark.parametrize("batch", [1, 300])
def test_results_may_lie_beside_inputs(same: Written, batch: int) -> None:
    net, size = same.module.load(), batch * IMAGE
    memory = np.random.default_rng(0).standard_normal(3 * size).astype(np.float32)
    a, b = laid(memory, 0, batch), laid(memory, 2 * size, batch)
    expected = net(a, b)
    np.testing.assert_array_equal(net(a, b, out=laid(memory, size, batch)), expected)


def test_an_input_that_is_copied_may_lie_between_the_results(same: Written) -> None:
    """Every other image is an input, which is read from a copy; contiguous results cannot lie in between."""
    net, (a, b) = same.module.load(), same.inputs(4)
    expected, memory = net(a, b), np.zeros((8, 3, 2, 4), np.float32)
    memory[::2] = a
    np.testing.assert_array_equal(net(memory[::2], b, out=memory[:4]), expected)


def test_one_array_cannot_take_two_results(pair: Written) -> None:
    net, inputs = pair.module.load(), pair.inputs(7, H=2, W=2)
    memory = np.empty(1000, np.float32)
    seen, evened = memory[:112].reshape(7, 2, 2, 4), memory[112:161].reshape(7, 1, 1, 7)
    net(*inputs, out=(seen, evened))
    pair.check((seen, evened), inputs)
    with pytest.raises(ValueError, match="out for evened shares memory with out for seen"):
        net(*inputs, out=(seen, memory[111:160].reshape(7, 1, 1, 7)))


def test_an_empty_batch_overlaps_nothing(same: Written) -> None:
    empty = np.empty((0, 3, 2, 4), np.float32)
    assert same.module.load()(empty, empty, out=empty) is empty


def misaligned(shape: tuple[int, ...]) -> np.ndarray:
    floats = int(np.prod(shape))
    return np.zeros(4 * floats + 1, np.uint8)[1:].view(np.float32).reshape(shape)


def test_results_cannot_be_written_elsewhere(same: Written) -> None:
    net, inputs = same.module.load(), same.inputs(2)
    right = np.empty((2, 3, 2, 4), np.float32)
    locked = right.copy()
    locked.flags.writeable = False
    for out, words in (
        (np.empty((3, 3, 2, 4), np.float32), r"of shape \(2, 3, 2, 4\), got \(3, 3, 2, 4\)"),
        (right.astype(np.float64), "float32, got float64"),
        (right.astype(">f4"), "float32, got >f4"),
        (np.asfortranarray(right), "contiguous, got strides"),
        (np.empty((2, 3, 2, 8), np.float32)[..., ::2], "contiguous, got strides"),
        (misaligned(right.shape), "aligned"),
        (locked, "writable, got one that is read-only"),
        ("out", "a NumPy array, got str"),
        ([right], "a NumPy array, got list"),
    ):
        with pytest.raises(ValueError, match=f"out for y must be {words}"):
            net(*inputs, out=out)
    for out in ((right, right), ()):
        with pytest.raises(ValueError, match="one for each output"):
            net(*inputs, out=out)
    assert net(*inputs, out=(right,)) is right


def test_an_input_off_its_alignment_is_read_all_the_same(same: Written) -> None:
    net, (a, b) = same.module.load(), same.inputs(2)
    off = misaligned(a.shape)
    off[:] = a
    assert not off.flags.aligned
    np.testing.assert_array_equal(net(off, b), net(a, b))
