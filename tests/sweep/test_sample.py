"""A share of the conformance sweep on every target; `make sweep` runs it all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent)]

from cases import RANDOM_GRAPHS, cases  # noqa: E402
from sweep import Pack, pack, random_pack, sweep  # noqa: E402

from upc.check.engines import usual, variants  # noqa: E402

SAMPLE = 4  # of each family


@pytest.fixture(scope="module")
def packs() -> list[Pack]:
    chosen = [case for every in cases().values() for case in every[:: len(every) // SAMPLE][:SAMPLE]]
    return [pack("sample", chosen), random_pack(10_000)]


@pytest.mark.parametrize("target", [target for target in (*usual(), *variants()) if target != "reference"])
def test_a_target_agrees_with_the_reference(packs, target):
    verdicts = sweep(packs, [target])
    assert len(verdicts) >= SAMPLE * len(cases()) + 2
    assert not [verdict for verdict in verdicts if not (verdict.ratio <= 1 or verdict.unsupported)]


def test_the_whole_sweep_is_as_large_as_is_said():
    assert sum(map(len, cases().values())) + RANDOM_GRAPHS >= 5000
    assert len({str(case) for every in cases().values() for case in every}) == sum(map(len, cases().values()))
    transposed = [str(case) for case in cases()["conv2d_transpose"]]
    for words in ("padding=same", "padding=valid", "padding=[[", "output_padding=3", "dilation_rate=3", "groups=3"):
        assert any(words in case for case in transposed), words
    assert all(any(f"_transpose({co}, {k}" in case for case in transposed for co in range(1, 10)) for k in range(1, 8))
