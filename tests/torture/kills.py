"""kill -9 at every stage of what writes files and machine code.

Two kinds. A command is killed at one operation of its writing, each in turn: creating, half of a file, synchronising,
every rename. And `upc compile`, or a module's first run, is killed at a random moment while it makes machine code.
Survived: every file is the old or the new one, byte by byte; a pair is both old or both new, or, killed between the two
renames, both old ones are still there by their spare names; all children have ended; and the next time all is right.
What was left over beside the files is counted.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from pathlib import Path
from random import Random

import pytest
from apart import CALL, known_module, start
from faults import Kills
from run import PORTION_S, Amount, Record
from writing import Command, called, commands, content, fill
from written import TINY

USUAL = Amount(inputs=300)
TIMED = 0.15
"""The share of kills at a random moment, which take seconds each."""


class Tally:
    """What was left over, and how often a pair was torn apart."""

    def __init__(self) -> None:
        self.kills = self.partials = self.between = 0

    def note(self) -> str:
        return (
            f"A portion: {self.kills} kills left {self.partials} half-written or spare files beside the right ones; "
            f"{self.between} came between the two renames of a pair."
        )


def at_a_step(command: Command, step: int, folder: Path, tally: Tally) -> tuple[bool, str]:
    """Kill a command at one operation; whether it was so long, and what was wrong."""
    fill(folder, command.before)

    def first() -> None:
        Kills(pytest.MonkeyPatch(), 0).start(step)

    code, said = called(command.arguments, folder, first)
    found = content(folder)
    spare = {name: data for name, data in found.items() if name.endswith(".partial")}
    if code == 0:
        return False, "" if found == command.after else "it was not killed, and wrote something else"
    if code != -signal.SIGKILL:
        return True, f"it ended with {code}: {said[-200:]}"
    tally.kills += 1
    tally.partials += len(spare)
    new = []
    for name in {**command.before, **command.after}:
        if found.get(name) not in (command.before.get(name), command.after.get(name)):
            return True, f"{name} is neither the old nor the new one"
        if name in command.changed:
            new.append(found.get(name) == command.after.get(name))
    if any(new) and not all(new):
        tally.between += 1
        if not all(command.before[name] in (found[name], *spare.values()) for name in command.changed):
            return True, "half of a pair is new, and the old one is gone"
    code, said = called(command.arguments, folder)
    after = {name: data for name, data in content(folder).items() if name not in spare}
    if code or after != command.after:
        return True, f"the next time it ended with {code}: {said[-200:]}"
    return True, ""


def at_a_moment(home: Path, folder: Path, expected: str, r: Random, tally: Tally) -> str:
    """Kill a process that makes machine code at a random moment; what was wrong."""
    folder.mkdir()
    what = r.choice(("compile", "run", "run"))
    (folder / "tiny.upc").write_text(TINY)
    for name in ("upc_test_tiny.py", "upc_test_tiny.safetensors"):
        shutil.copy(home / name, folder / name)
    if r.random() < 0.7:  # some of the machine code is there already
        shutil.copytree(home / "cache", folder / "cache")
        for path in sorted((folder / "cache" / "code").glob("*.code")):
            if r.random() < 0.3:
                path.unlink()
    arguments = ["-m", "upc", "compile", "tiny.upc"] if what == "compile" else ["-c", CALL]
    process = start(arguments, folder)
    time.sleep(r.choice((0.3, 1.0, 3.0, 6.0)) * r.random())
    process.process.kill()
    ended = process.end()
    tally.kills += 1
    tally.partials += len(list(folder.rglob("*.partial")))
    if ended.left:
        return f"{what}: {ended.left} processes go on"
    after = start(["-c", CALL], folder).end(300)
    if after.code or after.out != expected:
        return f"{what}: the next time it ended with {after.code}: {after.err[-200:]!a}"
    return ""


def run(amount: Amount, seed: int) -> Record:
    """One portion: the steps of each command in their order, and random moments between them."""
    tried, lost, tally = 0, [], Tally()
    with tempfile.TemporaryDirectory() as place:
        home, folder = Path(place, "home"), Path(place, "attacked")
        home.mkdir(), folder.mkdir()
        expected = known_module(home)
        steps = dict.fromkeys(range(len(known := commands(Path(place)))), 0)
        end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
        r = Random(f"kills {seed}")
        while tried != amount.inputs and time.monotonic() < end:
            if r.random() < TIMED or not steps:
                words = at_a_moment(home, Path(place, f"moment-{tried}"), expected, r, tally)
                where = "at a moment"
            else:
                number = r.choice(list(steps))
                command, step = known[number], steps[number]
                killed, words = at_a_step(command, step, folder, tally)
                where = f"{command.name} at step {step}"
                steps[number] += 1
                if not killed:
                    del steps[number]
                    if not words:
                        continue  # that was beyond its last operation
            tried += 1
            if words:
                lost.append(f"{where}: {words} (kill {tried} of seed {seed})")
    return Record(tried, tried - len(lost), tuple(lost), notes=(tally.note(),))
