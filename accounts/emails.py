"""Mails about accounts, in plain text.

A mail is worded within the transaction of its act, so that a mistake in it fails the act, and
sent once that is committed. A mail server that doesn't answer fails no act: whoever waits for
the mail can be sent another, and the log says so.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterable

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext

from accounts.identity import Identity
from accounts.models import Account, Invitation, Membership, Token, User
from accounts.roles import Role

log = logging.getLogger(__name__)


def _send_on_commit(
    *, to: Iterable[str], subject: str, template: str, context: dict[str, object]
) -> None:
    body = render_to_string(f"emails/{template}.txt", {"base_url": settings.BASE_URL, **context})
    # One mail each: the addresses of people are not told to each other.
    messages = [EmailMessage(subject, body, to=[address]) for address in to if address]

    def send() -> None:
        try:
            get_connection().send_messages(messages)
        except (OSError, smtplib.SMTPException):
            log.exception("mail was not sent", extra={"mail": template})

    if messages:
        transaction.on_commit(send)


def send_second_factor_reset(user: User) -> None:
    _send_on_commit(
        to=[user.email],
        subject="Your second factor was removed",
        template="second_factor_reset",
        context={"user": user},
    )


def invitation_link(key: str) -> str:
    return f"{settings.BASE_URL}/-/invitations/{key}"


def send_invitation(invitation: Invitation, *, by: Identity, key: str) -> None:
    organization = invitation.organization.account.name
    _send_on_commit(
        to=[invitation.email],
        subject=f"{by.name if by.account else organization} invites you to {organization}",
        template="invitation",
        context={
            "invitation": invitation,
            "organization": organization,
            "inviter": by.name if by.account else organization,
            "link": invitation_link(key),
        },
    )


def _reached_by(account: Account) -> list[str]:
    """The addresses of those whom an account's tokens concern: its user, or its owners."""
    if not account.is_organization:
        return [account.user.email]
    owners = Membership.objects.filter(
        organization__account=account, role=Role.OWNER, user__is_active=True
    )
    return list(owners.values_list("user__email", flat=True))


def send_token_created(token: Token, *, by: Identity) -> None:
    """Tell those whom a token may harm: its user, or the owners of its organization."""
    account = token.account
    _send_on_commit(
        to=_reached_by(account),
        subject=f"A token was made for {account.name}",
        template="token_created",
        context={"token": token, "account": account.name, "maker": by.name if by.account else ""},
    )


def send_token_ends(token: Token) -> None:
    """Tell those who can rotate it."""
    account = token.account
    _send_on_commit(
        to=_reached_by(account),
        subject=gettext("Token “%(name)s” of %(account)s expires soon")
        % {"name": token.name, "account": account.name},
        template="token_ends",
        context={"token": token, "account": account.name},
    )


def send_account_deleted(account: Account) -> None:
    """Tell the person, or the owners of the organization, before they are gone."""
    _send_on_commit(
        to=_reached_by(account),
        subject=gettext("%(account)s was deleted") % {"account": account.name},
        template="account_deleted",
        context={"account": account.name},
    )


def send_role_changed(membership: Membership, *, by: Identity) -> None:
    organization = membership.organization.account.name
    role = membership.get_role_display().lower()
    _send_on_commit(
        to=[membership.user.email],
        subject=f"You are now {role} of {organization}",
        template="role_changed",
        context={
            "membership": membership,
            "organization": organization,
            "role": role,
            "changer": by.name if by.account else "",
        },
    )
