"""Free sizes stand for the numbers they come to, and windows cover what the formulas say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upc.shape import (
    Dim,
    Size,
    ceil_div,
    conv_output,
    conv_transpose_crop,
    conv_transpose_output,
    evaluate,
    free,
    names_of,
    same_padding,
    show,
    volume,
    window_span,
)

H, W = free("H"), free("W")
SIZES = st.fixed_dictionaries({"H": st.integers(1, 60), "W": st.integers(1, 60)})


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int]]:
    ops = st.sampled_from(["+", "-", "*", "//", "ceil", "+H", "+W", "-W"])
    return draw(st.lists(st.tuples(ops, st.integers(1, 7)), max_size=8))


def walk(start: Dim, program: list[tuple[str, int]], h: Dim, w: Dim) -> Dim:
    value = start
    for op, n in program:
        match op:
            case "+":
                value = value + n
            case "-":
                value = value - n
            case "*":
                value = value * n
            case "//":
                value = value // n
            case "ceil":
                value = ceil_div(value, n)
            case "+H":
                value = value + h * n
            case "+W":
                value = value + w * n
            case "-W":
                value = value - w * n
    return value


@given(steps(), SIZES)
def test_expressions_evaluate_as_numbers_do(program: list[tuple[str, int]], sizes: dict[str, int]) -> None:
    symbolic = walk(H, program, H, W)
    assert evaluate(symbolic, sizes) == walk(sizes["H"], program, sizes["H"], sizes["W"])


@given(steps(), steps(), SIZES)
def test_equal_expressions_are_equal_numbers(
    a: list[tuple[str, int]], b: list[tuple[str, int]], sizes: dict[str, int]
) -> None:
    left, right = walk(H, a, H, W), walk(H, b, H, W)
    if left == right:
        assert evaluate(left, sizes) == evaluate(right, sizes)
    assert left - left == 0
    assert (left + right) - right == left


def test_canonical_forms() -> None:
    assert (H * 2) // 2 == H
    assert (H * 4 + 3) // 2 == H * 2 + 1
    assert (H // 2) // 3 == H // 6
    assert (H // 2) * 2 != H
    assert H + W == W + H
    assert H - H == 0
    assert ceil_div(H * 2, 2) == H
    assert names_of([H * 2 + W // 3, 5]) == {"H", "W"}


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (H * 2, "2*H"),
        (H // 2 * 2, "2*(H/2)"),
        ((H + 1) // 2, "(H + 1)/2"),
        (H - W, "H - W"),
        (W * -3 + 4 + H, "H - 3*W + 4"),
        (H - 5, "H - 5"),
    ],
)
def test_sizes_are_shown_as_one_writes_them(dim: Dim, text: str) -> None:
    assert str(dim) == text


def test_shapes_are_shown_as_tuples() -> None:
    assert show((H * 2, 3)) == "(2*H, 3)"
    assert show((7,)) == "(7,)"


def test_volume_is_none_only_for_products_of_free_sizes() -> None:
    assert volume((3, 4, 5)) == 60
    assert volume((H, 3, 4)) == H * 12
    assert volume((H, W, 3)) is None


def test_free_sizes_are_not_multiplied() -> None:
    with pytest.raises(TypeError, match="whole numbers only"):
        H * W  # type: ignore[operator]


WINDOW = {
    "n": st.integers(1, 40),
    "k": st.integers(1, 7),
    "s": st.integers(1, 6),
    "d": st.integers(1, 4),
}


@given(**WINDOW, before=st.integers(0, 5), after=st.integers(0, 5))
def test_a_window_stands_where_it_fits(n: int, k: int, s: int, d: int, before: int, after: int) -> None:
    span = window_span(k, d)
    places = [p for p in range(0, n + before + after, s) if p + span <= n + before + after]
    if places:
        assert conv_output(n, k, s, d, (before, after)) == len(places)
    assert evaluate(conv_output(H, k, s, d, (before, after)), {"H": n}) == conv_output(n, k, s, d, (before, after))


@given(**WINDOW)
def test_same_padding_gives_a_window_for_every_stride(n: int, k: int, s: int, d: int) -> None:
    before, after = same_padding(n, k, s, d)
    assert isinstance(before, int) and isinstance(after, int)
    assert after - before in (0, 1)
    assert conv_output(n, k, s, d, "same") == -(-n // s)
    if before + after:
        assert conv_output(n, k, s, d, (before, after)) == -(-n // s)
    assert conv_output(n, k, s, d, (before, after)) >= -(-n // s)


def test_same_padding_of_a_free_size_is_known_without_stride_only() -> None:
    assert same_padding(H, 4, 1) == (1, 2)
    with pytest.raises(ValueError, match="known once the size is"):
        same_padding(H, 4, 2)


@given(**WINDOW)
def test_a_transposed_convolution_undoes_sizes(n: int, k: int, s: int, d: int) -> None:
    same = conv_transpose_output(n, k, s, d, "same", None)
    assert same == n * s
    assert conv_output(same, k, s, d, "same") == n
    valid = conv_transpose_output(n, k, s, d, "valid", None)
    assert conv_output(valid, k, s, d, "valid") == n
    for q in range(s):
        assert conv_output(conv_transpose_output(n, k, s, d, (0, 0), q), k, s, d, (0, 0)) == n


@given(**WINDOW)
def test_the_crop_of_same_is_the_padding_of_the_convolution_back(n: int, k: int, s: int, d: int) -> None:
    before, size = conv_transpose_crop(n, k, s, d, "same", None)
    assert isinstance(size, int)
    assert before == same_padding(size, k, s, d)[0]


def test_gallery_a6_sizes() -> None:
    def size(h: int, s: int, k: int, padding: str) -> Dim:
        return conv_transpose_output(h, k, s, 1, padding, None)

    assert (size(7, 3, 4, "same"), size(7, 3, 4, "valid")) == (21, 22)
    assert (size(5, 2, 3, "same"), size(5, 2, 3, "valid")) == (10, 11)
    assert size(5, 3, 2, "valid") == 4 * 3 + 3  # a stride beyond the kernel: Keras's max(k, s)
    for h, s, k, d, p, q in [(7, 2, 4, 1, 1, 0), (5, 3, 3, 2, 2, 1), (4, 2, 5, 1, 0, 1)]:
        assert conv_transpose_output(h, k, s, d, (p, p), q) == (h - 1) * s + d * (k - 1) + 1 - 2 * p + q


def test_a_size_is_a_size() -> None:
    assert isinstance(H, Size)
    assert evaluate(7, {}) == 7
