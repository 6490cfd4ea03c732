"""What happened, in words and in rows, for the pages and the feeds."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from registry.activity import Happening


@dataclass(frozen=True, slots=True)
class HappeningRow:
    """A line of ``registry/happenings.html``."""

    happening: Happening
    words: str
    url: str
    icon: str


_ICONS = {
    "file.publish": "upload",
    "file.import": "upload",
    "file.replace": "rotate-cw",
    "file.add": "plus",
    "file.copy": "copy",
    "file.remove": "minus",
    "file.delete": "trash-2",
    "channel.create": "plus",
    "channel.delete": "trash-2",
    "channel.change": "lock",
}


def rows_of(account_name: str, found: list[Happening]) -> list[HappeningRow]:
    return [
        HappeningRow(
            one,
            sentence(one),
            reverse("registry:package", args=[account_name, one.package]) if one.package else "",
            _ICONS[one.kind],
        )
        for one in found
    ]


def sentence(one: Happening) -> str:
    """What happened, without who did it and when."""
    what = one.filename or _files(one.count)
    kind = one.kind
    if kind == "channel.change":
        kind = "channel.lock" if one.lock else "channel.unlock"
    return str(_WORDS[kind]) % {"what": what, "channel": one.channel}


_WORDS = {
    "file.publish": _("Published %(what)s to %(channel)s"),
    "file.import": _("Imported %(what)s into %(channel)s"),
    "file.replace": _("Replaced %(what)s"),
    "file.add": _("Put %(what)s into %(channel)s"),
    "file.copy": _("Copied %(what)s into %(channel)s"),
    "file.remove": _("Removed %(what)s from %(channel)s"),
    "file.delete": _("Deleted %(what)s"),
    "channel.create": _("Made the channel %(channel)s"),
    "channel.delete": _("Deleted the channel %(channel)s"),
    "channel.lock": _("Locked the channel %(channel)s"),
    "channel.unlock": _("Unlocked the channel %(channel)s"),
}


def _files(count: int) -> str:
    return ngettext("%(count)s file", "%(count)s files", count) % {"count": count}
