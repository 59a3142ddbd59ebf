"""What a network asks of a step that is made ready for a machine: nothing depends on what was asked before.

First come the kernels, whose machine code is found or made; then the weights are packed; then, for every size and
number of images, a section of the table is written. What one of these finds out the next is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from upc.runtime.layout import Picture, Rim, Table, View, Weights
from upc.runtime.steps import Step
from upc.runtime.subroutine import Kernel


@dataclass(frozen=True)
class Setting:
    """What a section is written for: where values lie, how many images a turn has, and where scratch starts.

    `rim` is the buffer whose rim of zeros the step is to clear, if any.
    """

    views: Mapping[str, View]
    rim: View | None
    images: int
    threads: int
    workspace: int = 0


@dataclass(frozen=True)
class Section:
    """Where a step's section of the table starts, and how many cells it has."""

    start: int
    cells: int


P = TypeVar("P")


class CompiledStep(Protocol[P]):
    """A step made ready for a machine and, if they are known, for the sizes of its buffers; `P` says where its weights
    are packed."""

    step: Any  # of the class that it is for
    rim_cell: int
    """Which cell of a section says where the rim is described."""

    @staticmethod
    def reach(step: Any, source: Picture, target: Picture, fixed: bool) -> Rim:
        """The zero rim that the step needs around its source; `fixed` if sizes are the only ones there will be."""

    @property
    def overrun(self) -> int:
        """Floats past the last picture that it may read."""

    def kernels(self) -> tuple[Kernel, ...]:
        """The functions it calls, by addresses in this order."""

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> P:
        """Put the weights it needs into the packed array; where they are."""

    def workspace(self, target: Picture, images: int) -> int:
        """Floats of scratch for so many images."""

    def bases(self) -> dict[int, str]:
        """Which cells of a section say where values start, besides the rim's."""

    def section(self, table: Table, setting: Setting, code: tuple[int, ...], packed: P) -> Section:
        """Write all that the kernels read in a setting; `code` are their addresses. The first cell counts tasks."""


@dataclass(frozen=True)
class Ready(Generic[P]):
    """A step with its machine code and its packed weights."""

    compiled: CompiledStep[P]
    code: tuple[int, ...]
    packed: P

    @property
    def step(self) -> Step:
        made: Step = self.compiled.step
        return made

    def section(self, table: Table, setting: Setting) -> Section:
        """Write all that its kernels read in a setting."""
        return self.compiled.section(table, setting, self.code, self.packed)
