"""What needs somebody: the bell in the header, and the top of their dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from accounts.authentication import identify_session
from accounts.identity import Identity
from accounts.models import Invitation, Token
from accounts.rights import manageable_accounts
from accounts.standing import Standing

_MAX_IN_MENU = 10


def open_invitations(identity: Identity) -> QuerySet[Invitation]:
    if identity.user is None:
        return Invitation.objects.none()
    invitations: QuerySet[Invitation] = Invitation.objects.open().for_user(identity.user)
    return invitations


def expiring_tokens(identity: Identity) -> QuerySet[Token]:
    """The live tokens of accounts they administer that end soon."""
    now = timezone.now()
    return Token.objects.filter(
        account__in=manageable_accounts(identity),
        revoked_at=None,
        expires_at__gt=now,
        expires_at__lte=now + settings.TOKEN_WARNING,
        # Whoever rotated it has done what there was to do.
        replaced_by=None,
    )


@dataclass(frozen=True, slots=True)
class Need:
    """Something of another app that needs somebody, in words."""

    icon: str
    title: str
    facts: str
    url: str


def further_needs(identity: Identity) -> list[Need]:
    """What other apps found that needs them; they are named in the settings, for this app knows
    none of them."""
    found: list[Need] = []
    for source in settings.ATTENTION_SOURCES:
        found += import_string(source)(identity)
    return found


def header(request: HttpRequest) -> dict[str, Any]:
    """For the header of who is signed in; asks the database only where it is drawn."""

    def count() -> int:
        identity = identify_session(request)
        invitations = open_invitations(identity).order_by().values("pk")
        expiring = expiring_tokens(identity).order_by().values("pk")
        return invitations.union(expiring, all=True).count()

    def organizations() -> list[str]:
        identity = identify_session(request)
        if identity.user is None:
            return []
        # Without one they posted, and are shown what was wrong with it.
        standing = identity.standing or Standing(identity.user)
        return standing.organizations[:_MAX_IN_MENU]

    return {
        "needs_you_count": SimpleLazyObject(count),
        "header_organizations": SimpleLazyObject(organizations),
    }
