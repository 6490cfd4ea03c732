"""Finding what a path of this API names, and saying what was not found.

The stock client shows nothing of an answer but its sentence, so this one names what was asked for.
It says the same of what is hidden: it only repeats the path.
"""

from __future__ import annotations

from accounts.api import finding
from accounts.identity import Identity
from accounts.models import Account, Organization, User
from portal.errors import NotFound, Refusal
from registry import access
from registry.models import Package


class Missing(NotFound):
    """``what`` is named as the request named it."""

    def __init__(self, what: str) -> None:
        Refusal.__init__(self, f"{what} could not be found.")


def find_account(name: str) -> Account:
    try:
        return finding.find_account(name)
    except NotFound:
        raise Missing(f'The account "{name}"') from None


def find_organization(name: str) -> Organization:
    try:
        return finding.find_organization(name)
    except NotFound:
        raise Missing(f'The organization "{name}"') from None


def find_user(name: str) -> User:
    try:
        return finding.find_user(name)
    except NotFound:
        raise Missing(f'The user "{name}"') from None


def find_package(by: Identity, account: str, package: str) -> Package:
    try:
        return access.find_package(by, account, package.lower())
    except NotFound:
        raise Missing(f'The package "{account}/{package}"') from None


def find_package_to_write(by: Identity, account: str, package: str) -> Package:
    try:
        return access.find_package_to_write(by, account, package.lower())
    except NotFound:
        raise Missing(f'The package "{account}/{package}"') from None
