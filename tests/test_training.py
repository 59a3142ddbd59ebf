"""C1 and C2 of the gallery: the source that upc emits trains, and the Numba module draws what it has learnt."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# In this process Keras runs on PyTorch, which starts fastest.
os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

import upc
from upc.load_frameworks import channels_first, channels_last

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))

import train_autoencoders as example  # noqa: E402 - a script among the examples

TRAINED, HELD_OUT = 400, 30
EPOCHS = 3


def reconstructions(net: str, target: str, trained: Path, digits: np.ndarray) -> np.ndarray:
    """What the framework itself draws with the trained model's file."""
    if target == "keras":
        import keras

        return np.asarray(keras.saving.load_model(trained).predict(digits, verbose=0))
    import torch

    model = example.torch_class(example.emitted(example.source(net), "torch", trained.parent))()
    model.load_state_dict(torch.load(trained, weights_only=True))
    with torch.inference_mode():
        return channels_last(model.eval()(torch.from_numpy(channels_first(digits))).numpy())


@pytest.mark.parametrize("net", example.NETS)
@pytest.mark.parametrize("target", example.TRAIN)
def test_emitted_source_trains_and_numba_reproduces_it(net: str, target: str, tmp_path: Path) -> None:
    train, held_out = example.split_digits()
    losses: list[tuple[float, float]] = []
    trained = example.TRAIN[target](
        net, tmp_path, (train[:TRAINED], held_out[:HELD_OUT]), EPOCHS, lambda _, *loss: losses.append(loss)
    )
    assert len(losses) == EPOCHS and losses[-1][0] < 0.9 * losses[0][0] and losses[-1][1] < losses[0][1]
    expected = reconstructions(net, target, trained, held_out[:HELD_OUT])
    weights = example.bring_back(net, trained)
    found = upc.load(example.source(net), weights=weights, target="numba")(held_out[:HELD_OUT])
    assert found.shape == expected.shape == (HELD_OUT, 28, 28, 1)
    assert float(np.abs(found - expected).max()) <= 1e-5
    # Learnt: a digit is drawn from that digit, not one mean for all.
    assert np.abs(found - found.mean(0)).mean() > 0.005
