"""Attack upc in every way that is known, and write down what it survived: `make torture`.

    python tests/torture/run.py                          every part, each for its usual size
    python tests/torture/run.py fuzz --inputs 1000000    one part, for so many inputs
    python tests/torture/run.py fuzz heavy --seconds 600 --seed 7
    python tests/torture/run.py --list                   the parts there are
    python tests/torture/run.py --report-only            only write down what has been recorded

The outcome is the table `tests/torture/RESULTS.md`. After each portion of a part its figures are kept in
`out/torture/<part>.json`, and a run that was stopped goes on from there; `--afresh` begins anew. The exit code is 1
where anything was lost.

To add a part: write `tests/torture/<module>.py` with

    USUAL = Amount(inputs=1000)                      # or Amount(seconds=3600): how much of it a whole run does

    def run(amount: Amount, seed: int) -> Record:    # one portion: at most so many inputs, at most so many seconds
        ...
        return Record(tried=..., survived=..., lost=("what was lost, and with which input it comes again", ...))

and a line in `PARTS`. A portion is a pure function of its seed; portion number n of a part gets the seed `--seed` + n,
so that whatever was lost comes again. It should take a minute at the most (`PORTION_S`, or the module's own constant of
that name), and must leave nothing behind.
What a portion tells beside its counts, a line of a table for instance, goes into `notes`; equal notes are kept once.
A part that cannot be tried on this machine returns `Record(notes=("not tried: why",))`. For `make test`, call the same
`run` with a small amount from `tests/torture/test_<module>.py` and assert that `lost` is empty.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

PARTS: dict[str, str] = {
    "heavy": "heavy",
    "fuzz": "fuzz",
    "short": "short",
    "coverage": "guided",
    "weights": "mutated_weights",
    "models": "models",
    "arrays": "arrays",
    "forks": "forks",
    "kills": "kills",
    "disks": "disks",
    "cache": "stash",
    "environments": "environments",
    "exits": "exits",
    "soak": "soak",
}
"""The parts by name, in the order of the table, with the module of this folder that holds each."""

PORTION_S = 60.0
"""Seconds that one portion may take."""


@dataclass(frozen=True)
class Amount:
    """How much of a part to do: inputs at most, seconds at most; None for no bound."""

    inputs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Record:
    """What came of it: inputs tried, those that upc survived, and a line for each that it did not."""

    tried: int = 0
    survived: int = 0
    lost: tuple[str, ...] = ()
    seconds: float = 0.0
    portions: int = 0
    notes: tuple[str, ...] = ()

    def __add__(self, other: Record) -> Record:
        return Record(
            self.tried + other.tried,
            self.survived + other.survived,
            tuple(dict.fromkeys(self.lost + other.lost)),
            self.seconds + other.seconds,
            self.portions + other.portions,
            tuple(dict.fromkeys(self.notes + other.notes)),
        )


def torture(name: str, amount: Amount, seed: int, state: Path, report: Path) -> Record:
    """Do a part, portion by portion, going on from what the state holds of it."""
    module = import_module(PARTS[name])
    record = stored(state, name)
    while not _done(record, amount):
        began = time.monotonic()
        rest = amount.inputs and amount.inputs - record.tried
        longest = getattr(module, "PORTION_S", PORTION_S)
        seconds = min(longest, amount.seconds - record.seconds) if amount.seconds else longest
        portion = module.run(Amount(rest, seconds), seed + record.portions)
        record += replace(portion, seconds=time.monotonic() - began, portions=1)
        state.mkdir(parents=True, exist_ok=True)
        _put(state / f"{name}.json", json.dumps(asdict(record), indent=1))
        report.write_text(table(state))
        print(f"{name}: {record.tried:,} tried, {len(record.lost)} lost, {record.seconds:.0f} s", flush=True)
        if not portion.tried:
            break
    return record


def _put(path: Path, text: str) -> None:
    """Another run, of other parts, may read it at this moment."""
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def _done(record: Record, amount: Amount) -> bool:
    enough = amount.inputs is not None and record.tried >= amount.inputs
    return enough or (amount.seconds is not None and record.seconds >= amount.seconds)


def stored(state: Path, name: str) -> Record:
    """What an earlier run found in a part."""
    path = state / f"{name}.json"
    if not path.exists():
        return Record()
    found = json.loads(path.read_text())
    return Record(**{**found, "lost": tuple(found["lost"]), "notes": tuple(found["notes"])})


def table(state: Path) -> str:
    """What the state holds of all parts, as the page that is kept."""
    lines = [
        "# Torture",
        "",
        "What upc was attacked with, and what it did not survive. `make torture` makes this page;",
        "`tests/torture/run.py` says how, and each part's module what counts as survived.",
        "",
        "| part | tried | survived | lost | seconds |",
        "|---|---:|---:|---:|---:|",
    ]
    records = {name: stored(state, name) for name in PARTS}
    for name, record in records.items():
        figures = f"{record.tried:,} | {record.survived:,} | {len(record.lost)} | {record.seconds:,.0f}"
        lines.append(f"| {name} | {figures if record.portions else '- | - | - | -'} |")
    for name, record in records.items():
        if record.lost or record.notes:
            lines += ["", f"## {name}", "", *record.notes]
            lines += [f"- lost: {words}" for words in record.lost]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="which parts (all)")
    parser.add_argument("--inputs", type=int, help="inputs of each part, in place of its usual amount")
    parser.add_argument("--seconds", type=float, help="seconds of each part, in place of its usual amount")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--afresh", action="store_true", help="forget what an earlier run found")
    parser.add_argument("--state", type=Path, default=Path("out/torture"))
    parser.add_argument("--report", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--report-only", action="store_true", help="only write down what the state holds")
    parser.add_argument("--list", action="store_true", help="only list the parts")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(PARTS))
        return 0
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}: {', '.join(PARTS)}")
    if options.report_only:
        options.report.write_text(table(options.state))
        return 0
    lost = 0
    for name in options.parts or PARTS:
        if options.afresh:
            (options.state / f"{name}.json").unlink(missing_ok=True)
        given = Amount(options.inputs, options.seconds)
        amount = given if given != Amount() else import_module(PARTS[name]).USUAL
        lost += len(torture(name, amount, options.seed, options.state, options.report).lost)
    return bool(lost)


if __name__ == "__main__":
    # The parts import `run` by its name: one module, not two.
    sys.modules["run"] = sys.modules["__main__"]
    sys.exit(main())
