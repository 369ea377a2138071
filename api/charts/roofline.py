"""The roofline of a device, and where kernels lie under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from api.charts.frame import BOTTOM, figure, grid, x_range, y_range
from api.charts.scale import Scale, fit, label
from labpool.roofline import Roofline, rate_text

HEIGHT = 280


@dataclass(frozen=True, slots=True)
class RoofPoint:
    """A kernel at `intensity` operations a byte; `classes` are the style sheet's."""

    name: str
    intensity: float
    gflop_s: float
    classes: str
    href: str | None = None

    @property
    def words(self) -> str:
        return f"{self.name}: {label(self.gflop_s)} GFLOP/s at {label(self.intensity)} ops a byte"


def roofline_chart(ident: str, title: str, roof: Roofline, points: Sequence[RoofPoint]) -> Markup:
    """GFLOP/s by operations a byte, both logarithmic; the roof is what was measured."""
    intensities = [roof.ridge, *(point.intensity for point in points)]
    ends = min(intensities) / 3, max(intensities) * 3
    x_scale = fit(ends, *x_range(), "log", margin=0.0)
    rates = [roof.peak_gflop_s * 1.4, roof.roof(ends[0]), *(point.gflop_s for point in points)]
    y_scale = fit(rates, *y_range(HEIGHT), "log", margin=0.06)
    parts = [
        grid(x_scale, y_scale, "operations a byte", HEIGHT),
        _roof(roof, ends, x_scale, y_scale),
        *(_point(point, roof, x_scale, y_scale) for point in points),
    ]
    return figure(ident, title, _legend(points), _words(roof, points), HEIGHT, parts)


def _roof(roof: Roofline, ends: tuple[float, float], x_scale: Scale, y_scale: Scale) -> Markup:
    corners = [(ends[0], roof.roof(ends[0])), (roof.ridge, roof.peak_gflop_s)]
    corners.append((ends[1], roof.peak_gflop_s))
    at = [_at(x_scale, y_scale, *corner) for corner in corners]
    ridge_x, ridge_y = at[1]
    # Its text ends there, to the left of the slope's middle where that leaves room for it.
    left = max(150.0, round((at[0][0] + ridge_x) / 2 - 8, 1))
    climbed = min(1.0, (left - at[0][0]) / max(1.0, ridge_x - at[0][0]))
    roof_y = at[0][1] + climbed * (ridge_y - at[0][1])
    return Markup(
        '<line class="ridge" x1="{x}" x2="{x}" y1="{y}" y2="{foot}"/>'
        '<path class="roof" d="{path}"/>'
        '<text class="roof-label" x="{left}" y="{above}" text-anchor="end">{memory} GB/s</text>'
        '<text class="roof-label" x="{right}" y="{over}" text-anchor="end">{peak} GFLOP/s</text>'
    ).format(
        x=ridge_x,
        y=ridge_y,
        foot=HEIGHT - BOTTOM,
        path="M" + "L".join(f"{x} {y}" for x, y in at),
        left=left,
        above=max(12.0, round(roof_y - 10, 1)),
        right=x_range()[1],
        over=round(ridge_y - 7, 1),
        memory=rate_text(roof.peak_gb_s),
        peak=rate_text(roof.peak_gflop_s),
    )


def _point(point: RoofPoint, roof: Roofline, x_scale: Scale, y_scale: Scale) -> Markup:
    x, y = _at(x_scale, y_scale, point.intensity, point.gflop_s)
    _, above = _at(x_scale, y_scale, point.intensity, roof.roof(point.intensity))
    dot = Markup('<circle cx="{}" cy="{}" r="5"/><title>{}</title>').format(x, y, point.words)
    return Markup('<g class="under {}"><line x1="{}" x2="{}" y1="{}" y2="{}"/>{}</g>').format(
        point.classes, x, x, above, y, dot
    )


def _at(x_scale: Scale, y_scale: Scale, x: float, y: float) -> tuple[float, float]:
    return round(x_scale.position(x), 1), round(y_scale.position(y), 1)


def _legend(points: Sequence[RoofPoint]) -> Markup:
    if len(points) < 2:
        return Markup("")
    items = [
        Markup('<li class="{}"><i aria-hidden="true"></i>{}</li>').format(
            point.classes,
            point.name
            if point.href is None
            else Markup('<a href="{}">{}</a>').format(point.href, point.name),
        )
        for point in points
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _words(roof: Roofline, points: Sequence[RoofPoint]) -> str:
    peaks = (
        f"The roof rises with {rate_text(roof.peak_gb_s)} GB/s up to {label(roof.ridge)} "
        f"operations a byte and is level at {rate_text(roof.peak_gflop_s)} GFLOP/s from there on"
    )
    return "; ".join([peaks, *(point.words for point in points)])
