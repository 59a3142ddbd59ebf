"""Tell a Numba module that this upc wrote from any other file: its code is ours to the letter, and the rest is data.

To compile a module's machine code is to run the module. What follows its runtime may be nothing but a description of a
network: literals, arithmetic on sizes, and the runtime's frozen dataclasses.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache

from upc import build, pipeline
from upc.runtime.steps import NETWORK_MARK
from upc.source import Source

MOST_CHARACTERS = 1 << 24
_SMALL = "net small {\n  input x: [2]\n  relu()\n  output y\n}\n"
_RUN = "from the shell"  # the statement that runs the module
_SIZES = ("sizes", "slices", "demands", "shapes")
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.USub)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def strange_part(text: str) -> str | None:
    """What of a file is not as upc writes it, in words; None where all is."""
    if len(text) > MOST_CHARACTERS or "\r" in text:
        return "it is no such text"
    try:
        return _strange_part(text, ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "it is no Python that upc writes"


def _strange_part(text: str, tree: ast.Module) -> str | None:
    runtime, network = _parts(text, tree) or ([], [])
    expected, last, known = _expected()
    if runtime != expected:
        return "its code is not this version's"
    seen = set()
    for node in network:
        name = _name(node)
        if name in seen or not _allowed(node, name, last, known):
            return f"line {node.lineno} is not the description of a network"
        seen.add(name)
    return None if {"NETWORK", "load", _RUN} <= seen else "it describes no network"


@cache
def _expected() -> tuple[list[str], dict[str, str], frozenset[str]]:
    """Of what upc writes: the runtime's lines, what every module ends with, the classes that hold data alone."""
    text = pipeline.emit(build.compile_source(Source("small.upc", _SMALL)), "numba")
    tree = ast.parse(text)
    parts = _parts(text, tree)
    assert parts is not None
    runtime, network = parts
    return (
        runtime,
        {_name(node): ast.dump(node) for node in network if _name(node) in ("load", _RUN)},
        frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef) and _is_data(node)),
    )


def _parts(text: str, tree: ast.Module) -> tuple[list[str], list[ast.stmt]] | None:
    """The lines from the docstring to the network, and the statements after those; None where there are no such."""
    if len(tree.body) < 2 or not _is_docstring(tree.body[0]):
        return None
    start = tree.body[0].end_lineno or 0
    lines = text.split("\n")
    if tree.body[1].lineno <= start or NETWORK_MARK not in lines[start:]:
        return None
    end = lines.index(NETWORK_MARK, start)
    return lines[start:end], [node for node in tree.body if node.lineno > end]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_data(node: ast.ClassDef) -> bool:
    """Whether to make an object of a class is to keep its arguments, and nothing else."""
    frozen = any("frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list)
    special = {"__post_init__", "__init__", "__new__", "__setattr__"}
    return frozen and not any(isinstance(part, ast.FunctionDef) and part.name in special for part in node.body)


def _name(node: ast.stmt) -> str:
    """What a statement defines, or nothing."""
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.If):
        return _RUN
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _allowed(node: ast.stmt, name: str, last: Mapping[str, str], known: frozenset[str]) -> bool:
    if name in last:
        return ast.dump(node) == last[name]
    if name == "NETWORK" and isinstance(node, ast.Assign):
        return _is_plain(node.value, frozenset(_SIZES), known)
    return name in _SIZES and isinstance(node, ast.FunctionDef) and _is_size_function(node)


def _is_size_function(node: ast.FunctionDef) -> bool:
    """A function of free sizes that returns arithmetic on them."""
    given = node.args
    others = (given.posonlyargs, given.kwonlyargs, given.defaults, given.kw_defaults, node.decorator_list)
    if any(others) or given.vararg or given.kwarg or len(node.body) != 2 or not _is_docstring(node.body[0]):
        return False
    answer = node.body[1]
    names = frozenset(argument.arg for argument in given.args)
    return isinstance(answer, ast.Return) and answer.value is not None and _is_plain(answer.value, names, frozenset())


def _is_plain(node: ast.expr, names: frozenset[str], known: frozenset[str]) -> bool:
    """Whether an expression only puts data together, from literals, `names` and the classes `known`."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call):
        if ast.unparse(node) in ("float('inf')", "float('-inf')"):
            return True
        called = isinstance(node.func, ast.Name) and node.func.id in known
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return called and all(keyword.arg for keyword in node.keywords) and _are_plain(parts, names, known)
    if isinstance(node, ast.Dict):
        return None not in node.keys and _are_plain([*filter(None, node.keys), *node.values], names, known)
    if isinstance(node, ast.Tuple):
        return _are_plain(node.elts, names, known)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, _ARITHMETIC) and _is_number(node.operand, names)
    if isinstance(node, ast.BinOp):
        return _is_number(node, names)
    if isinstance(node, ast.Compare):
        signs = all(isinstance(sign, _COMPARISONS) for sign in node.ops)
        return signs and all(_is_number(part, names) for part in (node.left, *node.comparators))
    return False


def _are_plain(nodes: list[ast.expr], names: frozenset[str], known: frozenset[str]) -> bool:
    return all(_is_plain(node, names, known) for node in nodes)


def _is_number(node: ast.expr, names: frozenset[str]) -> bool:
    """Arithmetic on whole numbers and names; text, which could be made very long, has no part in it."""
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, _ARITHMETIC) and _is_number(node.operand, names)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, _ARITHMETIC) and _is_number(node.left, names) and _is_number(node.right, names)
    return False
