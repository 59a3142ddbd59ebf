"""Train c5_inverse_sigmoid.upc, by the source that upc writes for it, to undo a random frozen convolution.

The job is the one its figures come from: 1,000 grey pictures of 32x32, Adam, mean squared error, one picture a step,
20 epochs. The pictures are pieces of those named, at random places, from 0 to 1.

    python examples/train_inverse.py china.jpg flower.jpg [--target keras] [--epochs 20]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from train_autoencoders import Tell, emitted, torch_class

NET = Path(__file__).with_name("c5_inverse_sigmoid.upc")
SIZE = 32


def pieces(names: list[str], count: int, seed: int = 0) -> np.ndarray:
    """Squares out of pictures, the same for the same seed: (count, 32, 32, 1)."""
    pictures = []
    for name in names:
        with Image.open(name) as picture:
            pictures.append(np.asarray(picture.convert("L"), np.float32) / 255)
    random = np.random.RandomState(seed)
    found = []
    for i in range(count):
        picture = pictures[i % len(pictures)]
        top, left = (random.randint(size - SIZE + 1) for size in picture.shape)
        found.append(picture[top : top + SIZE, left : left + SIZE, np.newaxis])
    return np.stack(found)


def train_keras(folder: Path, pictures: np.ndarray, epochs: int, tell: Tell) -> None:
    import keras

    keras.utils.set_random_seed(5)
    (build,) = (f for name, f in vars(emitted(NET, "keras", folder)).items() if name.startswith("build_"))
    model = build()
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    hear = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: tell(epoch + 1, logs["loss"], model.evaluate(pictures, pictures, verbose=0))
    )
    model.fit(pictures, pictures, batch_size=1, epochs=epochs, verbose=0, callbacks=[hear])


def train_torch(folder: Path, pictures: np.ndarray, epochs: int, tell: Tell) -> None:
    import torch
    from torch.nn.functional import mse_loss

    torch.manual_seed(5)
    model = torch_class(emitted(NET, "torch", folder))()
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), eps=1e-7)  # Keras's epsilon
    for epoch in range(1, epochs + 1):
        total = 0.0
        for image in images[torch.randperm(len(images))].split(1):
            loss = mse_loss(model(image), image)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        with torch.no_grad():
            tell(epoch, total / len(images), mse_loss(model(images), images).item())


TRAIN = {"keras": train_keras, "torch": train_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--target", choices=tuple(TRAIN), help="whose source is trained (both)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=Path("out/trained"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    squares = pieces(options.pictures, options.count)
    for target in [options.target] if options.target else TRAIN:

        def tell(epoch: int, loss: float, after: float, target: str = target) -> None:
            print(f"{target} epoch {epoch}: loss {loss:.4f}, after it {after:.4f}", flush=True)

        TRAIN[target](options.folder, squares, options.epochs, tell)


if __name__ == "__main__":
    main()
