"""Who may import whom. Data goes one way: text, tree, Graph, passes, Plan, text, module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "upc"
FRAMEWORKS = {
    *("keras", "tensorflow", "torch", "jax", "onnx", "onnxruntime", "onnxscript", "openvino", "h5py"),
    *("numba", "llvmlite", "PIL"),
}

# What joins the tree and the graph.
BUILD = {"upc.build"}
TREE = {"upc.syntax", "upc.scan", "upc.shift_reduce", "upc.parse", "upc.mistakes", "upc.units", "upc.format"}
GRAPH = {"upc.ir", "upc.layers"}
OUTSIDE = {
    "upc.cli",
    "upc.__main__",
    "upc.commands",
    "upc.extend",
    "upc.load",
    "upc.targets",
    "upc.written",
    "upc.compile_worker",
    "upc.load_numba",
    "upc.load_frameworks",
    "upc.convert",
    "upc.pipeline",
    "upc.check",
    "upc.bench",
}
"""What a user calls: these put stages together, and no stage knows them."""
RUNNING = {
    *("upc.load", "upc.load_numba", "upc.load_frameworks", "upc.targets"),
    *("upc.convert", "upc.check", "upc.bench"),
}
"""What runs what upc writes, or reads what others write."""
STEPS = "upc.runtime.steps"
"""The words that plan, emitter and runtime share: data only."""
TAPS = "upc.runtime.resampling"
"""The arithmetic that cards and runtime share: NumPy only."""


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("upc", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text())
    return found


MODULES = modules()


def imported(nodes: list[ast.stmt] | ast.AST) -> set[str]:
    """The dotted names that import statements bring in; of `from upc import x`, upc.x."""
    names = set()
    for top in nodes if isinstance(nodes, list) else [nodes]:
        for node in ast.walk(top):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"upc.{a.name}" for a in node.names} if node.module == "upc" else {node.module}
    return names


def within(name: str, groups: set[str]) -> bool:
    return any(name == group or name.startswith(f"{group}.") for group in groups)


def upc_imports(module: str) -> set[str]:
    return {name for name in imported(MODULES[module]) if name.startswith("upc.")}


def at_import_time(tree: ast.Module) -> set[str]:
    """What importing a module imports: not what stands in functions or under TYPE_CHECKING."""
    top = [
        node
        for node in tree.body
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return imported(top)


@pytest.mark.parametrize("module", MODULES)
def test_frameworks_are_imported_by_those_alone_that_run_them(module):
    roots = {name.split(".")[0] for name in imported(MODULES[module])} & FRAMEWORKS
    allowed = {"numba", "llvmlite"} if within(module, {"upc.runtime"}) and module != STEPS else set()
    if within(module, RUNNING):
        allowed = FRAMEWORKS
    if within(module, {"upc.carried"}):
        allowed = set(module.split(".")[2:3])
    assert roots <= allowed


@pytest.mark.parametrize("module", [m for m in MODULES if not within(m, {"upc.runtime", "upc.carried"})])
def test_importing_upc_imports_no_framework(module):
    assert not {name.split(".")[0] for name in at_import_time(MODULES[module])} & FRAMEWORKS
    assert not within(module, {"upc.emit", "upc.plan", "upc.passes"}) or not {
        name for name in at_import_time(MODULES[module]) if within(name, {"upc.runtime"}) and name != STEPS
    }


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("upc.source", set()),
        ("upc.shape", set()),
        ("upc.diagnostics", {"upc.source"}),
        ("upc.limits", set()),
        ("upc.ir", {"upc.source", "upc.shape", "upc.limits"}),
        ("upc.syntax", {"upc.source"}),
        (STEPS, set()),
    ],
)
def test_the_foundations_know_only_what_lies_below_them(module, allowed):
    assert upc_imports(module) <= allowed


@pytest.mark.parametrize("module", [m for m in MODULES if within(m, {"upc.layers"})])
def test_cards_know_the_graph_alone(module):
    below = {TAPS, "upc.layers", "upc.ir", "upc.shape", "upc.source", "upc.diagnostics", "upc.initializers"}
    assert all(within(name, below) for name in upc_imports(module))


@pytest.mark.parametrize("module", [m for m in MODULES if not within(m, BUILD | OUTSIDE) and m != "upc"])
def test_build_alone_joins_tree_and_graph(module):
    names = upc_imports(module) | {module}
    assert not (any(within(n, TREE) for n in names) and any(within(n, GRAPH) for n in names))
    assert not any(within(name, OUTSIDE) for name in names - {module})
    assert within(module, TREE | BUILD) or not any(within(name, BUILD) for name in names)


STAGES = {"upc.passes", "upc.reference", "upc.plan", "upc.emit", "upc.runtime", "upc.carried"}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_stages_do_not_see_each_others_insides(stage):
    others = STAGES - {stage}
    if stage in ("upc.runtime", "upc.carried"):  # travels with the modules it runs: nothing but itself
        others = {name for name in MODULES if name != "upc" and not within(name, {stage})}
    seen = {name for module in MODULES if within(module, {stage}) for name in upc_imports(module)}
    if stage == "upc.emit":  # Numba's source is written from a Plan, its public face
        seen -= {name for name in seen if name == "upc.plan" or name.startswith("upc.plan.")}
    if stage in ("upc.plan", "upc.emit"):
        seen -= {STEPS}
    assert not {name for name in seen if within(name, others)}


@pytest.mark.parametrize("module", [m for m in MODULES if not within(m, {"upc.carried"})])
def test_what_keras_and_torch_carry_is_read_and_never_imported(module):
    assert not {name for name in imported(MODULES[module]) if within(name, {"upc.carried"})}


def test_the_words_of_plans_need_nothing_but_python():
    standard = {"__future__", "dataclasses", "math", "typing"}
    assert {name.split(".")[0] for name in imported(MODULES[STEPS])} <= standard


def test_what_cards_and_runtime_share_needs_nothing_but_numpy():
    assert {name.split(".")[0] for name in imported(MODULES[TAPS])} <= {"__future__", "numpy"}
