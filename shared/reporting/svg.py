"""Small plots as SVG files: no library, no script, readable on light and dark backgrounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 30, 44
DARK = "#0d1117"
INK, ACCENT, SECOND, FAINT = "#57606a", "#0b6bcb", "#d9730d", "#c9d1d9"
_STEPS = (1, 2, 2.5, 5, 10)
_LABEL_LETTERS = 26
_ROW = 20
_NAMES = 168


@dataclass(frozen=True, slots=True)
class Axis:
    """A range in data units, with a label. `names` are what stands at 0, 1, 2 ... instead of the
    number."""

    label: str
    low: float
    high: float
    names: Sequence[str] = ()

    def spelled(self, value: float) -> str:
        if not self.names:
            return number(value)
        return self.names[round(value)] if 0 <= value < len(self.names) else ""

    def ticks(self) -> list[float]:
        """Round numbers inside the range, four to eight of them."""
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        rough = span / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * one for one in _STEPS if power * one >= rough * 0.999)
        step = max(1.0, math.ceil(step)) if self.names else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


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
        return figure(self.title, self._axes() + "".join(marks))

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        color: str = ACCENT,
        dash: str = "",
        width: float = 2,
    ) -> str:
        points = " ".join(
            f"{left},{top}" for left, top in (self.at(x, y) for x, y in zip(xs, ys, strict=True))
        )
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{color}" '
            f'stroke-width="{width:g}"{dashed}/>'
        )

    def dots(self, xs: Sequence[float], ys: Sequence[float], radius: float = 3) -> str:
        return "".join(
            f'<circle cx="{left}" cy="{top}" r="{radius}" fill="{ACCENT}" fill-opacity="0.5"/>'
            for left, top in (self.at(x, y) for x, y in zip(xs, ys, strict=True))
        )

    def bars(self, edges: Sequence[float], heights: Sequence[float], color: str = ACCENT) -> str:
        found = []
        for low, high, height in zip(edges, edges[1:], heights, strict=False):
            left, top = self.at(low, height)
            right, bottom = self.at(high, self.y.low)
            found.append(
                f'<rect x="{left}" y="{top}" width="{max(right - left - 1, 0.5):.1f}" '
                f'height="{max(bottom - top, 0):.1f}" fill="{color}" fill-opacity="0.5"/>'
            )
        return "".join(found)

    def key(self, names: Iterable[tuple[str, str]], *, low: bool = False) -> str:
        """What the colours mean, in a corner on the right."""
        x, first = WIDTH - _RIGHT - 16, HEIGHT - _BOTTOM - 20 if low else _TOP + 6
        return "".join(
            f'<rect x="{x}" y="{first + 15 * row}" width="10" height="10" fill="{color}" '
            f'fill-opacity="0.7"/>' + text(name, x - 6, first + 9 + 15 * row, anchor="end")
            for row, (name, color) in enumerate(names)
        )

    def _axes(self) -> str:
        parts = []
        for value in self.x.ticks():
            left, bottom = self.at(value, self.y.low)
            parts.append(
                f'<line x1="{left}" x2="{left}" y1="{_TOP}" y2="{bottom}" stroke="{FAINT}" '
                f'stroke-width="0.5"/>'
                + text(self.x.spelled(value), left, bottom + 14, anchor="middle")
            )
        for value in self.y.ticks():
            left, top = self.at(self.x.low, value)
            parts.append(
                f'<line x1="{left}" x2="{WIDTH - _RIGHT}" y1="{top}" y2="{top}" stroke="{FAINT}" '
                f'stroke-width="0.5"/>' + text(number(value), left - 6, top + 4, anchor="end")
            )
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(text(self.x.label, middle, HEIGHT - 8, anchor="middle"))
        parts.append(
            f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" '
            f'transform="rotate(-90 12 {HEIGHT / 2})">{escape(self.y.label)}</text>'
        )
        return "".join(parts)


def table(
    title: str,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float]],
    counts: Sequence[Sequence[int]],
    across: str,
    down: str,
) -> str:
    """A matrix of counts, each cell as dark as its share of its row."""
    left, top = 118, 62
    wide = (WIDTH - left - _RIGHT) / max(len(columns), 1)
    high = min(64.0, (HEIGHT - top - 14) / max(len(rows), 1))
    small = wide < 44 or high < 30
    parts = [text(across, left + (WIDTH - left - _RIGHT) / 2, 36, anchor="middle")]
    parts.append(text(down, 4, 54))
    for at, name in enumerate(columns):
        letters = max(int(wide / 7), 2)
        parts.append(text(short(name, letters), left + (at + 0.5) * wide, 54, anchor="middle"))
    for at, name in enumerate(rows):
        middle = top + (at + 0.5) * high
        parts.append(text(short(name, 16), left - 6, middle + 4, anchor="end"))
        for column, (share, count) in enumerate(zip(shares[at], counts[at], strict=True)):
            x = left + column * wide
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{middle - high / 2 + 1:.1f}" width="{wide - 2:.1f}" '
                f'height="{high - 2:.1f}" fill="{_shade(0.06 + 0.5 * share)}"/>'
            )
            words = f"{count:,}" if small else f"{count:,} ({share:.0%})"
            size = 9 if small else 11
            # Dark on light, whatever the page is: cells are opaque.
            inked = text(words, x + wide / 2, middle + 4, anchor="middle", size=size)
            parts.append(inked.replace("<text ", f'<text fill="{DARK}" ', 1))
    return figure(title, "".join(parts))


def _shade(part: float) -> str:
    """So much of the accent on white."""
    levels = (int(ACCENT[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - part * (255 - level)):02x}" for level in levels)


def bars_across(
    title: str,
    *,
    names: Sequence[str],
    values: Sequence[float],
    label: str,
    ends: Sequence[tuple[float, float]] = (),
    notes: Sequence[str] = (),
) -> str:
    """One bar per name, the first on top; `ends` draws a thin line over each."""
    low = min([0.0, *values, *(end[0] for end in ends)])
    high = max([0.0, *values, *(end[1] for end in ends)]) or 1.0
    height = _TOP + _ROW * len(names) + 38
    width = WIDTH - _NAMES - _RIGHT - (40 if notes else 8)
    axis = Axis(label, low, high)

    def at(value: float) -> float:
        return _NAMES + (value - low) / (high - low) * width

    bottom = _TOP + _ROW * len(names)
    parts = [
        f'<line x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{_TOP}" y2="{bottom}" '
        f'stroke="{FAINT}" stroke-width="0.5"/>'
        + text(number(tick), at(tick), bottom + 14, anchor="middle")
        for tick in axis.ticks()
    ]
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        y = _TOP + _ROW * row + 3
        left, right = sorted((at(0.0), at(value)))
        parts.append(text(short(name, _LABEL_LETTERS), _NAMES - 6, y + 11, anchor="end"))
        parts.append(
            f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 0.5):.1f}" height="14" '
            f'fill="{ACCENT}" fill-opacity="0.6"/>'
        )
        if ends:
            first, last = map(at, ends[row])
            parts.append(
                f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{y + 7}" y2="{y + 7}" '
                f'stroke="{INK}" stroke-width="1.5"/>'
            )
        if notes:
            parts.append(text(notes[row], WIDTH - 4, y + 11, anchor="end"))
    parts.append(text(label, _NAMES + width / 2, height - 6, anchor="middle"))
    return figure(title, "".join(parts), height)


def figure(title: str, marks: str, height: int = HEIGHT) -> str:
    """A file of its own, which may also stand inside a page."""
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" '
        f'font-size="11" fill="{INK}"><title>{escape(title)}</title>'
        + text(title, 6, 18, size=13, bold=True)
        + f"{marks}</svg>"
    )


def text(
    words: str, x: float, y: float, *, anchor: str = "start", size: int = 0, bold: bool = False
) -> str:
    """Escaped words at a place."""
    sized = f' font-size="{size}"' if size else ""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{sized}{weight}>'
        f"{escape(words)}</text>"
    )


def short(words: str, letters: int) -> str:
    """No more than that many letters; control characters, which no SVG may hold, are dropped."""
    clean = "".join(letter if letter.isprintable() else " " for letter in words)
    return clean if len(clean) <= letters else clean[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"


def number(value: float) -> str:
    """A tick as people write it."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            shown, unit = (1e3, letter) if letter == "k" else (size, letter)
            return f"{value / shown:.4g}{unit}"
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"
