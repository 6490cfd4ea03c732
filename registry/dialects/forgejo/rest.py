"""Forgejo's REST routes for packages: ``/api/v1/packages/<account>…``.

What Forgejo calls a package is here the files of one version that stand in one channel, and its
name ``[<channel>/]<package>``. All of these routes want a credential, as Forgejo's do, so they tell
nobody whether an account exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Case, F, Min, QuerySet, Value, When
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import require_ability
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access, placement
from registry.dialects.forgejo.paths import join_name, split_name
from registry.dialects.forgejo.wording import answer_empty, answer_rest, word_rest, worded
from registry.models import Channel, ChannelFile, Package, PackageFile
from registry.models.channel import MAIN

CONDA = "conda"
_PAGE_SIZE = 30
_MAX_PAGE_SIZE = 50
_MAX_PAGE = 1_000_000


@worded(word_rest, "GET")
def packages(request: HttpRequest, by: Identity, account: str) -> HttpResponse:
    """One entry for each version in each channel, the newest first."""
    require_ability(by, Ability.READ)
    owner = access.find_account(account)
    rows = _versions(by, owner)
    if request.GET.get("type", "").strip() not in {"", CONDA}:
        rows = rows.none()
    if wanted := request.GET.get("q", "").strip():
        rows = rows.filter(full_name__icontains=wanted)
    total = rows.count()
    page, size = _page(request)
    shown = list(rows.order_by("-first_entry")[(page - 1) * size : page * size])
    creators = _creators(row["first_entry"] for row in shown)
    body = [
        _package_json(
            owner,
            creators.get(row["first_entry"], owner),
            entry=row["first_entry"],
            name=row["full_name"],
            package=row["file__name"],
            version=row["file__version"],
            created_at=row["created_at"],
        )
        for row in shown
    ]
    return answer_rest(body, _page_headers(request, total=total, page=page, size=size))


@worded(word_rest, "GET", "DELETE")
def package(
    request: HttpRequest, by: Identity, account: str, kind: str, name: str, version: str
) -> HttpResponse:
    require_ability(by, Ability.WRITE if request.method == "DELETE" else Ability.READ)
    found = _find_version(by, account, kind, name, version)
    if request.method == "DELETE":
        placement.delete_version(
            by=by, package=found.package, version=found.version, channel=found.channel
        )
        return answer_empty(204)
    entry = found.entries.select_related("added_by__account").earliest("pk")
    owner = found.package.account
    body = _package_json(
        owner,
        entry.added_by.account if entry.added_by else owner,
        entry=entry.pk,
        name=join_name(found.channel.name, found.package.name),
        package=found.package.name,
        version=found.version,
        created_at=entry.added_at,
    )
    return answer_rest(body)


@worded(word_rest, "GET")
def files(
    request: HttpRequest,
    by: Identity,
    account: str,
    kind: str,
    name: str,
    version: str,
) -> HttpResponse:
    require_ability(by, Ability.READ)
    found = _find_version(by, account, kind, name, version)
    entries = found.entries.select_related("file").order_by("pk")
    return answer_rest([_file_json(entry.file) for entry in entries])


# --- Rows --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Version:
    """The files of one version that stand in one channel; there is at least one."""

    channel: Channel
    package: Package
    version: str
    entries: QuerySet[ChannelFile]


def _versions(by: Identity, account: Account) -> Any:
    in_main = When(channel__name=MAIN, then=F("file__name"))
    return (
        ChannelFile.objects.filter(
            channel__in=access.visible_channels(by, account).values("pk"),
            file__package__in=access.visible_packages(by, account).values("pk"),
        )
        .annotate(
            full_name=Case(in_main, default=Concat("channel__name", Value("/"), "file__name"))
        )
        .values("full_name", "file__name", "file__version")
        # Forgejo has a row for a version, which comes with its first file.
        .annotate(first_entry=Min("pk"), created_at=Min("added_at"))
    )


def _find_version(by: Identity, account: str, kind: str, name: str, version: str) -> _Version:
    if kind != CONDA:
        raise NotFound
    channel_name, package_name = split_name(name)
    channel = access.find_channel(by, account, channel_name)
    found = access.find_package(by, account, package_name.lower())
    # As in Forgejo, capitals make no other version.
    entries = ChannelFile.objects.filter(
        channel=channel, file__package=found, file__version__iexact=version
    )
    spelling = entries.order_by("pk").values_list("file__version", flat=True).first()
    if spelling is None:
        raise NotFound
    return _Version(channel, found, spelling, entries.filter(file__version=spelling))


def _creators(entries: Any) -> dict[int, Account]:
    rows = ChannelFile.objects.filter(pk__in=list(entries)).select_related("added_by__account")
    return {row.pk: row.added_by.account for row in rows if row.added_by}


# --- Pages -------------------------------------------------------------------------------------


def _number(text: str, *, default: int) -> int:
    try:
        number = int(text)
    except ValueError:
        return default
    return number if number > 0 else default


def _page(request: HttpRequest) -> tuple[int, int]:
    page = min(_number(request.GET.get("page", ""), default=1), _MAX_PAGE)
    size = min(_number(request.GET.get("limit", ""), default=_PAGE_SIZE), _MAX_PAGE_SIZE)
    return page, size


def _page_headers(request: HttpRequest, *, total: int, page: int, size: int) -> dict[str, str]:
    """``X-Total-Count`` always, ``Link`` (RFC 8288) when there are other pages."""
    last = max(1, -(-total // size))
    targets: dict[str, int] = {}
    if page < last:
        targets |= {"next": page + 1, "last": last}
    if page > 1:
        targets |= {"first": 1, "prev": min(page - 1, last)}
    links = ",".join(
        f'<{settings.BASE_URL}{request.path}?{_query(request, page=number)}>; rel="{rel}"'
        for rel, number in targets.items()
    )
    exposed = "Link, X-Total-Count" if links else "X-Total-Count"
    headers = {"X-Total-Count": str(total), "Access-Control-Expose-Headers": exposed}
    return {**headers, "Link": links} if links else headers


def _query(request: HttpRequest, *, page: int) -> str:
    parameters = {**request.GET.dict(), "page": str(page)}
    # It may be a secret, and is no credential here.
    for name in ("token", "access_token"):
        parameters.pop(name, None)
    return urlencode(sorted(parameters.items()))


# --- JSON --------------------------------------------------------------------------------------


def _package_json(
    owner: Account,
    creator: Account,
    *,
    entry: int,
    name: str,
    package: str,
    version: str,
    created_at: datetime,
) -> dict[str, object]:
    return {
        "id": entry,
        "owner": _account_json(owner),
        "repository": None,
        "creator": _account_json(creator),
        "type": CONDA,
        "name": name,
        "version": version,
        "html_url": f"{settings.BASE_URL}/{owner.name}/{package}",
        "created_at": _time(created_at),
    }


def _account_json(account: Account) -> dict[str, object]:
    """The public part of Forgejo's user."""
    return {
        "id": account.pk,
        "login": account.name,
        "login_name": "",
        "full_name": account.display_name,
        "email": "",
        "html_url": f"{settings.BASE_URL}/{account.name}",
        "created": _time(account.created_at),
        "website": account.website,
        "description": account.description,
        "visibility": "public",
        "username": account.name,
    }


def _file_json(file: PackageFile) -> dict[str, object]:
    return {
        "id": file.pk,
        # Forgejo has it with a capital, later Giteas without.
        "Size": file.size_bytes,
        "size": file.size_bytes,
        "name": file.filename,
        "md5": file.md5,
        # Not computed here: nothing in the world of conda asks for them.
        "sha1": "",
        "sha256": file.sha256,
        "sha512": "",
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
