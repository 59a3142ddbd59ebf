"""Tree to graph: paths, shapes, frames, values, files, free sizes and what they must satisfy."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from upc import limits
from upc.build import build, compile_source, load_graph, nets, read_define
from upc.demands import check_sizes, explain_demands, solve
from upc.diagnostics import EXIT_SOURCE, EXIT_USAGE, Diagnostic, UpcError
from upc.ir import Demand, Graph
from upc.parse import parse
from upc.shape import evaluate, free
from upc.source import Source, Span
from upc.units import folder_reader, read_source
from upc.verify import InvalidGraph, verify

OK = Path(__file__).parent / "corpus" / "ok"


def graph(text: str, **defines: object) -> Graph:
    return verify(compile_source(Source("test.upc", text), defines=defines))


def body(*lines: str, head: str = "net n", shape: str = "[8, 6, 3]") -> str:
    return "\n".join([f"{head} {{", f"  input x: {shape}", *(f"  {line}" for line in lines), "}", ""])


def failure(text: str, **defines: object) -> UpcError:
    with pytest.raises(UpcError) as caught:
        graph(text, **defines)
    return caught.value


def paths(g: Graph) -> list[str]:
    return [node.path for node in g.nodes]


@pytest.mark.parametrize("path", sorted(OK.glob("*.upc")), ids=lambda p: p.stem)
def test_every_net_of_the_corpus_builds(path: Path) -> None:
    for net in nets(parse(read_source(path))):
        g = verify(load_graph(path, net))
        assert g.name == net


def test_dcgan_faces() -> None:
    g = load_graph(OK / "dcgan_faces.upc")
    assert paths(g)[:5] == ["dense", "reshape", "up.conv2d_transpose", "up.leaky_relu", "up.batch_normalization"]
    assert paths(g)[-2:] == ["up_2.batch_normalization", "conv2d_transpose"]
    assert g.outputs[0].name == "face" and g.outputs[0].value.shape == (64, 64, 3)
    keys = {key: weight.shape for key, weight, _ in g.weights()}
    assert keys["up_2.conv2d_transpose.kernel"] == (4, 4, 64, 128)
    assert g.parameters == (("latent", 100), ("width", 512))
    narrow = load_graph(OK / "dcgan_faces.upc", defines={"width": 64, "latent": 7})
    assert narrow.inputs[0].shape == (7,) and narrow.nodes[0].output_shapes == ((1024,),)


def test_unet_with_free_sizes() -> None:
    g = load_graph(OK / "unet.upc")
    assert [str(d) for d in g.outputs[0].value.shape] == ["H", "W", "1"]
    assert explain_demands(g) == [
        f"{name} must be a multiple of 4: concatenate at line 15 joins 2*({name}/4) and {name}/2; "
        f"concatenate at line 18 joins 2*({name}/2) and {name}"
        for name in "HW"
    ]
    assert check_sizes(g, [(64, 44, 3)]) == {"H": 64, "W": 44}
    with pytest.raises(UpcError) as caught:
        check_sizes(g, {"image": (30, 44, 3)})
    assert caught.value.exit_code == EXIT_USAGE
    (first, *_) = caught.value.diagnostics
    assert "H = 30 does not fit unet" in first.message and "2*(H/4) = 14" in first.message
    assert first.hint == "H = 28 or 32 fits: pad or crop the input"


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(64, 64)], "expected shape (H, W, 3), got (64, 64)"),
        ([(64, 64, 4)], "expected shape (H, W, 3), got (64, 64, 4)"),
        ([(1, 64, 64, 3)], "the batch is not part of it"),
        ([], "takes 1 inputs, got 0"),
        ({"picture": (64, 64, 3)}, "takes the inputs image"),
        ([(0, 64, 3)], "got (0, 64, 3)"),
    ],
)
def test_shapes_that_do_not_fit(shapes: object, words: str) -> None:
    with pytest.raises(UpcError) as caught:
        check_sizes(load_graph(OK / "unet.upc"), shapes)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_demands_in_sentences() -> None:
    def said(net: str) -> list[str]:
        return explain_demands(load_graph(OK / "free_sizes.upc", net))

    assert said("odd") == [
        "H must be odd: add at line 6 joins 2*((H + 1)/2) - 1 and H",
        "H must be at least 3: conv2d at line 4 needs (H + 1)/2 - 1 >= 1",
        "W must be odd: add at line 6 joins 2*((W + 1)/2) - 1 and W",
        "W must be at least 3: conv2d at line 4 needs (W + 1)/2 - 1 >= 1",
    ]
    assert said("agree") == ["V must equal W: concatenate at line 13 joins V and W"]
    assert said("large") == [
        "H must be at least 12: conv2d at line 21 needs H/2 - 5 >= 1",
        "W must be at least 8: max_pooling2d at line 20 needs W/2 - 3 >= 1",
    ]


def test_solutions_agree_with_trying_every_number() -> None:
    h, span = free("H"), Span(Source("", ""), 0, 0)
    pairs = [
        (h // 4 * 4, h),
        ((h + 1) // 2 * 2, h + 1),
        (h // 2 // 3 * 6 + 1, h),
        (h * 2, h + 12),
        ((h - 1) // 3 * 3, h - 2),
        (h // 6 * 2, h // 3),
    ]
    floors = [(h - 5, 1), ((h - 7) // 3, 2)]
    for left, right in pairs:
        for other, least in [(h, 1), *floors]:
            demands = [Demand("equal", left, right, span, "a"), Demand("at_least", other, least, span, "b")]
            solution = solve(demands)["H"]
            for n in range(1, 60):
                holds = evaluate(left, {"H": n}) == evaluate(right, {"H": n}) and evaluate(other, {"H": n}) >= least
                assert (n in solution) == holds, (str(left), str(right), str(other), n)


def test_paths_are_numbered_in_each_scope() -> None:
    g = graph(
        "block b(n) { dense(n) dense(n) }\n" + body("dense(3)", "b(4)", "dense(5)", "b(6)", "output y", shape="[8]")
    )
    assert paths(g) == ["dense", "b.dense", "b.dense_1", "dense_1", "b_1.dense", "b_1.dense_1"]


def test_paths_never_collide() -> None:
    g = graph(
        "block up() { relu() }\nblock up_1() { tanh() }\n"
        + body(
            "up_1()",
            "up()",
            "up()",
            "relu()",
            "add(x) as y",
            "input relu_1: [3]",
            "relu()",
            "relu() as z",
            "output z, y",
        )
    )
    assert paths(g) == ["up_1.tanh", "up.relu", "up_2.relu", "relu", "add", "relu_2", "relu_3"]
    assert "relu_1" in g.input_names


def test_repeats_add_nothing_to_a_path() -> None:
    g = load_graph(OK / "repeats.upc")
    assert [p for p in paths(g) if p.startswith("stage_1")] == [
        "stage_1.conv2d",
        "stage_1.conv2d_1",
        "stage_1.max_pooling2d",
    ]
    inner = next(node for node in g.nodes if node.path == "conv2d_3")
    assert [(f.kind, f.name, f.arguments) for f in inner.frames] == [
        ("repeat", "i", (("i", 3),)),
        ("repeat", "j", (("j", 1),)),
    ]


def test_frames_tell_instances_and_turns() -> None:
    g = load_graph(OK / "dcgan_faces.upc")
    ups = [node.frames for node in g.nodes if node.path.endswith("conv2d_transpose") and node.frames]
    assert [f[0].arguments for f in ups] == [(("i", 1),), (("i", 2),), (("i", 3),)]
    assert [(f[1].kind, f[1].path, f[1].arguments) for f in ups] == [
        ("block", "up", (("filters", 256),)),
        ("block", "up_1", (("filters", 128),)),
        ("block", "up_2", (("filters", 64),)),
    ]
    assert len({f[0].site for f in ups}) == 1


def test_branches_return_to_the_value_before() -> None:
    g = load_graph(OK / "branches.upc")
    by_path = {node.path: node for node in g.nodes}
    assert by_path["relu"].inputs[0].name == "conv2d"
    assert [v.name for v in by_path["concatenate"].inputs] == ["relu", "add", "conv2d_1"]
    assert ("side", "add") in g.values_named and ("picture", "x") in g.values_named


def test_blocks_take_defaults_names_and_values() -> None:
    g = load_graph(OK / "blocks.upc")
    by_path = {node.path: node for node in g.nodes}
    assert by_path["residual.squeeze.conv2d"].layer.filters == 4  # type: ignore[attr-defined]
    assert by_path["residual_1.conv2d"].layer.kernel_size == (5, 5)  # type: ignore[attr-defined]
    assert by_path["residual_2.squeeze.conv2d"].layer.filters == 3  # type: ignore[attr-defined]
    assert [v.name for v in by_path["join.concatenate"].inputs] == ["join.up_sampling2d", "residual.add"]
    assert by_path["join.concatenate"].frames[0].arguments == (("filters", 8),)


def test_outputs() -> None:
    g = load_graph(OK / "several_inputs.upc")
    assert [(v.name, v.shape) for v in g.inputs] == [("picture", (8, 6, 3)), ("style", (5,))]
    assert [o.name for o in g.outputs] == ["styled", "code", "features"]
    split = load_graph(OK / "split.upc")
    assert [o.value.name for o in split.outputs] == ["concatenate", "slice", "split"]
    assert [v.name for v in split.nodes[0].outputs] == ["split", "split:1", "split:2"]


def test_trainable() -> None:
    def frozen(g: Graph) -> list[str]:
        return [key for key, _, trainable in g.weights() if not trainable and key.endswith("kernel")]

    kernels = ["conv2d.kernel", "pair_1.conv2d.kernel", "pair_1.conv2d_1.kernel"]
    assert frozen(load_graph(OK / "trainable.upc", defines={"freeze": True})) == kernels
    assert len(frozen(load_graph(OK / "trainable.upc", defines={"freeze": False}))) == 5
    moving = [key for key, _, trainable in load_graph(OK / "trainable.upc").weights() if "moving" in key and trainable]
    assert moving == []


def test_values_are_exact() -> None:
    g = load_graph(OK / "values.upc")
    assert g.inputs[0].shape == (16, 16, 3)
    first, second, scale, product = (node.layer for node in g.nodes[:4])
    assert (first.filters, first.kernel_size) == (5, (3, 5))  # type: ignore[attr-defined]
    assert second.filters == 5 and second.padding == ((1, 0), (0, 1))  # type: ignore[attr-defined]
    assert (scale.scale, scale.offset) == (1 / 255, -0.001)  # type: ignore[attr-defined]
    assert product.constants == (0.2, 150.0)  # type: ignore[attr-defined]
    big = graph(body("dense(2 ** 62 / 2 ** 60)", "dense((-1) ** 999999999 + 5)", "dense(0 ** 0)", "output y"))
    assert [node.layer.units for node in big.nodes] == [4, 4, 1]  # type: ignore[attr-defined]


def test_dead_values_are_warned_about_and_leave_nothing() -> None:
    warnings: list[Diagnostic] = []
    g = load_graph(OK / "dead.upc", warn=warnings.append)
    assert paths(g) == ["idle.from_here.tanh", "idle_1.from_here.tanh"] and not g.weights()
    assert [(w.code, w.span and w.span.line, w.severity) for w in warnings] == [
        ("W0703", 2, "warning"),
        ("W0701", 10, "warning"),
        ("W0703", 15, "warning"),
        ("W0701", 20, "warning"),
        ("W0702", 21, "warning"),
    ]
    assert [v.name for v in g.inputs] == ["x", "spare"]


def test_a_clean_net_has_no_warnings() -> None:
    warnings: list[Diagnostic] = []
    for name in ("dcgan_faces", "unet", "branches", "blocks", "use"):
        load_graph(OK / f"{name}.upc", warn=warnings.append)
    assert warnings == []


def test_one_mistake_gives_one_message() -> None:
    text = body("conv2d(8, 9) as a", "relu()", "conv2d(4, 3) as b", "add(a) as y", "from b { tanh() }", "output y, b")
    assert [d.code for d in failure(text).diagnostics] == ["E0401"]
    chained = body("conv2d(widht * 2, 3) as a", "conv2d(8, 3)", "concatenate(a)", "repeat 3 { dense(4) }", "output y")
    assert [d.code for d in failure(chained).diagnostics] == ["E0202"]


def test_all_mistakes_are_reported_in_the_order_of_the_text() -> None:
    text = body("conv2d(8, kernal=3)", "relo()", "dense(7 / 2)", "add(nothing)", "output y, z")
    found = [(d.span and d.span.line, d.code) for d in failure(text).diagnostics]
    assert found == [(3, "E0308"), (4, "E0201"), (5, "E0302"), (6, "E0202"), (7, "E0202"), (7, "E0202")]


def test_mistakes_in_what_is_not_built_are_found_where_names_tell() -> None:
    text = "block idle() {\n  repeat 2 { conv3d(8) }\n}\n" + body("relu()", "output y")
    assert [d.message for d in failure(text).diagnostics] == ["there is no layer or block called `conv3d`"]


# Parameters from outside


def test_defines() -> None:
    text = body(
        "dense(units, activation=act, use_bias=biased)", "output y", head="net n(units=4, act=relu, biased=true)"
    )
    g = graph(text, units=6, act="tanh", biased=False)
    assert g.parameters == (("units", 6), ("act", "tanh"), ("biased", False))
    unknown = failure(text, unit=3)
    assert unknown.exit_code == EXIT_USAGE
    assert unknown.diagnostics[0].hint == "did you mean `units`?"
    assert failure(text, biased=3).exit_code == EXIT_USAGE
    assert failure(text, units=2**70).exit_code == EXIT_USAGE
    assert failure(text, units=[3]).exit_code == EXIT_USAGE
    assert failure(text, units=-1).exit_code == EXIT_SOURCE
    needed = body("dense(units)", "output y", head="net n(units)")
    assert "parameter `units` has no value" in str(failure(needed))
    assert graph(needed, units=3).nodes[0].output_shapes == ((8, 6, 3),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=3", ("a", 3)),
        ("a = -2", ("a", -2)),
        ("a=0.5", ("a", 0.5)),
        ("a=1e-3", ("a", 0.001)),
        ("a=true", ("a", True)),
        ("a=none", ("a", None)),
        ("a=same", ("a", "same")),
        ("a=x=y", ("a", "x=y")),
        ("a=", ("a", "")),
    ],
)
def test_read_define(text: str, expected: object) -> None:
    name, value = read_define(text)
    assert (name, value) == expected and type(value) is type(expected[1])  # type: ignore[index]


@pytest.mark.parametrize("text", ["a", "=3", "a b=3", ""])
def test_read_define_refuses(text: str) -> None:
    with pytest.raises(UpcError) as caught:
        read_define(text)
    assert caught.value.exit_code == EXIT_USAGE


def test_the_net_is_chosen_by_name() -> None:
    path = OK / "several_nets.upc"
    assert nets(parse(read_source(path))) == ("generator", "discriminator")
    assert load_graph(path, "discriminator").name == "discriminator"
    with pytest.raises(UpcError, match="holds 2 nets: generator, discriminator") as caught:
        load_graph(path)
    assert caught.value.exit_code == EXIT_USAGE
    with pytest.raises(UpcError, match="did you mean `generator`"):
        load_graph(path, "generater")


# Files


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / "main.upc"


def test_use_reads_relative_to_the_using_file(tmp_path: Path) -> None:
    g = load_graph(OK / "use.upc")
    assert paths(g)[:3] == ["down.normalized.conv2d", "down.normalized.batch_normalization", "down.normalized.relu"]
    assert "up.normalized.conv2d" in paths(g)
    assert g.nodes[0].span.source.name.endswith("shared.upc")


def test_used_blocks_stay_private_to_the_file_that_uses_them(tmp_path: Path) -> None:
    main = project(
        tmp_path,
        {
            "main.upc": 'use "a.upc"\n' + body("a()", "b()", "output y"),
            "a.upc": 'use "b.upc"\nblock a() { b() }\n',
            "b.upc": "block b() { relu() }\n",
        },
    )
    with pytest.raises(UpcError, match="there is no layer or block called `b`"):
        load_graph(main)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_lead_nowhere_outside(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "outside" / "secret.upc"
    project(secret.parent, {"secret.upc": "block s() { relu() }\n"})
    main = project(tmp_path / "inside", {"main.upc": ""})
    if kind == "file":
        os.symlink(secret, main.parent / "linked.upc")
        main.write_text('use "linked.upc"\n' + body("s()", "output y"))
    else:
        os.symlink(secret.parent, main.parent / "linked")
        main.write_text('use "linked/secret.upc"\n' + body("s()", "output y"))
    with pytest.raises(UpcError, match="leads out of the project folder"):
        load_graph(main)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    main = project(tmp_path, {"main.upc": 'use "b.upc"\n' + body("s()", "output y"), "a.upc": "block s() { relu() }\n"})
    os.symlink(tmp_path / "a.upc", tmp_path / "b.upc")
    assert paths(load_graph(main)) == ["s.relu"]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    main = project(tmp_path, {"main.upc": 'use "folder.upc"\n' + body("relu()", "output y")})
    (tmp_path / "folder.upc").mkdir()
    with pytest.raises(UpcError, match="cannot read"):
        load_graph(main)
    main.write_bytes(b"net n { \xff }")
    with pytest.raises(UpcError, match="not UTF-8"):
        load_graph(main)
    main.write_bytes(b" " * (limits.current().file_bytes + 1))
    with pytest.raises(UpcError, match="more than 1,048,576 bytes"):
        load_graph(main)


def test_a_file_may_not_come_back_to_itself(tmp_path: Path) -> None:
    main = project(
        tmp_path,
        {
            "main.upc": 'use "a.upc"\n' + body("relu()", "output y"),
            "a.upc": 'use "parts/b.upc"\n',
            "parts/b.upc": 'use "../main.upc"\n',
        },
    )
    with pytest.raises(UpcError, match=r"circle: main\.upc -> a\.upc -> parts/b\.upc -> main\.upc"):
        load_graph(main)


def test_text_without_a_folder_uses_nothing() -> None:
    with pytest.raises(UpcError, match="does not come from a folder"):
        build(parse(Source("<stdin>", 'use "a.upc"\n' + body("relu()", "output y"))))


def test_the_reader_can_be_anything() -> None:
    files = {"parts/a.upc": "block a() { relu() }\n"}
    text = 'use "parts/a.upc"\n' + body("a()", "output y")
    g = compile_source(Source("test", text), read=lambda path: Source(path, files[path]))
    assert paths(g) == ["a.relu"]


def test_a_reader_gives_only_files_of_its_folder(tmp_path: Path) -> None:
    project(tmp_path, {"main.upc": "block b() { }", "inner/x.upc": ""})
    assert folder_reader(tmp_path)("main.upc").text == "block b() { }"
    with pytest.raises(ValueError, match="out of the project"):
        folder_reader(tmp_path / "inner")("../main.upc")


# Limits


@pytest.mark.parametrize(
    "text",
    [
        body("repeat 1000000000000 { relu() }", "output y"),
        body("repeat 1000000000000 { }", "output y"),
        body("repeat 99999 { repeat 99999 { repeat 99999 { } } }", "relu()", "output y"),
        "".join(f"block b{i}() {{ b{i + 1}() b{i + 1}() }}\n" for i in range(60))
        + "block b60() { }\n"
        + body("b0()", "output y"),
        "".join(f"block b{i}() {{ b{i + 1}() }}\n" for i in range(5000))
        + "block b5000() { relu() }\n"
        + body("b0()", "output y"),
        body("repeat 2000 { max_pooling2d(3) up_sampling2d(2) }", "output y", shape="[H, W, 3]"),
        body("repeat 9000 { up_sampling2d(2) }", "output y"),
        body("repeat 9000 { conv2d_transpose(1, 3, strides=2) }", "output y", shape="[H, W, 3]"),
    ],
)
def test_nets_that_grow_without_end_stop_soon(text: str) -> None:
    began = time.process_time()
    assert failure(text).exit_code == EXIT_SOURCE
    assert time.process_time() - began < 10


def test_what_the_limits_allow_is_built() -> None:
    began = time.process_time()
    assert (
        len(graph(body(f"repeat {limits.current().layers} {{ relu() }}", "output y")).nodes) == limits.current().layers
    )
    assert time.process_time() - began < 10


# What must hold of a graph


def test_verify_finds_what_does_not_hold() -> None:
    g = graph(body("conv2d(4, 3)", "relu()", "output y"))
    first, second = g.nodes
    wrong = {
        "before it is made": replace(g, nodes=(second, first)),
        "two nodes are called": replace(g, nodes=(first, first, second)),
        "its card": replace(g, nodes=(replace(first, weights=()), second)),
        "there is no output": replace(g, outputs=()),
        "which is not made": replace(g, nodes=(first,)),
        "two outputs are called y": replace(g, outputs=g.outputs * 2),
        "nothing uses": replace(
            g, nodes=(*g.nodes, replace(second, path="idle", outputs=(replace(second.outputs[0], name="idle"),)))
        ),
        "gives": replace(g, nodes=(replace(first, outputs=(replace(first.outputs[0], shape=(1, 1, 4)),)), second)),
    }
    for words, broken in wrong.items():
        with pytest.raises(InvalidGraph, match=words):
            verify(broken)


@pytest.mark.parametrize(
    ("shape", "warned"),
    [
        ("[3, 224, 224]", True),
        ("[3, 48, 64]", True),
        ("[1, 28, 28]", True),
        ("[224, 224, 3]", False),
        ("[1, 28, 64]", False),
        ("[3, 4, 32]", False),
        ("[4, 64, 64]", False),
        ("[3, H, 64]", False),
    ],
)
def test_a_shape_with_channels_in_front_is_warned_of(shape: str, warned: bool) -> None:
    found: list[Diagnostic] = []
    compile_source(Source("t", f"net n {{\n  input x: {shape}\n  relu()\n  output y\n}}"), warn=found.append)
    assert [d.code for d in found] == ["W0704"] * warned
    if warned:
        channels, *pixels = shape[1:-1].split(", ")
        assert (found[0].hint or "").endswith(f"`[{', '.join((*pixels, channels))}]`")
