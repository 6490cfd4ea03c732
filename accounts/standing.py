"""What somebody is in organizations and what waits for them, read once for a page.

Pages ask many questions that hang on it, and each would bring the same conditions along. Acts don't
use it: what they are let do follows from what holds when they do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.factors import any_of
from accounts.models import Account, GroupMember, Invitation, Membership, Token, User
from accounts.roles import Role
from portal.prepared import Prepared

_MANAGING = (Role.OWNER, Role.ADMIN)
_MEMBER, _GROUP, _NAMED, _INVITED, _ENDING, _OFFERED = range(6)
_NO, _YES = Value(False), Value(True)  # columns, not arguments
_EMPTY = Value("", output_field=CharField())


@dataclass(frozen=True, slots=True)
class _Row:
    """A membership, one in a group, a right held by name somewhere in an account, or a count."""

    kind: int
    key: int
    account_id: int
    account: str
    right: str
    is_in_force: bool
    is_suspended: bool


class Standing:
    """What a user is and has; the database is asked when it is first of interest."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._named_on: dict[tuple[int, str], frozenset[str]] = {}

    @cached_property
    def _rows(self) -> list[_Row]:
        now = timezone.now()
        rows = _ASKED.rows(self._user.pk, self._user.account_id, now, now + settings.TOKEN_WARNING)
        return [_Row(*row) for row in rows]

    @property
    def invitations(self) -> int:
        """How many wait for them."""
        return self._number(_INVITED)

    @property
    def ending_tokens(self) -> int:
        """How many tokens that they look after end soon."""
        return self._number(_ENDING)

    @property
    def offers(self) -> int:
        """How many packages and channels, or rights on packages, are offered to them."""
        return self._number(_OFFERED)

    @property
    def needs(self) -> int:
        """How many things need them: what the bell says, and what their dashboard lists so."""
        return self.invitations + self.ending_tokens + self.offers

    def _number(self, kind: int) -> int:
        return sum(row.key for row in self._rows if row.kind == kind)

    @property
    def organizations(self) -> list[str]:
        """The names of all they belong to, also where that gives them nothing."""
        return sorted(row.account for row in self._rows if row.kind == _MEMBER)

    @cached_property
    def roles(self) -> dict[int, str]:
        """By the account of the organization, where their membership is in force."""
        return {
            row.account_id: row.right
            for row in self._rows
            if row.is_in_force and row.kind == _MEMBER
        }

    @cached_property
    def joined(self) -> list[int]:
        """Their own account and those of `roles`."""
        return [self._user.account_id, *self.roles]

    @cached_property
    def open_accounts(self) -> list[int]:
        """Those of `joined` that are not suspended; of their own nobody is let in."""
        shut = {row.account_id for row in self._rows if row.is_suspended}
        return [pk for pk in self.joined if pk not in shut]

    @cached_property
    def administered(self) -> list[int]:
        """Those of `open_accounts` that they administer."""
        own = self._user.account_id
        return [pk for pk in self.open_accounts if pk == own or self.roles[pk] in _MANAGING]

    @cached_property
    def groups(self) -> list[int]:
        """The groups whose rights they have."""
        return [row.key for row in self._rows if row.kind == _GROUP and row.is_in_force]

    @cached_property
    def over_all(self) -> dict[int, set[str]]:
        """By account, the permissions that groups give them on all of its packages."""
        return self._rights(_GROUP)

    @cached_property
    def by_name(self) -> dict[int, set[str]]:
        """By account, the permissions that they hold on some of its packages, which name them or
        a group of theirs."""
        return self._rights(_NAMED)

    def named(self, account_id: int, package: str, permissions: Iterable[str]) -> frozenset[str]:
        """What one package gives them by name. Pages ask several times; the first one reads the
        ``permissions``."""
        key = (account_id, package)
        if key not in self._named_on:
            self._named_on[key] = frozenset(permissions)
        return self._named_on[key]

    def _rights(self, kind: int) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for row in self._rows:
            if row.kind == kind and row.is_in_force and row.right:
                found.setdefault(row.account_id, set()).add(row.right)
        return found


# --- The question --------------------------------------------------------------------------------


def _question(user_id: int, account_id: int, now: datetime, soon: datetime) -> QuerySet[Any, Any]:
    """The columns of `_Row`, all that a page may want to know, in one query."""
    user = User(pk=user_id, account_id=account_id)
    ending = Token.objects.ending(now, soon).filter(account__in=_administered(user))
    parts: list[QuerySet[Any, Any]] = [
        _memberships(user),
        _groups(user),
        *_named(user),
        _count(_INVITED, Invitation.objects.open(now).for_user(user)),
        _count(_ENDING, ending),
        *_offers(user, now),
    ]
    return parts[0].union(*parts[1:], all=True)


# Each page of who is signed in asks it, and Django takes far longer to put it into words than the
# database to answer.
_ASKED = Prepared(_question, int, int, datetime, datetime)


def _memberships(user: User) -> QuerySet[Membership, Any]:
    account = "organization__account"
    return (
        Membership.objects.filter(user=user)
        .order_by()
        .values_list(
            Value(_MEMBER),
            Value(0),
            account,
            f"{account}__name",
            F("role"),
            _in_force(user, "organization"),
            _suspended(account),
        )
    )


def _groups(user: User) -> QuerySet[GroupMember, Any]:
    account = "group__organization__account"
    return (
        GroupMember.objects.filter(user=user)
        .order_by()
        .values_list(
            Value(_GROUP),
            F("group"),
            account,
            f"{account}__name",
            # What it gives over all packages; over chosen ones it is named there.
            Case(When(group__all_packages=True, then=F("group__permission")), default=_EMPTY),
            _in_force(user, "group__organization"),
            _suspended(account),
        )
    )


def _named(user: User) -> list[QuerySet[Any, Any]]:
    """In which accounts packages name them, or a group of theirs: the registry knows."""
    collaborations: QuerySet[Any] = import_string(settings.COLLABORATIONS).objects.order_by()
    by_group = _in_force(user, "group__organization")
    return [
        rows.values_list(
            Value(_NAMED), Value(0), "package__account", _EMPTY, F("permission"), in_force, _NO
        ).distinct()
        for rows, in_force in (
            (collaborations.filter(user=user), _YES),
            (collaborations.filter(group__members__user=user), by_group),
        )
    ]


def _offers(user: User, now: datetime) -> list[QuerySet[Any, Any]]:
    """What is offered to them and to their accounts: the registry knows."""
    waiting: dict[str, QuerySet[Any]] = import_string(settings.WAITING)(
        user, _administered(user), now
    )
    return [_count(_OFFERED, rows) for rows in waiting.values()]


def _administered(user: User) -> QuerySet[Account, Any]:
    """The keys in `administered`, for what is asked with them."""
    administering = Membership.objects.filter(
        _in_force_rule(user, "organization"), user=user, role__in=_MANAGING
    )
    return Account.objects.filter(
        Q(pk=user.account_id) | Q(pk__in=administering.values("organization__account")),
        suspended_at=None,
    ).values("pk")


def _count(kind: int, rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    counted: QuerySet[Any, Any] = (
        rows.order_by()
        .values(kind=Value(kind))
        .annotate(number=Count("pk"))
        .values_list("kind", "number", Value(0), _EMPTY, _EMPTY, _YES, _NO)
    )
    return counted


def _in_force(user: User, organization: str) -> Combinable:
    return ExpressionWrapper(_in_force_rule(user, organization), output_field=BooleanField())


def _in_force_rule(user: User, organization: str) -> Q:
    """The rule of `accounts.rights.memberships_in_force`."""
    return Q(**{f"{organization}__requires_second_factor": False}) | Q(Exists(any_of(user)))


def _suspended(account: str) -> Combinable:
    return ExpressionWrapper(
        Q(**{f"{account}__suspended_at__isnull": False}), output_field=BooleanField()
    )
