"""Draws the roofline chart: how close each part comes to the machine's maximum."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inference.benchmark.charts.bars import style_of
from inference.benchmark.charts.svg import SvgChart
from inference.benchmark.figures import MACHINE_SIDE, MATRIX_RATE, MEMORY_RATE, Figure, Measurements

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 64, 24, 86, 52
#: The chart's margin beyond its points and its roof, in powers of ten.
ROOM = 0.35


@dataclass(frozen=True)
class _Axes:
    """The base-10 logarithms of the values at the chart's edges."""

    left: float
    right: float
    bottom: float
    top: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - self.left) / (self.right - self.left)
        up = (math.log10(y) - self.bottom) / (self.top - self.bottom)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def draw_roofline(measured: Measurements) -> str:
    """An SVG. Raises ValueError if the file has no rates of the machine, or no parts to compare with them."""
    matrix = measured.of(MATRIX_RATE, MACHINE_SIDE)
    memory = measured.of(MEMORY_RATE, MACHINE_SIDE)
    points = [figure for figure in measured.figures if figure.operations and figure.weight_bytes]
    if matrix is None or memory is None or not points:
        raise ValueError("There is no roofline in this file: it has no rates of the machine, or no counted operations.")
    highest, widest = max(matrix.values), max(memory.values)
    axes = _axes(points, highest, widest)
    words = _in_words(points, highest)
    drawing = SvgChart("Operations per second, compared with the maximum", measured.title, words, WIDTH, HEIGHT)
    _draw_grid(drawing, axes)
    _draw_roof_line(drawing, axes, highest, widest)
    _draw_points(drawing, axes, points, highest)
    return drawing.svg()


def _axes(points: list[Figure], highest: float, widest: float) -> _Axes:
    across = [math.log10(value) for value in (highest / widest, *map(_intensity, points))]
    up = [math.log10(value) for value in (highest, *map(_rate, points))]
    return _Axes(min(across) - 1, max(across) + ROOM, min(min(up) - ROOM, max(up) - 1), max(up) + ROOM)


def _draw_grid(drawing: SvgChart, axes: _Axes) -> None:
    low, high = 10**axes.bottom, 10**axes.top
    for power in range(math.ceil(axes.left), math.floor(axes.right) + 1):
        x, bottom = axes.place(10.0**power, low)
        drawing.line([(x, bottom), axes.place(10.0**power, high)], "grid")
        drawing.text(x, bottom + 18, f"{10**power:,}" if power >= 0 else f"{10.0**power:g}", "quiet", "middle")
    for power in range(math.ceil(axes.bottom), math.floor(axes.top) + 1):
        left, y = axes.place(10**axes.left, 10.0**power)
        drawing.line([(left, y), axes.place(10**axes.right, 10.0**power)], "grid")
        drawing.text(left - 6, y + 4, f"{_with_prefix(10.0**power)}", "quiet", "end")
    drawing.text(LEFT, TOP - 12, "operations a second", "quiet")
    drawing.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "operations for each byte of weights", "quiet", "middle")


def _draw_roof_line(drawing: SvgChart, axes: _Axes, highest: float, widest: float) -> None:
    ridge = highest / widest
    left = max(10**axes.left, 10**axes.bottom / widest)
    roof = [axes.place(left, left * widest), axes.place(ridge, highest), axes.place(10**axes.right, highest)]
    drawing.line(roof, "roof")
    drawing.text(roof[2][0], roof[2][1] - 8, f"matrix rate {_with_prefix(highest)}FLOP/s", "quiet", "end")
    middle_x, middle_y = (roof[0][0] + roof[1][0]) / 2, (roof[0][1] + roof[1][1]) / 2
    drawing.text(middle_x + 12, middle_y + 4, f"memory {_with_prefix(widest)}B/s", "quiet")


def _draw_points(drawing: SvgChart, axes: _Axes, points: list[Figure], highest: float) -> None:
    """Labels are next to their points; labels of points that are close move down until they do not overlap."""
    taken: list[tuple[float, float]] = []
    for figure in sorted(points, key=_rate, reverse=True):
        x, y = axes.place(_intensity(figure), _rate(figure))
        drawing.dot(x, y, style_of(figure))
        line = y + 4
        while any(abs(line - other) < 16 and abs(x - other_x) < 260 for other_x, other in taken):
            line += 4
        taken.append((x, line))
        label = f"{figure.name}, {figure.side}: {_rate(figure) / highest:.0%}"
        right = x > WIDTH / 2
        drawing.text(x - 10 if right else x + 10, line, label, anchor="end" if right else "start")


def _intensity(figure: Figure) -> float:
    assert figure.operations is not None and figure.weight_bytes is not None
    return figure.operations / figure.weight_bytes


def _rate(figure: Figure) -> float:
    assert figure.operations is not None
    return figure.operations / figure.median


def _with_prefix(value: float) -> str:
    """The value with three digits and a unit prefix, such as "1.23 T"; the caller adds the unit."""
    for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if value >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g} {prefix}"
    return f"{value:.3g} "


def _in_words(points: list[Figure], highest: float) -> str:
    parts = [f"{figure.name}, {figure.side}: {_rate(figure) / highest:.0%}" for figure in points]
    return "Of the matrix rate. " + ". ".join(parts) + "."
