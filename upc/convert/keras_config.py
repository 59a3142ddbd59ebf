"""What a Keras file says of the network that its weights belong to: layers, their arguments, how they are connected.

Read as data: no layer is made, no code run. What upc has no card for, or what is said in a way that is not known,
stays an operation without a card, which cannot be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from upc import limits
from upc.convert.description import Description, Operation, normalized
from upc.ir import Layer, LayerError
from upc.layers import ACTIVATIONS, LAYERS
from upc.layers.activations import ALIASES

Reference = tuple[str, int, int]
"""A layer's name, which of its uses, which of that use's results."""

_NAMES = {
    "re_lu": "relu",
    "leaky_re_lu": "leaky_relu",
    "p_re_lu": "prelu",
    "pixel_shuffle2d": "pixel_shuffle",
    "pixel_unshuffle2d": "pixel_unshuffle",
}
"""Keras's classes, written small, that are cards of another name."""

_IDLE = {"gaussian_noise", "gaussian_dropout", "alpha_dropout", "spatial_dropout2d", "activity_regularization"}
"""Classes that do nothing at inference."""

_RENAMED = {"alpha": "negative_slope", "target_shape": "target"}
"""Arguments that older files, or Keras, call otherwise than a card."""

_USUAL: dict[str, tuple[Any, ...]] = {
    "data_format": ("channels_last", None),
    "threshold": (0, 0.0, None),
    "rms_scaling": (False,),
    "antialias": (False,),
    "crop_to_aspect_ratio": (False,),
    "pad_to_aspect_ratio": (False,),
    "renorm": (False,),
}
"""Arguments that cards lack, and the values with which they mean what a card does."""


class _Unknown(Exception):
    """A configuration that is not what Keras writes."""


@dataclass(frozen=True, slots=True)
class _Use:
    """A layer called once: the configuration, where its weights lie, which use it is, what it takes."""

    config: Any
    place: str
    number: int
    takes: tuple[Reference, ...]
    plain: bool  # nothing but values is given to it


def of_config(
    config: Any, shapes: Mapping[str, tuple[tuple[int, ...], ...]], by_name: bool = False
) -> Description | None:
    """The network that a model's configuration describes; None where it does not describe one.

    Weights are known by their place in the file, `layers/conv2d_1`, or with `by_name` by their layer's name;
    `shapes` has those of all that the file holds.
    """
    operations: list[Operation] = []
    try:
        outputs = _Reader(operations, shapes, by_name).model(config, "", 0, None)
    except (_Unknown, KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError):
        return None
    return normalized(Description(operations, tuple(outputs)))


@dataclass(slots=True)
class _Reader:
    operations: list[Operation]
    shapes: Mapping[str, tuple[tuple[int, ...], ...]]
    by_name: bool

    def model(self, model: Any, prefix: str, depth: int, given: list[int] | None) -> list[int]:
        """Append a model's operations; those of its results. `given` are what an outer model hands to it."""
        inner, layers = model["config"], model["config"]["layers"]
        if depth > limits.current().model_depth or not isinstance(layers, list):
            raise _Unknown
        if model["class_name"] == "Sequential":
            values = given
            for layer, place in _placed(layers, prefix):
                if layer["class_name"] == "InputLayer":
                    values = values or [self._input(_name(layer))]
                else:
                    values = self._call(layer, place, depth, values or [self._input("input")], True)
            return values or []
        made: dict[Reference, int] = {}
        names = [name for name, _, _ in references(inner["input_layers"])]
        for number, name in enumerate(names):
            made[name, 0, 0] = self._input(name) if given is None else given[number]
        waiting = [use for layer, place in _placed(layers, prefix) for use in _uses(layer, place)]
        while waiting:
            left = []
            for use in waiting:
                if any(reference not in made for reference in use.takes):
                    left.append(use)
                    continue
                taken = [made[reference] for reference in use.takes]
                results = self._call(use.config, use.place, depth, taken, use.plain)
                name = _name(use.config)
                made.update({(name, use.number, i): result for i, result in enumerate(results)})
            # A layer used twice stands where its first use does, so that a second round may be needed; a third
            # that brings nothing is a circle.
            if len(left) == len(waiting):
                raise _Unknown
            waiting = left
        return [made[reference] for reference in references(inner["output_layers"])]

    def _input(self, name: str) -> int:
        return self._add(Operation(name, "input", None, ()))

    def _add(self, operation: Operation) -> int:
        if len(self.operations) >= limits.current().model_layers:
            raise _Unknown
        self.operations.append(operation)
        return len(self.operations) - 1

    def _call(self, layer: Any, place: str, depth: int, taken: list[int], plain: bool) -> list[int]:
        """Append what one use of a layer, which may be a model, does; its results."""
        config = layer["config"]
        if isinstance(config, dict) and "layers" in config:
            return self.model(layer, f"{place}/", depth + 1, taken)
        name = _name(layer)
        own, *after = operations_of(str(layer["class_name"]), config, name, tuple(taken), len(self.operations))
        key = name if self.by_name else place
        if key in self.shapes:
            own.weights, own.shapes = key, self.shapes[key]
        if not plain:  # a number among its values, say, which the card would not know of
            own.layer = None
        last = self._add(own)
        for operation in after:
            last = self._add(operation)
        return [last]


def _name(layer: Any) -> str:
    return str(layer.get("name") or layer["config"]["name"])


def _placed(layers: list[Any], prefix: str) -> Iterator[tuple[Any, str]]:
    """Each layer with the place of its weights in the file: classes are counted within a model."""
    counts: dict[str, int] = {}
    for layer in layers:
        kind = snake(str(layer.get("class_name"))) if isinstance(layer, dict) else ""
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        yield layer, f"{prefix}layers/{kind}_{number}" if number else f"{prefix}layers/{kind}"


def places(model: Any, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Where each layer of a model's configuration keeps its weights, in the model's order."""
    inner = model.get("config") if isinstance(model, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if isinstance(layers, list) and depth < limits.current().model_depth:
        for layer, place in _placed(layers, prefix):
            yield from places(layer, f"{place}/", depth + 1)
            yield place


def snake(name: str) -> str:
    """A class's name as Keras writes it in a file: `Conv2DTranspose` is conv2d_transpose."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W", "", name[:200]))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def _uses(layer: Any, place: str) -> Iterator[_Use]:
    """Every use of a layer in a functional model; inputs have none."""
    for number, node in enumerate(layer["inbound_nodes"]):
        if isinstance(node, dict):
            plain = all(_is_nothing(value) for value in _leaves([node["args"], list(node["kwargs"].values())]))
        else:
            plain = True
        takes = tuple(references(node))
        if takes or layer["class_name"] != "InputLayer":
            yield _Use(layer, place, number, takes, plain)


def _is_nothing(value: Any) -> bool:
    """Whether an argument that is no value changes nothing: a mask or a mode of training that is not given."""
    return value is None or value is False


def _leaves(value: Any) -> Iterator[Any]:
    """What lists and dicts of arguments hold in the end, but for values."""
    if isinstance(value, dict):
        if value.get("class_name") != "__keras_tensor__":
            for inner in value.values():
                yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def references(value: Any) -> Iterator[Reference]:
    """The values that are named in lists and dicts, as Keras 3 or an older one writes them, in order."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, use, result = value["config"]["keras_history"]
            yield str(name), int(use), int(result)
        else:
            for inner in value.values():
                yield from references(inner)
    elif isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int:
            yield value[0], value[1], value[2]
        else:
            for inner in value:
                yield from references(inner)


def operations_of(class_name: str, config: Any, name: str, inputs: tuple[int, ...], place: int) -> list[Operation]:
    """A layer of a class with its configuration, which will stand at a place, and the activation it ends with."""
    kind = snake(class_name)
    kind = _NAMES.get(kind, kind)
    if kind in _IDLE:
        kind = "identity"
    if kind == "edge_padding2d":
        kind = f"{config['mode']}_padding2d"
    if kind == "activation":
        return [_activation(config["activation"], name, inputs)]
    layer, known, strange = _card(kind, config)
    own = Operation(name, kind, layer, inputs, known=known, strange=strange)
    if config.get("activation") is None:
        return [own]
    return [own, _activation(config["activation"], name, (place,))]


def _activation(value: Any, name: str, inputs: tuple[int, ...]) -> Operation:
    """What an argument `activation` means."""
    word = value
    if isinstance(value, dict):
        word = value["config"] if isinstance(value.get("config"), str) else value.get("class_name")
    word = ALIASES.get(str(word), str(word))
    if word is None:
        return Operation(name, "identity", None, inputs)
    layer = ACTIVATIONS.get(word)
    return Operation(name, layer.name if layer else f"activation {word}", layer, inputs)


def _card(kind: str, config: Mapping[str, Any]) -> tuple[Layer | None, frozenset[str], dict[str, Any]]:
    """The card that a configuration describes, the arguments it gives, and what it says that no card does."""
    strange = {key: config[key] for key, usual in _USUAL.items() if key in config and config[key] not in usual}
    if kind == "subsampling2d":
        strange["strides"] = config["strides"]
    if kind not in LAYERS:
        return None, frozenset(), strange
    card, rank = LAYERS[kind]
    names = {argument.name for argument in card.arguments() if not argument.name.endswith("_initializer")}
    values = {}
    for key, value in config.items():
        name = key if key in names else _RENAMED.get(key, key)
        if name in names and name != "activation":
            values[name] = [] if name == "shared_axes" and value is None else value
    if kind == "resizing":
        values["target"] = [config["height"], config["width"]]
    if kind.endswith("normalization") and "axis" in config:
        strange["axis"] = config["axis"]
    if kind == "group_normalization" and values.get("groups") == -1:
        values["groups"] = strange["groups"] = 1
    try:
        return card(rank=rank, **values), frozenset(values), strange
    except (LayerError, TypeError, ValueError):
        return None, frozenset(), strange
