"""What a tile is to LLVM: a Numba type of vectors that stay in registers, and the few things done with one of them.

Functions here write instructions into a function that is being made: they take its builder and give values of it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import models, register_model

from upc.runtime.vectors import F32, I32, I64

FIRST_LEVEL, SECOND_LEVEL = 3, 2  # caches, as LLVM numbers them


class TileType(types.Type):
    """The Numba type of a tile; two of equal size are equal."""

    def __init__(self, rows: int, vectors: int, lanes: int) -> None:
        self.rows, self.vectors, self.lanes = rows, vectors, lanes
        super().__init__(name=f"Tile({rows}, {vectors}, {lanes})")

    @property
    def width(self) -> int:
        """Channels."""
        return self.vectors * self.lanes

    @property
    def vector(self) -> Any:
        return ir.VectorType(F32, self.lanes)


@register_model(TileType)
class TileModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, tile: TileType) -> None:
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.rows * tile.vectors))


def past(builder: Any, pointer: Any, offset: int) -> Any:
    """The address so many elements further on."""
    return builder.gep(pointer, [ir.Constant(I64, offset)])


def load_lanes(builder: Any, pointer: Any, tile: TileType) -> Any:
    """One vector of the tile from an address that need not be aligned to it."""
    loaded = builder.load(builder.bitcast(pointer, tile.vector.as_pointer()))
    loaded.align = 4
    return loaded


def splat(builder: Any, scalar: Any, tile: TileType) -> Any:
    """A vector of the tile with one number in all its lanes."""
    blank = ir.Constant(tile.vector, ir.Undefined)
    first = builder.insert_element(blank, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, blank, ir.Constant(ir.VectorType(I32, tile.lanes), [0] * tile.lanes))


def lanes_below(builder: Any, tile: TileType, count: Any, vector: int) -> Any:
    """True in the lanes of vector number `vector` that stand below `count`."""
    kind = ir.VectorType(I64, tile.lanes)
    blank = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(blank, count, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, tile.lanes), [0] * tile.lanes)
    counts = builder.shuffle_vector(first, blank, zeros)
    numbers = ir.Constant(kind, [vector * tile.lanes + lane for lane in range(tile.lanes)])
    return builder.icmp_signed("<", numbers, counts)


def store_masked(builder: Any, tile: TileType, value: Any, pointer: Any, mask: Any) -> None:
    """Store the lanes that the mask has; no others are touched."""
    pointer = builder.bitcast(pointer, tile.vector.as_pointer())
    signature = ir.FunctionType(ir.VoidType(), [tile.vector, pointer.type, I32, mask.type])
    name = f"llvm.masked.store.v{tile.lanes}f32.p0"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    builder.call(function, [value, pointer, ir.Constant(I32, 4), mask])


def load_masked(builder: Any, tile: TileType, pointer: Any, mask: Any) -> Any:
    """Load the lanes that the mask has; the others are zero and their memory is not read."""
    pointer = builder.bitcast(pointer, tile.vector.as_pointer())
    signature = ir.FunctionType(tile.vector, [pointer.type, I32, mask.type, tile.vector])
    name = f"llvm.masked.load.v{tile.lanes}f32.p0"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    nothing = ir.Constant(tile.vector, [0.0] * tile.lanes)
    return builder.call(function, [pointer, ir.Constant(I32, 4), mask, nothing])


def fused_multiply_add(builder: Any, tile: TileType, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once."""
    signature = ir.FunctionType(tile.vector, [tile.vector] * 3)
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.v{tile.lanes}f32")
    return builder.call(function, [a, b, c])


def any_nan(builder: Any, tile: TileType, value: Any) -> Any:
    """Whether a lane of a vector is NaN."""
    bits = ir.IntType(tile.lanes)
    lanes = builder.bitcast(builder.fcmp_unordered("uno", value, value), bits)
    return builder.icmp_unsigned("!=", lanes, ir.Constant(bits, 0))


def prefetch(builder: Any, pointer: Any, level: int = FIRST_LEVEL) -> None:
    """Ask for a cache line that will be read soon."""
    pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
    signature = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    read, near, data = (ir.Constant(I32, number) for number in (0, level, 1))
    builder.call(function, [pointer, read, near, data])
