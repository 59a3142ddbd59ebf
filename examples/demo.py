"""Real digits through the trained autoencoder c1, compiled by upc: what went in above what came out, as one picture.

make demo        or        python examples/demo.py [-o out/digits.png]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from digits import split_digits

import upc
from upc.pictures import grid, picture_bytes

HERE = Path(__file__).parent
SHOWN = 12


def binary_cross_entropy(target: np.ndarray, drawn: np.ndarray) -> float:
    """Mean over pixels, as Keras computes it: probabilities kept 1e-7 from 0 and 1."""
    p = drawn.astype(np.float64).clip(1e-7, 1 - 1e-7)
    return float(-(target * np.log(p) + (1 - target) * np.log1p(-p)).mean())


def time_per_image(net: upc.Net, images: np.ndarray, repeats: int = 5) -> float:
    """The best of a few calls on the whole batch, in seconds for one image."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        net(images)
        times.append(time.perf_counter() - start)
    return min(times) / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", dest="output", type=Path, default=Path("out/digits.png"))
    output = parser.parse_args().output
    _, held_out = split_digits()

    start = time.perf_counter()
    source, weights = HERE / "c1_autoencoder.upc", HERE / "c1_autoencoder.safetensors"
    net = upc.load(source, weights=weights)
    drawn = net(held_out)
    print(f"c1_autoencoder.upc compiled and first run in {time.perf_counter() - start:.1f} s")
    print(f"loss on {len(held_out)} digits it was not trained on: {binary_cross_entropy(held_out, drawn):.4f}")
    print(f"time per image: {time_per_image(net, held_out) * 1e6:.1f} us")
    reference = upc.load(source, weights=weights, target="reference")(held_out[:64])
    print(f"largest difference from the reference: {np.abs(drawn[:64] - reference).max():.1e}")

    start = time.perf_counter()
    faces = upc.load(HERE / "b4_dcgan_faces.upc")
    sample = faces(np.random.RandomState(0).standard_normal((1, 100)).astype(np.float32))
    seconds, (_, height, width, _) = time.perf_counter() - start, sample.shape
    print(f"b4_dcgan_faces.upc compiled and sampled in {seconds:.1f} s: {height}x{width} pixels (untrained weights)")

    output.parent.mkdir(parents=True, exist_ok=True)
    sheet = grid([*held_out[:SHOWN], *drawn[:SHOWN]], columns=SHOWN)
    output.write_bytes(picture_bytes(sheet.repeat(2, axis=0).repeat(2, axis=1)))
    print(output)


if __name__ == "__main__":
    main()
