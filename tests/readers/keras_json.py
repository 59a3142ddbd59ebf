"""A Keras 2 model as TensorFlow.js keeps it: its description as JSON, its weights as raw float32 in a row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class JsonLayer:
    """A layer of a functional model: its class, its arguments, the names of the layers it takes, its weights."""

    kind: str
    name: str
    config: dict[str, Any]
    inputs: tuple[str, ...]
    arrays: dict[str, np.ndarray]


def read_keras_json(description: bytes, weights: bytes) -> list[JsonLayer]:
    """The layers in the model's order."""
    model = json.loads(description)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    at = 0
    for entry in (entry for group in model["weightsManifest"] for entry in group["weights"]):
        assert entry["dtype"] == "float32" and "quantization" not in entry
        layer, _, own = entry["name"].rpartition("/")
        array = np.frombuffer(weights, "<f4", int(np.prod(entry["shape"])), at).reshape(entry["shape"])
        arrays.setdefault(layer, {})[own] = array
        at += array.nbytes
    assert at == len(weights), f"{len(weights) - at} bytes are left"
    topology = model["modelTopology"]
    layers = topology.get("model_config", topology)["config"]["layers"]
    return [
        JsonLayer(
            layer["class_name"],
            layer["config"]["name"],
            layer["config"],
            tuple(source[0] for node in layer["inbound_nodes"] for source in node),
            arrays.get(layer["config"]["name"], {}),
        )
        for layer in layers
    ]
