"""The register tile: a block of vectors that stays in registers, and the intrinsics that fill and use it.

A tile has `rows` pixels of `vectors` vectors of `lanes` channels. LLVM keeps it in registers, so a kernel
is a loop of `multiply_add` between a `start` and a `finish`. Every intrinsic is made for one tile and for
row offsets known when the code is made, so that a single base address serves all rows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from upc.runtime.layout import LINE
from upc.runtime.registers import (
    FIRST_LEVEL,
    SECOND_LEVEL,
    TileType,
    fused_multiply_add,
    lanes_below,
    load_lanes,
    load_masked,
    past,
    prefetch,
    splat,
)
from upc.runtime.vectors import F32, I32, I64, MERGE_FUNCTIONS, Lanes

PREFETCH_FLOATS = {SECOND_LEVEL: 2048, FIRST_LEVEL: 512}
"""How far ahead weights are asked for: past the page that the processor itself reads ahead in, where they come from
afar; nearer and into the first-level cache, where they are in the second and few pixels share them."""


@cache
def start(tile: TileType) -> Any:
    """Intrinsic (array, offset): every row a copy of the `width` floats found there."""

    @intrinsic
    def start_tile(typing: Any, array: Any, offset: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.gep(args[0], [args[1]])
            result = ir.Constant(context.get_value_type(tile), ir.Undefined)
            for v in range(tile.vectors):
                loaded = load_lanes(builder, past(builder, pointer, v * tile.lanes), tile)
                for r in range(tile.rows):
                    result = builder.insert_value(result, loaded, r * tile.vectors + v)
            return result

        return tile(array, types.int64), generate

    return start_tile


@cache
def fill(tile: TileType, number: float) -> Any:
    """Intrinsic (): the number in every lane."""

    @intrinsic
    def fill_tile(typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = ir.Constant(context.get_value_type(tile), ir.Undefined)
            for i in range(tile.rows * tile.vectors):
                result = builder.insert_value(result, ir.Constant(tile.vector, [number] * tile.lanes), i)
            return result

        return tile(), generate

    return fill_tile


@cache
def fetch(tile: TileType, row_offsets: tuple[int, ...] = (0,)) -> Any:
    """Intrinsic (array, offset, count): the first `count` channels of each row, zero beyond them."""

    @intrinsic
    def load_tile(typing: Any, array: Any, offset: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.gep(args[0], [args[1]])
            result = ir.Constant(context.get_value_type(tile), ir.Undefined)
            whole = builder.icmp_signed(">=", args[2], ir.Constant(I64, tile.width))
            slot = cgutils.alloca_once(builder, result.type)
            with builder.if_else(whole) as (then, otherwise):
                for branch, masked in ((then, False), (otherwise, True)):
                    with branch:
                        made = result
                        for r in range(tile.rows):
                            for v in range(tile.vectors):
                                place = past(builder, pointer, row_offsets[r] + v * tile.lanes)
                                if masked:
                                    value = load_masked(builder, tile, place, lanes_below(builder, tile, args[2], v))
                                else:
                                    value = load_lanes(builder, place, tile)
                                made = builder.insert_value(made, value, r * tile.vectors + v)
                        builder.store(made, slot)
            return builder.load(slot)

        return tile(array, types.int64, types.int64), generate

    return load_tile


@cache
def multiply_add(tile: TileType, row_offsets: tuple[int, ...], ahead: int, level: int = SECOND_LEVEL) -> Any:
    """Intrinsic (tile, x, x_offset, w, w_offset, later): row r gains x[x_offset + row_offsets[r]] * w[w_offset:].

    It asks for `ahead` lines from x[later] on, which the next tile is to read, and for weights into the cache of
    that level.
    """

    @intrinsic
    def multiply_add_tile(
        typing: Any, acc: Any, x: Any, x_offset: Any, w: Any, w_offset: Any, later_offset: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            acc, x, x_offset, w, w_offset, later_offset = args
            pixels = builder.gep(x, [x_offset])
            later = builder.gep(x, [later_offset])
            panel = builder.gep(w, [w_offset])
            weights = [load_lanes(builder, past(builder, panel, v * tile.lanes), tile) for v in range(tile.vectors)]
            for v in range(tile.vectors):
                prefetch(builder, past(builder, panel, v * tile.lanes + PREFETCH_FLOATS[level]), level)
            for line in range(ahead):
                prefetch(builder, past(builder, later, line * LINE))
            for r in range(tile.rows):
                pixel = splat(builder, builder.load(past(builder, pixels, row_offsets[r])), tile)
                for v in range(tile.vectors):
                    i = r * tile.vectors + v
                    acc = builder.insert_value(
                        acc, fused_multiply_add(builder, tile, pixel, weights[v], builder.extract_value(acc, i)), i
                    )
            return acc

        return tile(tile, x, types.int64, w, types.int64, types.int64), generate

    return multiply_add_tile


@cache
def merge(tile: TileType, function: str) -> Any:
    """Intrinsic (tile, tile): a function of `MERGE_FUNCTIONS`, or `fma` with a third tile."""

    @intrinsic
    def merge_tile(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = args[0]
            for i in range(tile.rows * tile.vectors):
                x, y = (Lanes(builder, builder.extract_value(side, i)) for side in args)
                result = builder.insert_value(result, MERGE_FUNCTIONS[function](x, y).value, i)
            return result

        return tile(tile, tile), generate

    return merge_tile


@cache
def put_by(tile: TileType) -> Any:
    """Intrinsic (tile): where a copy of it lies on the stack, out of the registers."""

    @intrinsic
    def put_tile_by(typing: Any, acc: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            stack = cgutils.alloca_once(builder, tile.vector, tile.rows * tile.vectors)
            for i in range(tile.rows * tile.vectors):
                builder.store(builder.extract_value(args[0], i), past(builder, stack, i))
            return builder.bitcast(stack, ir.IntType(8).as_pointer())

        return types.voidptr(tile), generate

    return put_tile_by


@cache
def add_to(tile: TileType) -> Any:
    """Intrinsic (place, tile): adds it to the one that `put_by` left there, and returns the sum."""

    @intrinsic
    def add_to_tile(typing: Any, place: Any, acc: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            stack, result = builder.bitcast(args[0], tile.vector.as_pointer()), args[1]
            for i in range(tile.rows * tile.vectors):
                spot = past(builder, stack, i)
                total = builder.fadd(builder.load(spot), builder.extract_value(args[1], i))
                builder.store(total, spot)
                result = builder.insert_value(result, total, i)
            return result

        return tile(types.voidptr, tile), generate

    return add_to_tile


@cache
def product_add(tile: TileType) -> Any:
    """Intrinsic (tile, a, b): tile + a*b lane by lane."""

    @intrinsic
    def product_add_tile(typing: Any, acc: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = args[0]
            for i in range(tile.rows * tile.vectors):
                c, x, y = (builder.extract_value(side, i) for side in args)
                result = builder.insert_value(result, fused_multiply_add(builder, tile, x, y, c), i)
            return result

        return tile(tile, tile, tile), generate

    return product_add_tile


@cache
def scale_add(tile: TileType) -> Any:
    """Intrinsic (tile, a, number): tile + a*number."""

    @intrinsic
    def scale_add_tile(typing: Any, acc: Any, a: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = args[0]
            factor = splat(builder, args[2], tile)
            for i in range(tile.rows * tile.vectors):
                value = fused_multiply_add(
                    builder, tile, builder.extract_value(args[1], i), factor, builder.extract_value(args[0], i)
                )
                result = builder.insert_value(result, value, i)
            return result

        return tile(tile, tile, types.float32), generate

    return scale_add_tile


@intrinsic
def number_at(typing: Any, table: Any, index: Any) -> Any:
    """(table, index): the float32 whose bits stand in a cell of int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cell = builder.load(builder.gep(args[0], [args[1]]))
        return builder.bitcast(builder.trunc(cell, I32), F32)

    return types.float32(table, types.int64), generate


@cache
def store_rows(tile: TileType) -> Any:
    """Intrinsic (tile, target, t, rows): the first `rows` rows, one behind the other, as they are."""

    @intrinsic
    def store_tile_rows(typing: Any, acc: Any, target: Any, t: Any, rows: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            acc, target, t, rows = args
            place = builder.gep(target, [t])
            stop = builder.append_basic_block("stored")
            for r in range(tile.rows):
                for v in range(tile.vectors):
                    i = r * tile.vectors + v
                    spot = builder.bitcast(past(builder, place, i * tile.lanes), tile.vector.as_pointer())
                    builder.store(builder.extract_value(acc, i), spot).align = 4
                more = builder.append_basic_block("row")
                builder.cbranch(builder.icmp_signed("<=", rows, ir.Constant(I64, r + 1)), stop, more)
                builder.position_at_end(more)
            builder.branch(stop)
            builder.position_at_end(stop)
            return context.get_dummy_value()

        return types.void(tile, target, types.int64, types.int64), generate

    return store_tile_rows
