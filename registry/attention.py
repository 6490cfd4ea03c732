"""What the registry knows that needs somebody, or is worth their look, for their dashboard."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from accounts.attention import Need
from accounts.identity import Identity
from accounts.models import Account, User
from accounts.rights import manageable_accounts
from portal.sentences import shown
from portal.templatetags.ui import ago, thousands
from registry.models import ChannelTransfer, PackageInvitation, RefusedUpload, Transfer

_MAX_NEEDS = 30
_REFUSED_WITHIN = timedelta(days=3)


class _Row(NamedTuple):
    kind: str
    key: str
    who: str
    what: str
    whom: str | None
    when: datetime
    why: str


def waiting(
    user: User, accounts: QuerySet[Account, Any], now: datetime
) -> dict[str, QuerySet[Any]]:
    """What waits for their answer, by its kind: what is offered to the accounts that they
    administer, and invitations to their addresses. Each page counts it (`accounts.standing`), and
    the dashboard lists it."""
    return {
        "transfer": Transfer.objects.waiting(now).filter(target__in=accounts),
        "channel": ChannelTransfer.objects.filter(
            target__in=accounts,
            state=ChannelTransfer.State.WAITING,
            expires_at__gt=now,
            channel__account=F("source"),
        ),
        "invitation": PackageInvitation.objects.open(now).for_user(user),
    }


_COLUMNS = {
    "transfer": ("source__name", "package__name", "target__name"),
    "channel": ("source__name", "channel__name", "target__name"),
    "invitation": ("invited_by__username", "package__name", "package__account__name"),
}


def needs(identity: Identity) -> list[Need]:
    """What is `waiting` for them, what ends last first; then uploads of the last days that were
    refused, by or for the accounts that they administer. Asked in one query."""
    if identity.user is None:
        return []
    theirs = manageable_accounts(identity).values("pk")
    now = timezone.now()
    refused = RefusedUpload.objects.filter(
        Q(account__in=theirs) | Q(target__in=theirs), refused_at__gt=now - _REFUSED_WITHIN
    )
    columns = ("account__name", "place", "target__name", "refused_at")
    parts = [
        _columns(rows, kind, F("key"), *_COLUMNS[kind], "expires_at")
        for kind, rows in waiting(identity.user, theirs, now).items()
    ]
    # Offers end in days to come, so they stand first.
    rows = _columns(refused, "refused", Value(""), *columns, F("sentence"))
    found = rows.union(*parts, all=True).order_by("-need_when")[:_MAX_NEEDS]
    return [_need(identity, _Row(*row)) for row in found]


def _columns(
    rows: QuerySet[Any],
    kind: str,
    key: F | Value,
    who: str,
    what: str,
    whom: str,
    when: str,
    why: F | Value | None = None,
) -> QuerySet[Any, Any]:
    texts = {"kind": Value(kind), "id": key, "who": F(who), "what": F(what), "whom": F(whom)}
    named = {f"need_{name}": Cast(column, TextField()) for name, column in texts.items()}
    more = {"need_when": F(when), "need_why": Cast(why or Value(""), TextField())}
    told: QuerySet[Any, Any] = rows.order_by().annotate(**named, **more).values_list(*named, *more)
    return told


def _need(identity: Identity, row: _Row) -> Need:
    names = {"who": row.who, "what": row.what, "whom": row.whom}
    match row.kind:
        case "transfer":
            title = gettext("%(who)s offers %(what)s to %(whom)s") % names
            return Need(
                "package", title, _days_left(row.when), f"/-/transfers/{row.key}", waits=True
            )
        case "channel":
            title = gettext("%(who)s offers the channel %(what)s to %(whom)s") % names
            return Need(
                "tag", title, _days_left(row.when), f"/-/channel-transfers/{row.key}", waits=True
            )
        case "invitation":
            title = gettext("%(who)s invites you to %(what)s of %(whom)s") % names
            return Need(
                "mail", title, _days_left(row.when), f"/-/package-invitations/{row.key}", waits=True
            )
    title = gettext("An upload of %(who)s to %(what)s was refused %(when)s") % {
        **names,
        "when": ago(row.when),
    }
    # Their own page, else that of the account it went to.
    is_own = row.whom is None or row.who == identity.name
    page = row.who if is_own else row.whom
    return Need("ban", title, shown(json.loads(row.why)), f"/{page}/settings/refused-uploads")


def _days_left(end: datetime) -> str:
    days = math.ceil((end - timezone.now()) / timedelta(days=1))
    return ngettext("%(days)s day left", "%(days)s days left", days) % {"days": thousands(days)}
