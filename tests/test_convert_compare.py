"""Two descriptions of a network, compared: what is said where they part, and what is left unsaid."""

from __future__ import annotations

import io
import os
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from upc import convert, limits
from upc.build import compile_source
from upc.convert import export_weights, import_weights
from upc.convert.compare import Comparison, compare
from upc.convert.description import Description, normalized, of_graph
from upc.convert.evidence import _rises
from upc.convert.foreign import Tensor
from upc.convert.heaps import check_heaps
from upc.convert.keras_config import of_config
from upc.convert.keras_file import read_h5, read_keras
from upc.convert.layouts import accepts
from upc.convert.match import state_entries
from upc.convert.reparametrized import folded
from upc.convert.torch_file import read_pt
from upc.diagnostics import EXIT_USAGE, UpcError
from upc.ir import Graph
from upc.source import Source


def graph_of(layers: str, x: str = "4, 5, 3") -> Graph:
    return compile_source(Source("net.upc", f"net n {{\n  input x: [{x}]\n  {layers}\n  output y\n}}\n"))


def described(layers: str, x: str = "4, 5, 3") -> Description:
    return of_graph(graph_of(layers, x))


def weighty(found: Description) -> list[int]:
    return [place for place, operation in enumerate(found.operations) if operation.weights]


def compared(mine: Description, its: Description, told: bool = True, whole: bool = True) -> Comparison:
    given = dict(zip(weighty(mine), weighty(its), strict=True)) if told else None
    return compare(mine, its, "file", given, whole)


def said(found: Comparison) -> list[str]:
    return [difference.message for difference in found.differences]


BRANCHES = "conv2d(3, 1) as a\n  conv2d(3, 1) as b\n  from a { relu() } as c\n  "


def test_a_network_is_like_itself():
    for layers in (BRANCHES + "add(c)", "conv2d(3, 1) relu() dense(2)"):
        found = compared(described(layers), described(layers))
        assert found.complete and not found.differences and not found.notes


def test_what_is_too_tangled_is_not_compared_as_a_whole(monkeypatch):
    monkeypatch.setattr(sys.modules[Comparison.__module__], "MOST_STEPS", 1)
    found = compared(described(BRANCHES + "add(c)"), described(BRANCHES + "add(c)"))
    assert not found.complete and found.notes == ["file is connected too intricately to be compared as a whole"]


def test_of_a_part_of_a_network_pairs_alone_are_compared():
    found = compared(described("conv2d(3, 3)"), described("conv2d(3, 3, strides=2)"), whole=False)
    assert not found.complete
    assert said(found) == ["conv2d has strides [1, 1], `conv2d` in file has [2, 2]"]
    two = of_graph(compile_source(Source("n.upc", "net n { input x: [3] dense(2) as y dense(2) as z output y, z }")))
    one = described("dense(2) dense(2)", "3")
    assert not compared(one, two).complete and not compared(one, two).differences


def test_values_that_are_joined_otherwise():
    mine, its = described(BRANCHES + "add(c)"), described(BRANCHES + "concatenate(c)")
    assert said(compared(mine, its)) == [
        "file is connected otherwise: where the net has add (add), it has `concatenate` (concatenate)"
    ]
    told_nothing = compared(mine, its, told=False)
    assert not told_nothing.complete and not told_nothing.differences
    for operation in its.operations:
        if operation.kind == "concatenate":
            operation.layer = None
    found = compared(mine, its)
    assert not found.differences and found.notes[0].startswith("not compared: file is connected otherwise")


def test_layers_that_are_not_the_ones_that_were_paired():
    mine = described(BRANCHES + "concatenate(c)")
    first, second = weighty(mine)
    found = compare(mine, described(BRANCHES + "concatenate(c)"), "file", {first: second, second: first})
    assert not found.complete and any("is connected otherwise" in words for words in said(found))


@pytest.mark.parametrize(
    ("mine", "its", "words"),
    [
        (
            "average_pooling2d(2, padding=1)",
            "average_pooling2d(2, padding=1, count_include_padding=true)",
            "count_incl",
        ),
        ("average_pooling2d(2)", "average_pooling2d(2, count_include_padding=true)", None),
        ("average_pooling2d(2, padding=1)", "max_pooling2d(2, padding=1)", "max_pooling2d"),
        ("max_pooling2d(2, padding=same)", "max_pooling2d(2)", "padding same"),
        ("max_pooling2d(2, strides=1, padding=same)", "max_pooling2d(2, strides=1)", "padding same"),
        ("conv2d_transpose(2, 3, padding=1)", "conv2d_transpose(2, 3)", "padding [[1, 1], [1, 1]]"),
        (
            "conv2d_transpose(2, 3, strides=2, padding=1, output_padding=1)",
            "conv2d_transpose(2, 3, strides=2, padding=1)",
            "output_padding [1, 1]",
        ),
        ("conv2d_transpose(2, 3) cropping2d(1)", "conv2d_transpose(2, 3)", "and [[1, 1], [1, 1]] cut off"),
        ("zero_padding2d(1) conv2d(2, 3)", "conv2d(2, 3)", "and [[1, 1], [1, 1]] zeros before it"),
        ("reshape(-1, 3)", "reshape(20, 3)", None),
        ("reshape(-1, 3)", "reshape(3, 20)", "target [-1, 3]"),
        ("softmax(axis=-1)", "softmax(axis=3)", None),
        ("relu()", "relu(6)", "max_value"),
        ("add(2)", "subtract(-2)", None),
        ("add(2)", "average(2)", "scale 1.0"),
        ("multiply(2)", "multiply(3)", "scale"),
        ("average(1)", "multiply(0.5) add(0.5)", "rescaling"),
        ("maximum(0.5)", "maximum(0.5)", None),
        ("conv2d(2, 1, groups=1)", "conv2d(2, 1)", None),
    ],
)
def test_settings_that_mean_something_else_are_said_and_others_not(mine, its, words):
    found = compared(described(mine), described(its))
    assert (words is None) == (not found.differences), said(found)
    assert words is None or any(words in line for line in said(found)), said(found)


def test_sizes_that_are_free_are_compared_as_they_are_written():
    for mine, its, same in (("same", "same", True), ("same", "valid", False)):
        found = compared(
            described(f"max_pooling2d(2, padding={mine})", "H, W, 3"),
            described(f"max_pooling2d(2, padding={its})", "H, W, 3"),
        )
        assert (not found.differences) == same
    assert not compared(described("reshape(-1, 3)", "H, 4, 3"), described("reshape(-1, 3)", "H, 4, 3")).differences


# Files


def model(*layers: dict[str, object], **more: object) -> dict[str, object]:
    return {"class_name": "Sequential", "config": {"name": "n", "layers": list(layers)}, **more}


def layer(kind: str, **config: object) -> dict[str, object]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


def kinds(config: object) -> list[str] | None:
    found = of_config(config, {})
    return None if found is None else [operation.kind for operation in found.operations]


def test_activations_of_a_description():
    found = of_config(
        model(
            layer("Activation", activation="linear"),
            layer("Activation", activation={"class_name": "builtin", "config": "relu"}),
            layer("Activation", activation={"class_name": "Odd", "config": {}}),
        ),
        {},
    )
    assert found is not None
    assert [o.kind for o in found.operations[1:]] == ["identity", "relu", "activation Odd"]


def test_a_description_without_its_layers_is_none():
    assert of_config({"class_name": "Sequential", "config": {"name": "n", "layers": 3}}, {}) is None
    assert of_config(None, {}) is None


def test_a_description_of_more_layers_than_allowed_is_none(monkeypatch):
    few = replace(limits.current(), model_layers=2)
    monkeypatch.setattr(limits, "current", lambda: few)
    assert of_config(model(layer("ReLU")), {}) is not None
    assert of_config(model(layer("ReLU"), layer("ReLU")), {}) is None


DIFFERENT = "net n {\n  input x: [4, 5, 3]\n  conv2d(3, 3, padding=same)\n  relu()\n  tanh()\n  output y\n}\n"


@pytest.fixture
def state(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "n.safetensors"
    save_file({"a.weight": np.zeros((3, 3, 3, 3), np.float32), "a.bias": np.zeros(3, np.float32)}, path)
    return path


def test_no_part_of_a_file_without_parts_can_be_named(state, tmp_path):
    graph = compile_source(Source("n.upc", DIFFERENT))
    for path in (state, tmp_path / "n.keras", tmp_path / "n.h5"):
        with pytest.raises(UpcError, match="has no parts that --key could name") as caught:
            import_weights(graph, path, key="model")
        assert caught.value.exit_code == EXIT_USAGE


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    path = tmp_path / "n.pt"
    torch.save({"a.weight": torch.zeros(3, 3, 3, 3), "a.bias": torch.zeros(3)}, path)
    really = convert.read_pt

    def read(*given: object) -> object:
        found = really(*given)
        os.utime(path, (1, 1))
        return found

    monkeypatch.setattr(convert, "read_pt", read)
    with pytest.raises(UpcError, match="it changed while it was read"):
        import_weights(compile_source(Source("n.upc", DIFFERENT)), path)


class Broken(io.RawIOBase):
    """A file on a disk that fails."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        return place

    def tell(self) -> int:
        return 0

    def readinto(self, room: object) -> int:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("ending", [".pt", ".keras", ".h5"])
def test_a_disk_that_fails_is_said_in_its_words(ending):
    with pytest.raises(UpcError, match="Input/output error"):
        if ending == ".pt":
            read_pt("n.pt", Broken(), 4, None)
        elif ending == ".keras":
            read_keras("n.keras", Broken(), 4, 1 << 20)
        else:
            read_h5("n.h5", Broken(), 4, 1 << 20)


HEAP = b"GCOL\x01\x00\x00\x00"


def test_heaps_within_heaps_and_numbers_of_other_sizes_are_refused():
    start = b"\x89HDF\r\n\x1a\n" + bytes(5)
    with pytest.raises(ValueError, match="have not eight bytes"):
        check_heaps(start + b"\4\4" + bytes(50))
    inner = HEAP + (64).to_bytes(8, "little") + bytes(2) + bytes(6) + (48).to_bytes(8, "little")
    check_heaps(start + b"\x08\x08" + inner + bytes(100))
    with pytest.raises(ValueError, match="lies within another"):
        check_heaps(start + b"\x08\x08" + inner + HEAP + bytes(100))


def test_numbers_in_names_that_rise():
    def rises(*names: str) -> bool:
        first, second = (re.split(r"([0-9]{1,9})", name) for name in names)
        return _rises(first, second)

    assert rises("conv2", "conv10") and rises("conv2d", "conv2d_1") and rises("a1", "a1_1")
    assert not rises("conv10", "conv2") and not rises("a", "b") and not rises("a1", "a1")


def tensor(name: str, value: object) -> Tensor:
    array = np.asarray(value, np.float32)
    return Tensor(name, name.rpartition(".")[2], array.shape, lambda: array)


@pytest.mark.parametrize(
    "parts",
    [
        {"a.weight_g": np.ones((2, 1)), "a.weight_v": np.ones((2, 3, 4))},
        {"a.weight_g": np.ones((3, 1)), "a.weight_v": np.ones((2, 3))},
        {"a.weight_orig": np.ones((2, 3)), "a.weight_u": np.ones(5), "a.weight_v": np.ones(3)},
        {"a.weight_orig": np.ones((2, 3)), "a.weight_mask": np.ones((3, 2))},
    ],
)
def test_parts_that_do_not_go_together_are_left_as_they_are(parts):
    given = [tensor(name, value) for name, value in parts.items()]
    try:
        plain, notes = folded(given, "n.pt")
    except UpcError:
        return
    assert sorted(t.name for t in plain) == sorted(parts) and not notes


# Pairs


def torch_like(path, **tensors: object):
    from safetensors.numpy import save_file

    save_file({name.replace("__", "."): np.asarray(value, np.float32) for name, value in tensors.items()}, path)
    return path


TWO = "net n {\n  input x: [2]\n  dense(2)\n  dense(3)\n  output y\n}\n"


def test_what_a_map_leaves_out_goes_in_order(tmp_path):
    path = torch_like(
        tmp_path / "n.safetensors",
        a__weight=np.ones((3, 2)),
        a__bias=np.ones(3),
        b__weight=np.full((2, 2), 2),
        b__bias=np.full(2, 2),
    )
    found = import_weights(compile_source(Source("n.upc", TWO)), path, mapping={"dense": "b"})
    assert found.match.how == "by --map, the others in order"
    assert {key: float(array.flat[0]) for key, array in found.weights.items()} == {
        "dense.kernel": 2,
        "dense.bias": 2,
        "dense_1.kernel": 1,
        "dense_1.bias": 1,
    }


def test_names_of_an_emitted_module_with_other_shapes_or_more_tensors_are_refused(tmp_path):
    graph = compile_source(Source("n.upc", TWO))
    entries = state_entries(graph)
    shapes = {"dense.kernel": (2, 2), "dense.bias": (2,), "dense_1.kernel": (3, 2), "dense_1.bias": (3,)}
    arrays = {entries[key]: np.ones(shape) for key, shape in shapes.items()}
    assert import_weights(graph, torch_like(tmp_path / "n.safetensors", **arrays)).match.how.startswith(
        "by the emitted"
    )
    more = torch_like(tmp_path / "more.safetensors", **arrays, other__weight=np.full((2, 2), 3))
    with pytest.raises(UpcError, match=r"other"):
        import_weights(graph, more)
    ones = torch_like(tmp_path / "ones.safetensors", **arrays, other__weight=np.ones(2), other__bias=np.zeros(2))
    assert len(import_weights(graph, ones).weights) == 4
    wrong = torch_like(tmp_path / "wrong.safetensors", **{**arrays, entries["dense.kernel"]: np.ones((5, 7))})
    with pytest.raises(UpcError, match=r"dense"):
        import_weights(graph, wrong)


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        ({"a": {}, "b": 1}, None, "it holds no state dict"),
        ([1, 2], None, "it holds no state dict"),
        ([1, 2], "model", "has no state dict `model`"),
        ({"epoch": 3, "model": "state"}, "modle", "did you mean model?"),
        ({"one": "state", "two": "state"}, None, "holds several state dicts: one, two"),
        ({"x": {"inner": "state", "more": 1}}, "else", "there is x.inner"),
        ({"a.weight": 3, "b.weight": "tensor"}, None, "`a.weight` is int, expected a tensor"),
        ({"a.weight": "whole"}, None, "is a tensor of torch.int64, expected dense floating-point numbers"),
    ],
)
def test_parts_of_a_checkpoint_that_are_not_there(tmp_path, content, key, words):
    torch = pytest.importorskip("torch")
    made = {"state": {"a.weight": torch.ones(2, 2)}, "tensor": torch.ones(2, 2), "whole": torch.ones(2, dtype=int)}

    def filled(value: object) -> object:
        if isinstance(value, dict):
            return {name: filled(inner) for name, inner in value.items()}
        return made.get(value, value) if isinstance(value, str) else value

    torch.save(filled(content), tmp_path / "n.pt")
    with pytest.raises(UpcError, match=re.escape(words)):
        import_weights(compile_source(Source("n.upc", TWO)), tmp_path / "n.pt", key=key)


def test_an_operation_of_several_results_is_one_and_a_part_for_each_other():
    text = "net n { input x: [4, 5, 4] split(2) as a, b from a { relu() } as y output y, b }"
    found = of_graph(compile_source(Source("n.upc", text)))
    assert [operation.kind for operation in found.operations] == ["input", "split", "split, part 1", "relu"]
    assert not compare(found, of_graph(compile_source(Source("n.upc", text))), "file").differences


def keras_layer(name: str, kind: str, *before: str, **config: object) -> dict[str, object]:
    nodes = [[[other, 0, 0, {}] for other in before]] if before else []
    return {"name": name, "class_name": kind, "config": {"name": name, **config}, "inbound_nodes": nodes}


def test_a_functional_model_as_an_older_keras_writes_it():
    layers = [
        keras_layer("x", "InputLayer"),
        keras_layer("a", "Resizing", "x", height=8, width=6, interpolation="nearest"),
        keras_layer("b", "PReLU", "a", shared_axes=None),
        keras_layer("c", "GroupNormalization", "b", groups=-1, axis=-1),
        keras_layer("d", "Add", "c", "a"),
    ]
    inner = {"name": "n", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
    found = of_config({"class_name": "Functional", "config": inner}, {})
    assert found is not None
    assert [(o.kind, o.inputs) for o in found.operations] == [
        ("input", ()),
        ("resizing", (0,)),
        ("prelu", (1,)),
        ("group_normalization", (2,)),
        ("add", (3, 1)),
    ]
    assert found.operations[3].strange["groups"] == 1


def of_layers(*names: tuple[str, dict[str, object]]) -> Description:
    layers = [{"class_name": "InputLayer", "config": {"name": "x"}}, *(layer(name, **given) for name, given in names)]
    found = of_config(model(*layers), {})
    assert found is not None
    return normalized(found)


@pytest.mark.parametrize(
    ("mine", "kind", "given", "words"),
    [
        ("group_normalization(1)", "GroupNormalization", {"groups": -1, "axis": -1}, "groups 1"),
        ("group_normalization(3)", "GroupNormalization", {"groups": -1, "axis": -1}, None),
        ("batch_normalization()", "BatchNormalization", {"axis": 1}, "axis"),
        ("batch_normalization()", "BatchNormalization", {"axis": [3]}, None),
        ("max_pooling2d(2)", "MaxPooling2D", {"pool_size": 2, "padding": "valid"}, None),
        ("max_pooling2d(2)", "MaxPooling2D", {"pool_size": 2, "data_format": "channels_first"}, "data_format"),
    ],
)
def test_what_no_card_says_is_compared_too(mine, kind, given, words):
    its = of_layers((kind, given))
    net = described(mine)
    for found, key in ((net, "own"), (its, "its")):
        found.operations[-1].weights = key if "normalization" in mine else None
    found = compare(net, its, "file", {len(net.operations) - 1: len(its.operations) - 1})
    assert (words is None) == (not found.differences), said(found)
    assert words is None or any(words in line for line in said(found)), said(found)


def test_the_first_differences_are_listed_and_the_others_counted(tmp_path, monkeypatch):
    pytest.importorskip("keras")
    monkeypatch.setattr(limits, "DIAGNOSTICS", 2)
    mine = "net n {{ input x: [4, 5, 3] conv2d(3, 1) {} output y }}"
    theirs = compile_source(Source("n.upc", mine.format("relu() tanh() softmax() elu() sigmoid()")))
    weights = {key: np.ones(weight.shape, np.float32) for key, weight, _ in theirs.weights()}
    export_weights(theirs, weights, tmp_path / "n.keras")
    graph = compile_source(Source("n.upc", mine.format("tanh() relu() max_pooling2d(1) sigmoid() elu(0.5)")))
    with pytest.raises(UpcError) as caught:
        import_weights(graph, tmp_path / "n.keras")
    assert "differs in" in caught.value.diagnostics[-1].message and len(caught.value.diagnostics) == 3


def test_a_net_that_has_no_module_of_pytorchs_has_no_names_there(monkeypatch):
    def refuse(*given: object, **named: object) -> str:
        raise UpcError([])

    monkeypatch.setattr(sys.modules[state_entries.__module__].torch_source, "emit", refuse)
    assert state_entries(graph_of("dense(2)", "3")) == {}


def test_slopes_of_pytorchs_may_have_axes_of_one():
    (node,) = graph_of("prelu(shared_axes=[1, 2])").nodes
    (weight,) = node.weights
    assert [accepts(node, weight, shape) for shape in ((3,), (1,), (3, 1, 1), (4,))] == [True, True, True, False]


def test_a_functional_model_as_keras_writes_it_now():
    def value(name: str) -> dict[str, object]:
        return {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "keras_history": [name, 0, 0]}}

    def use(*before: str, **named: object) -> list[object]:
        return [{"args": [value(name) for name in before], "kwargs": named}]

    layers = [
        {**keras_layer("x", "InputLayer"), "inbound_nodes": [{"args": [], "kwargs": {}}]},
        {"name": "a", "class_name": "ReLU", "config": {"name": "a"}, "inbound_nodes": use("x", mask=None)},
        {"name": "b", "class_name": "ReLU", "config": {"name": "b"}, "inbound_nodes": use("a", more=[2])},
    ]
    inner = {"name": "n", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["b", 0, 0]]}
    found = of_config({"class_name": "Functional", "config": inner}, {})
    assert found is not None
    assert [(o.kind, o.inputs, o.layer is None) for o in found.operations] == [
        ("input", (), True),
        ("relu", (0,), False),
        ("relu", (1,), True),  # a number among what it is given means something that its card does not know
    ]
