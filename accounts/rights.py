"""Who may manage an account: its profile, people, groups, channels and tokens.

What concerns packages and channels is decided in `registry.access`, which asks here.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, Q, QuerySet

from accounts.factors import any_of
from accounts.identity import OPERATOR, Identity
from accounts.models import Account, Group, Membership, Organization, User
from accounts.roles import Role, role_covers
from accounts.scopes import Ability, scopes_giving
from portal.errors import CredentialNeeded, Forbidden
from portal.prepared import Prepared
from portal.sentences import gettext


class MissingScope(Forbidden):
    """The token doesn't allow this kind of act; its account may or may not."""

    def __init__(self, ability: Ability, scopes: Sequence[str]) -> None:
        enough = scopes_giving(ability)
        super().__init__(
            gettext(
                "This token may not %(ability)s: it has %(scopes)s. A token with %(enough)s may."
            )
            % {
                "ability": gettext(ability.value),
                "scopes": ", ".join(scopes) or "nothing",
                "enough": " or ".join(enough[:2]),
            }
        )
        self.ability = ability
        # The narrowest scope that would do.
        self.wanted = enough[0]


class SecondFactorNeeded(Forbidden):
    """Their membership gives nothing until they have a second factor."""

    slug = "second-factor-needed"

    def __init__(self, account: Account, user: User) -> None:
        super().__init__(
            gettext(
                "%(account)s asks its members for a second factor, and you have none. Until "
                "you add one, your membership gives you no rights."
            )
            % {"account": account.name},
            url=f"/{user.username}/settings/security",
            label=gettext("Add a second factor"),
        )


def memberships_in_force(user: User) -> QuerySet[Membership]:
    """Memberships that give rights: not those where a second factor is asked for and missing."""
    return Membership.objects.filter(
        Q(organization__requires_second_factor=False) | Exists(any_of(user)), user=user
    )


def groups_in_force(user: User) -> QuerySet[Group]:
    """The groups whose rights they have, by the same rule."""
    return Group.objects.filter(
        Q(organization__requires_second_factor=False) | Exists(any_of(user)), members__user=user
    )


def _refuse_without_factor(identity: Identity, account: Account) -> None:
    """Say so, where nothing but a second factor is missing."""
    user = identity.user
    if user is None or not account.is_organization or account.suspended_at is not None:
        return
    idle = Membership.objects.filter(organization__account=account, user=user)
    if idle.exclude(pk__in=memberships_in_force(user).values("pk")).exists():
        raise SecondFactorNeeded(account, user)


def _owners(identity: Identity, account: Account) -> list[str]:
    """Who can give rights, for who belongs to the account and may know."""
    if not account.is_organization or not is_member(identity, account):
        return []
    owners = Membership.objects.filter(organization__account=account, role=Role.OWNER)
    return list(owners.order_by("user__username").values_list("user__username", flat=True)[:5])


def role_in(identity: Identity, account: Account) -> str | None:
    """The role of the one who asks in ``account``: owner of their own account, or a member's.

    An organization's own token has what its admins have: it was issued by one for the
    organization. A suspended account gives nothing.
    """
    acting = identity.account
    if acting is None or account.suspended_at is not None:
        return None
    if acting.pk == account.pk:
        return Role.ADMIN if account.is_organization else Role.OWNER
    if identity.user is None or not account.is_organization:
        return None
    if identity.standing is not None:
        return identity.standing.roles.get(account.pk)
    rows = _ROLES.rows(identity.user.pk, account.pk)
    return rows[0][0] if rows else None


# Each request asks for it, most of them more than once.
_ROLES = Prepared(
    lambda user_id, account_id: (
        memberships_in_force(User(pk=user_id))
        .filter(organization__account=account_id)
        .order_by()
        .values_list("role")
    ),
    int,
    int,
)


def is_member(identity: Identity, account: Account) -> bool:
    return role_in(identity, account) is not None


def may_administer(identity: Identity, account: Account) -> bool:
    """Whether they are an admin of the account, by role alone."""
    role = role_in(identity, account)
    return role is not None and role_covers(role, Role.ADMIN)


def require_ability(identity: Identity, ability: Ability) -> None:
    """Refuse a credential that doesn't allow this kind of act, naming the scope that would."""
    # By identity, not by equality: nobody from outside may look like the operator.
    if identity is OPERATOR:
        return
    if identity.is_anonymous:
        raise CredentialNeeded
    if identity.can(ability):
        return
    raise MissingScope(ability, identity.token.scopes if identity.token else [])


def require_member(identity: Identity, account: Account, ability: Ability = Ability.READ) -> None:
    """Refuse whoever doesn't belong to ``account``: its people are no business of others."""
    require_ability(identity, ability)
    if identity is not OPERATOR and not is_member(identity, account):
        _refuse_without_factor(identity, account)
        raise Forbidden(
            gettext("Only members of %(account)s may see this.") % {"account": account.name}
        )


def _refuse_limited(identity: Identity, account: Account, ability: Ability) -> None:
    """A token limited to some channels or packages decides nothing about the whole account:
    it could give its holder what the limits keep from them. (A token that it makes is limited
    as it is itself: `tokens.create_token` sees to that.)"""
    token = identity.token
    if ability not in {Ability.MODIFY_GROUPS, Ability.ADMINISTER}:
        return
    if token is not None and (token.channels or token.packages):
        limits = ", ".join([*token.channels, *token.packages][:5])
        raise Forbidden(
            gettext(
                "This token is limited to %(limits)s, so it may not manage %(account)s. Use "
                "a token without limits."
            )
            % {"limits": limits, "account": account.name}
        )


def require_admin(identity: Identity, account: Account, ability: Ability) -> None:
    """Refuse whoever is no admin of ``account``, or whose token doesn't reach as far."""
    require_ability(identity, ability)
    _refuse_limited(identity, account, ability)
    if identity is not OPERATOR and not may_administer(identity, account):
        _refuse_without_factor(identity, account)
        raise Forbidden(
            gettext("Only owners and admins of %(account)s may do this. Ask one of them.")
            % {"account": account.name}
            if account.is_organization
            else gettext("Only %(account)s may do this.") % {"account": account.name},
            ask=_owners(identity, account),
        )


def require_owner(identity: Identity, organization: Organization, ability: Ability) -> None:
    require_ability(identity, ability)
    _refuse_limited(identity, organization.account, ability)
    if identity is not OPERATOR and role_in(identity, organization.account) != Role.OWNER:
        _refuse_without_factor(identity, organization.account)
        raise Forbidden(
            gettext("Only owners of %(account)s may do this.")
            % {"account": organization.account.name},
            ask=_owners(identity, organization.account),
        )


def manageable_accounts(identity: Identity) -> QuerySet[Account]:
    """The accounts that they administer: their own and organizations, by role."""
    acting = identity.account
    if acting is None:
        return Account.objects.none()
    if identity.standing is not None:
        return Account.objects.filter(pk__in=identity.standing.administered)
    condition = Q(pk=acting.pk)
    if identity.user is not None:
        administering = memberships_in_force(identity.user).filter(
            role__in=[Role.OWNER, Role.ADMIN]
        )
        condition |= Q(organization__in=administering.values("organization"))
    return Account.objects.filter(condition, suspended_at=None)


def runs_the_site(identity: Identity) -> bool:
    """Whether they are a site admin. A token is never enough: it would have to say so where it is
    made."""
    if identity is OPERATOR:
        return True
    return identity.token is None and identity.user is not None and identity.user.is_superuser


def require_site_admin(identity: Identity) -> None:
    if not runs_the_site(identity):
        raise Forbidden(gettext("Only those who run this site may do this."))


def known_organizations(identity: Identity, user: User) -> QuerySet[Organization]:
    """The organizations that ``user`` belongs to, as far as they may know: all of their own, of
    somebody else's those that they belong to as well."""
    belonging = Organization.objects.filter(memberships__user=user, account__suspended_at=None)
    if not identity.can(Ability.READ):
        return belonging.none()
    if identity.user != user:
        own = Q(account=identity.account)
        if identity.user is not None:
            own |= Q(memberships__user=identity.user)
        belonging = belonging.filter(pk__in=Organization.objects.filter(own).values("pk"))
    return belonging.select_related("account").order_by("account__name")
