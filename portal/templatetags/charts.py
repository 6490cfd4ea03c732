"""Small drawings that the server makes: SVG without a script or a style."""

from collections.abc import Sequence

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_WIDTH, _HEIGHT = 240, 36


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
