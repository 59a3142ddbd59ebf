"""Functions that only compiled code calls, compiled into the code that calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import compiler, types
from numba.extending import intrinsic

_RESULTS = {"None": types.void, "int": types.int64, "bool": types.boolean, "float": types.float64}
FLOATS = types.Array(types.float32, 1, "C")
INTEGERS = types.Array(types.int64, 1, "C")


def jit(function: Callable[..., Any]) -> Any:
    """Let compiled functions call `function`, whose result annotation is None, int, bool or float.

    Numba's own `njit` makes machine code of every function by itself and then once more of each that calls
    it, all the way up; a network of ten kernels takes three times as long to compile that way.
    """
    result = _RESULTS[function.__annotations__["return"]]

    def subroutine(typing: Any, *args: Any) -> Any:
        kinds = [types.int64 if isinstance(kind, types.Integer) else kind for kind in args]

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = _compiled(context, function, signature)
            return context.call_internal(builder, made.fndesc, signature, values)

        return result(*kinds), generate

    context = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ours = inspect.signature(function).parameters.values()
    subroutine.__signature__ = inspect.Signature([context, *ours])  # type: ignore[attr-defined]
    subroutine.__name__, subroutine.__doc__ = function.__name__, function.__doc__
    return intrinsic(subroutine)


def _compiled(context: Any, function: Any, signature: Any) -> Any:
    """The function compiled for a signature into the library that is being made, once for each library."""
    library = context.active_code_library
    known = vars(library).setdefault("upc_subroutines", {})
    key = (function, signature.args)
    if key not in known:
        flags = compiler.Flags()
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        flags.error_model = "numpy"
        known[key] = compiler.compile_internal(
            context.typing_context, context, library, function, signature.args, signature.return_type, flags, {}
        )
    return known[key]


def one_of(functions: Sequence[Any]) -> Any:
    """A function (number, *arguments) that calls the so-manieth of `functions`, which all return nothing.

    They are functions that `jit` was given, not what it made of them.
    """
    example = functions[0]

    def choose(typing: Any, which: Any, *args: Any) -> Any:
        kinds = [types.int64 if isinstance(kind, types.Integer) else kind for kind in args]

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            inner = types.void(*signature.args[1:])
            after = builder.append_basic_block("after")
            switch = builder.switch(values[0], after)
            for number, function in enumerate(functions):
                block = builder.append_basic_block(function.__name__)
                switch.add_case(ir.Constant(values[0].type, number), block)
                builder.position_at_end(block)
                made = _compiled(context, function, inner)
                context.call_internal(builder, made.fndesc, inner, values[1:])
                builder.branch(after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return types.void(types.int64, *kinds), generate

    head = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("typing", "which")]
    ours = inspect.signature(example).parameters.values()
    choose.__signature__ = inspect.Signature([*head, *ours])  # type: ignore[attr-defined]
    return intrinsic(choose)
