"""Suspending an account: its people can't sign in, its tokens open nothing, nothing is published
to it. What it published can still be installed."""

from __future__ import annotations

from datetime import datetime

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils import timezone

from accounts import audit, emails
from accounts.identity import OPERATOR, Identity
from accounts.models import Account, User
from accounts.rights import require_site_admin
from portal.errors import Conflict, InvalidInput
from portal.sentences import gettext

MAX_REASON = 300


@transaction.atomic
def suspend(
    *, by: Identity, account: Account, reason: str, until: datetime | None = None
) -> Account:
    """Suspend an account, for good or until a time; again to change the reason or the end."""
    require_site_admin(by)
    if by.account is not None and by.account.pk == account.pk:
        raise Conflict(gettext("You would lock yourself out. Another site admin can suspend you."))
    reason = _checked(reason, "reason")
    if until is not None and until <= timezone.now():
        words = gettext("Its end is in the past.")
        raise InvalidInput(words, {"until": [words]})
    held = Account.objects.select_for_update().get(pk=account.pk)
    held.suspended_at = held.suspended_at or timezone.now()
    held.suspended_until, held.suspended_for = until, reason
    held.save(update_fields=["suspended_at", "suspended_until", "suspended_for"])
    detail = {"reason": reason, "until": until.isoformat() if until else "for good"}
    audit.record(by=by, account=held, action="account.suspend", target=held.name, detail=detail)
    return held


@transaction.atomic
def lift(*, by: Identity, account: Account) -> Account:
    """End a suspension."""
    require_site_admin(by)
    held = Account.objects.select_for_update().get(pk=account.pk)
    if held.suspended_at is None:
        return held
    held.suspended_at = held.suspended_until = None
    held.suspended_for = ""
    held.save(update_fields=["suspended_at", "suspended_until", "suspended_for"])
    audit.record(by=by, account=held, action="account.unsuspend", target=held.name)
    return held


def sweep() -> int:
    """End the suspensions whose end has come."""
    over = list(Account.objects.filter(suspended_until__lte=timezone.now())[:500])
    for account in over:
        lift(by=OPERATOR, account=account)
    return len(over)


@transaction.atomic
def reset_second_factor(*, by: Identity, user: User, note: str) -> int:
    """Take somebody's second factors away who lost them all; the note says who asked, and how it
    was made sure that it was them. They are told by mail."""
    require_site_admin(by)
    note = _checked(note, "note")
    if by.user is not None and by.user.pk == user.pk:
        raise Conflict(gettext("Another site admin must do this for you."))
    count: int = Authenticator.objects.filter(user=user).delete()[0]
    if count == 0:
        raise Conflict(gettext("%(user)s has no second factor.") % {"user": user.username})
    audit.record(
        by=by,
        account=user.account,
        action="user.reset_second_factor",
        target=user.username,
        detail={"note": note, "factors": count},
    )
    emails.send_second_factor_reset(user)
    return count


def _checked(text: str, field: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_REASON:
        words = gettext("Write a sentence of at most %(max_reason)s characters.") % {
            "max_reason": MAX_REASON
        }
        raise InvalidInput(
            gettext("The %(field)s is missing or too long. %(words)s")
            % {"field": field, "words": words},
            {field: [words]},
        )
    return text
