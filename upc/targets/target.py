"""What a target is: one record, which answers all that commands, `load`, `check` and the pipeline ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from upc.memory import Holding

if TYPE_CHECKING:
    from pathlib import Path

    from upc.files import Content
    from upc.ir import Array, Graph, Layer
    from upc.plan.plan import Algorithm

Files = Mapping[str, "Content"]
"""Contents by the names of the files, the first of which is the one to open."""

FRAMEWORK = Holding()

Runner = Callable[["Sequence[Array]"], "tuple[Array, ...]"]
"""Takes checked inputs in their order, gives the outputs in theirs."""

Load = Callable[["Graph", "Mapping[str, Array]", "Order"], Runner]


@dataclass(frozen=True, slots=True)
class Order:
    """What a net is written or run for.

    `algorithm` says where Numba may do convolutions by minimal filtering, for calls of `batch` images. `weights` are
    for files that hold them; None where only the source is asked for.
    """

    algorithm: Algorithm = "auto"
    batch: int = 1
    weights: Mapping[str, Array] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A net to run on a batch. `text` is the source to run in place of what would be emitted, where there is one."""

    graph: Graph
    weights: Mapping[str, Array]
    inputs: Sequence[Array]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """One way in which `check` runs a target, in a process of its own.

    `run` is found by its name in that process: a function of a module that can be imported, or a `partial` of one.
    `needs` are the modules that must be installed, `install` the command that does it. `environment` is set for the
    process. One that is only `asked_for` does not run unless it is named; one that `takes_text` runs a source given
    in place of what would be emitted.
    """

    name: str
    run: Callable[[Job], tuple[Array, ...]]
    needs: tuple[str, ...] = ()
    install: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    asked_for: bool = False
    takes_text: bool = False


def run_loaded(load: Load, order: Order = Order()) -> Callable[[Job], tuple[Array, ...]]:
    """The `run` of an engine that does as `upc.load` does."""
    return partial(_run_loaded, load, order)


def _run_loaded(load: Load, order: Order, job: Job) -> tuple[Array, ...]:
    return load(job.graph, job.weights, order)(job.inputs)


def origin(graph: Graph) -> dict[str, str]:
    """What the header of an emitted module says of where it comes from."""
    from upc import __version__

    source = graph.span.source
    return {"source_name": source.name, "source_sha256": source.sha256, "version": __version__}


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Target:
    """Something that a net is written for, or run on.

    `load` makes a net with its weights runnable; what that takes is imported only then, and `install` is the command
    that brings it. `write` gives the files of a net: text or bytes, one or several; None where a target only runs.
    `prepare` raises UpcError for settings under which what is written cannot run; `finish` is given the first file
    that `compile` wrote, its content and the file of weights. `engines` are its ways in `check`, where its name
    stands for all of them unless one is called so. `table` gives the entries by layer card: how the target does it,
    or Unsupported; None where it does whatever the reference does. `layers_alone` if rows of a person's own must be
    layers, as Keras names an expression by itself, and maybe as a layer is called. `holding` says what memory it
    takes. One that `holds_weights` writes them into its own files, and is given them in the Order.

    Errors: UpcError of `load` and `write` for a layer that the target cannot do, or where a module is not installed.
    """

    name: str
    load: Load
    write: Callable[[Graph, Order], Files] | None = None
    install: str = ""
    engines: tuple[Engine, ...] = ()
    table: Callable[[], MutableMapping[type[Layer], Any]] | None = None
    layers_alone: bool = False
    prepare: Callable[[], None] = _nothing
    finish: Callable[[Path, Content, Path], None] | None = None
    holding: Holding = FRAMEWORK
    holds_weights: bool = False

    def gap(self, card: type[Layer]) -> str | None:
        """Why the target cannot do a layer; None where it can."""
        from upc.gaps import Unsupported

        if self.table is None:
            return None
        entry = self.table().get(card, Unsupported(f"nothing says how {self.name} does it"))
        return entry.reason if isinstance(entry, Unsupported) else None
