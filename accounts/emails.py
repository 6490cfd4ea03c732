"""Mails about accounts, in plain text.

A mail is worded within the transaction of its act, so that a mistake in it fails the act, and
sent once that is committed. A mail server that doesn't answer fails no act: whoever waits for
the mail can be sent another, and the log says so.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from accounts.identity import Identity
from accounts.models import Account, Invitation, Membership, Token, User
from accounts.roles import Permission, Role

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Whom a mail goes to; it is worded in their language, not in that of who caused it."""

    address: str
    language: str
    time_zone: str

    @classmethod
    def of(cls, user: User) -> _Reader:
        return cls(user.email, user.language, user.time_zone)


def _send_on_commit(
    *, to: Iterable[_Reader], subject: Promise, template: str, context: dict[str, object]
) -> None:
    """``context`` also fills the places of ``subject``."""
    # One mail each: the addresses of people are not told to each other.
    messages = [_worded(reader, subject, template, context) for reader in to if reader.address]

    def send() -> None:
        try:
            get_connection().send_messages(messages)
        except (OSError, smtplib.SMTPException):
            log.exception("mail was not sent", extra={"mail": template})

    if messages:
        transaction.on_commit(send)


def _worded(
    reader: _Reader, subject: Promise, template: str, context: dict[str, object]
) -> EmailMessage:
    with (
        translation.override(reader.language or settings.LANGUAGE_CODE),
        timezone.override(reader.time_zone or settings.TIME_ZONE),
    ):
        body = render_to_string(
            f"emails/{template}.txt", {"base_url": settings.BASE_URL, **context}
        )
        return EmailMessage(str(subject) % context, body, to=[reader.address])


def send_second_factor_reset(user: User) -> None:
    _send_on_commit(
        to=[_Reader.of(user)],
        subject=gettext_lazy("Your second factor was removed"),
        template="second_factor_reset",
        context={"user": user},
    )


def invitation_link(key: str) -> str:
    return f"{settings.BASE_URL}/-/invitations/{key}"


def send_invitation(invitation: Invitation, *, by: Identity, key: str) -> None:
    organization = invitation.organization.account.name
    # Who it is sent to may be unknown here: then it reads as who invites them does.
    language, zone = translation.get_language() or "", timezone.get_current_timezone_name()
    _send_on_commit(
        to=[_Reader(invitation.email, language, zone)],
        subject=gettext_lazy("%(inviter)s invites you to %(organization)s"),
        template="invitation",
        context={
            "invitation": invitation,
            "organization": organization,
            "inviter": by.name if by.account else organization,
            "link": invitation_link(key),
        },
    )


def _reached_by(account: Account) -> list[_Reader]:
    """Those whom an account's tokens concern: its user, or its owners."""
    if not account.is_organization:
        return [_Reader.of(account.user)]
    owners = Membership.objects.filter(
        organization__account=account, role=Role.OWNER, user__is_active=True
    ).select_related("user")
    return [_Reader.of(owner.user) for owner in owners]


def send_token_created(token: Token, *, by: Identity) -> None:
    """Tell those whom a token may harm: its user, or the owners of its organization."""
    account = token.account
    _send_on_commit(
        to=_reached_by(account),
        subject=gettext_lazy("A token was made for %(account)s"),
        template="token_created",
        context={"token": token, "account": account.name, "maker": by.name if by.account else ""},
    )


def send_token_ends(token: Token) -> None:
    """Tell those who can rotate it."""
    account = token.account
    _send_on_commit(
        to=_reached_by(account),
        subject=gettext_lazy("Token “%(name)s” of %(account)s expires soon"),
        template="token_ends",
        context={"token": token, "name": token.name, "account": account.name},
    )


def send_account_deleted(account: Account) -> None:
    """Tell the person, or the owners of the organization, before they are gone."""
    _send_on_commit(
        to=_reached_by(account),
        subject=gettext_lazy("%(account)s was deleted"),
        template="account_deleted",
        context={"account": account.name},
    )


def send_package_invitation(
    email: str,
    *,
    inviter: str,
    package: str,
    permission: Permission,
    expires_at: datetime,
    path: str,
) -> None:
    language, zone = translation.get_language() or "", timezone.get_current_timezone_name()
    _send_on_commit(
        to=[_Reader(email, language, zone)],
        subject=gettext_lazy("%(inviter)s invites you to %(package)s"),
        template="package_invitation",
        context={
            "inviter": inviter,
            "package": package,
            "permission": permission,
            "until": expires_at,
            "link": f"{settings.BASE_URL}{path}",
        },
    )


def send_transfer_offered(
    target: Account, *, source: str, thing: str, by: Identity, until: datetime, path: str
) -> None:
    """Tell those who can accept what another account offers."""
    _send_on_commit(
        to=_reached_by(target),
        subject=gettext_lazy("%(source)s offers %(thing)s to %(target)s"),
        template="transfer_offered",
        context={
            "source": source,
            "thing": thing,
            "target": target.name,
            "by": by.name,
            "until": until,
            "link": f"{settings.BASE_URL}{path}",
        },
    )


_NOW = {
    Role.OWNER: gettext_lazy("You are now owner of %(organization)s"),
    Role.ADMIN: gettext_lazy("You are now admin of %(organization)s"),
    Role.MEMBER: gettext_lazy("You are now member of %(organization)s"),
}


def send_role_changed(membership: Membership, *, by: Identity) -> None:
    organization = membership.organization.account.name
    _send_on_commit(
        to=[_Reader.of(membership.user)],
        subject=_NOW[Role(membership.role)],
        template="role_changed",
        context={
            "membership": membership,
            "organization": organization,
            "changer": by.name if by.account else "",
        },
    )
