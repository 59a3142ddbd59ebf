"""Numba as a target: a module that stands alone, with its machine code."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upc.ir import Array, Graph, Layer
from upc.memory import Holding
from upc.targets.target import Engine, Order, Runner, Target, run_loaded

if TYPE_CHECKING:
    from upc.files import Content

_NEEDS, _INSTALL = ("numba",), "pip install numba"


def load(graph: Graph, weights: Mapping[str, Array], order: Order) -> Runner:
    """Writes the module and imports it."""
    from upc.load_numba import load_numba

    return load_numba(graph, weights, order.algorithm, order.batch)


def write(graph: Graph, order: Order) -> dict[str, Content]:
    """One module."""
    from upc.emit.numba import emit_plan
    from upc.pipeline import plan

    return {f"{graph.name}.py": emit_plan(plan(graph, order.algorithm, order.batch))}


def table() -> MutableMapping[type[Layer], Any]:
    """The lowerings."""
    from upc.plan.lowerings import LOWERINGS

    return LOWERINGS


def prepare() -> None:
    """Raise UpcError where Numba may compile nothing."""
    from upc.load_numba import check_environment

    check_environment()


def finish(module: Path, content: Content, weights: Path) -> None:
    """Have the machine code in the cache, so that the module's first use is quick."""
    from upc.load_numba import compile_module

    assert isinstance(content, str)
    compile_module(content, str(module), weights)


def _variant(name: str, order: Order = Order(), **environment: str) -> Engine:  # noqa: B008 (it is frozen)
    return Engine(f"numba[{name}]", run_loaded(load, order), _NEEDS, _INSTALL, environment, asked_for=True)


TARGET = Target(
    "numba",
    load,
    write,
    _INSTALL,
    engines=(
        Engine("numba", run_loaded(load), _NEEDS, _INSTALL),
        # Minimal filtering nowhere or wherever it can be, and vectors of so many bits.
        _variant("exact", Order("exact")),
        _variant("fast", Order("fast")),
        _variant("256", UPC_VECTOR_BITS="256"),
        _variant("128", UPC_VECTOR_BITS="128"),
    ),
    table=table,
    prepare=prepare,
    finish=finish,
    # What its steps need lies in registers and in a few rows.
    holding=Holding(of_inputs=0.0, of_results=0.0, image_by_image=True),
)
