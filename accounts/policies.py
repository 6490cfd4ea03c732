"""What an organization asks of its members and tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, rights
from accounts.factors import has_second_factor, second_factor_of
from accounts.identity import OPERATOR, Identity
from accounts.models import Account, Membership, Organization
from accounts.scopes import Ability
from portal.errors import Conflict, InvalidInput
from portal.sentences import gettext


@dataclass(frozen=True, slots=True)
class Policy:
    requires_second_factor: bool = False
    # None: as long as the host allows.
    token_max_days: int | None = None
    channel_creators: str = Organization.ChannelCreators.ADMINS
    starts_private: bool = False

    @classmethod
    def of(cls, organization: Organization) -> Policy:
        return cls(**{name: getattr(organization, name) for name in cls.__slots__})


def shut_out(organization: Organization) -> QuerySet[Membership]:
    """The members who have no second factor: asked for one, they have no rights until they do."""
    return (
        Membership.objects.filter(organization=organization)
        .exclude(second_factor_of("user_id"))
        .select_related("user")
        .order_by("user__username")
    )


@transaction.atomic
def change_policy(*, by: Identity, organization: Organization, policy: Policy) -> bool:
    """Set the whole policy; False when it was so already. It holds from the next request on."""
    held = Organization.objects.locked(organization)
    rights.require_owner(by, held, Ability.ADMINISTER)
    _check(by, policy)
    before = asdict(Policy.of(held))
    changes = {
        name: [before[name], value]
        for name, value in asdict(policy).items()
        if before[name] != value
    }
    if not changes:
        return False
    for name, (_, value) in changes.items():
        setattr(held, name, value)
    held.save(update_fields=list(changes))
    audit.record(
        by=by,
        account=held.account,
        action="organization.policy",
        target=held.account.name,
        detail=changes,
    )
    return True


def _check(by: Identity, policy: Policy) -> None:
    if policy.channel_creators not in Organization.ChannelCreators.values:
        reason = gettext("There is no such choice.")
        raise InvalidInput(reason, {"channel_creators": [reason]})
    days, longest = policy.token_max_days, settings.TOKEN_MAX_LIFETIME.days
    if days is not None and not 1 <= days <= longest:
        reason = gettext("Say a number of days from 1 to %(longest)d, or nothing.") % {
            "longest": longest
        }
        raise InvalidInput(reason, {"token_max_days": [reason]})
    has_own = by is OPERATOR or (by.user is not None and has_second_factor(by.user))
    if policy.requires_second_factor and not has_own:
        raise Conflict(
            gettext(
                "You have no second factor yourself, so you would shut yourself out. Add one "
                "first, in Sign-in and security."
            )
        )


def longest_token_life(account: Account) -> timedelta:
    """How long a new token of the account may live."""
    longest: timedelta = settings.TOKEN_MAX_LIFETIME
    if not account.is_organization:
        return longest
    days = Organization.objects.filter(account=account).values_list("token_max_days", flat=True)
    asked = next(iter(days), None)
    return longest if asked is None else min(longest, timedelta(days=asked))
