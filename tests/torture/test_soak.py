"""A few seconds of the soak, and that it notices what it is there for."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

sys.path[:0] = [str(Path(__file__).parent)]

import soak  # noqa: E402
from run import Amount  # noqa: E402


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> soak.Soak:
    made = soak.Soak(list(soak.nets(3)))
    monkeypatch.setattr(soak, "_soak", [made])
    return made


def test_results_stay_the_same_and_nothing_grows(few: soak.Soak) -> None:
    found = soak.run(Amount(inputs=150), seed=4)
    assert found.tried >= 150 and not found.lost
    assert {"calls", "forks", "loads", "several threads at once"} <= set(few.counts)


def test_another_result_is_noticed(few: soak.Soak) -> None:
    for number in range(3):
        kept = few.nets[number]
        really, calls = kept.net, []

        def drift(*inputs: object, really=really, calls=calls, **more: object) -> object:
            calls.append(1)
            found = really(*inputs, **more)
            for y in found if isinstance(found, tuple) else (found,):
                y += len(calls)
            return found

        kept.net = drift
    r = Random(1)
    for _ in range(300):
        few.call(r)
    assert any(words.startswith("another result") for words in few.lost)


def test_growth_is_noticed() -> None:
    def looks(**per_look: float) -> list[soak.Look]:
        start = {"megabytes": 200.0, "threads": 1, "descriptors": 5}
        return [
            soak.Look(10.0 * i, **{name: start[name] + i * per_look.get(name, 0) for name in start}) for i in range(40)
        ]

    assert soak.judged(looks()) == [] == soak.judged(looks(megabytes=0.1))
    for name, step in (("megabytes", 1.0), ("threads", 1), ("descriptors", 1)):
        assert [words.split()[0] for words in soak.judged(looks(**{name: step}))] == [name]
    assert soak.slope(looks(megabytes=1.0), "megabytes") == pytest.approx(360)
