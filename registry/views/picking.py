"""Which files a page is about: some that were ticked, or all that a list was filtered to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.identity import Identity
from accounts.models import Account
from accounts.roles import Permission
from portal.errors import InvalidInput
from portal.templatetags.ui import thousands
from registry import access
from registry.models import Package, PackageFile
from registry.views.files import files_form, filtered

AT_ONCE = 500
"""So many in one request; more would keep everybody else waiting, and become a job."""
_MOST = 20_000
_LONGEST_KEY = 13


@dataclass(frozen=True, slots=True)
class Picked:
    account: Account
    package: Package | None
    rows: QuerySet[PackageFile]
    files: list[PackageFile]
    query: str
    """What names them in an address."""
    list_url: str
    """Where they were picked."""
    channel: str
    """The channel that the list was filtered to."""

    @property
    def total(self) -> int:
        return len(self.files)

    @property
    def is_long(self) -> bool:
        """Whether it takes a job."""
        return len(self.files) > AT_ONCE


def picked_files(request: HttpRequest, identity: Identity, account_name: str) -> Picked:
    """The files that the query names, as far as the viewer may know of them."""
    query = request.GET
    account = access.find_account(account_name)
    package = None
    if query.get("package"):
        package = access.find_package(identity, account.name, query["package"])
        access.require_package(identity, package, Permission.WRITE)
        visible = access.visible_files(identity, package).select_related("account", "package")
        list_url = reverse("registry:files", args=[account.name, package.name])
    else:
        visible = access.visible_files_of_account(identity, account)
        list_url = reverse("registry:account", args=[account.name])
    form = files_form(identity, account, query, with_none=True)
    pairs: list[tuple[str, str]] = [("package", package.name)] if package else []
    filters = list(form.filters().items())
    if query.get("all"):
        rows = filtered(identity, account, visible, form)
        pairs.append(("all", "1"))
    else:
        ids = _ids(query.getlist("file"), query.get("files", ""))
        rows = visible.filter(pk__in=ids)
        pairs.append(("files", _packed(ids)))
    files = list(rows.order_by("pk").defer("index", "about")[: _MOST + 1])
    if len(files) > _MOST:
        words = _("More than %(most)s files match: too many for one go. Filter for fewer.")
        raise InvalidInput(words % {"most": thousands(_MOST)})
    return Picked(
        account=account,
        package=package,
        rows=rows,
        files=files,
        query=urlencode([*pairs, *filters]),
        list_url=f"{list_url}?{urlencode(filters)}" if filters and package else list_url,
        channel=form.value("channel"),
    )


def _ids(ticked: list[str], packed: str) -> list[int]:
    """Keys of rows: each by itself, or all in one text, where each stands as its distance to the
    one before, to base 36. An address has room for some hundred of those."""
    ids = {int(text) for text in ticked[: AT_ONCE * 2] if _is_number(text)}
    last = 0
    for part in packed.split(".")[: AT_ONCE * 2]:
        if not (part.isascii() and part.isalnum() and len(part) <= _LONGEST_KEY):
            break
        last += int(part, 36)
        ids.add(last)
    return sorted(pk for pk in ids if pk < 2**63)


def _packed(ids: list[int]) -> str:
    before = [0, *ids]
    return ".".join(_base36(pk - last) for pk, last in zip(ids, before, strict=False))


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number or not text:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def nothing_picked(request: HttpRequest, picked: Picked) -> HttpResponse:
    messages.info(request, _("No file was chosen. Tick some first, or all that match."))
    return redirect(picked.list_url)
