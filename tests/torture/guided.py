"""Fuzzing led by coverage: atheris changes sources until they reach new lines of upc, each held to all that must hold.

atheris owns its process, so that each portion has one of its own. What reaches something new is kept in
`out/torture/coverage` and goes on from there; what was lost is kept in `corpus`, as everywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from random import Random

from run import PORTION_S, Amount, Record

USUAL = Amount(seconds=1800)
REACHED = Path("out/torture/coverage")
HERE = Path(__file__).resolve().parent


def run(amount: Amount, seed: int) -> Record:
    """One portion: a process of atheris, for so many inputs or seconds."""
    if importlib.util.find_spec("atheris") is None:
        return Record(notes=("not tried: atheris is not installed (`pip install upc[torture]`)",))
    sow(REACHED)
    limits = [
        f"-max_total_time={int(min(amount.seconds or PORTION_S, PORTION_S)) or 1}",
        f"-runs={amount.inputs or -1}",
    ]
    command = [sys.executable, str(Path(__file__).resolve()), str(REACHED), *limits, f"-seed={seed + 1}"]
    command += ["-print_final_stats=1", "-max_len=4096", "-timeout=60", "-rss_limit_mb=2000", "-verbosity=0"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    count = re.search(r"stat::number_of_executed_units:\s+([0-9]+)", done.stderr)
    lost = tuple(dict.fromkeys(re.findall(r"^LOST (.*)$", done.stdout, re.MULTILINE)))
    if count is None or done.returncode:
        lost += (f"atheris ended with {done.returncode} (seed {seed}): {done.stderr.strip().splitlines()[-1:]}",)
    tried = int(count[1]) if count else len(lost)
    return Record(tried, tried - len(lost), lost)


def sow(folder: Path) -> None:
    """Sources to begin with: the gallery, the corpus and what the grammar draws."""
    import grammar

    if folder.exists():
        return
    folder.mkdir(parents=True)
    tests = HERE.parent
    found = [*tests.parent.glob("examples/*.upc"), *tests.glob("corpus/*/*.upc"), *(HERE / "corpus").glob("*.upc")]
    texts = [path.read_bytes() for path in found] + [grammar.source(Random(i)).encode() for i in range(200)]
    for i, text in enumerate(texts):
        (folder / f"seed-{i}").write_bytes(text)


def main() -> None:
    """What the process of a portion does."""
    import atheris

    sys.path[:0] = [str(HERE), str(HERE.parent)]
    sys.modules["run"] = importlib.import_module("run")
    with atheris.instrument_imports(include=["upc", "lark"]):
        from fuzz import keep
        from holds import check

    seen = set()

    def one(data: bytes) -> None:
        text = data.decode("utf-8", errors="replace")
        try:
            check(text, deep=False)
        except Exception as problem:
            words = f"{type(problem).__name__}: {str(problem)[:120]!a}"
            if words not in seen:
                seen.add(words)
                keep(text, problem)
                print(f"LOST {words}", flush=True)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
