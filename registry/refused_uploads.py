"""Uploads that were refused, told to whose credential it was and to whom it should have gone.

A CI that fails at night is looked at in the morning, by somebody who doesn't have its log. Only
what a known account sent is noted: few rows for each, the same refusal once a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import role_in
from portal.errors import Refusal
from registry.models import Collaborator, RefusedUpload

log = logging.getLogger(__name__)

KEPT = timedelta(days=7)
MAX_OF_AN_ACCOUNT = 50
MAX_A_MINUTE = 10
_AGAIN = timedelta(minutes=1)
_FAULTS = 500


@contextmanager
def noted(by: Identity, account_name: str, channel_name: str, filename: str = "") -> Iterator[None]:
    """Note what is refused within, and let it go on."""
    try:
        yield
    except Refusal as refusal:
        # Not theirs to mend: a full or a closed site, or a part of it that is away.
        if refusal.status < _FAULTS and not transaction.get_connection().needs_rollback:
            try:
                _note(by, account_name, channel_name, filename, refusal)
            except DatabaseError:  # whoever was refused is told so all the same
                log.warning("a refused upload could not be noted", exc_info=True)
        raise


def _note(by: Identity, account_name: str, channel_name: str, filename: str, why: Refusal) -> None:
    account = by.account
    if account is None:
        return
    now = timezone.now()
    place = f"{account_name.lower()}/{channel_name}"[:200]
    known = list(RefusedUpload.objects.filter(account=account).order_by("-refused_at", "-pk"))
    key = (by.token.pk if by.token else None, place, filename[:255], why.slug)
    for row in known:
        if (row.token_id, row.place, row.filename, row.slug) == key:
            if now - row.refused_at >= _AGAIN:
                RefusedUpload.objects.filter(pk=row.pk).update(
                    refused_at=now, count=F("count") + 1, sentence=why.detail
                )
            return
    if sum(now - row.refused_at < _AGAIN for row in known) >= MAX_A_MINUTE:
        return
    surplus = [row.pk for row in known[MAX_OF_AN_ACCOUNT - 1 :]]
    target = _told(by, account_name)
    # Not before: a flood of refused uploads must not keep those waiting who write.
    with transaction.atomic():
        RefusedUpload.objects.filter(pk__in=surplus).delete()
        RefusedUpload.objects.create(
            account=account,
            token=by.token,
            target=target,
            place=place,
            filename=filename[:255],
            slug=why.slug,
            sentence=why.detail,
            refused_at=now,
        )


def _told(by: Identity, account_name: str) -> Account | None:
    """The account it should have gone to, if they belong there: strangers fill no page of it."""
    target = Account.objects.filter(name=account_name.lower(), deleted_at=None).first()
    if target is None:
        return None
    collaborates = Collaborator.objects.filter(package__account=target, user=by.user)
    belongs = role_in(by, target) is not None or (by.user is not None and collaborates.exists())
    return target if belongs else None


def refused_uploads(account: Account) -> QuerySet[RefusedUpload]:
    """What was refused lately that the account sent, or that was sent to it."""
    rows = RefusedUpload.objects.filter(Q(account=account) | Q(target=account))
    return rows.select_related("account", "token").order_by("-refused_at", "-pk")


def sweep() -> int:
    return RefusedUpload.objects.filter(refused_at__lt=timezone.now() - KEPT).delete()[0]
