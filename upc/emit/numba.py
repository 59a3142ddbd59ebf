"""Plan -> the source of a Numba module that stands alone."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import upc
from upc.demands import explain_demands, holds_always
from upc.emit.common import environment
from upc.emit.layout import Code, fit, literal
from upc.ir import Demand, Graph
from upc.plan import make_plan
from upc.plan.plan import ONE_TURN, Plan
from upc.plan.sizes import allowed_sizes
from upc.runtime.steps import FIRST_IMPORT, NETWORK_MARK, Filtering, Step
from upc.shape import Dim, Shape, show

RUNTIME = (
    *("steps", "records", "subroutine", "vectors", "layout", "registers", "tile", "wide", "finishing", "team"),
    *("files", "cores", "memory", "vault", "cache"),
    *("epilogue", "compiled", "patches", "phases", "tiling", "rows", "convolution"),
    *("minimal", "mending", "portions", "filtering"),
    *("drive", "moving", "resampling", "windows", "normalizing", "network", "stored", "advice", "net", "shell"),
)
"""The modules of `upc.runtime` that a generated module carries, in an order in which each rests on earlier ones."""


def emit(graph: Graph) -> str:
    """The source of the module for a graph as it stands. Raises UpcError where the target cannot do a layer."""
    return emit_plan(make_plan(graph))


def emit_plan(plan: Plan) -> str:
    """The source of the module that carries out a plan."""
    graph = plan.graph
    imports, runtime = carried_runtime(_own_kernels(plan))
    free = sorted(set().union(*(_names(v.shape) for v in graph.inputs)))
    steps = [_step(step) for step in plan.steps]
    call = ", ".join(o.name for o in graph.outputs) + f" = net({', '.join(v.name for v in graph.inputs)})"
    return (
        environment("numba")
        .get_template("module.py.j2")
        .render(
            title=Code(_title(graph)),
            version=Code(upc.__version__),
            source_name=Code(_comment(Path(graph.span.source.name).name)),
            sha256=Code(graph.span.source.sha256),
            convolutions=Code(_convolutions(plan)),
            description=[Code(line) for line in _description(graph)],
            name=Code(graph.name),
            quoted_name=graph.name,
            call=Code(call),
            imports=[Code(line) for line in imports],
            runtime=Code(runtime),
            rule=Code("-" * 98),
            first_import=Code(FIRST_IMPORT),
            network_mark=Code(NETWORK_MARK),
            free=Code(", ".join(f"{name}: int" for name in free)),
            sizes=[(Code(literal(k)), Code(_tuple(size))) for k, size in sorted(plan.sizes.items())],
            slices=[
                (Code(literal(k)), Code(f"({literal(p.buffer)}, {', '.join(map(_dim, p.start))})"))
                for k, p in sorted(plan.places.items())
            ],
            demands=[(Code(condition), Code(literal(words))) for condition, words in _demands(graph)],
            shapes=Code(_tuple_of([_tuple(o.value.shape) for o in graph.outputs])),
            inputs=Code(_tuple_of([_port(v.name, v.shape) for v in graph.inputs])),
            outputs=Code(_tuple_of([_port(o.name, o.value.shape) for o in graph.outputs])),
            weights=[(Code(literal(key)), Code(literal(weight.shape))) for key, weight, _ in graph.weights()],
            steps=steps,
            turns=Code(literal(plan.turns)) if plan.turns != ONE_TURN else None,
            sample=Code(literal_dict(allowed_sizes(graph))) if free else None,
            lives=[(Code(literal(k)), Code(literal(life))) for k, life in sorted(plan.lives().items())],
        )
    )


@cache
def carried_runtime(own: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str]:
    """Import lines, and the rest of `upc.runtime` as one text without its own imports.

    `own` are the texts of modules that stand behind it: those of a person's own kernels. Raises ValueError for one
    that defines what the runtime does.
    """
    plain: set[str] = set()
    members: dict[str, set[str]] = {}
    parts = []
    known: set[str] = set()
    for text in (*map(_runtime_text, RUNTIME), *own):
        tree = ast.parse(text)
        lines = text.splitlines()
        body = 0
        for node in tree.body:
            if isinstance(node, ast.Import):
                plain |= {f"import {a.name} as {a.asname}" if a.asname else f"import {a.name}" for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if not module.startswith("upc") and module != "__future__":
                    members.setdefault(module, set()).update(a.name for a in node.names)
            elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and body == 0):
                break
            body = node.end_lineno or 0
        heading = textwrap.fill(ast.get_docstring(tree) or "", 98, initial_indent="# ", subsequent_indent="# ")
        parts.append("# " + "-" * 98 + "\n" + heading + "\n\n\n" + "\n".join(lines[body:]).strip())
        defined = _defined(tree)
        if own and (twice := sorted(known & defined)):
            raise ValueError(f"a kernel's module defines {twice[0]}, which the runtime has already")
        known |= defined
    lines_of = [(line.split()[1].split(".")[0], line) for line in sorted(plain)]
    lines_of += [(m.split(".")[0], f"from {m} import {', '.join(sorted(n))}") for m, n in sorted(members.items())]
    standard = [line for package, line in lines_of if package in sys.stdlib_module_names]
    other = [line for package, line in lines_of if package not in sys.stdlib_module_names]
    imports = [*standard, "", *other]
    return tuple(imports), "\n\n\n".join(parts)


def _runtime_text(name: str) -> str:
    return (Path(upc.__file__).parent / "runtime" / f"{name}.py").read_text(encoding="utf-8")


def _defined(tree: ast.Module) -> set[str]:
    """The names of a module's functions, classes and constants."""
    found = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return found | {target.id for target in assigned if isinstance(target, ast.Name)}


def _own_kernels(plan: Plan) -> tuple[str, ...]:
    """The texts of the modules of steps that are not upc's own, each once."""
    modules = (type(step).__module__ for step in plan.steps)
    return tuple(_own_text(name) for name in dict.fromkeys(modules) if not name.startswith("upc."))


def _own_text(name: str) -> str:
    """The text of a module that is imported; of upc it may import the runtime alone, which it is carried with."""
    text = inspect.getsource(sys.modules[name])
    for node in ast.walk(ast.parse(text)):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            if module.split(".")[0] == "upc" and not module.startswith("upc.runtime."):
                raise ValueError(
                    f"{name} imports {module}, but the kernels that a module carries have upc.runtime alone"
                )
    return text


def _step(step: Step) -> dict[str, Any]:
    """What the template says of a step."""
    return {
        "line": step.line,
        "name": Code(_comment(step.name)),
        "words": Code(_comment(f"{', '.join(step.reads)} -> {step.target}")),
        "code": Code(fit(f"{_made(step)},", 2)),
    }


def _made(value: object) -> str:
    """The Python that makes a value of a plan: a record by its class, with what does not go without saying."""
    if isinstance(value, tuple):
        return _tuple_of([_made(item) for item in value])
    if not is_dataclass(value):
        return literal(value)
    arguments = []
    by_name = False
    for f in fields(value):
        given = getattr(value, f.name)
        by_name = by_name or f.kw_only is True
        if given == f.default:
            by_name = True
        else:
            arguments.append(f"{f.name}={_made(given)}" if by_name else _made(given))
    return f"{type(value).__name__}({', '.join(arguments)})"


def literal_dict(items: dict[str, int]) -> str:
    return "{" + ", ".join(f"{literal(k)}: {v}" for k, v in items.items()) + "}"


def _tuple_of(items: list[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _tuple(shape: Shape) -> str:
    return _tuple_of([_dim(d) for d in shape])


def _dim(dim: Dim) -> str:
    """A size as Python: upc's quotients are floored."""
    return str(dim).replace("/", "//")


def _names(shape: Shape) -> set[str]:
    return {name for dim in shape if not isinstance(dim, int) for name in dim.names()}


def _port(name: str, shape: Shape) -> str:
    dims = [str(d) if isinstance(d, int) else literal(str(d)) for d in shape]
    return f"Port({literal(name)}, {_tuple_of(dims)})"


def _demands(graph: Graph) -> list[tuple[str, str]]:
    """Conditions in Python and what to say when one does not hold."""
    sentences = explain_demands(graph)
    made = []
    for demand in graph.demands:
        if holds_always(demand):
            continue
        sign = "==" if demand.kind == "equal" else ">="
        made.append((f"{_dim(demand.left)} {sign} {_dim(demand.right)}", _words(demand, sentences)))
    return made


def _words(demand: Demand, sentences: list[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    return f"{demand.path} needs {demand.left} {'equal to' if demand.kind == 'equal' else 'at least'} {demand.right}"


def _convolutions(plan: Plan) -> str:
    """Which algorithm was asked for, and what came of it."""
    count = sum(isinstance(step, Filtering) for step in plan.steps)
    return f"Algorithm {plan.algorithm}: {count or 'no'} convolution{'s' * (count != 1)} by minimal filtering."


def _title(graph: Graph) -> str:
    ins = ", ".join(f"{v.name} {show(v.shape)}" for v in graph.inputs)
    outs = ", ".join(f"{o.name} {show(o.value.shape)}" for o in graph.outputs)
    return f"{graph.name}: {ins} -> {outs}"


def _description(graph: Graph) -> list[str]:
    """The layers, one a line."""
    width = max((len(node.path) for node in graph.nodes), default=0)
    return [f"    {node.path:<{width}}  {', '.join(show(s) for s in node.output_shapes)}" for node in graph.nodes]


def _comment(text: str) -> str:
    """Text that cannot end a comment or a docstring."""
    return "".join(c if c.isprintable() and c not in '\\"' else "_" for c in text)
