"""Fuzzing by the grammar: sources drawn by the rules, most of them then broken, each held to all that must hold.

A tenth of them is emitted for every target and run. What was ever lost stands in `corpus`, and is tried again first.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from random import Random

from holds import check
from run import Amount, Record

import grammar

USUAL = Amount(inputs=1_000_000)
CORPUS = Path(__file__).with_name("corpus")


def run(amount: Amount, seed: int) -> Record:
    """One portion; the kept findings first."""
    warnings.simplefilter("ignore", RuntimeWarning)
    r = Random(seed)
    began = time.monotonic()
    tried, lost = 0, []
    kept = (
        [path.read_bytes().decode(errors="replace") for path in sorted(CORPUS.glob("*.upc"))] if seed % 50 == 0 else []
    )
    while not (tried == amount.inputs or (amount.seconds and time.monotonic() - began > amount.seconds)):
        text = kept.pop() if kept else grammar.source(r)
        if r.random() < 0.7:
            text = grammar.broken(text, r)
        tried += 1
        try:
            check(text, deep=r.random() < 0.1)
        except Exception as problem:
            lost.append(f"{type(problem).__name__}: {str(problem)[:120]} (seed {seed}, input {tried})")
            keep(text, problem)
    return Record(tried, tried - len(lost), tuple(lost))


def keep(text: str, problem: BaseException) -> None:
    """Put a finding into the corpus, under a name that says what it was."""
    import hashlib

    CORPUS.mkdir(exist_ok=True)
    name = f"{type(problem).__name__.lower()}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}.upc"
    (CORPUS / name).write_bytes(text.encode(errors="replace"))
