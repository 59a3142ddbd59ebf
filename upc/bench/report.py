"""A race's result in words: for a terminal, for a page, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from typing import Any

from upc.bench.race import OURS, Result, Row


def as_json(result: Result) -> dict[str, Any]:
    """Plain data: {"machine", "rows", "left_out", "disagreeing"}; times in seconds, memory in bytes."""
    return {
        "machine": result.machine,
        "rows": result.rows,
        "left_out": result.left_out,
        "disagreeing": result.disagreeing,
    }


def table(result: Result) -> str:
    """A table for a terminal, the fastest of each batch first."""
    lines = [machine_line(result.machine)]
    for batch in dict.fromkeys(row["batch"] for row in result.rows):
        rows = sorted((r for r in result.rows if r["batch"] == batch), key=lambda row: row["median_s"])
        work = f"{2 * rows[0]['macs'] * batch / 1e6:,.1f} MFLOP, {rows[0]['traffic_bytes'] / 1e6:,.1f} MB"
        lines += ["", f"batch {batch}: {work} at least read and written"]
        lines += aligned([_HEADER, *map(_cells, rows)])
    return "\n".join(lines) + "\n"


def machine_line(machine: Mapping[str, Any]) -> str:
    """The machine and its limits."""
    return (
        f"{machine['cpu']}, {count(machine['threads'], 'thread')}: {machine['gflops']:,.0f} GFLOP/s of float32 "
        f"multiply-adds, {machine['bytes_per_s'] / 1e9:,.1f} GB/s read"
    )


def geometric_mean(ratios: Iterable[float]) -> float | None:
    """The mean by which ratios are summed up; None of none."""
    logs = [log(ratio) for ratio in ratios]
    return exp(sum(logs) / len(logs)) if logs else None


def ours(rows: Iterable[Row]) -> list[Row]:
    """The rows of upc's own module."""
    return [row for row in rows if row["engine"] == OURS]


def duration(seconds: float) -> str:
    """Three digits in the unit that suits."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:#.3g} {unit}".replace(". ", " ")
    return f"{seconds:#.3g} s".replace(". ", " ")


def count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


_HEADER = (
    "engine",
    "median",
    "spread",
    "ratio",
    "GFLOP/s",
    "of peak",
    "GB/s",
    "of limit",
    "memory",
    "start",
    "first",
    "idle",
    "error",
)


def _cells(row: Row) -> list[str]:
    low, high = row["spread_s"]
    return [
        row["engine"],
        duration(row["median_s"]),
        f"{(high - low) / row['median_s']:.0%}",
        f"{row['ratio']:.2f}" if row["ratio"] else "",
        f"{row['effective_gflops']:.1f}",
        f"{row['peak_share']:.0%}",
        f"{row['bytes_per_s'] / 1e9:.2f}",
        f"{row['bandwidth_share']:.0%}",
        f"{row['rss_bytes'] / 1e6:.0f} MB",
        duration(row["start_s"]),
        duration(row["first_start_s"]) if "first_start_s" in row else "",
        duration(row["idle_s"]) if "idle_s" in row else "",
        f"{row['error']:.0e}",
    ]


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of columns, the first `left` of them words, the others figures; short rows are filled up."""
    full = [[*row, *[""] * (len(rows[0]) - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in full
    ]
