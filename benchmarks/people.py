"""Who looks at pages: ``python -m benchmarks.people ORGANIZATION CHANNEL``.

Makes a person of each role that sees a page differently, signed in, and prints as JSON what they
need to ask for pages: the cookie of each, and the paths of all pages that the URL configuration
has of what is there. Their sessions are made here: to sign in is no part of what is measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import django
from django.apps import apps

if TYPE_CHECKING:  # importable only once the settings are read
    from accounts.models import Organization, User
    from registry.models import PackageFile

ROLES = ("visitor", "member", "collaborator", "admin", "owner", "site admin")
_APPS = ("accounts", "registry")
_PROGRAMS = ("/api/", "/conda/", "/quetz/", "/t/")  # they read no pages
_INVITATION = "key-of-an-invitation"
# Of pages that show something else with a query.
_QUERIES = {
    "registry:search": ("?q={package}", "?q={package}&sort=downloads"),
    "registry:account": ("?page=20", "?sort=downloads"),
    "registry:files": ("?page=5", "?platform={subdir}&sort=-downloads"),
    "registry:compare-channels": ("?from={channel}&to=main",),
    "registry:files-move": ("?package={package}",),
    "registry:downloads": ("?by=version",),
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("organization")
    arguments.add_argument("channel")
    given = arguments.parse_args()
    django.setup()
    from accounts.models import Organization

    organization = Organization.objects.select_related("account").get(
        account__name=given.organization
    )
    file = a_file_of_the_largest_package(organization)
    people = _people(organization, file)
    recipients = [user for role in ("member", "collaborator") if (user := people[role])]
    waiting = under_way(organization, file, given.channel, recipients)
    told = {
        "package": file.name,
        "files": file.package.files.count(),
        "headers": {
            role: {"Cookie": _cookie(user)} if user else {} for role, user in people.items()
        },
        "paths": paths_of(_values(organization, file, given.channel), waiting),
    }
    json.dump(told, sys.stdout)


def a_file_of_the_largest_package(organization: Organization) -> PackageFile:
    from django.db.models import Count

    from registry.models import Package

    packages = Package.objects.filter(account=organization.account).annotate(number=Count("files"))
    file = packages.order_by("-number", "name")[0].files.order_by("pk").last()
    assert file is not None
    return file


def _people(organization: Organization, file: PackageFile) -> Mapping[str, User | None]:
    from allauth.mfa.models import Authenticator

    from accounts.models import GroupMember, Membership, User
    from accounts.roles import Permission, Role
    from registry.models import Collaborator

    def made(name: str, **more: Any) -> User:
        user: User = User.objects.create_user(name, f"{name}@example.org", None, **more)
        return user

    member, collaborator, admin = made("member"), made("collaborator"), made("admin-of-it")
    for user, role in ((member, Role.MEMBER), (admin, Role.ADMIN)):
        Membership.objects.create(organization=organization, user=user, role=role)
    group = organization.groups.create(name="readers", permission=Permission.READ)
    GroupMember.objects.create(group=group, user=member)
    for rights in (
        {"group": group, "permission": Permission.READ},
        {"user": collaborator, "permission": Permission.WRITE},
    ):
        Collaborator.objects.create(package=file.package, **rights)
    site_admin = made("site-admin", is_superuser=True, is_staff=True)
    Authenticator.objects.create(user=site_admin, type=Authenticator.Type.TOTP, data={})
    owner = User.objects.get(memberships__organization=organization, memberships__role=Role.OWNER)
    return dict(zip(ROLES, (None, member, collaborator, admin, owner, site_admin), strict=True))


def _cookie(user: User) -> str:
    """As if they had just signed in, and proved it."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    proofs = [{"method": method, "at": time.time()} for method in ("password", "mfa")]
    session["account_authentication_methods"] = proofs
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def _values(organization: Organization, file: PackageFile, channel: str) -> dict[str, Any]:
    """What stands for each name in a route."""
    from accounts.models import Token

    account = organization.account
    token = Token.objects.create(account=account, name="bench", digest="0" * 64, scopes=["all"])
    return {
        "account": account.name,
        "package": file.name,
        "version": file.version,
        "subdir": file.subdir,
        "filename": file.filename,
        "channel": channel,
        "group": "readers",
        "token": token.pk,
        "user": "member",
        "organization": account.name,
        "page": "publishing",
    }


def under_way(
    organization: Organization, file: PackageFile, channel: str, recipients: Sequence[User]
) -> dict[str, dict[str, Any]]:
    """What waits for somebody or has been worked on: values by the first letters of routes' names.

    An owner offers the package of ``file``, and ``channel``, to an organization that the
    recipients own, and has invited the last of these to the organization and to the package.
    """
    from django.utils import timezone

    from accounts.models import Account, Invitation, Membership, Organization, User
    from accounts.roles import Role
    from registry.models import Channel, ChannelTransfer, Job, PackageInvitation, Transfer

    owner = User.objects.filter(
        memberships__organization=organization, memberships__role=Role.OWNER
    ).first()
    assert owner is not None
    target = Account.objects.create(name="takers", kind=Account.Kind.ORGANIZATION)
    takers = Organization.objects.create(account=target)
    for user in recipients:
        Membership.objects.create(organization=takers, user=user, role=Role.OWNER)
    offer = {
        "source": organization.account,
        "target": target,
        "offered_by": owner,
        "offered_by_name": owner.get_username(),
    }
    given = Channel.objects.get(account=organization.account, name=channel)
    invited = recipients[-1]
    Invitation.objects.create(
        organization=organization,
        email=invited.email,
        user=invited,
        role=Role.MEMBER,
        key_digest=hashlib.sha256(_INVITATION.encode()).hexdigest(),
        invited_by=owner,
        expires_at=timezone.now() + timedelta(days=1),
    )
    EmailAddress = apps.get_model("account", "EmailAddress")
    EmailAddress.objects.get_or_create(user=invited, email=invited.email, verified=True)
    job = Job.objects.create(
        kind="channel.copy_all",
        title="Copy all files",
        account=organization.account,
        user=owner,
        by_name=owner.get_username(),
        state=Job.State.DONE,
        total=1,
        done=1,
        started_at=timezone.now(),
        ended_at=timezone.now(),
    )
    return {
        "accounts:invitation": {"key": _INVITATION},
        "registry:channel-transfer": {
            "key": ChannelTransfer.objects.create(channel=given, **offer).key
        },
        "registry:job": {"key": job.key},
        "registry:package-invitation": {
            "key": PackageInvitation.objects.create(
                package=file.package, email=invited.email, invited_by=owner
            ).key
        },
        "registry:site-job": {"key": job.key},
        "registry:transfer": {"key": Transfer.objects.create(package=file.package, **offer).key},
    }


def paths_of(
    values: Mapping[str, Any], more: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> list[str]:
    """All that the routes for people make of the values, by their names there; which of them are
    pages, the answers say. ``more`` has values for routes whose names begin so."""
    from django.urls import NoReverseMatch, get_resolver, reverse

    namespaces = get_resolver().namespace_dict
    paths: list[str] = []
    for app in _APPS:
        _prefix, resolver = namespaces[app]
        for route in resolver.reverse_dict:
            if not isinstance(route, str):
                continue
            known = dict(values)
            for beginning, besides in more.items():
                if f"{app}:{route}".startswith(beginning):
                    known.update(besides)
            for forms, *_rest in resolver.reverse_dict.getlist(route):
                for _form, names in forms:
                    if not set(names) <= set(known):
                        continue
                    try:
                        path = reverse(
                            f"{app}:{route}", kwargs={name: known[name] for name in names}
                        )
                    except NoReverseMatch:  # the form of names that need the other one
                        continue
                    queries = ("", *_QUERIES.get(f"{app}:{route}", ()))
                    paths += [path + query.format_map(values) for query in queries]
    return sorted({path for path in paths if not path.startswith(_PROGRAMS)})


if __name__ == "__main__":
    main()
