"""A bar of several parts in a table's cell: what stands in the cells beside it, drawn."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

WIDTH, HEIGHT = 240, 14
_GAP = 1.0


def parts_bar(parts: Mapping[str, float], whole: float) -> Markup:
    """One part after the other, each with the class ``part-NAME``; ``whole`` is the full width.

    It says nothing that the table does not say in words, so readers of the page hear nothing of it.
    """
    drawn, x = [], 0.0
    for name, value in parts.items():
        if value <= 0 or whole <= 0:
            continue
        width = value / whole * WIDTH
        drawn.append(
            Markup(
                '<rect class="part-{}" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>'
            ).format(name, round(x, 2), round(max(0.5, width - _GAP), 2), HEIGHT, name)
        )
        x += width
    return Markup(
        '<svg class="parts-bar" viewBox="0 0 {0} {1}" preserveAspectRatio="none" '
        'aria-hidden="true"><rect class="part-room" x="0" y="0" width="{0}" height="{1}"/>{2}</svg>'
    ).format(WIDTH, HEIGHT, Markup("").join(drawn))
