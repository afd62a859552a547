"""Shapes and texts of a chart, and the SVG document around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

MARGIN = 16
Anchor = Literal["start", "middle", "end"]

#: Colours by class, for light and dark mode; people with red-green colour blindness can tell the sides apart too.
STYLE = """
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: #59636e }
  .paper { fill: #ffffff }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  .roof { stroke: #59636e; stroke-width: 2; fill: none }
  .ours { fill: #0969da }
  .mode { fill: #54aeff }
  .theirs { fill: #d4863b }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .paper { fill: #0d1117 }
    .grid { stroke: #3d444d }
    .spread { stroke: #f0f6fc }
    .roof { stroke: #9198a1 }
    .ours { fill: #4493f8 }
    .mode { fill: #1f6feb }
    .theirs { fill: #db8c3c }
  }
"""


@dataclass
class SvgChart:
    """width, height: pixels; x grows to the right and y down. description: for people who cannot see the chart."""

    title: str
    subtitle: str
    description: str
    width: int
    height: int
    _shapes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text(MARGIN, 26, self.title, "title")
        self.text(MARGIN, 46, self.subtitle, "quiet")

    def text(self, x: float, y: float, text: str, style: str = "", anchor: Anchor = "start") -> None:
        """y: the text's baseline."""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class={quoteattr(style)} text-anchor="{anchor}">{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, style: str) -> None:
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" class={quoteattr(style)}/>'
        )

    def dot(self, x: float, y: float, style: str) -> None:
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class={quoteattr(style)}/>')

    def line(self, points: list[tuple[float, float]], style: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._shapes.append(f'<polyline points="{path}" class={quoteattr(style)}/>')

    def svg(self) -> str:
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img">',
                f"<title>{escape(self.title)}: {escape(self.subtitle)}</title>",
                f"<desc>{escape(self.description)}</desc>",
                f"<style>{STYLE}</style>",
                f'<rect width="{self.width}" height="{self.height}" class="paper"/>',
                *self._shapes,
                "</svg>\n",
            ]
        )
