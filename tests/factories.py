"""Rows for tests, made directly: what a test is about goes through the acts and pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from itertools import count

from allauth.account.models import EmailAddress

from accounts import tokens
from accounts.models import (
    Account,
    Group,
    GroupMember,
    Invitation,
    Membership,
    Organization,
    Token,
    User,
)
from accounts.roles import Permission, Role
from accounts.tokens import NewToken

PASSWORD = "correct horse battery staple"
_numbers = count(1)


def make_user(
    name: str = "",
    *,
    email: str = "",
    verified: bool = True,
    password: str = PASSWORD,
    is_superuser: bool = False,
) -> User:
    name = name or f"person-{next(_numbers)}"
    email = email or f"{name}@example.org"
    make = User.objects.create_superuser if is_superuser else User.objects.create_user
    user = make(name, email, password)
    EmailAddress.objects.create(user=user, email=email, verified=verified, primary=True)
    return user


def make_organization(name: str = "", *, owner: User | None = None) -> Organization:
    name = name or f"organization-{next(_numbers)}"
    account = Account.objects.create(name=name, kind=Account.Kind.ORGANIZATION)
    organization = Organization.objects.create(account=account)
    if owner is not None:
        add_member(organization, owner, role=Role.OWNER)
    return organization


def add_member(organization: Organization, user: User, *, role: str = Role.MEMBER) -> Membership:
    return Membership.objects.create(organization=organization, user=user, role=role)


def make_group(
    organization: Organization,
    name: str = "",
    *,
    permission: str = Permission.WRITE,
    all_packages: bool = False,
    members: Iterable[User] = (),
) -> Group:
    group = Group.objects.create(
        organization=organization,
        name=name or f"group {next(_numbers)}",
        permission=permission,
        all_packages=all_packages,
    )
    GroupMember.objects.bulk_create(GroupMember(group=group, user=user) for user in members)
    return group


def make_invitation(
    organization: Organization,
    email: str,
    *,
    key: str,
    expires_at: datetime,
    role: str = Role.MEMBER,
    user: User | None = None,
    invited_by: User | None = None,
) -> Invitation:
    return Invitation.objects.create(
        organization=organization,
        email=email,
        user=user,
        role=role,
        key_digest=hashlib.sha256(key.encode()).hexdigest(),
        invited_by=invited_by,
        expires_at=expires_at,
    )


def make_token(
    account: Account,
    *scopes: str,
    name: str = "",
    channels: Iterable[str] = (),
    packages: Iterable[str] = (),
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> NewToken:
    """A token with these scopes (``all`` if none), in whatever state: nothing is checked."""
    secret = tokens.make_secret(account.kind)
    token = Token.objects.create(
        account=account,
        name=name or f"token {next(_numbers)}",
        digest=tokens.digest(secret),
        hint=secret[-4:],
        scopes=list(scopes) or ["all"],
        channels=list(channels),
        packages=list(packages),
        expires_at=expires_at,
        created_by=created_by,
    )
    return NewToken(token, secret)
