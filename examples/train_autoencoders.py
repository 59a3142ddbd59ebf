"""Train the digits autoencoders c1 and c2 with the Keras and the PyTorch source that upc writes for them.

The job is the one their figures come from: Adam at 1e-3, binary cross-entropy, digits scaled to 0...1, batches of 25,
a fifth held out. It has 5,000 digits instead of 60,000, so that 25 epochs are 4,000 steps; 375 epochs are the 60,000
steps that 25 would be on all of them. Each run prints the losses, and writes the trained model as its framework
does (.keras, .pt) into --folder and, brought back by `upc weights import`, as .safetensors beside it.

    python examples/train_autoencoders.py [c1 c2] [--target keras] [--epochs 25]
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from digits import split_digits

from upc import cli

NETS = {"c1": "c1_autoencoder.upc", "c2": "c2_autoencoder_transpose.upc"}
BATCH = 25
RATE = 1e-3

Tell = Callable[[int, float, float], None]
"""Hears after each epoch: its number, the loss while training, the loss on what is held out."""


def source(net: str) -> Path:
    """The .upc file of a net."""
    return Path(__file__).with_name(NETS[net])


def emitted(file: Path, target: str, folder: Path) -> ModuleType:
    """The module that `upc emit` writes for a .upc file, imported."""
    path = folder / f"{file.stem}_{target}.py"
    if cli.main(["emit", str(file), "--target", target, "-o", str(path)]):
        raise SystemExit(f"upc emit {file} --target {target} failed")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torch_class(module: ModuleType) -> type:
    """The network's class in an emitted PyTorch module that has no other."""
    (found,) = (c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__)
    return found


def train_keras(net: str, folder: Path, data: tuple[np.ndarray, np.ndarray], epochs: int, tell: Tell) -> Path:
    """Train the emitted Keras source; the trained model's .keras file."""
    import keras

    keras.utils.set_random_seed(5)
    module = emitted(source(net), "keras", folder)
    (build,) = (f for name, f in vars(module).items() if name.startswith("build_"))
    model = build()
    train, held_out = data
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss="binary_crossentropy")
    hear = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: tell(epoch + 1, logs["loss"], logs["val_loss"])
    )
    model.fit(
        train, train, batch_size=BATCH, epochs=epochs, validation_data=(held_out, held_out), verbose=0, callbacks=[hear]
    )
    path = folder / f"{net}.keras"
    model.save(path)
    return path


def train_torch(net: str, folder: Path, data: tuple[np.ndarray, np.ndarray], epochs: int, tell: Tell) -> Path:
    """Train the emitted PyTorch source; the trained model's state_dict, a .pt file."""
    import torch
    from torch.nn.functional import binary_cross_entropy

    torch.manual_seed(5)
    module = emitted(source(net), "torch", folder)
    model = torch_class(module)()
    train, held_out = (torch.from_numpy(part.transpose(0, 3, 1, 2).copy()) for part in data)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, eps=1e-7)  # Keras's epsilon
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in train[torch.randperm(len(train))].split(BATCH):
            loss = binary_cross_entropy(model(batch), batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        with torch.no_grad():
            tell(epoch, total / len(train), binary_cross_entropy(model(held_out), held_out).item())
    path = folder / f"{net}.pt"
    torch.save(model.state_dict(), path)
    return path


TRAIN = {"keras": train_keras, "torch": train_torch}


def bring_back(net: str, trained: Path) -> Path:
    """The canonical weights file of a trained model, made by `upc weights import`."""
    path = trained.with_name(f"{trained.stem}_{trained.suffix[1:]}.safetensors")
    if cli.main(["weights", "import", str(source(net)), str(trained), "-o", str(path)]):
        raise SystemExit(f"upc weights import {trained} failed")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NET", help="c1, c2 (both)")
    parser.add_argument("--target", choices=tuple(TRAIN), help="whose source is trained (both)")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--folder", type=Path, default=Path("out/trained"))
    options = parser.parse_args()
    if unknown := set(options.nets) - set(NETS):
        parser.error(f"no net {', '.join(sorted(unknown))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    digits = split_digits()
    for net in options.nets or NETS:
        for target in [options.target] if options.target else TRAIN:

            def tell(epoch: int, loss: float, held_out: float, name: str = f"{net} {target}") -> None:
                if epoch in (1, 5, 25) or epoch % 75 == 0 or epoch == options.epochs:
                    print(f"{name} epoch {epoch}: loss {loss:.4f}, held out {held_out:.4f}", flush=True)

            trained = TRAIN[target](net, options.folder, digits, options.epochs, tell)
            print(trained, bring_back(net, trained))


if __name__ == "__main__":
    main()
