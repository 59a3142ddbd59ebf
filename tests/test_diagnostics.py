"""Every mistake of the corpus gives exactly the words, places and hints beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from upc.build import load_graph
from upc.diagnostics import EXIT_SOURCE, UpcError

BAD = Path(__file__).parent / "corpus" / "bad"


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.upc")))
def test_mistake(name: str, golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(UpcError) as caught:
        load_graph(f"{name}.upc")
    assert caught.value.exit_code == EXIT_SOURCE
    golden(BAD / f"{name}.stderr", f"{caught.value}\n")


def test_every_mistake_has_a_golden() -> None:
    assert {p.stem for p in BAD.glob("*.upc")} == {p.stem for p in BAD.glob("*.stderr")}
