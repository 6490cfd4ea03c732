"""Accounts, packages and moments in the shape that anaconda.org gives them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote, urlsplit

from django.conf import settings

from accounts.models import Account
from registry.models import Package

CONDA = "conda"
_OWNER_TYPES = {Account.Kind.USER.value: "user", Account.Kind.ORGANIZATION.value: "org"}


def moment(when: datetime) -> str:
    """``2015-11-03 00:38:29.074000+00:00``: clients parse it, and want the zone."""
    return when.isoformat(sep=" ", timespec="microseconds")


def identifier(number: int) -> str:
    """A key as 24 hexadecimal digits."""
    return f"{number:024x}"


def key_of(identifier: str) -> int:
    """The key that `identifier` made 24 digits of; 0, which none is, for what never was one."""
    number = int(identifier, 16)
    return number if number < 2**63 else 0


def page_url(*parts: str) -> str:
    return "/".join([settings.BASE_URL, *(quote(part) for part in parts)])


def api_url(*parts: str) -> str:
    return page_url("api", *parts)


def download_prefix(account: str, package: str) -> str:
    """What ``download_url`` begins with: an address without a scheme."""
    return f"//{urlsplit(settings.BASE_URL).netloc}/api/download/{quote(account)}/{quote(package)}/"


def account_json(account: Account) -> dict[str, object]:
    return {
        "login": account.name,
        "name": account.display_name,
        "user_type": _OWNER_TYPES[account.kind],
        "description": account.description,
        "company": "",
        "location": "",
        "url": account.website,
        "html_url": page_url(account.name),
        "created_at": moment(account.created_at),
    }


def package_json(package: Package, subdirs: Sequence[str]) -> dict[str, object]:
    """A package in a list, without what would have to be asked for each."""
    where = (package.account.name, package.name)
    return {
        "name": package.name,
        "id": identifier(package.pk),
        "full_name": "/".join(where),
        "owner": package.account.name,
        "package_types": [CONDA],
        "summary": package.summary,
        "public": not package.is_private,
        "published": False,
        "latest_version": package.latest_version,
        "conda_platforms": list(subdirs),
        "builds": [],
        "license": package.license or None,
        "license_url": package.license_url or None,
        "home": package.home_url or None,
        "dev_url": package.dev_url or None,
        "doc_url": package.doc_url or None,
        "source_git_url": package.source_url or None,
        "url": api_url("package", *where),
        "html_url": page_url(*where),
        "created_at": moment(package.created_at),
        "modified_at": moment(package.updated_at),
    }
