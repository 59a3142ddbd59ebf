"""The targets: what a net is written for or run on. One record each; whatever lists targets asks here.

A target of one's own is registered by a program of one's own: a .upc file names none and runs nothing.
"""

from __future__ import annotations

from upc.targets import keras, numba, reference, torch
from upc.targets.target import Engine, Files, Job, Order, Runner, Target

__all__ = ["Engine", "Files", "Job", "Order", "Runner", "Target", "engines", "find", "names", "register", "targets"]

_TARGETS: dict[str, Target] = {t.name: t for t in (numba.TARGET, keras.TARGET, torch.TARGET, reference.TARGET)}
_OURS = frozenset(_TARGETS)


def register(target: Target) -> None:
    """Make a target known to every command, to `upc.load` and to `check`, as long as this process lasts.

    One that was registered under the same name before is replaced.
    Errors: ValueError for the name of a target of upc's own, or an engine's that another target has.
    """
    taken = {engine.name for other in _TARGETS.values() if other.name != target.name for engine in other.engines}
    if target.name in _OURS or target.name in taken:
        raise ValueError(f"there is a target {target.name} already")
    if clash := sorted(taken.intersection(engine.name for engine in target.engines)):
        raise ValueError(f"there is an engine {clash[0]} already")
    _TARGETS[target.name] = target


def targets() -> tuple[Target, ...]:
    """All of them, in the order in which they are listed."""
    return tuple(_TARGETS.values())


def names(*, written: bool = False) -> tuple[str, ...]:
    """Their names; with `written` of those alone that a net can be written for."""
    return tuple(target.name for target in targets() if target.write is not None or not written)


def find(name: str) -> Target:
    """The target of that name. Raises ValueError where there is none."""
    if name not in _TARGETS:
        raise ValueError(f"target is one of {', '.join(names())}, not {name!r}")
    return _TARGETS[name]


def engines() -> dict[str, Engine]:
    """What `check` can run, by name: the reference first, since the others are compared with it."""
    ordered = sorted(targets(), key=lambda target: target.name != "reference")
    return {engine.name: engine for target in ordered for engine in target.engines}


def needed_modules() -> frozenset[str]:
    """What any target needs installed."""
    return frozenset(module for engine in engines().values() for module in engine.needs)
