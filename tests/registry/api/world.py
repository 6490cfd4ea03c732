"""Two organizations with something of everything, and those who ask about them."""

from __future__ import annotations

import io
import json
import shutil
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import Group, Invitation, Organization, Token
from accounts.roles import Permission, Role
from accounts.scopes import Ability
from accounts.tokens import make_secret, revoke_token
from registry import publishing
from registry.channels import create_channel
from registry.collaboration import set_collaborator, set_privacy
from registry.models import Channel, Notice, Package, PackageFile, Patch, RetentionRule
from registry.notices import add_notice
from registry.publishing import Claims
from tests.builders import build_conda
from tests.cast import Person
from tests.factories import (
    add_member,
    make_group,
    make_invitation,
    make_organization,
    make_token,
    make_user,
)

API = "/api/v1"
# What every 404 of the API says, whether a thing is hidden or missing.
NOT_FOUND = (
    b'{"type":"/docs/problems#not-found","title":"Not found","status":404,'
    b'"detail":"There is nothing here, or you may not see it."}'
)
# A response of Django's with what its test client adds to it, which has no public name.
Answer = Any


@dataclass
class Caller:
    """Someone who calls the API: with a browser's session, with a token, or as nobody."""

    client: Client
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        url = path if path.startswith("/api/") else API + path
        return self.client.generic(
            method,
            url,
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers={**self.headers, **headers},
        )

    def get(self, path: str) -> Answer:
        return self.call("GET", path)


def nobody() -> Caller:
    return Caller(Client())


def by_session(person: Person) -> Caller:
    client = Client()
    client.force_login(person.user)
    return Caller(client)


def by_token(secret: str) -> Caller:
    return Caller(Client(), {"Authorization": f"Bearer {secret}"})


def publish(
    person: Person, account: str, channel: str, name: str, version: str = "1.0", **built: Any
) -> PackageFile:
    package = build_conda(name, version, **built)
    return publishing.publish(
        by=person.identity,
        account_name=account,
        channel_name=channel,
        body=io.BytesIO(package.data),
        claims=Claims(filename=package.filename),
        ability=Ability.WRITE,
    ).file


@dataclass
class World:
    """An organization: three channels, three packages, people and what they were given."""

    organization: Organization
    owner: Person
    group: Group
    token: Token
    secret: str
    invitation: Invitation
    notice: Notice
    hidden_notice: Notice
    patch: Patch
    rule: RetentionRule
    callers: dict[str, Caller] = field(default_factory=dict)

    @property
    def ids(self) -> dict[str, int]:
        return {
            "token": self.token.pk,
            "invitation": self.invitation.pk,
            "notice": self.notice.pk,
            "hidden_notice": self.hidden_notice.pk,
            "patch": self.patch.pk,
            "rule": self.rule.pk,
        }


def make_world(name: str, owner: Person, *, organization: Organization | None = None) -> World:
    """``main`` and ``dev`` are public, ``secret`` is private. ``hello`` stands in main,
    ``buried`` in secret only, and ``hidden`` is a private package in main. main and
    secret have a notice each; a patch of main says nothing, and a rule keeps what there is."""
    organization = organization or make_organization(name, owner=owner.user)
    account = organization.account
    publish(owner, name, "main", "hello", about={"summary": "Says hello"})
    publish(owner, name, "main", "hidden")
    set_privacy(
        by=owner.identity, package=Package.objects.get(account=account, name="hidden"),
        is_private=True,
    )  # fmt: skip
    create_channel(by=owner.identity, account=account, name="dev")
    create_channel(
        by=owner.identity, account=account, name="secret", visibility=Channel.Visibility.PRIVATE
    )
    publish(owner, name, "secret", "buried")
    group = make_group(organization, "helpers", permission=Permission.READ)
    collaborator = make_user(f"cora-{name}")
    hello = Package.objects.get(account=account, name="hello")
    for who in ({"user": collaborator}, {"group": group}):
        set_collaborator(
            by=owner.identity, package=hello, permission=Permission.READ, **who
        )  # fmt: skip
    made = make_token(account, "api", name="deploy", expires_at=timezone.now() + timedelta(days=9))
    invitation = make_invitation(
        organization,
        f"guest@{name}.example.org",
        key=f"key of {name}",
        expires_at=timezone.now() + timedelta(days=1),
        invited_by=owner.user,
    )
    notice, hidden_notice = (
        add_notice(
            by=owner.identity,
            channel=Channel.objects.get(account=account, name=channel),
            message=f"{channel} moves",
            expires_at=timezone.now() + timedelta(days=1),
        )
        for channel in ("main", "secret")
    )
    patch = Patch.objects.create(
        channel=Channel.objects.get(account=account, name="main"),
        subdir="noarch",
        kind=Patch.Kind.INSTRUCTIONS,
    )
    return World(
        organization,
        owner,
        group,
        made.token,
        made.secret,
        invitation,
        notice,
        hidden_notice,
        patch,
        RetentionRule.objects.create(channel=patch.channel, keep_newest=3),
    )


def copy_of(world: World, ground: Path) -> World:
    """A world that was made on the ``ground`` of a module, for one of its tests."""
    shutil.copytree(ground, settings.DATA_FOLDER)
    return deepcopy(world)


ROLES = ("nobody", "sven", "rita", "maria", "adam", "olga")
TOKENS = ("read", "write", "people", "api", "all", "down", "dev", "org")
_SCOPES = {
    "read": "api:read",
    "write": "api:write",
    "people": "api:modify-group",
    "api": "api",
    "all": "all",
    "down": "conda:download",
}


def make_callers(acme: World) -> dict[str, Caller]:
    """The six people of the cast with their browsers, and eight tokens that open something.

    Tokens are olga's, of one scope each; ``dev`` has all scopes and is limited to the channel dev;
    ``org`` is of the organization itself, with all scopes. Three more open nothing.
    """
    organization = acme.organization
    rita, maria, adam = (Person(make_user(name)) for name in ("rita", "maria", "adam"))
    add_member(organization, rita.user)
    add_member(organization, maria.user)
    add_member(organization, adam.user, role=Role.ADMIN)
    make_group(organization, "maintainers", all_packages=True, members=[maria.user])
    people = [Person(make_user("sven")), rita, maria, adam, acme.owner]
    callers = {"nobody": nobody(), **{person.name: by_session(person) for person in people}}
    for column, scope in _SCOPES.items():
        callers[column] = by_token(acme.owner.token(scope).secret)
    callers["dev"] = by_token(acme.owner.token("all", channels=["dev"]).secret)
    callers["org"] = by_token(make_token(organization.account, "all").secret)
    yesterday = timezone.now() - timedelta(days=1)
    callers["expired"] = by_token(acme.owner.token("all", expires_at=yesterday).secret)
    revoked = acme.owner.token("all")
    revoke_token(by=acme.owner.identity, token=revoked.token)
    callers["revoked"] = by_token(revoked.secret)
    callers["unknown"] = by_token(make_secret("user"))
    return callers
