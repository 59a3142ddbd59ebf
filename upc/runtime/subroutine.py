"""Compiled functions that call each other: some compiled into their callers, some found by their address."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from numba.core import cgutils, compiler, types
from numba.extending import intrinsic

Floats = Any
"""Annotates a parameter that is memory: the float32s from an address on."""

Integers = Any
"""Annotates a parameter that is memory: the int64s from an address on."""

FLOATS, INTEGERS = types.CPointer(types.float32), types.CPointer(types.int64)  # type: ignore[attr-defined]
_KINDS = {"int": types.int64, "bool": types.boolean, "None": types.void, "Floats": FLOATS, "Integers": INTEGERS}


def signature_of(function: Callable[..., Any]) -> Any:
    """Numba's signature for the annotations of a function."""
    *kinds, result = (_KINDS[word] for word in function.__annotations__.values())
    return result(*kinds)


def _memory_at(kind: Any) -> Any:
    @intrinsic
    def memory_at(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(kind))

        return kind(types.int64), generate

    return memory_at


floats = _memory_at(FLOATS)
"""Intrinsic (address): the float32s that start there."""

integers = _memory_at(INTEGERS)
"""Intrinsic (address): the int64s that start there."""


def jit(function: Callable[..., Any]) -> Any:
    """Let compiled functions call `function`, whose annotations say of what kinds its arguments and its result are.

    Numba's own `njit` makes machine code of every function by itself and then once more of each that calls
    it, all the way up; a network of ten kernels takes three times as long to compile that way.
    """
    ours = signature_of(function)

    def subroutine(typing: Any, *args: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = _compiled(context, function, signature)
            return context.call_internal(builder, made.fndesc, signature, values)

        return ours, generate

    first = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    others = inspect.signature(function).parameters.values()
    subroutine.__signature__ = inspect.Signature([first, *others])  # type: ignore[attr-defined]
    subroutine.__name__, subroutine.__doc__ = function.__name__, function.__doc__
    return intrinsic(subroutine)


def _compiled(context: Any, function: Any, signature: Any) -> Any:
    """The function compiled into the library that is being made, once for each library."""
    library = context.active_code_library
    known = vars(library).setdefault("upc_subroutines", {})
    if function not in known:
        flags = compiler.Flags()
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        flags.error_model = "numpy"
        known[function] = compiler.compile_internal(
            context.typing_context, context, library, function, signature.args, signature.return_type, flags, {}
        )
    return known[function]


@dataclass(frozen=True)
class Kernel:
    """A function that compiled code calls by its address: what makes it, and of what numbers and names."""

    make: Callable[..., Callable[..., None]]
    arguments: tuple[Any, ...]

    @property
    def text(self) -> str:
        """What tells it from all others."""
        return f"{self.make.__name__}{self.arguments!r}"


def kernel(make: Callable[..., Callable[..., None]]) -> Callable[..., Kernel]:
    """Let calls of `make` say what function they want, for it to be made when there is no code of it yet."""

    @wraps(make)
    def wanted(*arguments: Any) -> Kernel:
        return Kernel(make, arguments)

    return wanted


@intrinsic
def call(typing: Any, address: Any, args: Any) -> Any:
    """(address, arguments): call the kernel whose code is there."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds, convention = signature.args[1].types, context.call_conv
        place = builder.inttoptr(values[0], convention.get_function_type(types.none, kinds).as_pointer())
        convention.call_function(builder, place, types.none, kinds, cgutils.unpack_tuple(builder, values[1]))
        return context.get_dummy_value()

    kinds = [types.int64 if isinstance(kind, types.Integer) else kind for kind in args]
    return types.void(types.int64, types.BaseTuple.from_types(kinds)), generate  # type: ignore[attr-defined]
