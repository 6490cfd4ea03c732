"""Whether somebody has a second factor; asked where rights are decided, so it knows no acts."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User


def any_of(user: OuterRef | User) -> QuerySet[Authenticator]:
    """What counts: recovery codes alone are no factor."""
    found: QuerySet[Authenticator] = Authenticator.objects.filter(user=user).exclude(
        type=Authenticator.Type.RECOVERY_CODES
    )
    return found


def has_second_factor(user: User) -> bool:
    return bool(any_of(user).exists())


def second_factor_of(user_column: str) -> Exists:
    """The same as a condition on rows that name a user in ``user_column``."""
    return Exists(any_of(OuterRef(user_column)))
