"""Telling people by mail of tokens that end soon."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import emails
from accounts.models import Token


def warn_of_ends() -> int:
    """Write to those whose tokens end soon, once for each token; how many there were.

    A token that was made for a few days only ends as was meant, and nobody is told.
    """
    now = timezone.now()
    ending = Token.objects.filter(
        revoked_at=None,
        warned_at=None,
        expires_at__gt=now,
        expires_at__lte=now + settings.TOKEN_WARNING,
        created_at__lt=F("expires_at") - settings.TOKEN_WARNING,
        account__suspended_at=None,
    ).select_related("account", "account__user")
    count = 0
    for token in ending.order_by("id"):
        with transaction.atomic():
            # Of two processes that keep house one tells.
            claimed = Token.objects.filter(pk=token.pk, warned_at=None).update(warned_at=now)
            if claimed:
                emails.send_token_ends(token)
                count += 1
    return count
