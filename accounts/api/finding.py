"""Finding what a path names. What is not there, or not of this account, is `NotFound`."""

from __future__ import annotations

from accounts.models import Account, Group, Invitation, Organization, Token, User
from portal.errors import InvalidInput, NotFound


def find_account(name: str) -> Account:
    """The account of that name, however it is capitalised; accounts are known to everybody."""
    account = (
        Account.objects.select_related("user", "organization").filter(name=name.lower()).first()
    )
    if account is None:
        raise NotFound
    return account


def find_organization(name: str) -> Organization:
    account = find_account(name)
    if not account.is_organization:
        raise NotFound
    organization = account.organization
    organization.account = account
    return organization


def find_user(name: str) -> User:
    user = User.objects.select_related("account").filter(username=name.lower()).first()
    if user is None:
        raise NotFound
    return user


def user_named(name: str) -> User:
    """The user that a body names: there a wrong name is wrong input."""
    user = User.objects.select_related("account").filter(username=name.strip().lower()).first()
    if user is None:
        reason = f"There is no user {name!r}."
        raise InvalidInput(reason, {"user": [reason]})
    return user


def find_group(organization: Organization, name: str) -> Group:
    group = Group.objects.filter(organization=organization, name__iexact=name).first()
    if group is None:
        raise NotFound
    group.organization = organization
    return group


def find_invitation(organization: Organization, invitation_id: int) -> Invitation:
    invitation = Invitation.objects.filter(organization=organization, pk=invitation_id).first()
    if invitation is None:
        raise NotFound
    return invitation


def find_token(account: Account, token_id: int) -> Token:
    token = Token.objects.filter(account=account, pk=token_id).first()
    if token is None:
        raise NotFound
    token.account = account
    return token
