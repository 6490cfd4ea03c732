"""Whether somebody has a second factor; asked where rights are decided, so it knows no acts."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

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


def count_secured(user_column: str, among: Q | None = None) -> Count:
    """How many of the users in ``user_column`` have one, of those rows that are ``among``."""
    has_one = Q(second_factor_of(user_column))
    return Count(user_column, distinct=True, filter=has_one if among is None else has_one & among)
