"""What is kept of a second factor, read so that a row that can't be read proves nothing.

allauth takes it that each row is as it wrote it. One that a restore or a hand in the database has
damaged would end signing in, and the page on which it can be taken away, with an error of ours.
Here it is a factor still, so that nobody comes in without one; it just fits no code and no key.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from accounts.models import User

log = logging.getLogger(__name__)
# What allauth, base64 and the readers of CBOR raise over JSON of another shape than theirs.
_UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, ValidationError)


def wrap(row: Authenticator) -> Any:
    """As ``Authenticator.wrap``, for rows of any kind and content."""
    if not isinstance(row.data, dict):
        row.data = {}
    readers: dict[str, type] = {
        Authenticator.Type.TOTP: _App,
        Authenticator.Type.RECOVERY_CODES: _Codes,
        Authenticator.Type.WEBAUTHN: _Passkey,
    }
    return readers.get(row.type, _Unknown)(row)


def has_unreadable(user: User) -> bool:
    """Whether a factor of theirs can't be read; recovery codes are looked at, too."""
    rows = Authenticator.objects.filter(user=user)
    return not all(wrap(row).is_readable for row in rows)


def _tell(row: Authenticator, error: Exception) -> None:
    # The error's words may hold what was kept.
    log.error(
        "The second factor %s (%s) of the user %s can't be read: %s.",
        row.pk, row.type, row.user_id, type(error).__name__,
    )  # fmt: skip


class _App(TOTP):  # type: ignore[misc]  # allauth is untyped
    @property
    def is_readable(self) -> bool:
        try:
            TOTP(self.instance).validate_code("")
        except _UNREADABLE:
            return False
        return True

    def validate_code(self, code: str) -> bool:
        try:
            return bool(super().validate_code(code))
        except _UNREADABLE as error:
            _tell(self.instance, error)
            return False


class _Codes(RecoveryCodes):  # type: ignore[misc]  # allauth is untyped
    @property
    def is_readable(self) -> bool:
        try:
            RecoveryCodes(self.instance).get_unused_codes()
        except _UNREADABLE:
            return False
        return True

    def generate_codes(self) -> list[str]:
        return list(super().generate_codes()) if self.is_readable else []

    def get_unused_codes(self) -> list[str]:
        return list(super().get_unused_codes()) if self.is_readable else []

    def validate_code(self, code: str) -> bool:
        try:
            return bool(super().validate_code(code))
        except _UNREADABLE as error:
            _tell(self.instance, error)
            return False


class _NoCredential:
    """Is left out where keys are offered, and is the one that no answer names."""

    credential_id = None

    def __bool__(self) -> bool:
        return False


class _Passkey(WebAuthn):  # type: ignore[misc]  # allauth is untyped
    @property
    def is_readable(self) -> bool:
        return bool(self._credential_data())

    def _credential_data(self) -> Any:
        try:
            return super().authenticator_data.credential_data or _NoCredential()
        except _UNREADABLE as error:
            _tell(self.instance, error)
            return _NoCredential()

    @property
    def authenticator_data(self) -> Any:
        return SimpleNamespace(credential_data=self._credential_data())

    @property
    def name(self) -> str:
        name = self.instance.data.get("name")
        return name if isinstance(name, str) and name else gettext("A passkey without a name")

    @name.setter
    def name(self, name: str) -> None:
        self.instance.data["name"] = name

    @property
    def is_passwordless(self) -> bool | None:
        try:
            return bool(super().is_passwordless)
        except _UNREADABLE:
            return None


class _Unknown:
    """A row of a kind that nobody knows."""

    is_readable = False
    name = ""

    def __init__(self, instance: Authenticator) -> None:
        self.instance = instance

    def validate_code(self, _code: str) -> bool:
        return False
