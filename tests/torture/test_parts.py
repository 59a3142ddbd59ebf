"""A little of each part that attacks files, processes and arrays, and that each would notice what it looks for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent)]

import arrays  # noqa: E402
import disks  # noqa: E402
import environments  # noqa: E402
import exits  # noqa: E402
import forks  # noqa: E402
import kills  # noqa: E402
import models  # noqa: E402
import stash  # noqa: E402
from run import PARTS, Amount  # noqa: E402

from upc.runtime.vault import Vault  # noqa: E402

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="tells the processes of an attack by /proc"
)
LITTLE = {arrays: 800, disks: 25, environments: 2, exits: 2, forks: 2, kills: 6, models: 40, stash: 40}


def test_all_of_them_are_parts() -> None:
    assert set(PARTS.values()) >= {part.__name__ for part in LITTLE}


@pytest.mark.parametrize("part", LITTLE, ids=lambda part: part.__name__)
def test_nothing_is_lost(part: ModuleType) -> None:
    found = part.run(Amount(inputs=LITTLE[part]), seed=2)
    assert found.tried and found.survived == found.tried and not found.lost


def careless(contents: dict[str, bytes | str]) -> None:
    """Files written as most programs do."""
    for path, content in contents.items():
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def carelessly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upc.files.write_together", careless)
    for name, module in list(sys.modules.items()):
        if name.startswith("upc.") and hasattr(module, "write_together"):
            monkeypatch.setattr(module, "write_together", careless)


@pytest.mark.usefixtures("carelessly")
def test_half_a_file_is_noticed() -> None:
    assert disks.run(Amount(inputs=20), seed=2).lost


def test_a_forged_entry_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stash, "MODULES", 0.0)
    monkeypatch.setattr("upc.runtime.vault.hmac.compare_digest", lambda one, other: True)
    assert stash.run(Amount(inputs=60), seed=2).lost


def test_an_entry_of_others_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stash, "MODULES", 0.0)
    monkeypatch.setattr(Vault, "read", lambda vault, name, purpose: (vault._folder / name).read_bytes()[32:])
    assert stash.run(Amount(inputs=60), seed=2).lost


def test_another_exit_code_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        exits, "WAYS", {"wrong": exits.Way("sys.exit(3)", 4), "loud": exits.Way("print(1, file=sys.stderr)")}
    )
    found = exits.run(Amount(inputs=2), seed=1)
    assert (found.tried, len(found.lost)) == (2, 2)


def test_an_error_that_is_not_promised_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    really, calls = models.import_weights, []

    def broken(*given: object) -> object:
        calls.append(given)
        if len(calls) > 2:  # the two that only warm it up
            raise ZeroDivisionError("as it would")
        return really(*given)

    monkeypatch.setattr(models, "import_weights", broken)
    found = models.run(Amount(inputs=3), seed=1)
    assert len(found.lost) == 3 and "ZeroDivisionError" in found.lost[0]


def test_a_result_that_lies_elsewhere_is_noticed(tmp_path: Path) -> None:
    attack = arrays.Attack(tmp_path)
    really = attack.nets[2][0]
    pool = np.zeros(arrays.POOL, np.uint8)

    def beside(*inputs: np.ndarray, out: np.ndarray | None = None) -> object:
        pool[-1] ^= out is not None
        return really(*inputs, out=out)

    x, out = attack.written[2].inputs(1)[0], np.empty((1, 2, 1, 3), np.float32)
    assert attack.judge(really, [x], out, pool) == "taken"
    with pytest.raises(AssertionError, match="something beside the result"):
        attack.judge(beside, [x], out, pool)
    with pytest.raises(AssertionError, match="the result is another"):
        attack.judge(lambda x, out=None: really(x, out=out) + (out is not None), [x], out, pool)
