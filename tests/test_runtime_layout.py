"""Memory: no two values that are needed at once share a float, and everything lies on a cache line."""

from __future__ import annotations

from itertools import combinations
from random import Random

import numpy as np
import pytest

from upc.runtime.layout import LINE, SLACK, Picture, Table, Weights, aligned, place


@pytest.mark.parametrize("seed", range(100))
def test_living_buffers_never_overlap(seed: int) -> None:
    r = Random(seed)
    names = [f"v{i}" for i in range(r.randint(1, 25))]
    sizes = {name: LINE * r.randint(1, 60) for name in names}
    lives = {}
    for name in names:
        born = r.randint(0, 20)
        lives[name] = (born, born + r.choice([0, 0, 1, 2, 10]))
    offsets, total = place(sizes, lives)
    for a, b in combinations(names, 2):
        at_once = lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]
        apart = offsets[a] + sizes[a] <= offsets[b] or offsets[b] + sizes[b] <= offsets[a]
        assert apart or not at_once, (a, b)
    assert all(offset % LINE == 0 for offset in offsets.values())
    assert total == max(offsets[name] + sizes[name] for name in names)
    needed = max(sum(sizes[n] for n in names if lives[n][0] <= t <= lives[n][1]) for t in range(40))
    assert needed <= total <= sum(sizes.values())


def test_buffers_of_different_times_share_memory() -> None:
    sizes = {"a": 64, "b": 64, "c": 64}
    offsets, total = place(sizes, {"a": (0, 1), "b": (1, 2), "c": (2, 3)})
    assert total == 128 and offsets["a"] == offsets["c"] != offsets["b"]


def test_no_buffers_need_no_memory() -> None:
    assert place({}, {}) == ({}, 0)


def test_pictures_have_room_for_their_rim() -> None:
    picture = Picture(5, 7, 3, (1, 2, 3, 4))
    assert picture.row == (3 + 7 + 4) * 3
    assert picture.image >= (1 + 5 + 2) * picture.row and picture.image % LINE == 0
    assert picture.origin == 1 * picture.row + 3 * 3


def test_many_channels_stay_off_powers_of_two() -> None:
    assert Picture(8, 8, 512, spread=True).pitch % 256 != 0
    assert Picture(8, 8, 48, spread=True).pitch == Picture(1, 1, 48).pitch == 48
    assert Picture(1, 1, 512).pitch == 512


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_arrays_start_on_a_cache_line(count: int) -> None:
    array = aligned(count)
    assert array.shape == (count,) and array.dtype == np.float32 and not array.any()
    assert array.ctypes.data % (4 * LINE) == 0 or count == 0


def test_weights_are_packed_on_cache_lines_with_room_behind() -> None:
    weights = Weights()
    parts = [np.arange(n, dtype=float) + n for n in (5, 16, 1, 33)]
    starts = [weights.add(part) for part in parts]
    packed = weights.array()
    assert all(start % LINE == 0 for start in starts) and packed.ctypes.data % (4 * LINE) == 0
    for start, part in zip(starts, parts, strict=True):
        np.testing.assert_array_equal(packed[start : start + part.size], part)
    assert len(packed) == starts[-1] + 48 + SLACK
    assert len(Weights().array()) == SLACK


def test_tables_flatten_whatever_they_are_given() -> None:
    table = Table()
    first = table.add([1, 2])
    second = table.add(np.arange(4).reshape(2, 2))
    third = table.add([[7], [8]])
    table.put(first, [9])
    assert (first, second, third) == (0, 2, 6)
    assert table.array().tolist() == [9, 2, 0, 1, 2, 3, 7, 8] and table.array().dtype == np.int64
