"""Fuzzing in bulk: short texts, right and wrong, each parsed, laid out, built and looked at; none is emitted or run."""

from __future__ import annotations

import time
import warnings
from random import Random

from fuzz import keep
from holds import check
from run import Amount, Record

import grammar

USUAL = Amount(inputs=1_000_000)


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    warnings.simplefilter("ignore", RuntimeWarning)
    r = Random(f"short {seed}")
    began, tried, lost = time.monotonic(), 0, []
    while not (tried == amount.inputs or (amount.seconds and time.monotonic() - began > amount.seconds)):
        text = grammar.short(r)
        tried += 1
        try:
            check(text, deep=False)
        except Exception as problem:
            lost.append(f"{type(problem).__name__}: {str(problem)[:120]} (seed {seed}, input {tried})")
            keep(text, problem)
    return Record(tried, tried - len(lost), tuple(lost))
