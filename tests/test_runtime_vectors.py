"""The vectors' own functions: the errors they state, over every kind of float32, and NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from upc.ir import Array
from upc.layers import construct
from upc.runtime.vectors import CHANNEL_FUNCTIONS, F32, FUNCTIONS, I64, MERGE_FUNCTIONS, Lanes, erf, exp, expm1

LANES = 8
SMALLEST = float(np.finfo(np.float32).smallest_normal)
FLOATS = types.Array(types.float32, 1, "C")


def compiled(function: Callable[..., Lanes], arrays: int = 1) -> Callable[..., Array]:
    """The function of so many vectors, as a function of arrays."""

    @intrinsic
    def apply(typing: Any, given: Any, target: Any, i: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vector = ir.VectorType(F32, LANES).as_pointer()

            def place(number: int, kind: Any) -> Any:
                array = builder.extract_value(args[0], number) if number < arrays else args[1]
                data = context.make_array(kind)(context, builder, array).data
                return builder.bitcast(builder.gep(data, [args[2]]), vector)

            loaded = [builder.load(place(n, FLOATS)) for n in range(arrays)]
            for load in loaded:
                load.align = 4
            result = function(*(Lanes(builder, load) for load in loaded)).value
            stored = builder.store(result, place(arrays, FLOATS))
            stored.align = 4
            return ir.Constant(I64, 0)

        return types.int64(given, target, types.int64), generate

    @njit
    def over(given: Any, target: Any) -> None:
        for i in range(0, target.size, LANES):
            apply(given, target, i)

    def run(*given: Array) -> Array:
        size = given[0].size
        padded = tuple(np.pad(np.ascontiguousarray(x, np.float32).ravel(), (0, -size % LANES)) for x in given)
        target = np.empty_like(padded[0])
        over(padded, target)
        return target[:size].reshape(given[0].shape)

    return run


def every_kind_of_float() -> Array:
    """A float32 in each 4,001st place of all 2**32: both signs, denormals, infinities, NaNs; and a dense middle."""
    spread = np.arange(0, 2**32, 4001, dtype=np.uint64).astype(np.uint32).view(np.float32)
    ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38], np.float32)
    return np.concatenate([spread, np.linspace(-105, 105, 200_001, dtype=np.float32), ends])


VALUES = every_kind_of_float()


def by_card(name: str, *positional: float, **named: Any) -> Callable[[Array], Array]:
    """What a layer's card makes of numbers, in float64."""
    card = construct(name, positional, named)
    return lambda x: card.forward([x[None, :, None]], {})[0][0, :, 0]


def exact_erf(x: Array) -> Array:
    return np.array([math.erf(v) for v in x])


# Name, function, what it should be, relative error stated.
EXACT = 1.2e-7  # one rounding
CASES: list[tuple[str, Callable[..., Lanes], Callable[[Array], Array], float]] = [
    ("exp", exp, np.exp, 2e-7),
    ("tanh", FUNCTIONS["tanh"], np.tanh, 4e-7),
    ("sigmoid", FUNCTIONS["sigmoid"], by_card("sigmoid"), 3e-7),
    ("softplus", FUNCTIONS["softplus"], by_card("softplus"), 3e-7),
    ("erf", erf, exact_erf, 5e-7),
    ("elu", lambda x: FUNCTIONS["elu"](x, 0.7), by_card("elu", 0.7), 1e-6),
    ("selu", FUNCTIONS["selu"], by_card("selu"), 1e-6),
    ("silu", FUNCTIONS["silu"], by_card("silu"), 4e-7),
    ("relu", lambda x: FUNCTIONS["relu"](x, None, 0.0), by_card("relu"), EXACT),
    ("relu_bounded", lambda x: FUNCTIONS["relu"](x, 6.0, 0.0), by_card("relu", 6.0), EXACT),
    ("relu_sloped", lambda x: FUNCTIONS["relu"](x, 6.0, 0.3), by_card("relu", 6.0, 0.3), EXACT),
    ("leaky_relu", lambda x: FUNCTIONS["leaky_relu"](x, 0.1), by_card("leaky_relu", 0.1), EXACT),
    ("clip", lambda x: FUNCTIONS["clip"](x, -0.5, 2.0), by_card("clip", -0.5, 2.0), EXACT),
    ("times", lambda x: FUNCTIONS["times"](x, 0.3), lambda x: x * np.float32(0.3), EXACT),
    ("at_least", lambda x: FUNCTIONS["at_least"](x, 0.25), lambda x: np.maximum(x, 0.25), EXACT),
    ("at_most", lambda x: FUNCTIONS["at_most"](x, 0.25), lambda x: np.minimum(x, 0.25), EXACT),
]


@pytest.mark.parametrize("name,function,exact,stated", CASES, ids=[case[0] for case in CASES])
def test_stated_errors_hold_over_the_whole_range(
    name: str, function: Callable[..., Lanes], exact: Callable[[Array], Array], stated: float
) -> None:
    with np.errstate(all="ignore"):
        expected = exact(VALUES.astype(np.float64))
        rounded = expected.astype(np.float32)
        got = compiled(function)(VALUES)
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), nan, "NaN comes out where it should, and nowhere else")
    whole = np.isinf(rounded)
    np.testing.assert_array_equal(got[whole], rounded[whole])
    rest = ~nan & ~whole
    off = np.abs(got[rest].astype(np.float64) - expected[rest])
    # A value below the normal floats may be lost, and with it whatever it is multiplied by.
    lost = SMALLEST * np.maximum(np.abs(VALUES[rest]), 1.0, dtype=float)
    allowed = stated * np.abs(expected[rest]) + lost
    worst = int((off / allowed).argmax())
    assert off[worst] <= allowed[worst], (VALUES[rest][worst], got[rest][worst], expected[rest][worst])


# gelu is x/2 times 1 + erf or tanh, so that their errors count x/2 times, up to where they saturate (5.5 and 5.3).
ABSOLUTE = [
    ("gelu", FUNCTIONS["gelu"], by_card("gelu"), 1.4e-6),
    ("gelu_tanh", FUNCTIONS["gelu_tanh"], by_card("gelu", approximate=True), 1.1e-6),
    ("hard_sigmoid", FUNCTIONS["hard_sigmoid"], by_card("hard_sigmoid"), 2e-7),
    ("hard_swish", FUNCTIONS["hard_swish"], by_card("hard_swish"), 2e-7),
    ("affine", lambda x: FUNCTIONS["affine"](x, 1.5, -0.25), lambda x: x * 1.5 - 0.25, 2e-7),
]


@pytest.mark.parametrize("name,function,exact,share", ABSOLUTE, ids=[case[0] for case in ABSOLUTE])
def test_functions_that_cancel_are_right_to_a_share_of_one_or_of_their_value(
    name: str, function: Callable[..., Lanes], exact: Callable[[Array], Array], share: float
) -> None:
    x = VALUES[np.isfinite(VALUES) & (np.abs(VALUES) < 1e12)]
    expected = exact(x.astype(np.float64))
    off = np.abs(compiled(function)(x) - expected)
    allowed = share * np.maximum(np.abs(expected), 1.0)
    assert (off <= allowed).all(), x[(off / allowed).argmax()]
    assert np.isnan(compiled(function)(np.array([np.nan], np.float32))).all()


def test_expm1_keeps_the_digits_of_small_numbers() -> None:
    x = VALUES[(VALUES <= 0) & (VALUES > -80)]
    got, expected = compiled(expm1)(x), np.expm1(x.astype(np.float64))
    assert (np.abs(got - expected) <= 1e-6 * np.abs(expected) + SMALLEST).all()


def test_saturated_values_are_exact() -> None:
    x = np.array([9.5, 50, np.inf, -9.5, -50, -np.inf], np.float32)
    np.testing.assert_array_equal(compiled(FUNCTIONS["tanh"])(x), [1, 1, 1, -1, -1, -1])
    np.testing.assert_array_equal(compiled(exp)(np.array([89, -88, np.inf, -np.inf, 0.0])), [np.inf, 0, np.inf, 0, 1])
    np.testing.assert_array_equal(compiled(FUNCTIONS["sigmoid"])(np.array([200, np.inf, -200, -np.inf])), [1, 1, 0, 0])


def test_tanh_and_sigmoid_never_leave_their_range() -> None:
    x = VALUES[~np.isnan(VALUES)]
    assert np.abs(compiled(FUNCTIONS["tanh"])(x)).max() <= 1
    y = compiled(FUNCTIONS["sigmoid"])(x)
    assert y.min() >= 0 and y.max() <= 1


NUMPY_MERGES = {
    "add": np.add,
    "subtract": np.subtract,
    "subtract_from": lambda x, y: y - x,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@pytest.mark.parametrize("name", MERGE_FUNCTIONS)
def test_merges_are_numpys_nans_included(name: str) -> None:
    special = np.array([0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-42, 3e38], np.float32)
    x, y = (side.ravel() for side in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(compiled(MERGE_FUNCTIONS[name], 2)(x, y), NUMPY_MERGES[name](x, y))


def test_functions_with_numbers_for_every_channel() -> None:
    rng = np.random.default_rng(0)
    x, a, b = rng.standard_normal((3, 100)).astype(np.float32)
    (arity, affine), (one, prelu) = CHANNEL_FUNCTIONS["channel_affine"], CHANNEL_FUNCTIONS["channel_prelu"]
    assert (arity, one) == (2, 1)
    np.testing.assert_allclose(compiled(affine, 3)(x, a, b), x.astype(float) * a + b, rtol=2e-7, atol=2e-7)
    np.testing.assert_allclose(compiled(prelu, 2)(x, a), np.where(x < 0, x * a, x), rtol=2e-7)
