"""A few of the whole nets; `make sweep` runs more, on every target."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent)]

import drawn  # noqa: E402
import nets  # noqa: E402
from drawn import BATCHES, PAST, draw  # noqa: E402
from nets import ALGORITHMS, Verdict, on_framework, on_numba, ratio_of, report, run, stored  # noqa: E402
from sweep import Pool  # noqa: E402

SAMPLE = 10_000, 10_001  # of none of the recorded ones


@pytest.fixture
def lighter(monkeypatch):
    """Fewer images and pixels than in the recorded run."""
    monkeypatch.setattr(drawn, "MOST_FLOATS", 100_000)
    monkeypatch.setattr(drawn, "MOST_OF_A_BATCH", 400_000)


@pytest.mark.usefixtures("lighter")
@pytest.mark.parametrize("seed", SAMPLE)
def test_numba_agrees_whatever_the_algorithm_the_threads_and_the_batch(seed):
    found = on_numba(draw(seed))
    assert [v.target for v in found] == [f"numba[{algorithm}]" for algorithm in ALGORITHMS]
    assert not [v for v in found if v.bad]


@pytest.mark.usefixtures("lighter")
def test_a_framework_agrees():
    with Pool() as pool:
        found = on_framework(draw(SAMPLE[1]), "torch", pool)
    assert not found.bad and found.runs == len(list(draw(SAMPLE[1]).runs()))


def test_the_nets_meet_all_that_is_promised():
    found = [draw(seed) for seed in range(20)]
    assert [net.text for net in found] == [draw(seed).text for seed in range(20)]
    runs = [run for net in found for run in net.runs()]
    sizes = {size for numbers, _ in runs for size in numbers.values()}
    assert {1, 2, 7, 13, 61, *PAST} <= sizes and {0, 1, 2, 3, *BATCHES[:2]} <= {batch for _, batch in runs}
    assert sum("block " in net.text for net in found) > 10
    assert all(any(batch == 0 for _, batch in net.runs()) for net in found)


@pytest.mark.usefixtures("lighter")
def test_what_is_wrong_is_found():
    (words, posed), *_ = nets.problems(draw(SAMPLE[1]))
    assert "batch" in words and ratio_of(posed, posed.expected) == 0
    assert ratio_of(posed, [y + np.float32(1) for y in posed.expected]) > 1
    assert Verdict(0, "torch", 3, 1.5).bad and Verdict(0, "numba[auto]", 3, 0.1, words="bits depend on the batch").bad
    assert Verdict(0, "torch", 0, math.inf, words="it stopped").bad
    assert not Verdict(0, "torch", 0, math.inf, words="no words for it", unsupported=True).bad


def test_a_run_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    asked = []

    def on_torch(drawn, target, pool):
        asked.append(drawn.seed)
        return Verdict(drawn.seed, target, 1, 0.25, "H=1, batch 1")

    monkeypatch.setattr(nets, "on_framework", on_torch)
    run(1, ["torch"], tmp_path)
    found = run(3, ["torch"], tmp_path)
    assert asked == [0, 1, 2] and found == stored(tmp_path)
    assert "| torch | 3 | 3 | 0 | 0 | 0.250 |" in report(found) and "None." in report(found)
