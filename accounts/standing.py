"""What somebody is in organizations, read once for a page.

Pages ask many questions that hang on it, and each would bring the same conditions along. Acts don't
use it: what they are let do follows from what holds when they do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from django.db.models import BooleanField, CharField, Exists, ExpressionWrapper, F, Q, Value
from django.db.models.expressions import Combinable

from accounts.factors import any_of
from accounts.models import GroupMember, Membership, User
from accounts.roles import Role

_MANAGING = (Role.OWNER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class _Place:
    """A membership, or with a key the membership in a group."""

    group_id: int
    account_id: int
    account: str
    role: str
    is_in_force: bool
    is_suspended: bool


class Standing:
    """The places that a user has; the database is asked when it is first of interest."""

    def __init__(self, user: User) -> None:
        self._user = user

    @cached_property
    def _places(self) -> list[_Place]:
        account = "organization__account"
        members = Membership.objects.filter(user=self._user).order_by()
        within = GroupMember.objects.filter(user=self._user).order_by()
        rows = members.values_list(
            Value(0),
            account,
            f"{account}__name",
            F("role"),
            self._in_force("organization"),
            self._suspended(account),
        )
        account = "group__organization__account"
        groups = within.values_list(
            F("group"),
            account,
            f"{account}__name",
            Value("", output_field=CharField()),
            self._in_force("group__organization"),
            self._suspended(account),
        )
        return [_Place(*row) for row in rows.union(groups, all=True)]

    def _in_force(self, organization: str) -> Combinable:
        """The rule of `accounts.rights.memberships_in_force`."""
        rule = Q(**{f"{organization}__requires_second_factor": False}) | Q(
            Exists(any_of(self._user))
        )
        return ExpressionWrapper(rule, output_field=BooleanField())

    @staticmethod
    def _suspended(account: str) -> Combinable:
        return ExpressionWrapper(
            Q(**{f"{account}__suspended_at__isnull": False}), output_field=BooleanField()
        )

    @property
    def organizations(self) -> list[str]:
        """The names of all they belong to, also where that gives them nothing."""
        return sorted(place.account for place in self._places if not place.group_id)

    @cached_property
    def roles(self) -> dict[int, str]:
        """By the account of the organization, where their membership is in force."""
        return {
            place.account_id: place.role
            for place in self._places
            if place.is_in_force and not place.group_id
        }

    @cached_property
    def joined(self) -> list[int]:
        """Their own account and those of `roles`."""
        return [self._user.account_id, *self.roles]

    @cached_property
    def open_accounts(self) -> list[int]:
        """Those of `joined` that are not suspended; of their own nobody is let in."""
        shut = {place.account_id for place in self._places if place.is_suspended}
        return [pk for pk in self.joined if pk not in shut]

    @cached_property
    def administered(self) -> list[int]:
        """Those of `open_accounts` that they administer."""
        own = self._user.account_id
        return [pk for pk in self.open_accounts if pk == own or self.roles[pk] in _MANAGING]

    @cached_property
    def groups(self) -> list[int]:
        """The groups whose rights they have."""
        return [place.group_id for place in self._places if place.group_id and place.is_in_force]
