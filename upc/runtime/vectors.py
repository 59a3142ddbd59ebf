"""Vector arithmetic for the kernels: LLVM vectors written as Python expressions.

A `Lanes` wraps an LLVM vector of floats while code is being generated, so that the formulas below read
like formulas. Errors stated here are measured over all of the range by the tests.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

F32, I1, I32, I64 = ir.FloatType(), ir.IntType(1), ir.IntType(32), ir.IntType(64)


class Lanes:
    """A vector of floats in the making: `+ - * /` with another or with a number."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def like(self, number: float) -> Lanes:
        """The number in every lane."""
        return Lanes(self.builder, ir.Constant(self.value.type, [number] * self.value.type.count))

    def _operand(self, other: Lanes | float) -> Any:
        return other.value if isinstance(other, Lanes) else self.like(other).value

    def __add__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fadd(self.value, self._operand(other)))

    def __sub__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self.value, self._operand(other)))

    def __mul__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fmul(self.value, self._operand(other)))

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fdiv(self.value, self._operand(other)))

    def fma(self, factor: Lanes | float, addend: Lanes | float) -> Lanes:
        """self * factor + addend, rounded once."""
        return self._call("fma", self._operand(factor), self._operand(addend))

    def below(self, other: Lanes | float, then: Lanes | float, otherwise: Lanes | float) -> Lanes:
        """`then` where self < other, else `otherwise`; a NaN compares false."""
        chosen = self.builder.fcmp_ordered("<", self.value, self._operand(other))
        return Lanes(self.builder, self.builder.select(chosen, self._operand(then), self._operand(otherwise)))

    def above(self, other: Lanes | float, then: Lanes | float, otherwise: Lanes | float) -> Lanes:
        """`then` where self > other, else `otherwise`; a NaN compares false."""
        chosen = self.builder.fcmp_ordered(">", self.value, self._operand(other))
        return Lanes(self.builder, self.builder.select(chosen, self._operand(then), self._operand(otherwise)))

    def unless_nan(self, then: Lanes) -> Lanes:
        """`then`, but NaN where self is."""
        chosen = self.builder.fcmp_unordered("uno", self.value, self.value)
        return Lanes(self.builder, self.builder.select(chosen, self.value, then.value))

    def clamp(self, low: float, high: float) -> Lanes:
        """Between two numbers; a NaN stays."""
        floor = self.below(low, low, self)
        return floor.above(high, high, floor)

    def magnitude(self) -> Lanes:
        return self._call("fabs")

    def round(self) -> Lanes:
        """To the nearest whole number, ties to even."""
        return self._call("nearbyint")

    def power_of_two(self) -> Lanes:
        """2**self for whole numbers from -126 to 127, by way of the exponent's bits."""
        integers = ir.VectorType(I32, self.value.type.count)
        whole = self.builder.fptosi(self.value, integers)
        biased = self.builder.add(whole, ir.Constant(integers, [127] * integers.count))
        bits = self.builder.shl(biased, ir.Constant(integers, [23] * integers.count))
        return Lanes(self.builder, self.builder.bitcast(bits, self.value.type))

    def polynomial(self, *coefficients: float) -> Lanes:
        """By Horner's rule, lowest power first."""
        total = self.like(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = total.fma(self, c)
        return total

    def _call(self, name: str, *operands: Any) -> Lanes:
        kind = self.value.type
        signature = ir.FunctionType(kind, [kind] * (1 + len(operands)))
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.{name}.v{kind.count}f32")
        return Lanes(self.builder, self.builder.call(function, [self.value, *operands]))


def exp(x: Lanes) -> Lanes:
    """e**x, relative error below 2e-7; 0 where that is no normal float, infinity where it is larger than any."""
    least, most = -87.33654, 88.72283
    inside = x.clamp(least, most)
    n = (inside * 1.4426950408889634).round()
    # ln 2 in two parts, the first exact in few bits, keeps the remainder exact.
    r = n.fma(2.12194440e-4, n.fma(-0.693359375, inside))
    poly = r.polynomial(1.0, 1.0, 0.5, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040)
    half = (n * 0.5).round()
    scaled = poly * half.power_of_two() * (n - half).power_of_two()
    return x.above(most, float("inf"), x.below(least, 0.0, scaled))


def tanh(x: Lanes) -> Lanes:
    """Rational in x*x of degrees 6 and 3, relative error below 4e-7, never beyond +-1; exactly +-1 outside +-8."""
    inside = x.clamp(-8.0, 8.0)
    t = inside * inside
    p = t.polynomial(1.0, 0.13083601, 0.0031034972, 1.11494655e-05, -2.02052792e-08, 5.26815570e-11, -8.46302737e-14)
    q = t.polynomial(1.0, 0.46416926, 0.024493353, 0.00025454746)
    y = inside * p / q
    return x.above(8.0, 1.0, x.below(-8.0, -1.0, y))


def sigmoid(x: Lanes) -> Lanes:
    """1/(1 + e**-x), relative error below 3e-7."""
    return x.like(1.0) / (exp(x * -1.0) + 1.0)


def erf(x: Lanes) -> Lanes:
    """Rational in x*x of degrees 6 and 4, relative error below 5e-7; exactly +-1 outside +-3.92."""
    inside = x.clamp(-3.92, 3.92)
    t = inside * inside
    p = t.polynomial(1.12837911, 0.19991422, 0.050571922, 0.0037011215, 0.00014183491, -1.9576994e-06, 1.9923176e-08)
    q = t.polynomial(1.0, 0.5105010, 0.11499411, 0.014352276, 0.00095590751)
    return x.above(3.92, 1.0, x.below(-3.92, -1.0, inside * p / q))


def expm1(x: Lanes) -> Lanes:
    """e**x - 1 for x <= 0, small x included: 2t/(1 - t) with t = tanh(x/2)."""
    t = tanh(x * 0.5)
    return (t + t) / (t.like(1.0) - t)


def softplus(x: Lanes) -> Lanes:
    """max(x, 0) + log(1 + e**-|x|), the logarithm as 2*atanh(u/(2 + u)); relative error below 3e-7."""
    u = exp(x.magnitude() * -1.0)
    s = u / (u + 2.0)
    series = (s * s).polynomial(*(2.0 / (2 * k + 1) for k in range(8)))
    return x.below(0.0, 0.0, x) + s * series


def _relu(x: Lanes, max_value: float | None, negative_slope: float) -> Lanes:
    y = x.below(0.0, x * negative_slope if negative_slope else 0.0, x)
    return y if max_value is None else y.above(max_value, max_value, y)


FUNCTIONS: dict[str, Any] = {
    "relu": _relu,
    "leaky_relu": lambda x, slope: x.below(0.0, x * slope, x),
    "elu": lambda x, alpha: x.below(0.0, expm1(x.below(0.0, x, 0.0)) * alpha, x),
    "selu": lambda x: x.below(0.0, expm1(x.below(0.0, x, 0.0)) * 1.6732632423543772, x) * 1.0507009873554805,
    "gelu": lambda x: x * 0.5 * (erf(x * 0.7071067811865476) + 1.0),
    "gelu_tanh": lambda x: x * 0.5 * (tanh((x * x * x).fma(0.044715, x) * 0.7978845608028654) + 1.0),
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "exp": exp,
    "hard_sigmoid": lambda x: (x * (1 / 6) + 0.5).clamp(0.0, 1.0),
    "hard_swish": lambda x: x * (x * (1 / 6) + 0.5).clamp(0.0, 1.0),
    "clip": lambda x, low, high: x.clamp(low, high),
    "affine": lambda x, scale, offset: x.fma(scale, offset),
    "times": lambda x, factor: x * factor,
    "plus": lambda x, addend: x + addend,
    "minus_from": lambda x, number: x.like(number) - x,
    "at_least": lambda x, low: x.below(low, low, x),
    "at_most": lambda x, high: x.above(high, high, x),
}
"""Functions of one value and of numbers known when the code is made."""

CHANNEL_FUNCTIONS: dict[str, tuple[int, Any]] = {
    "channel_affine": (2, lambda x, scale, offset: x.fma(scale, offset)),
    "channel_prelu": (1, lambda x, alpha: x.below(0.0, x * alpha, x)),
}
"""Functions with numbers of their own for every channel: how many, and the formula."""

MERGE_FUNCTIONS: dict[str, Any] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "subtract_from": lambda x, y: y - x,
    "multiply": lambda x, y: x * y,
    "maximum": lambda x, y: y.unless_nan(x.below(y, y, x)),
    "minimum": lambda x, y: y.unless_nan(x.above(y, y, x)),
}
"""Functions of two values."""
