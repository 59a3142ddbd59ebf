"""Sums in float64: a tile of doubles that takes up tiles of floats and gives their mean.

A sum of n floats kept as a float errs by up to n roundings, one kept as a double by 2**29 times less: means of whole
pictures are as good as their last rounding, and equal pixels have exactly their mean.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from upc.runtime.registers import TileType
from upc.runtime.vectors import I32

F64 = ir.DoubleType()


class WideType(types.Type):
    """The Numba type of the doubles that stand for a tile's floats."""

    def __init__(self, tile: TileType) -> None:
        self.vectors, self.lanes = tile.rows * tile.vectors, tile.lanes
        super().__init__(name=f"Wide({self.vectors}, {self.lanes})")

    @property
    def vector(self) -> Any:
        return ir.VectorType(F64, self.lanes)


@register_model(WideType)
class WideModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, wide: WideType) -> None:
        super().__init__(manager, wide, ir.ArrayType(wide.vector, wide.vectors))


@cache
def wide_zero(tile: TileType) -> Any:
    """Intrinsic (): the sum of nothing."""
    wide = WideType(tile)

    @intrinsic
    def zero_of_doubles(typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = ir.Constant(context.get_value_type(wide), ir.Undefined)
            for i in range(wide.vectors):
                result = builder.insert_value(result, ir.Constant(wide.vector, [0.0] * wide.lanes), i)
            return result

        return wide(), generate

    return zero_of_doubles


@cache
def wide_add(tile: TileType) -> Any:
    """Intrinsic (doubles, tile): their sum."""
    wide = WideType(tile)

    @intrinsic
    def add_to_doubles(typing: Any, total: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = args[0]
            for i in range(wide.vectors):
                value = builder.fpext(builder.extract_value(args[1], i), wide.vector)
                result = builder.insert_value(result, builder.fadd(builder.extract_value(args[0], i), value), i)
            return result

        return wide(wide, tile), generate

    return add_to_doubles


@cache
def wide_over(tile: TileType) -> Any:
    """Intrinsic (doubles, count): the doubles divided by the count, then rounded to a tile of floats."""
    wide = WideType(tile)

    @intrinsic
    def doubles_over(typing: Any, total: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            total, count = args
            blank = ir.Constant(wide.vector, ir.Undefined)
            first = builder.insert_element(blank, builder.sitofp(count, F64), ir.Constant(I32, 0))
            lanes = ir.Constant(ir.VectorType(I32, wide.lanes), [0] * wide.lanes)
            divisor = builder.shuffle_vector(first, blank, lanes)
            result = ir.Constant(context.get_value_type(tile), ir.Undefined)
            for i in range(wide.vectors):
                share = builder.fdiv(builder.extract_value(total, i), divisor)
                result = builder.insert_value(result, builder.fptrunc(share, tile.vector), i)
            return result

        return tile(wide, types.int64), generate

    return doubles_over
