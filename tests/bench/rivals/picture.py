"""Bars of seconds on a scale of logarithms, as one SVG that is light or dark as its reader is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, NUMBERS = 760, 210, 60
ROW, BAR, HEAD, FOOT = 24, 14, 34, 26
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .tick { font-size: 11px; fill: #6e7781 }
.grid { stroke: #d0d7de } .peer { fill: #8c959f } .ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .tick { fill: #8d96a0 }
.grid { stroke: #30363d } .peer { fill: #6e7681 } .ours { fill: #4493f8 }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One way's seconds, above 0."""

    name: str
    seconds: float
    ours: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One sweep."""

    title: str
    bars: Sequence[Bar]


def drawing(panels: Sequence[Panel]) -> str:
    """The SVG's text. All panels have one scale, from a power of ten to another."""
    every = [bar.seconds for panel in panels for bar in panel.bars]
    if not every or min(every) <= 0:
        raise ValueError("there is nothing to draw: every bar needs seconds above 0")
    low = math.floor(math.log10(min(every)) - 1e-9)
    high = max(low + 1, math.ceil(math.log10(max(every))))
    parts: list[str] = []
    top = 0
    for panel in panels:
        parts += _panel(panel, top, low, high)
        top += HEAD + ROW * len(panel.bars) + FOOT
    told = escape("; ".join(panel.title for panel in panels))
    return "\n".join([
        (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
        f'aria-label="{told}">'),
        f"<style>{STYLE}\n</style>",
        *parts,
        "</svg>\n",
    ])  # fmt: skip


def _panel(panel: Panel, top: int, low: int, high: int) -> list[str]:
    bottom = top + HEAD + ROW * len(panel.bars)
    found = [f'<text class="title" x="8" y="{top + 20}">{escape(panel.title)}</text>']
    for power in range(low, high + 1):
        x = _place(10.0**power, low, high)
        found += [
            f'<line class="grid" x1="{x}" x2="{x}" y1="{top + HEAD - 4}" y2="{bottom}"/>',
            (
                f'<text class="tick" x="{x}" y="{bottom + 14}" text-anchor="middle">'
                f"{10.0**power:g} s</text>"
            ),
        ]
    for number, bar in enumerate(panel.bars):
        y = top + HEAD + ROW * number
        end = _place(bar.seconds, low, high)
        found += [
            f'<text x="{LABELS - 8}" y="{y + 12}" text-anchor="end">{escape(bar.name)}</text>',
            (
                f'<rect class="{"ours" if bar.ours else "peer"}" x="{LABELS}" y="{y}" '
                f'width="{round(end - LABELS, 1)}" height="{BAR}" rx="2"/>'
            ),
            f'<text x="{end + 6}" y="{y + 12}">{bar.seconds:.3g} s</text>',
        ]
    return found


def _place(seconds: float, low: int, high: int) -> float:
    share = (math.log10(seconds) - low) / (high - low)
    return round(LABELS + share * (WIDTH - LABELS - NUMBERS), 1)
