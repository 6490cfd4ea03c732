"""The time zones and languages in which pages can be read."""

from __future__ import annotations

import zoneinfo
from functools import cache

from django.conf import settings
from django.utils.translation import gettext

_NOT_PLACES = ("Etc/", "posix/", "right/", "SystemV/")


@cache
def _known() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def is_time_zone(name: str) -> bool:
    return name in _known()


def time_zones() -> list[tuple[str, str]]:
    """Those named after places, and UTC; the first is the browser's."""
    places = sorted(n for n in _known() if "/" in n and not n.startswith(_NOT_PLACES))
    named = [(name, name.replace("_", " ")) for name in ["UTC", *places]]
    return [("", gettext("As the browser says")), *named]


def languages() -> list[tuple[str, str]]:
    return [("", gettext("As the browser says")), *settings.LANGUAGES]
