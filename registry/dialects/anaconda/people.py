"""Users, organizations, and what they publish, as anaconda.org's API shows them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import re_path

from accounts.identity import Identity
from accounts.models import Account, User
from accounts.rights import known_organizations, require_ability
from accounts.scopes import Ability
from portal.errors import CredentialNeeded, InvalidInput
from registry import access
from registry.dialects.anaconda.endpoint import endpoint, reply
from registry.dialects.anaconda.finding import find_account
from registry.dialects.anaconda.shapes import CONDA, account_json, package_json
from registry.dialects.anaconda.spool import Spool
from registry.models import Channel, ChannelFile, Package
from registry.statistics import platforms_by_name


def _acting(by: Identity) -> Account:
    if by.account is None:
        raise CredentialNeeded
    return by.account


def me(_request: HttpRequest, by: Identity) -> HttpResponse:
    """The account that the credential is of: an organization's, for its own token."""
    return reply(account_json(_acting(by)))


def user(_request: HttpRequest, _by: Identity, account: str) -> HttpResponse:
    return reply(account_json(find_account(account)))


def my_organizations(_request: HttpRequest, by: Identity) -> HttpResponse:
    account = _acting(by)
    require_ability(by, Ability.READ)
    return reply(_organizations(by, account))


def organizations(_request: HttpRequest, by: Identity, account: str) -> HttpResponse:
    """Those of another are told as far as the one who asks belongs to them as well."""
    return reply(_organizations(by, find_account(account)))


def _organizations(by: Identity, account: Account) -> list[dict[str, object]]:
    if account.is_organization:
        return []
    user: User = account.user
    return [account_json(row.account) for row in known_organizations(by, user)]


# --- What they publish -------------------------------------------------------------------------


def my_packages(request: HttpRequest, by: Identity) -> HttpResponseBase:
    return _packages(request, by, _acting(by))


def packages(request: HttpRequest, by: Identity, account: str) -> HttpResponseBase:
    return _packages(request, by, find_account(account))


def _packages(request: HttpRequest, by: Identity, account: Account) -> HttpResponseBase:
    """All that they may know of, filtered: the client knows no pages."""
    channels = access.visible_channels(by, account)
    rows = _with_access(access.visible_packages(by, account), request.GET.get("access", ""))
    if subdir := request.GET.get("platform"):
        rows = standing_on(rows, channels, subdir)
    kinds = {request.GET.get("package_type") or CONDA}
    if kinds != {CONDA} or request.GET.get("type"):  # the latter are kinds of desktop apps
        rows = rows.none()
    spool = Spool(request)
    spool.write_list(_rows(rows.order_by("name"), channels))
    return spool.answer()


def _with_access(packages: QuerySet[Package], wanted: str) -> QuerySet[Package]:
    match wanted:
        case "":
            return packages
        case "public" | "private":
            return packages.filter(is_private=wanted == "private")
        case "authenticated":
            return packages.none()
    raise InvalidInput(
        f"access is {wanted[:40]!r}, and public, private or authenticated is wanted."
    )


def standing_on(
    packages: QuerySet[Package], channels: QuerySet[Channel], subdir: str
) -> QuerySet[Package]:
    """Those of the packages that stand in a subdir of one of the channels."""
    entries = ChannelFile.objects.filter(
        channel__in=channels.order_by().values("pk"),
        channel__account=OuterRef("account"),
        subdir=subdir,
        name=OuterRef("name"),
    )
    return packages.filter(Exists(entries))


def _rows(packages: QuerySet[Package], channels: QuerySet[Channel]) -> Iterator[bytes]:
    subdirs = platforms_by_name(channels)
    encoder = msgspec.json.Encoder()
    for package in packages.iterator():
        found = subdirs.get((package.account_id, package.name), [])
        yield encoder.encode(package_json(package, found))


_NAME = r"(?P<account>[^/]+)"

urlpatterns = [
    re_path(r"^api/user\Z", endpoint(GET=me)),
    re_path(r"^api/user/orgs\Z", endpoint(GET=my_organizations)),
    re_path(rf"^api/user/{_NAME}\Z", endpoint(GET=user)),
    re_path(rf"^api/users/{_NAME}/orgs\Z", endpoint(GET=organizations)),
    re_path(r"^api/packages\Z", endpoint(GET=my_packages)),
    re_path(rf"^api/packages/{_NAME}\Z", endpoint(GET=packages)),
]
