"""The path converters for names, in whatever case a visitor typed them.

Importing this module registers them: ``<account:…>`` and ``<group:…>``.
"""

from __future__ import annotations

from django.urls import register_converter

from accounts.names import RESERVED


class AccountName:
    """A first segment that is not one of the site's own."""

    regex = "[A-Za-z0-9][A-Za-z0-9._-]*"

    def to_python(self, value: str) -> str:
        name = value.lower()
        if name in RESERVED:
            raise ValueError(name)
        return name

    def to_url(self, value: str) -> str:
        return value


class GroupName:
    regex = "[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(AccountName, "account")
register_converter(GroupName, "group")
