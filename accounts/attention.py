"""What needs somebody: the bell in the header, and the top of their dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
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
    return Token.objects.ending_soon().filter(account__in=manageable_accounts(identity))


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs somebody or is worth their look, in words."""

    icon: str
    title: str
    facts: str
    url: str
    waits: bool = False
    """For their answer: `Standing.offers` counts it. What else there is to look at costs more to
    count than every page can pay, or stays whatever they do; and a number that nothing takes away
    is soon not read."""


def further_needs(identity: Identity) -> list[Need]:
    """What other apps found that needs them, or is worth their look; they are named in the
    settings, for this app knows none of them."""
    found: list[Need] = []
    for source in settings.ATTENTION_SOURCES:
        found += import_string(source)(identity)
    return found


def header(request: HttpRequest) -> dict[str, Any]:
    """For the header of who is signed in; asks the database only where it is drawn."""

    def standing() -> Standing | None:
        identity = identify_session(request)
        if identity.user is None:
            return None
        # Without one they posted, and are shown what was wrong with it.
        return identity.standing or Standing(identity.user)

    known = SimpleLazyObject(standing)

    def count() -> int:
        return known.needs if known else 0

    def organizations() -> list[str]:
        return known.organizations[:_MAX_IN_MENU] if known else []

    return {
        "needs_you_count": SimpleLazyObject(count),
        "header_organizations": SimpleLazyObject(organizations),
    }
