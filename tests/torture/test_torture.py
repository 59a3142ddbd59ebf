"""A little of every part of the torture, in seconds; `make torture` does all of it."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path[:0] = [str(Path(__file__).parent)]

import fuzz  # noqa: E402
import guided  # noqa: E402
import heavy  # noqa: E402
import short  # noqa: E402
from holds import check  # noqa: E402
from run import PARTS, Amount, Record, main, table  # noqa: E402

import grammar  # noqa: E402

HEAVY = (
    "transposed kernel_size=2147483647",
    "strides=65535",
    "transposed kernel = stride = 20000",
    "8,000 parameters",
    "2,000 nets",
    "1,000 free sizes",
    "2,990 layers of free size",
    "1,490 joins of one value",
    "15,000 blocks through 250 files",
    "1 MiB of short comments",
    "1 MiB of broken statements",
    "100,000 misspelt layers",
)


@pytest.mark.parametrize("name", HEAVY)
def test_what_is_small_to_write_is_answered(name: str, tmp_path: Path) -> None:
    case = next(case for case in heavy.cases() if case.name == name)
    for file, text in case.files.items():
        (tmp_path / file).write_text(text)
    for command in (("lint",), ("emit", "--target", "torch"))[: 2 if "layers" in name or "joins" in name else 1]:
        # A child that takes 20 seconds of the processor, or a gigabyte, is stopped; a second is what is promised.
        cost = heavy.answer(command, tmp_path, seconds=20, megabytes=1000)
        assert cost.code in (0, 1, 2, 3), (command, cost.words)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.booleans())
def test_drawn_and_broken_sources(r: Random, as_drawn: bool) -> None:
    text = grammar.source(r)
    check(text if as_drawn else grammar.broken(text, r), deep=as_drawn)


def test_fuzzing_loses_nothing() -> None:
    found = fuzz.run(Amount(inputs=800), seed=1)
    assert (found.tried, found.survived, found.lost) == (800, 800, ())


def test_fuzzing_in_bulk_loses_nothing() -> None:
    found = short.run(Amount(inputs=1500), seed=1)
    assert (found.tried, found.survived, found.lost) == (1500, 1500, ())


def test_every_finding_is_mended() -> None:
    for path in sorted(fuzz.CORPUS.glob("*.upc")):
        check(path.read_bytes().decode(errors="replace"), deep=True)


def test_fuzzing_by_coverage_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("atheris", reason="atheris belongs to the extra `torture`")
    monkeypatch.setattr(guided, "REACHED", tmp_path / "reached")
    (tmp_path / "reached").mkdir()
    (tmp_path / "reached" / "seed").write_text("net n {\n  input x: [H, W, 2]\n  relu()\n  output y\n}\n")
    found = guided.run(Amount(inputs=200, seconds=20), seed=0)
    assert found.tried >= 50 and not found.lost


def test_a_fault_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str, deep: bool) -> None:
        raise ZeroDivisionError("as it would")

    monkeypatch.setattr(fuzz, "check", broken)
    monkeypatch.setattr(fuzz, "CORPUS", tmp_path / "corpus")
    found = fuzz.run(Amount(inputs=2), seed=3)
    assert (found.tried, found.survived, len(found.lost)) == (2, 0, 2)
    assert len(list((tmp_path / "corpus").glob("zerodivisionerror-*.upc"))) == 2


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    arguments = ["fuzz", "--state", str(tmp_path / "state"), "--report", str(tmp_path / "RESULTS.md"), "--inputs"]
    assert main([*arguments, "20"]) == 0 and main([*arguments, "30"]) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| fuzz | 30 | 30 | 0 |" in text and all(f"| {name} |" in text for name in PARTS)
    assert text == table(tmp_path / "state")


def test_records_add_up() -> None:
    both = Record(2, 1, ("a",), 1.5, 1) + Record(3, 3, (), 0.5, 1, ("note",))
    assert both == Record(5, 4, ("a",), 2.0, 2, ("note",))
