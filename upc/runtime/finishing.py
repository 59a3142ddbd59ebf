"""The end of a tile: the epilogue applied to it, and where it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from upc.runtime.layout import LINE
from upc.runtime.registers import TileType, lanes_below, load_lanes, past, prefetch, store_masked
from upc.runtime.steps import Apply, Combine
from upc.runtime.vectors import CHANNEL_FUNCTIONS, FUNCTIONS, I64, MERGE_FUNCTIONS, Lanes


@dataclass(frozen=True, slots=True)
class ApplyChannels:
    """A function of the value and of its channel's numbers, which start at a `slot`."""

    function: str
    slot: int


Tail = tuple[Apply | ApplyChannels | Combine, ...]
"""An epilogue as it is written into a kernel."""

Block = tuple[int, int, int]
"""How the lanes of a vector are stored: in so many lines, so many floats from one to the next, so many lanes each."""

ONE_LINE: Block = (1, 0, 0)

OperandRows = tuple[tuple[int, ...], ...]
"""Of each operand of merge functions, where the tile's rows are."""


def _row_offset(builder: Any, offsets: tuple[int, ...], row: Any) -> Any:
    """`offsets[row]`: a product where the rows stand at equal distances, else from a constant table."""
    step = offsets[1] - offsets[0] if len(offsets) > 1 else 0
    if all(offset == r * step for r, offset in enumerate(offsets)):
        return builder.mul(row, ir.Constant(I64, step))
    kind = ir.ArrayType(I64, len(offsets))
    name = builder.module.get_unique_name("row_offsets")
    table = cgutils.global_constant(builder, name, ir.Constant(kind, list(offsets)))
    return builder.load(builder.gep(table, [ir.Constant(I64, 0), row]))


def _store_lines(builder: Any, tile: TileType, value: Any, pointer: Any, block: Block) -> None:
    """Store a vector's lanes as the lines of a block."""
    lines, apart, count = block
    for line in range(lines):
        inside = [line * count <= lane < (line + 1) * count for lane in range(tile.lanes)]
        mask = ir.Constant(ir.VectorType(ir.IntType(1), tile.lanes), inside)
        store_masked(builder, tile, value, past(builder, pointer, line * (apart - count)), mask)


def _store_first(builder: Any, tile: TileType, value: Any, pointer: Any, count: Any) -> None:
    """Store the first `count` lanes of a vector, or all of them."""
    whole = builder.icmp_signed(">=", count, ir.Constant(I64, tile.lanes))
    with builder.if_else(whole) as (then, otherwise):
        with then:
            builder.store(value, builder.bitcast(pointer, tile.vector.as_pointer())).align = 4
        with otherwise:
            store_masked(builder, tile, value, pointer, lanes_below(builder, tile, count, 0))


@cache
def ask_for(tile: TileType, row_offsets: tuple[int, ...], block: Block) -> Any:
    """Intrinsic (array, offset, row): have the lines brought near to which `finish` will store that row."""

    @intrinsic
    def ask_for_row(typing: Any, array: Any, offset: Any, row: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array, offset, row = args
            place = builder.add(offset, _row_offset(builder, row_offsets, row))
            pointer = builder.gep(array, [place])
            for line, channel in product(range(block[0]), range(0, tile.width, LINE)):
                prefetch(builder, past(builder, pointer, line * block[1] + channel))
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64), generate

    return ask_for_row


class _Epilogue:
    """Writes the loop that applies operations to vectors laid down in memory and stores what comes of them.

    Unrolled, an epilogue would be most of a kernel's code.
    """

    def __init__(self, tile: TileType, operations: Tail, operand_rows: OperandRows) -> None:
        self._tile, self._operations, self._operand_rows = tile, operations, operand_rows

    def write(
        self, builder: Any, stack: Any, row_offsets: tuple[int, ...], block: Block, args: tuple[Any, ...]
    ) -> None:
        """`args` are (params, p, arena, a, b, target, t, rows, count) of `finish`, whose tile lies in `stack`."""
        params, p, arena, a, b, target, t, rows, count = args
        tile = self._tile
        numbers, place = builder.gep(params, [p]), builder.gep(target, [t])
        operands = [builder.gep(arena, [o]) for o in (a, b)]
        most = ir.Constant(I64, tile.rows)
        limit = builder.select(builder.icmp_signed("<", rows, most), rows, most)
        with (
            cgutils.for_range(builder, limit, intp=I64) as row,
            cgutils.for_range(builder, ir.Constant(I64, tile.vectors), intp=I64) as vector,
        ):
            r, v = row.index, vector.index
            first = builder.mul(v, ir.Constant(I64, tile.lanes))
            i = builder.add(builder.mul(r, ir.Constant(I64, tile.vectors)), v)
            y = self._apply(Lanes(builder, builder.load(builder.gep(stack, [i]))), numbers, operands, r, first).value
            pointer = builder.gep(place, [builder.add(_row_offset(builder, row_offsets, r), first)])
            if block[0] > 1:
                _store_lines(builder, tile, y, pointer, block)
            else:
                _store_first(builder, tile, y, pointer, builder.sub(count, first))

    def _apply(self, x: Lanes, numbers: Any, operands: list[Any], r: Any, first: Any) -> Lanes:
        """The operations on a vector of row `r`, whose first lane is channel `first`."""
        builder, tile = x.builder, self._tile
        for operation in self._operations:
            if isinstance(operation, Apply):
                x = FUNCTIONS[operation.function](x, *operation.numbers)
            elif isinstance(operation, ApplyChannels):
                arity, function = CHANNEL_FUNCTIONS[operation.function]
                slots = range(operation.slot, operation.slot + arity)
                offsets = [builder.add(first, ir.Constant(I64, slot * tile.width)) for slot in slots]
                given = [load_lanes(builder, builder.gep(numbers, [o]), tile) for o in offsets]
                x = function(x, *(Lanes(builder, number) for number in given))
            else:
                offset = builder.add(_row_offset(builder, self._operand_rows[operation.operand], r), first)
                other = load_lanes(builder, builder.gep(operands[operation.operand], [offset]), tile)
                x = MERGE_FUNCTIONS[operation.function](x, Lanes(builder, other))
        return x


@cache
def finish(
    tile: TileType,
    operations: Tail,
    row_offsets: tuple[int, ...] = (0,),
    operand_rows: OperandRows = ((0,), (0,)),
    block: Block = ONE_LINE,
) -> Any:
    """Intrinsic (tile, params, p, arena, a, b, target, t, rows, count): apply the epilogue and store.

    `params[p:]` holds the numbers of channel functions, `width` floats a slot; `arena[a:]` and `arena[b:]`
    are the operands of merge functions, with their own row offsets, and may be read past `count`. The
    first `rows` rows and the first `count` channels of each are stored to `target[t:]`, or all channels of a block's
    lines, each to a place of its own.
    """
    epilogue = _Epilogue(tile, operations, operand_rows)

    @intrinsic
    def finish_tile(
        typing: Any,
        acc: Any,
        params: Any,
        p: Any,
        arena: Any,
        a: Any,
        b: Any,
        target: Any,
        t: Any,
        rows: Any,
        count: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            stack = cgutils.alloca_once(builder, tile.vector, tile.rows * tile.vectors)
            for i in range(tile.rows * tile.vectors):
                builder.store(builder.extract_value(args[0], i), past(builder, stack, i))
            epilogue.write(builder, stack, row_offsets, block, args[1:])
            return context.get_dummy_value()

        integer = types.int64
        numbers = params, integer, arena, integer, integer, target, integer, integer, integer
        return types.void(tile, *numbers), generate

    return finish_tile


@cache
def finish_line(tile: TileType, operations: Tail, row_offsets: tuple[int, ...], operand_rows: OperandRows) -> Any:
    """As `finish`, of a tile of one vector a row that lies in memory: (place, i, ...), its first row at vector `i`."""
    epilogue = _Epilogue(tile, operations, operand_rows)

    @intrinsic
    def finish_line_of(
        typing: Any,
        place: Any,
        i: Any,
        params: Any,
        p: Any,
        arena: Any,
        a: Any,
        b: Any,
        target: Any,
        t: Any,
        rows: Any,
        count: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            stack = builder.gep(builder.bitcast(args[0], tile.vector.as_pointer()), [args[1]])
            epilogue.write(builder, stack, row_offsets, ONE_LINE, args[2:])
            return context.get_dummy_value()

        integer = types.int64
        numbers = params, integer, arena, integer, integer, target, integer, integer, integer
        return types.void(place, integer, *numbers), generate

    return finish_line_of
