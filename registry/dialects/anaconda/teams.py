"""Collaborators of packages, and groups of organizations.

The group ``owners`` is there as on anaconda.org: it is whoever has the role owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path

from accounts import groups, membership, rights
from accounts.identity import Identity
from accounts.models import Account, Group, GroupMember, Membership, Organization, User
from accounts.roles import Permission, Role, permission_covers
from accounts.scopes import Ability
from portal.errors import Conflict, NotFound
from registry import access
from registry.collaboration import remove_collaborator, set_collaborator
from registry.dialects.anaconda.endpoint import endpoint, read_json, reply
from registry.dialects.anaconda.finding import Missing, find_organization, find_user
from registry.models import Collaborator, Package

OWNERS = "owners"


def _find_package(by: Identity, account: str, package: str) -> Package:
    try:
        return access.find_package(by, account, package)
    except NotFound:
        raise Missing(f'The package "{account}/{package}"') from None


# --- Collaborators of a package ----------------------------------------------------------------


def list_collaborators(
    request: HttpRequest, by: Identity, account: str, package: str
) -> HttpResponse:
    """Users by their names, groups as the client names them: ``organization/group``."""
    found = _find_package(by, account, package)
    access.require_package(by, found, Permission.READ, Ability.READ)
    rows = Collaborator.objects.filter(package=found).select_related("user__account", "group")
    return reply([_collaborator(row, found.account) for row in rows.order_by("pk")])


def _collaborator(row: Collaborator, account: Account) -> dict[str, object]:
    if row.user is not None:
        login, name, kind = row.user.username, row.user.account.title, "user"
    else:
        group = row.group.name if row.group is not None else ""
        login, name, kind = f"{account.name}/{group}", group, "group"
    return {"login": login, "name": name, "user_type": kind, "permission": row.permission}


def add_collaborator(
    request: HttpRequest, by: Identity, account: str, package: str, user: str
) -> HttpResponse:
    """Let a user read and write the package; who may more goes on to."""
    found = _find_package(by, account, package)
    access.require_collaborators(by, found)
    who = find_user(user)
    held = Collaborator.objects.filter(package=found, user=who).first()
    if held is None or not permission_covers(held.permission, Permission.WRITE):
        set_collaborator(by=by, package=found, permission=Permission.WRITE, user=who)
    return reply(None, HTTPStatus.CREATED)


def drop_collaborator(
    request: HttpRequest, by: Identity, account: str, package: str, user: str
) -> HttpResponse:
    found = _find_package(by, account, package)
    access.require_collaborators(by, found)
    row = (
        Collaborator.objects.select_related("user", "package__account")
        .filter(package=found, user=find_user(user))
        .first()
    )
    if row is None:
        raise Missing(f'"{user}", as a collaborator of {found.name},')
    remove_collaborator(by=by, collaborator=row)
    return reply(None, HTTPStatus.CREATED)


# --- Groups ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Team:
    """A group of an organization; ``row`` is None for the owners."""

    organization: Organization
    name: str
    row: Group | None

    @property
    def full_name(self) -> str:
        return f"{self.organization.account.name}/{self.name}"

    @property
    def has_all_packages(self) -> bool:
        return self.row is None or self.row.all_packages

    def users(self) -> QuerySet[User]:
        rows = User.objects.select_related("account")
        if self.row is None:
            rows = rows.filter(
                memberships__organization=self.organization, memberships__role=Role.OWNER
            )
        else:
            rows = rows.filter(group_memberships__group=self.row)
        return rows.order_by("username")

    def add(self, by: Identity, user: User) -> None:
        if self.row is None:
            membership.enlist(by=by, organization=self.organization, user=user, role=Role.OWNER)
        else:
            groups.enlist(by=by, group=self.row, user=user)

    def remove(self, by: Identity, user: User) -> None:
        """Take a user out of it; they stay a member of the organization."""
        if not self.users().filter(pk=user.pk).exists():
            raise Missing(f'"{user.username}", in the group {self.full_name},')
        if self.row is None:
            membership.change_role(
                by=by, organization=self.organization, user=user, role=Role.MEMBER
            )
        else:
            groups.remove_from_group(by=by, group=self.row, user=user)


def _team(by: Identity, organization: str, group: str, ability: Ability | None = None) -> Team:
    """The group of that name: for members to see, or with an ``ability`` for admins to change."""
    found = find_organization(organization)
    if ability is None:
        rights.require_member(by, found.account)
    else:
        rights.require_admin(by, found.account, ability)
    if group.lower() == OWNERS:
        return Team(found, OWNERS, None)
    row = Group.objects.filter(organization=found, name__iexact=group).first()
    if row is None:
        raise Missing(f'The group "{group}" of {found.account.name}')
    row.organization = found
    return Team(found, row.name, row)


def _counted(rows: QuerySet[Group]) -> list[dict[str, object]]:
    """Groups as this API shows them, with how many people and packages each has."""
    people = GroupMember.objects.filter(group=OuterRef("pk")).values("group")
    named = Collaborator.objects.filter(group=OuterRef("pk"), package__deleted_at=None).values(
        "group"
    )
    owned = Package.objects.filter(
        account=OuterRef("organization__account"), deleted_at=None
    ).values("account")
    counts = {
        name: Coalesce(
            Subquery(found.order_by().annotate(n=Count("pk")).values("n")),
            0,
            output_field=IntegerField(),
        )
        for name, found in (("people", people), ("named", named), ("owned", owned))
    }
    fields = ("organization__account__name", "name", "description", "permission", "all_packages")
    values = rows.annotate(**counts).order_by("organization__account__name", "name")
    return [
        _shape(owner, name, description, permission, people, owned if over_all else named)
        for owner, name, description, permission, over_all, people, named, owned in (
            values.values_list(*fields, *counts)
        )
    ]


def _shape(
    owner: str, name: str, description: str, permission: str, members: int, packages: int
) -> dict[str, object]:
    return {
        "name": name,
        "owner": owner,
        "description": description,
        "permission": permission,
        "members_count": members,
        "repos_count": packages,
    }


def _owners(organization: Organization) -> dict[str, object]:
    account = organization.account
    owners = Membership.objects.filter(organization=organization, role=Role.OWNER).count()
    packages = Package.objects.filter(account=account, deleted_at=None).count()
    return _shape(account.name, OWNERS, "", Permission.ADMIN.value, owners, packages)


def list_groups(request: HttpRequest, by: Identity, organization: str) -> HttpResponse:
    """The groups of the one who asks: the client takes the highest permission for theirs."""
    found = find_organization(organization)
    rights.require_member(by, found.account)
    shown = _counted(groups.held_groups(by, found))
    if rights.may_administer(by, found.account):
        shown.insert(0, _owners(found))
    return reply({"groups": shown})


def own_groups(request: HttpRequest, by: Identity) -> HttpResponse:
    """Those that the user is in, of all organizations; an organization's token asks for its own."""
    rights.require_ability(by, Ability.READ)
    if by.user is not None:
        rows = Group.objects.filter(members__user=by.user)
    else:
        rows = Group.objects.filter(organization__account=by.account)
    return reply({"groups": _counted(rows)})


def show_group(request: HttpRequest, by: Identity, organization: str, group: str) -> HttpResponse:
    team = _team(by, organization, group)
    if team.row is None:
        return reply(_owners(team.organization))
    [shown] = _counted(Group.objects.filter(pk=team.row.pk))
    return reply(shown)


class _NewGroup(msgspec.Struct):
    perms: str = Permission.READ.value


def add_group(request: HttpRequest, by: Identity, organization: str, group: str) -> HttpResponse:
    found = find_organization(organization)
    rights.require_admin(by, found.account, Ability.MODIFY_GROUPS)
    sent = read_json(request, _NewGroup)
    groups.create_group(by=by, organization=found, name=group, permission=sent.perms)
    return reply(None, HTTPStatus.NO_CONTENT)


def list_members(request: HttpRequest, by: Identity, organization: str, group: str) -> HttpResponse:
    team = _team(by, organization, group)
    return reply([{"login": u.username, "name": u.account.title} for u in team.users()])


def is_member(
    request: HttpRequest, by: Identity, organization: str, group: str, user: str
) -> HttpResponse:
    team = _team(by, organization, group)
    if not team.users().filter(username=user.lower()).exists():
        raise Missing(f'"{user}", in the group {team.full_name},')
    return reply(None, HTTPStatus.NO_CONTENT)


def add_member(
    request: HttpRequest, by: Identity, organization: str, group: str, user: str
) -> HttpResponse:
    """Put a user into the group; who is no member of the organization becomes one."""
    team = _team(by, organization, group, Ability.MODIFY_GROUPS)
    team.add(by, find_user(user))
    return reply(None, HTTPStatus.NO_CONTENT)


def remove_member(
    request: HttpRequest, by: Identity, organization: str, group: str, user: str
) -> HttpResponse:
    team = _team(by, organization, group, Ability.MODIFY_GROUPS)
    team.remove(by, find_user(user))
    return reply(None, HTTPStatus.NO_CONTENT)


def list_packages(
    request: HttpRequest, by: Identity, organization: str, group: str
) -> HttpResponse:
    team = _team(by, organization, group)
    account = team.organization.account
    rows = access.visible_packages(by, account)
    if not team.has_all_packages:
        rows = rows.filter(collaborators__group=team.row)
    return reply(
        [
            {"full_name": f"{account.name}/{name}", "name": name, "summary": summary}
            for name, summary in rows.order_by("name").values_list("name", "summary")
        ]
    )


def _named_packages(team: Team) -> Group:
    """The group, if packages can be put into it one by one."""
    if team.row is None or team.row.all_packages:
        raise Conflict(
            f"The group {team.full_name} has its permission on all packages of "
            f"{team.organization.account.name}, so single ones can't be added or removed."
        )
    return team.row


def add_package(
    request: HttpRequest, by: Identity, organization: str, group: str, package: str
) -> HttpResponse:
    """Give the group its permission on the package."""
    team = _team(by, organization, group, Ability.MODIFY_GROUPS)
    row, found = _named_packages(team), _find_package(by, organization, package)
    set_collaborator(by=by, package=found, permission=Permission(row.permission), group=row)
    return reply(None, HTTPStatus.NO_CONTENT)


def remove_package(
    request: HttpRequest, by: Identity, organization: str, group: str, package: str
) -> HttpResponse:
    team = _team(by, organization, group, Ability.MODIFY_GROUPS)
    row, found = _named_packages(team), _find_package(by, organization, package)
    held = (
        Collaborator.objects.select_related("group", "package__account")
        .filter(package=found, group=row)
        .first()
    )
    if held is None:
        raise Missing(f'The package "{package}", in the group {team.full_name},')
    remove_collaborator(by=by, collaborator=held)
    return reply(None, HTTPStatus.NO_CONTENT)


_collaborators = r"^api/packages/(?P<account>[^/]+)/(?P<package>[^/]+)/collaborators"
_group = r"^api/group/(?P<organization>[^/]+)/(?P<group>[^/]+)"

urlpatterns: list[URLPattern] = [
    re_path(rf"{_collaborators}\Z", endpoint(GET=list_collaborators)),
    re_path(
        rf"{_collaborators}/(?P<user>[^/]+)\Z",
        endpoint(PUT=add_collaborator, DELETE=drop_collaborator),
    ),
    re_path(r"^api/groups\Z", endpoint(GET=own_groups)),
    re_path(r"^api/groups/(?P<organization>[^/]+)\Z", endpoint(GET=list_groups)),
    re_path(rf"{_group}\Z", endpoint(GET=show_group, POST=add_group)),
    re_path(rf"{_group}/members\Z", endpoint(GET=list_members)),
    re_path(
        rf"{_group}/members/(?P<user>[^/]+)\Z",
        endpoint(GET=is_member, PUT=add_member, DELETE=remove_member),
    ),
    re_path(rf"{_group}/packages\Z", endpoint(GET=list_packages)),
    re_path(
        rf"{_group}/packages/(?P<package>[^/]+)\Z",
        endpoint(PUT=add_package, DELETE=remove_package),
    ),
]
