"""Tags and filters of ``templates/components/``."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

from django import template
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.templatetags.static import static
from django.utils import formats, timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, npgettext, pgettext

register = template.Library()

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MONTH = 30 * _DAY
_YEAR = 365 * _DAY


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw a symbol of ``img/icons.svg``; without a label it is decoration that readers skip."""
    href = f"{static('img/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" width="16" height="16" fill="none" stroke="currentColor"'
            ' role="img" aria-label="{}"><use href="{}"></use></svg>',
            label,
            href,
        )
    return format_html(
        '<svg class="icon" width="16" height="16" fill="none" stroke="currentColor"'
        ' aria-hidden="true" focusable="false"><use href="{}"></use></svg>',
        href,
    )


@register.filter
def filesize(size_bytes: int | None) -> str:
    """Bytes as people read them: ``0 B``, ``589 kB``, ``1.2 MB``. Decimal units, as disks use."""
    if size_bytes is None:
        return ""
    size = float(size_bytes)
    for unit in _UNITS[:-1]:
        # 999.95 kB would be written as 1,000 kB.
        if abs(size) < (1000 if unit == "B" else 999.5):
            break
        size /= 1000
    else:
        unit = _UNITS[-1]
    places = 1 if unit != "B" and round(abs(size), 1) < 10 else 0
    return f"{formats.number_format(round(size, places), places, force_grouping=True)} {unit}"


@register.filter
def filesize_change(size_bytes: int) -> str:
    """How much larger or smaller: ``+1.2 MB``, ``−589 kB``, ``±0 B``."""
    sign = "+" if size_bytes > 0 else "−" if size_bytes < 0 else "±"
    return sign + filesize(abs(size_bytes))


@register.filter
def thousands(number: int | None) -> str:
    """A count with its digits grouped: ``12,431``."""
    return "" if number is None else formats.number_format(number, 0, force_grouping=True)


@register.filter
def iso_time(when: datetime) -> str:
    """What a ``datetime`` attribute holds: UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@register.filter
def exact_time(when: datetime) -> str:
    """``18 February 2027, 14:32 UTC``, in the zone that is current for the viewer."""
    local = timezone.localtime(when)
    moment = formats.date_format(local, pgettext("how a moment is written", "j F Y, H:i"))
    return f"{moment} {local.tzname()}"


@register.filter
def short_date(when: datetime) -> str:
    """``18 February 2027``, in the zone that is current for the viewer."""
    return day(timezone.localtime(when))


def day(day: date) -> str:
    """``18 February 2027``."""
    return formats.date_format(day, pgettext("how a day is written", "j F Y"))


@register.filter
def ago(when: datetime) -> str:
    """How far ``when`` is from now, in one unit: ``3 days ago``, ``in 9 days``, ``just now``."""
    distance = timezone.now() - when
    if distance < timedelta(0):
        left = -distance
        # A page made a moment after "in 9 days" was promised must not say "in 8 days".
        grace = timedelta(hours=1) if left > timedelta(days=1) else timedelta(0)
        return gettext("in %(span)s") % {"span": _span(left + grace)}
    if distance < timedelta(seconds=45):
        return gettext("just now")
    return gettext("%(span)s ago") % {"span": _span(distance)}


def _span(distance: timedelta) -> str:
    # With a context: some languages decline what stands beside "in" and "ago".
    seconds = int(distance.total_seconds())
    if seconds < 45:
        return pgettext("beside in, ago", "a few seconds")
    if seconds < _HOUR - 30:
        count = max(1, round(seconds / _MINUTE))
        return npgettext("beside in, ago", "%(n)d minute", "%(n)d minutes", count) % {"n": count}
    if seconds < _DAY - _HOUR // 2:
        count = max(1, round(seconds / _HOUR))
        return npgettext("beside in, ago", "%(n)d hour", "%(n)d hours", count) % {"n": count}
    # From here on only what is complete counts: "3 days" must not come before three days are over.
    if seconds < 2 * _MONTH:
        count = max(1, seconds // _DAY)
        return npgettext("beside in, ago", "%(n)d day", "%(n)d days", count) % {"n": count}
    if seconds < 2 * _YEAR:
        count = seconds // _MONTH
        return npgettext("beside in, ago", "%(n)d month", "%(n)d months", count) % {"n": count}
    count = seconds // _YEAR
    return npgettext("beside in, ago", "%(n)d year", "%(n)d years", count) % {"n": count}


@register.filter
def duration(seconds: float) -> str:
    """How long something took: ``0.3 s``, ``5 min 12 s``, ``26 h 3 min``."""
    if round(seconds, 1) < _MINUTE:
        return f"{formats.number_format(round(seconds, 1), 1)} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{thousands(whole // _HOUR)} h {whole % _HOUR // _MINUTE} min"


@register.filter
def within_a_sentence(word: str) -> str:
    """A word of a list without its capital letter, in languages whose nouns have none."""
    return str(word) if get_language() == "de" else str(word).lower()


@register.filter
def last_segment(path: str) -> str:
    """The last name in a URL path, as words to search for."""
    return unquote(path.rstrip("/").rpartition("/")[2])


def percent_of(part: float, whole: float) -> int:
    """``part`` in hundredths of ``whole``; nothing of nothing is 0."""
    return round(100 * part / whole) if whole else 0


@register.filter
def percent(part: float, whole: float) -> str:
    """The same in words; little is not nothing."""
    return "< 1 %" if 0 < 100 * part < whole else f"{percent_of(part, whole)} %"


@register.filter
def as_json(value: object) -> str:
    """For an attribute that a script reads; inline scripts there are none."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.filter
def linked(said: str) -> SafeString:
    """Words in which addresses of this host are links."""
    # What is escaped already stays as it is: no address has anything to escape.
    address = f"({re.escape(settings.BASE_URL)}/[\\w./~-]*[\\w/-])"
    parts = re.split(address, conditional_escape(said))
    return format_html_join(
        "",
        "{}",
        (
            (format_html('<a href="{}">{}</a>', part, part) if at % 2 else SafeString(part),)
            for at, part in enumerate(parts)
        ),
    )


@register.filter
def lines(texts: Iterable[str]) -> str:
    """Each on a line of its own; a tag of a template can't hold the end of a line."""
    return "\n".join(texts)
