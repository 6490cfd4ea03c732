"""Small drawings that the server makes: SVG without a script or a style."""

import math
from collections.abc import Sequence

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from portal.charts import Calendar, Chart
from portal.templatetags.ui import day, thousands

register = template.Library()

_WIDTH, _HEIGHT = 240, 36
_WIDE, _HIGH = 1000, 260
# A day of a calendar, with the gap to the next.
_CELL, _GAP = 13, 2
_SHADES = 4


@register.simple_tag
def spark(numbers: Sequence[int], label: str) -> SafeString:
    """A line through ``numbers``, the oldest first; ``label`` says in words what it shows."""
    top = max(numbers, default=0) or 1
    step = _WIDTH / max(1, len(numbers) - 1)
    # Half the line's width above and below stays free.
    points = " ".join(
        f"{position * step:.1f},{_HEIGHT - 1 - number / top * (_HEIGHT - 2):.1f}"
        for position, number in enumerate(numbers)
    )
    return format_html(
        '<svg class="spark" width="{0}" height="{1}" viewBox="0 0 {0} {1}"'
        ' preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<polygon class="area" points="0,{1} {3} {0},{1}"></polygon>'
        '<polyline points="{3}" vector-effect="non-scaling-stroke"></polyline></svg>',
        _WIDTH,
        _HEIGHT,
        label,
        points,
    )


@register.simple_tag
def drawing(chart: Chart) -> SafeString:
    """The chart without axes, which stands until a script draws it with them, or for good."""
    edges = chart.stacked
    top = max(edges[-1], default=0) or 1
    count = len(chart.points)
    draw = _bars if chart.kind == "bars" else _area
    below = [0] * count
    parts = []
    for number, edge in enumerate(edges, start=1):
        parts.append((number, draw(_at(below, top), _at(edge, top))))
        below = edge
    return format_html(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        _WIDE,
        _HIGH,
        format_html_join("", '<g class="series-{}">{}</g>', parts),
    )


def _at(numbers: Sequence[int], top: int) -> list[float]:
    return [_HIGH - 1 - number / top * (_HIGH - 2) for number in numbers]


def _area(below: Sequence[float], edge: Sequence[float]) -> SafeString:
    step = _WIDE / max(1, len(edge) - 1)
    line = [f"{position * step:.1f},{y:.1f}" for position, y in enumerate(edge)]
    back = [f"{position * step:.1f},{y:.1f}" for position, y in enumerate(below)]
    return format_html(
        '<polygon points="{0} {1}"></polygon>'
        '<polyline points="{0}" vector-effect="non-scaling-stroke"></polyline>',
        " ".join(line),
        " ".join(reversed(back)),
    )


def _bars(below: Sequence[float], edge: Sequence[float]) -> SafeString:
    step = _WIDE / max(1, len(edge))
    bars = [
        (f"{position * step + step * 0.1:.1f}", f"{y:.1f}", f"{step * 0.8:.1f}", f"{low - y:.1f}")
        for position, (low, y) in enumerate(zip(below, edge, strict=True))
    ]
    return format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}"></rect>', bars)


@register.simple_tag
def calendar(shown: Calendar) -> SafeString:
    """A column for each week, Monday on top; the darker, the more."""
    top = max(shown.numbers, default=0)
    start = shown.first.weekday()
    cells = [
        (
            _shade(number, top),
            (offset + start) // 7 * _CELL,
            (offset + start) % 7 * _CELL,
            day(date),
            thousands(number),
        )
        for offset, (date, number) in enumerate(shown.days)
    ]
    weeks = (len(cells) + start + 6) // 7
    return format_html(
        '<svg class="calendar" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>',
        weeks * _CELL - _GAP,
        7 * _CELL - _GAP,
        format_html_join(
            "",
            '<rect class="shade-{}" x="{}" y="{}" width="11" height="11" rx="2">'
            "<title>{}: {}</title></rect>",
            cells,
        ),
    )


def _shade(number: int, top: int) -> int:
    """Of days with a thousand uploads and days with three, both are to be seen."""
    if not number:
        return 0
    return 1 + round((_SHADES - 1) * math.log(number) / math.log(top)) if top > 1 else _SHADES
