"""What a target cannot do: said in its table, in place of how it would do it, and never silent."""

from __future__ import annotations

from dataclasses import dataclass

from upc.diagnostics import EXIT_SOURCE, UpcError, error
from upc.ir import Node


@dataclass(frozen=True, slots=True)
class Unsupported:
    """In place of a spelling or a lowering: why a target cannot do a layer."""

    reason: str


class CannotSay(Exception):
    """A layer that a target can do, but not with these arguments or of these shapes."""


def unsupported(target: str, node: Node, reason: str) -> UpcError:
    """The error for a layer that a target cannot do."""
    return error("E0701", f"unsupported on {target}: {node.layer.name}: {reason}", node.span, exit_code=EXIT_SOURCE)
