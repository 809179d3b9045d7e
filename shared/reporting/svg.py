"""Small plots as inline SVG: no library, no script, readable on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 30, 44
INK, ACCENT, FAINT = "#57606a", "#0b6bcb", "#c9d1d9"


@dataclass(frozen=True, slots=True)
class Axis:
    """A range in data units, with a label."""

    label: str
    low: float
    high: float

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * step / 4 for step in range(5)]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's area; `at` maps data to pixels."""

    title: str
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x.low) / ((self.x.high - self.x.low) or 1)
        up = (y - self.y.low) / ((self.y.high - self.y.low) or 1)
        left = _LEFT + across * (WIDTH - _LEFT - _RIGHT)
        return round(left, 1), round(HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM), 1)

    def draw(self, *marks: str) -> str:
        """The whole figure."""
        return (
            f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" '
            f'font-size="11" fill="{INK}"><title>{escape(self.title)}</title>'
            f'<text x="{_LEFT}" y="18" font-size="13" font-weight="600">{escape(self.title)}</text>'
            f"{self._axes()}{''.join(marks)}</svg>"
        )

    def line(
        self, xs: Sequence[float], ys: Sequence[float], color: str = ACCENT, dash: str = ""
    ) -> str:
        points = " ".join(
            f"{left},{top}" for left, top in (self.at(x, y) for x, y in zip(xs, ys, strict=True))
        )
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"{dashed}/>'
        )

    def dots(self, xs: Sequence[float], ys: Sequence[float], radius: float = 3) -> str:
        return "".join(
            f'<circle cx="{left}" cy="{top}" r="{radius}" fill="{ACCENT}" fill-opacity="0.5"/>'
            for left, top in (self.at(x, y) for x, y in zip(xs, ys, strict=True))
        )

    def bars(self, edges: Sequence[float], heights: Sequence[float]) -> str:
        found = []
        for low, high, height in zip(edges, edges[1:], heights, strict=False):
            left, top = self.at(low, height)
            right, bottom = self.at(high, self.y.low)
            found.append(
                f'<rect x="{left}" y="{top}" width="{max(right - left - 1, 0.5):.1f}" '
                f'height="{max(bottom - top, 0):.1f}" fill="{ACCENT}" fill-opacity="0.6"/>'
            )
        return "".join(found)

    def _axes(self) -> str:
        parts = []
        for value in self.x.ticks():
            left, bottom = self.at(value, self.y.low)
            parts.append(
                f'<line x1="{left}" x2="{left}" y1="{_TOP}" y2="{bottom}" stroke="{FAINT}" '
                f'stroke-width="0.5"/><text x="{left}" y="{bottom + 14}" text-anchor="middle">'
                f"{value:.3g}</text>"
            )
        for value in self.y.ticks():
            left, top = self.at(self.x.low, value)
            parts.append(
                f'<line x1="{left}" x2="{WIDTH - _RIGHT}" y1="{top}" y2="{top}" stroke="{FAINT}" '
                f'stroke-width="0.5"/><text x="{left - 6}" y="{top + 4}" text-anchor="end">'
                f"{value:.3g}</text>"
            )
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(
            f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(self.x.label)}'
            f'</text><text x="12" y="{HEIGHT / 2}" text-anchor="middle" '
            f'transform="rotate(-90 12 {HEIGHT / 2})">{escape(self.y.label)}</text>'
        )
        return "".join(parts)
