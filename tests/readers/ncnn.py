"""ncnn's format: a `.param` file lists layers as text, a `.bin` file holds their weights one after the other.

Only what the two networks read here consist of is known. A kernel starts with four bytes that say how it is
stored (half precision, filled up to four bytes), biases and slopes are plain float32.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

MAGIC = "7767517"
HALF = 0x01306B47
PLAIN = 0


@dataclass(frozen=True)
class NcnnLayer:
    """A layer: what it takes and gives, its numbered fields, its arrays; kernels are (out, in, height, width)."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    fields: dict[int, str]
    arrays: tuple[np.ndarray, ...] = ()


class _Weights:
    """The `.bin` file, read from front to back."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int, dtype: str) -> np.ndarray:
        array = np.frombuffer(self.content, dtype, count, self.at)
        self.at += array.nbytes
        return array.astype(np.float32)

    def kernel(self, count: int) -> np.ndarray:
        (stored,) = struct.unpack_from("<I", self.content, self.at)
        self.at += 4
        assert stored in (HALF, PLAIN), f"a kernel stored as {stored:#x}"
        values = self.take(count, "<f2" if stored == HALF else "<f4")
        self.at += -self.at % 4
        return values


def read_ncnn(param: bytes, weights: bytes) -> list[NcnnLayer]:
    """The layers in the network's order."""
    magic, _, *lines = param.decode().splitlines()
    assert magic.strip() == MAGIC
    source = _Weights(weights)
    found = []
    for line in filter(None, map(str.strip, lines)):
        kind, name, taken, given, *rest = line.split()
        inputs, outputs = rest[: int(taken)], rest[int(taken) : int(taken) + int(given)]
        pairs = (pair.split("=") for pair in rest[len(inputs) + len(outputs) :])
        fields = {int(number): value for number, value in pairs}
        arrays: tuple[np.ndarray, ...] = ()
        if kind in ("Convolution", "Deconvolution"):
            out, size = int(fields[0]), int(fields[1])
            kernel = source.kernel(int(fields[6])).reshape(out, -1, size, size)
            arrays = (kernel, source.take(out, "<f4")) if fields.get(5) == "1" else (kernel,)
        elif kind == "PReLU":
            arrays = (source.take(int(fields[0]), "<f4"),)
        found.append(NcnnLayer(kind, name, tuple(inputs), tuple(outputs), fields, arrays))
    assert source.at == len(weights), f"{len(weights) - source.at} bytes are left"
    return found


def as_state_dict(layers: list[NcnnLayer]) -> dict[str, np.ndarray]:
    """The weights under PyTorch's names and in its axes: a transposed kernel has its inputs first there."""
    state = {}
    for number, layer in enumerate(layer for layer in layers if layer.arrays):
        kernel, *bias = layer.arrays
        turned = kernel.swapaxes(0, 1) if layer.kind == "Deconvolution" else kernel
        state[f"{number}.weight"] = np.ascontiguousarray(turned)
        if bias:
            state[f"{number}.bias"] = bias[0]
    return state
