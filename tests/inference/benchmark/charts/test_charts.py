"""The charts show what was measured, in both modes, and those in the docs are drawn from the docs' figures."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from inference.benchmark.charts.bars import draw_bars
from inference.benchmark.charts.roofline import draw_roofline
from inference.benchmark.figures import MACHINE_SIDE, MATRIX_RATE, MEMORY_RATE, Figure, Measurements, read_json

SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).parents[4] / "docs"
MEASURED = Measurements(
    "a processor & more, 2026-11-29",
    (
        Figure(MATRIX_RATE, MACHINE_SIDE, "FLOP/s", (100e9,)),
        Figure(MEMORY_RATE, MACHINE_SIDE, "B/s", (10e9,)),
        Figure("VAE decode", "ours", "s", (1.0, 1.1, 1.0), 90 * 10**9, 10**9),
        Figure("VAE decode", "diffusers", "s", (4.0, 4.0, 4.4), 90 * 10**9, 10**9),
        Figure("only ours", "ours", "s", (1.0,)),
    ),
)


def shapes(svg: str, kind: str, style: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(svg).iter(SVG + kind) if each.get("class") == style]


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(SVG + "text")]


def test_a_bar_is_as_long_as_its_time_and_says_how_many_times_as_fast_it_is() -> None:
    chart = draw_bars(MEASURED)
    [ours], [theirs] = shapes(chart, "rect", "ours"), shapes(chart, "rect", "theirs")
    assert float(theirs.get("width", 0)) == pytest.approx(4 * float(ours.get("width", 0)), rel=0.01)
    assert "1 s, 4.00 times as fast" in texts(chart)
    assert "only ours" not in texts(chart), "there is nothing to compare it with"


def test_a_point_is_as_high_as_its_rate_under_the_roof() -> None:
    chart = draw_roofline(MEASURED)
    [ours], [theirs] = shapes(chart, "circle", "ours"), shapes(chart, "circle", "theirs")
    [roof] = shapes(chart, "polyline", "roof")
    top = min(float(point.split(",")[1]) for point in (roof.get("points") or "").split())
    assert top < float(ours.get("cy", 0)) < float(theirs.get("cy", 0))
    assert "VAE decode, ours: 90%" in texts(chart)


@pytest.mark.parametrize("draw", [draw_bars, draw_roofline])
def test_a_file_without_anything_to_draw_is_explained(draw: object) -> None:
    with pytest.raises(ValueError, match=r"^There is (nothing to compare|no roofline) in this file: .*\.$"):
        draw(Measurements("a", (Figure("only ours", "ours", "s", (1.0,)),)))  # type: ignore[operator]


@pytest.mark.parametrize("draw", [draw_bars, draw_roofline])
def test_a_chart_has_colours_for_dark_mode_and_its_figures_in_words(draw: object) -> None:
    chart = draw(MEASURED)  # type: ignore[operator]
    assert "prefers-color-scheme: dark" in chart
    [described] = ElementTree.fromstring(chart).iter(SVG + "desc")
    assert "VAE decode" in (described.text or "")


def test_the_docs_charts_are_drawn_from_the_docs_figures() -> None:
    for file in (DOCS / "benchmarks").glob("*.json"):
        measured = read_json(file)
        for name, draw in (("bars", draw_bars), ("roofline", draw_roofline)):
            chart = file.with_name(f"{file.stem}-{name}.svg")
            assert chart.read_text("utf-8") == draw(measured), f"{chart} is outdated: anima benchmark --charts"
