"""What needs somebody of what the registry knows, for their dashboard: asked in one query."""

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


def needs(identity: Identity) -> list[Need]:
    """What is offered to the accounts that they administer, invitations to their addresses, and
    uploads that were refused."""
    theirs = manageable_accounts(identity).values("pk")
    now = timezone.now()
    parts = [
        _columns(
            Transfer.objects.waiting().filter(target__in=theirs),
            "transfer", F("key"), "source__name", "package__name", "target__name", "expires_at",
        ),
        _columns(
            ChannelTransfer.objects.filter(
                target__in=theirs,
                state=ChannelTransfer.State.WAITING,
                expires_at__gt=now,
                channel__account=F("source"),
            ),
            "channel", F("key"), "source__name", "channel__name", "target__name", "expires_at",
        ),
        _columns(
            RefusedUpload.objects.filter(
                Q(account__in=theirs) | Q(target__in=theirs), refused_at__gt=now - _REFUSED_WITHIN
            ),
            "refused", Value(""), "account__name", "place", "target__name", "refused_at",
            F("sentence"),
        ),
    ]  # fmt: skip
    if identity.user is not None:
        invited = PackageInvitation.objects.open().for_user(identity.user)
        parts.append(
            _columns(
                invited,
                "invitation", F("key"), "invited_by__username", "package__name",
                "package__account__name", "expires_at",
            )
        )  # fmt: skip
    first, *others = parts
    rows = first.union(*others, all=True).order_by("-need_when")[:_MAX_NEEDS]
    return [_need(identity, _Row(*row)) for row in rows]


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
            return Need("package", title, _days_left(row.when), f"/-/transfers/{row.key}")
        case "channel":
            title = gettext("%(who)s offers the channel %(what)s to %(whom)s") % names
            return Need("tag", title, _days_left(row.when), f"/-/channel-transfers/{row.key}")
        case "invitation":
            title = gettext("%(who)s invites you to %(what)s of %(whom)s") % names
            return Need("mail", title, _days_left(row.when), f"/-/package-invitations/{row.key}")
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
