"""A race as a bar chart: a scene of rectangles, lines and words, drawn as SVG or with Pillow as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from math import ceil

from upc.bench.race import OURS, PEERS
from upc.bench.report import duration

COLORS = {
    OURS: "#d1495b",
    "torch": "#66717e",
    "inductor": "#8d99a6",
    "onnxruntime": "#4f8fba",
    "openvino": "#7fb7be",
    "tensorflow": "#c9b79c",
}
INK, PALE = "#24292f", "#d7dce1"
BARS, GAP, GROUP_GAP = (11, 28), 1, 18  # bars are wider where there are few
TOP, BOTTOM, LEFT, RIGHT, PLOT = 64, 46, 44, 16, 240
TEXT = 11
PNG_SCALE = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that stand side by side: a label, and an engine's seconds by its name."""

    label: str
    seconds: Mapping[str, float]

    @property
    def fastest_peer(self) -> float:
        return min((s for name, s in self.seconds.items() if name != OURS), default=min(self.seconds.values()))


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text that starts, is centred or ends at a point; `upright` is turned a quarter to the left."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    upright: bool = False
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    width: int
    height: int
    shapes: tuple[Box | Words, ...]


def scene(title: str, groups: Sequence[Group]) -> Scene:
    """Speed, the fastest other engine's being 1; every bar says its time."""
    engines = [name for name in (OURS, *PEERS) if any(name in group.seconds for group in groups)]
    bar = min(max(BARS[0], 500 // max(1, len(engines) * len(groups))), BARS[1])
    group_width = len(engines) * (bar + GAP) + GROUP_GAP
    legend = sum(24 + 7 * len(name) for name in engines)
    width = max(LEFT + RIGHT + group_width * len(groups), LEFT + legend + RIGHT, LEFT + RIGHT + 7 * len(title))
    speeds = [group.fastest_peer / s for group in groups for s in group.seconds.values()]
    top = max(2, ceil(max(speeds, default=1.0) * 1.25))
    base = TOP + PLOT

    def height(speed: float) -> float:
        return PLOT * speed / top

    shapes: list[Box | Words] = [Words(LEFT, 22, title, strong=True)]
    x = float(LEFT)
    for name in engines:
        shapes += [Box(x, 34, 10, 10, COLORS[name]), Words(x + 14, 43, name)]
        x += 24 + 7 * len(name)
    step = max(1, top // 6)
    for mark in range(0, top + 1, step):
        shapes.append(Box(LEFT, base - height(mark), width - LEFT - RIGHT, 1, INK if mark == 0 else PALE))
        shapes.append(Words(LEFT - 6, base - height(mark) + 4, f"{mark}", "end"))
    shapes.append(Box(LEFT, base - height(1), width - LEFT - RIGHT, 1, INK))
    for number, group in enumerate(groups):
        left = LEFT + number * group_width + GROUP_GAP / 2
        for place, name in enumerate(engines):
            if name not in group.seconds:
                continue
            speed = group.fastest_peer / group.seconds[name]
            x = left + place * (bar + GAP)
            shapes.append(Box(x, base - height(speed), bar, height(speed), COLORS[name]))
            words = duration(group.seconds[name])
            shapes.append(Words(x + bar / 2 + 4, base - height(speed) - 4, words, "start", True, name == OURS))
        middle = left + (group_width - GROUP_GAP) / 2
        for line, text in enumerate(group.label.split("\n")):
            shapes.append(Words(middle, base + 16 + 14 * line, text, "middle"))
    return Scene(round(width), base + BOTTOM, tuple(shapes))


def stacked(scenes: Sequence[Scene]) -> Scene:
    """Scenes one below the other."""
    shapes: list[Box | Words] = []
    top = 0
    for part in scenes:
        shapes += [replace(shape, y=shape.y + top) for shape in part.shapes]
        top += part.height
    return Scene(max((part.width for part in scenes), default=0), top, tuple(shapes))


def svg(drawn: Scene) -> str:
    """The scene as a standalone SVG file."""
    size = f'width="{drawn.width}" height="{drawn.height}" viewBox="0 0 {drawn.width} {drawn.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="{TEXT}">',
        f'<rect width="{drawn.width}" height="{drawn.height}" fill="#ffffff"/>',
    ]
    for shape in drawn.shapes:
        if isinstance(shape, Box):
            place = f'x="{shape.x:g}" y="{shape.y:.4g}" width="{shape.width:g}" height="{shape.height:.4g}"'
            lines.append(f'<rect {place} fill="{shape.color}"/>')
        else:
            turn = f' transform="rotate(-90 {shape.x:g} {shape.y:.4g})"' if shape.upright else ""
            weight = ' font-weight="bold"' if shape.strong else ""
            how = f'x="{shape.x:g}" y="{shape.y:.4g}" text-anchor="{shape.anchor}" fill="{INK}"{weight}{turn}'
            lines.append(f"<text {how}>{escape(shape.text)}</text>")
    return "\n".join([*lines, "</svg>"]) + "\n"


def png(drawn: Scene) -> bytes:
    """The same as a PNG file of twice the size. Needs Pillow."""
    from PIL import Image, ImageDraw, ImageFont

    scale = PNG_SCALE
    image = Image.new("RGB", (drawn.width * scale, drawn.height * scale), "#ffffff")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT * scale)
    for shape in drawn.shapes:
        if isinstance(shape, Words):
            shape = replace(shape, text=shape.text.replace("µ", "u"))  # Pillow's own font has no such letter
        if isinstance(shape, Box):
            corner = (shape.x + shape.width) * scale - 1, max(shape.y, shape.y + shape.height - 1 / scale) * scale
            draw.rectangle((shape.x * scale, shape.y * scale, *corner), fill=shape.color)
            continue
        length = draw.textlength(shape.text, font=font)
        shift = {"start": 0.0, "middle": length / 2, "end": length}[shape.anchor]
        if not shape.upright:
            draw.text((shape.x * scale - shift, shape.y * scale), shape.text, fill=INK, font=font, anchor="ls")
            continue
        words = Image.new("L", (round(length) + 2, TEXT * scale + 8))
        ImageDraw.Draw(words).text((0, TEXT * scale), shape.text, fill=255, font=font, anchor="ls")
        turned = words.rotate(90, expand=True)
        at = round(shape.x * scale) - TEXT * scale, round(shape.y * scale) - turned.height
        image.paste(Image.new("RGB", turned.size, INK), at, turned)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
