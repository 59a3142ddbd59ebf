"""Shapes with free sizes, and the arithmetic of windows: pure functions.

A dimension is an `int` or a `Size`, an integer expression in free names such as `H`. Sizes are kept in
one canonical form (a constant plus whole multiples of names and of floored quotients), so two sizes are
equal for every value of their names whenever their canonical forms are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import gcd
from typing import Union


@dataclass(frozen=True, slots=True)
class Quotient:
    """floor(numerator / divisor), divisor > 1."""

    numerator: Size
    divisor: int

    def __str__(self) -> str:
        return f"({self.numerator})/{self.divisor}" if _is_sum(self.numerator) else f"{self.numerator}/{self.divisor}"


Atom = Union[str, Quotient]


@dataclass(frozen=True, slots=True)
class Size:
    """constant + the sum of factor * atom; build with `free`, then +, -, *, // and `ceil_div`."""

    terms: tuple[tuple[Atom, int], ...]
    constant: int = 0

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return Size(self.terms, self.constant + other)
        total = dict(self.terms)
        for atom, factor in other.terms:
            total[atom] = total.get(atom, 0) + factor
        return _canonical(total, self.constant + other.constant)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (-other)

    def __rsub__(self, other: int) -> Dim:
        return -self + other

    def __mul__(self, factor: Dim) -> Dim:
        if not isinstance(factor, int):
            raise TypeError(f"upc multiplies a free size by whole numbers only, not {self} by {factor}")
        return _canonical({atom: f * factor for atom, f in self.terms}, self.constant * factor)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Dim:
        if divisor == 1:
            return self
        # What divides evenly leaves the quotient: (4H + 3) // 2 = 2H + 1.
        outside = {a: f // divisor for a, f in self.terms if f % divisor == 0}
        inside = {a: f for a, f in self.terms if f % divisor}
        whole, rest = divmod(self.constant, divisor)
        if not inside:
            return _canonical(outside, whole)
        common = gcd(divisor, *inside.values())
        numerator = _canonical({a: f // common for a, f in inside.items()}, rest // common)
        divisor //= common
        assert isinstance(numerator, Size)
        if numerator.constant == 0 and len(numerator.terms) == 1:
            ((atom, factor),) = numerator.terms
            if isinstance(atom, Quotient) and factor == 1:  # (H // 2) // 2 = H // 4
                numerator, divisor = atom.numerator, atom.divisor * divisor
                return (numerator // divisor) + _canonical(outside, whole)
        return _canonical({**outside, Quotient(numerator, divisor): 1}, whole)

    def names(self) -> frozenset[str]:
        """The free names in it."""
        found: set[str] = set()
        for atom, _ in self.terms:
            found |= {atom} if isinstance(atom, str) else atom.numerator.names()
        return frozenset(found)

    def __str__(self) -> str:
        out = ""
        for atom, factor in self.terms:
            text = str(atom) if abs(factor) == 1 else f"{abs(factor)}*{atom if isinstance(atom, str) else f'({atom})'}"
            out += (" - " if out else "-") + text if factor < 0 else (" + " if out else "") + text
        return out + (f" {'-' if self.constant < 0 else '+'} {abs(self.constant)}" if self.constant else "")


Dim = Union[int, Size]
Shape = tuple[Dim, ...]
"""Channels-last, batch left out."""


def free(name: str) -> Size:
    """The free size of that name."""
    return Size(((name, 1),))


def _is_sum(size: Size) -> bool:
    return len(size.terms) + bool(size.constant) > 1 or any(f != 1 for _, f in size.terms)


def _canonical(terms: Mapping[Atom, int], constant: int) -> Dim:
    kept = tuple(sorted(((a, f) for a, f in terms.items() if f), key=lambda t: str(t[0])))
    return Size(kept, constant) if kept else constant


def ceil_div(a: Dim, b: int) -> Dim:
    """a / b, rounded up."""
    return (a + (b - 1)) // b


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The number a dimension stands for once every free name has a value."""
    if isinstance(dim, int):
        return dim
    total = dim.constant
    for atom, factor in dim.terms:
        value = sizes[atom] if isinstance(atom, str) else evaluate(atom.numerator, sizes) // atom.divisor
        total += factor * value
    return total


def names_of(shape: Iterable[Dim]) -> frozenset[str]:
    """The free names in a shape."""
    return frozenset().union(*(d.names() for d in shape if isinstance(d, Size)))


def show(shape: Iterable[Dim]) -> str:
    """`(4, 2*H, 3)`: how a shape stands in messages."""
    dims = [str(d) for d in shape]
    return f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"


def volume(shape: Iterable[Dim]) -> Dim | None:
    """The number of elements, or None where two free sizes would have to be multiplied."""
    total: Dim = 1
    for dim in shape:
        if isinstance(total, Size) and isinstance(dim, Size):
            return None
        total = total * dim
    return total


def window_span(kernel: int, dilation: int) -> int:
    """Pixels from the first to the last tap of a dilated window: d*(k-1) + 1."""
    return dilation * (kernel - 1) + 1


def same_padding(dim: Dim, kernel: int, stride: int, dilation: int = 1) -> tuple[Dim, Dim]:
    """TensorFlow's `same`: zeros before and after, the odd one after.

    For a free size the total depends on it; it is then given as a pair of sizes only where the stride
    is 1, and otherwise must be worked out from the numbers (`evaluate` first).
    """
    span = window_span(kernel, dilation)
    if isinstance(dim, int):
        total = max(0, (-(-dim // stride) - 1) * stride + span - dim)
    elif stride == 1:
        total = span - 1
    else:
        raise ValueError("`same` padding of a free size with a stride is known once the size is")
    return total // 2, total - total // 2


def conv_output(dim: Dim, kernel: int, stride: int, dilation: int, padding: str | tuple[int, int]) -> Dim:
    """Positions of a window: `same` ceil(n/s); otherwise floor((n + before + after - span)/s) + 1."""
    if padding == "same":
        return ceil_div(dim, stride)
    before, after = (0, 0) if isinstance(padding, str) else padding
    return (dim + (before + after - window_span(kernel, dilation))) // stride + 1


def conv_transpose_output(
    dim: Dim, kernel: int, stride: int, dilation: int, padding: str | tuple[int, int], output_padding: int | None
) -> Dim:
    """Pixels a transposed window writes.

    `same` n*s; `valid` (n-1)*s + max(span, s); explicit (n-1)*s + span - before - after. With an
    `output_padding` q, `valid` is (n-1)*s + span + q, `same` (n-1)*s + span % 2 + q and
    explicit gains q. These are Keras's (and, explicit, PyTorch's) sizes.
    """
    span = window_span(kernel, dilation)
    if padding == "same":
        return dim * stride if output_padding is None else (dim - 1) * stride + span % 2 + output_padding
    if isinstance(padding, str):
        return (dim - 1) * stride + (max(span, stride) if output_padding is None else span + output_padding)
    before, after = padding
    return (dim - 1) * stride + span - before - after + (output_padding or 0)


def conv_transpose_crop(
    dim: Dim, kernel: int, stride: int, dilation: int, padding: str | tuple[int, int], output_padding: int | None
) -> tuple[int, Dim]:
    """(before, size): which window of the full transposed convolution is the result.

    The full one has (n-1)*s + span pixels, pixel j*s + d*i receiving x[j]*w[i]. The result starts
    `before` pixels into it and has `size` pixels; those past its end are zero (plus bias).
    """
    size = conv_transpose_output(dim, kernel, stride, dilation, padding, output_padding)
    if padding == "same":
        # TensorFlow's: the zeros that `same` convolution from the result back to `dim` pads in front.
        span = window_span(kernel, dilation)
        beyond = span - stride if output_padding is None else span - span % 2 - output_padding
        return max(0, beyond) // 2, size
    return (0 if isinstance(padding, str) else padding[0]), size
