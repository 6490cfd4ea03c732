"""What those who run the site can close at once, for everybody and without a restart.

Each process looks at most once a second. Where the database doesn't answer, what was known stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import DatabaseError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts import audit
from accounts.identity import Identity
from accounts.models import Switch
from accounts.rights import require_site_admin
from portal.errors import InvalidInput, Unavailable
from portal.sentences import gettext, together
from portal.sentences import gettext as _

Name = Switch.Name
SECONDS: Final = 1.0
RETRY_AFTER_SECONDS: Final = 300
MAX_MESSAGE: Final = 600


class SwitchedOff(Unavailable):
    slug = "switched-off"
    title = gettext_noop("This is closed for the time being")


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    thrown: Mapping[str, Switch]


_known = _Known(0.0, {})
_followers: list[Callable[[Switch], None]] = []


def also_tell(follower: Callable[[Switch], None]) -> None:
    """Have somebody who answers without asking here be told of each change, in its transaction."""
    _followers.append(follower)


def thrown() -> Mapping[str, Switch]:
    """The switches that are not as usual."""
    global _known  # noqa: PLW0603 - one memory for the process
    if time.monotonic() >= _known.until:
        try:
            rows = Switch.objects.filter(is_thrown=True)
            now = timezone.now()
            found = {row.name: row for row in rows if row.ends_at is None or row.ends_at > now}
        except DatabaseError:
            found = dict(_known.thrown)
        _known = _Known(time.monotonic() + SECONDS, found)
    return _known.thrown


def forget() -> None:
    """Look again at once."""
    global _known  # noqa: PLW0603 - as above
    _known = _Known(0.0, _known.thrown)


def is_thrown(name: str) -> bool:
    return name in thrown()


def require(name: str) -> None:
    """Refuse what is closed."""
    switch = thrown().get(name)
    if switch is not None:
        said = together([words(name), switch.message])
        raise SwitchedOff(said, retry_after_seconds=RETRY_AFTER_SECONDS)


def words(name: str) -> str:
    """What people are told when it is thrown, before the operator's own words."""
    return {
        Name.SIGN_UP: _("Nobody can sign up right now."),
        Name.NEW_ORGANIZATIONS: _("No organizations can be made right now."),
        Name.UPLOADS: _("Nothing can be uploaded right now. Installing works."),
        Name.DOWNLOADS: _("Package files can't be downloaded right now. Try again later."),
        Name.READ_ONLY: _("Nothing can be changed right now. Looking and installing work."),
        Name.NOTICE: "",
    }[Name(name)]


def set_switch(
    *,
    by: Identity,
    name: str,
    is_thrown: bool,
    message: str = "",
    is_warning: bool = False,
    ends_at: datetime | None = None,
) -> Switch:
    """Throw a switch, or put it back; every process knows within two seconds."""
    require_site_admin(by)
    if name not in Name.values:
        reason = gettext("It is %(name)r; one of %(values)s is wanted.") % {
            "name": name,
            "values": ", ".join(Name.values),
        }
        raise InvalidInput(
            gettext("There is no such switch. %(reason)s") % {"reason": reason}, {"name": [reason]}
        )
    message = message.strip()
    if len(message) > MAX_MESSAGE or (is_thrown and name == Name.NOTICE and not message):
        reason = gettext("Write a sentence of at most %(max_message)s characters.") % {
            "max_message": MAX_MESSAGE
        }
        raise InvalidInput(
            gettext("The message can't be shown. %(reason)s") % {"reason": reason},
            {"message": [reason]},
        )
    if is_thrown and ends_at is not None and ends_at <= timezone.now():
        reason = gettext("Its end is in the past.")
        raise InvalidInput(reason, {"ends_at": [reason]})
    with transaction.atomic():
        switch, _created = Switch.objects.update_or_create(
            name=name,
            defaults={
                "is_thrown": is_thrown,
                "message": message if is_thrown else "",
                "is_warning": is_warning,
                "ends_at": ends_at if is_thrown else None,
                "set_by_name": "" if by.is_anonymous else by.name,
                "set_at": timezone.now(),
            },
        )
        audit.record(
            by=by,
            account=None,
            action="switch.throw" if is_thrown else "switch.reset",
            target=name,
            detail={"message": message} if message else {},
        )
        for tell in _followers:
            tell(switch)
        transaction.on_commit(forget)
    forget()
    return switch


def banners(_request: HttpRequest) -> dict[str, Any]:
    """For all pages: what is closed, and what the operator says."""
    now = thrown()
    shown = [
        {
            "message": " ".join(filter(None, [words(name), switch.message])),
            "is_warning": switch.is_warning or name != Name.NOTICE,
        }
        for name, switch in now.items()
        if name not in {Name.SIGN_UP, Name.NEW_ORGANIZATIONS}
    ]
    context: dict[str, Any] = {"site_banners": shown}
    if Name.SIGN_UP in now:
        context["signup_open"] = False
    return context
