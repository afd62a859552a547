"""Draws the bar chart: how long each part takes on each side."""

from __future__ import annotations

from collections.abc import Sequence

from inference.benchmark.charts.svg import MARGIN, SvgChart
from inference.benchmark.figures import DIFFUSERS, OURS, Figure, Measurements

WIDTH, LABELS, VALUES = 720, 150, 210
BAR, GAP, HEADING = 18, 6, 34
TOP = 60


def draw_bars(measured: Measurements) -> str:
    """An SVG with a group of bars for each part. Each group has its own scale, set by its longest third quartile.

    Raises ValueError if nothing was measured on more than one side.
    """
    groups = _groups(measured)
    rows = sum(len(group) for group in groups)
    height = TOP + len(groups) * HEADING + rows * (BAR + GAP) + MARGIN
    drawing = SvgChart("Seconds, lower is better", measured.title, _in_words(groups), WIDTH, height)
    y = float(TOP)
    for group in groups:
        drawing.text(MARGIN, y + HEADING - 12, group[0].name)
        y += HEADING
        longest = max(figure.quartiles[1] for figure in group)
        for figure in group:
            _draw_bar(drawing, y, figure, longest, _ratio(figure, group))
            y += BAR + GAP
    return drawing.svg()


def _groups(measured: Measurements) -> list[list[Figure]]:
    """The times of each part that was measured on more than one side."""
    names = dict.fromkeys(figure.name for figure in measured.figures if figure.unit == "s")
    groups = [[figure for figure in measured.figures if figure.name == name and figure.unit == "s"] for name in names]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        raise ValueError(
            "There is nothing to compare in this file: measure with diffusers installed (`pip install "
            "'anima-bot[benchmark]'`), or with `--everything`."
        )
    return groups


def _draw_bar(drawing: SvgChart, y: float, figure: Figure, longest: float, ratio: str) -> None:
    room = WIDTH - 2 * MARGIN - LABELS - VALUES
    left, middle, baseline = MARGIN + LABELS, y + BAR / 2, y + BAR - 4
    low, high = (left + room * value / longest for value in figure.quartiles)
    drawing.text(left - 8, baseline, figure.side, "quiet", "end")
    drawing.box(left, y, max(1.0, room * figure.median / longest), BAR, style_of(figure))
    drawing.line([(low, middle), (high, middle)], "spread")
    for end in (low, high):
        drawing.line([(end, middle - 4), (end, middle + 4)], "spread")
    drawing.text(left + room + 12, baseline, f"{seconds(figure.median)}{ratio}")


def style_of(figure: Figure) -> str:
    return {OURS: "ours", DIFFUSERS: "theirs"}.get(figure.side, "mode")


def seconds(value: float) -> str:
    return f"{1000 * value:.3g} ms" if value < 0.1 else f"{value:.3g} s"


def _ratio(figure: Figure, group: Sequence[Figure]) -> str:
    """How many times as fast as the group's baseline: diffusers, or ours if diffusers was not measured."""
    yardstick = next((each for side in (DIFFUSERS, OURS) for each in group if each.side == side), group[0])
    return "" if figure is yardstick else f", {yardstick.median / figure.median:.2f} times as fast"


def _in_words(groups: Sequence[Sequence[Figure]]) -> str:
    parts = [
        f"{group[0].name}: " + ", ".join(f"{figure.side} {seconds(figure.median)}" for figure in group)
        for group in groups
    ]
    return ". ".join(parts) + ". Thin lines are quartiles."
