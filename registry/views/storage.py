"""What an account keeps, of how much, and what of it nobody installs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.forms import TypedNameForm, show_refusal
from accounts.models import Account
from accounts.scopes import Ability
from accounts.views.frame import PAGE_SIZE, administered, form_page, page, settings_frame
from portal import spreadsheets
from portal.charts import Tile, Treemap
from portal.errors import Refusal
from portal.templatetags.ui import filesize, percent_of, thousands
from registry import quotas
from registry.bin import usage_of_bin
from registry.models import Package
from registry.quotas import Limits, Places, Usage
from registry.widening import delete_unlisted

# More take several presses: one request should not keep everybody else waiting.
_AT_ONCE = 1000
# Smaller tiles than these nobody could read.
_TILES = 40
_FILES_SHOWN = 10


@page
def storage(request: HttpRequest, account: str) -> HttpResponse:
    _identity, found = administered(request, account, Ability.READ)
    places = quotas.usage_by_place(found)
    used = places.used
    shown = _packages(request, found, places)
    context = {
        **settings_frame(request, found, "storage"),
        "meters": _meters(used, places.limits),
        "is_full": used.share_of(places.limits) >= 1,
        "used": used,
        "channels": places.channels,
        "bin": usage_of_bin(found),
        "unlisted": places.unlisted,
        # It shows the largest, so it belongs to the first page of the list.
        "treemap": _treemap(found, used, list(shown.object_list)) if shown.number == 1 else None,
        "page": shown,
        "largest": quotas.largest_files(found, _FILES_SHOWN),
    }
    return render(request, "registry/storage.html", context)


def _meters(used: Usage, limits: Limits) -> list[dict[str, Any]]:
    """What is shown as a part of a limit: for a limit that there is."""
    shown = [
        ("bytes", _("Size"), used.used_bytes, limits.max_bytes, filesize),
        ("files", _("Package files"), used.used_files, limits.max_files, thousands),
    ]
    return [
        {
            "id": f"used-{key}",
            "label": label,
            "text": _("%(used)s of %(most)s") % {"used": words(part), "most": words(most)}
            if most is not None
            else words(part),
            "value": None if most is None else min(part, most),
            "max": most or 1,
            "has_limit": most is not None,
            "tone": _tone(part, most),
        }
        for key, label, part, most, words in shown
    ]


def _tone(part: int, most: int | None) -> str:
    if most is None or part < most * quotas.NEARLY_FULL:
        return ""
    return "danger" if part >= most else "warning"


def _packages(request: HttpRequest, account: Account, places: Places) -> Page[dict[str, Any]]:
    """The largest packages first, each with its part of all that is used."""
    pages = Paginator(quotas.usage_by_package(account), PAGE_SIZE)
    pages.count = places.packages  # else they would be put together once more
    shown = pages.get_page(request.GET.get("page"))
    rows = list(shown.object_list)
    packages = Package.objects.in_bulk([row["package"] for row in rows])
    shown.object_list = [
        {**row, "package": packages[row["package"]], "whole": places.used.used_bytes}
        for row in rows
    ]
    return shown


def _treemap(account: Account, used: Usage, largest: Sequence[dict[str, Any]]) -> Treemap | None:
    if not used.used_bytes:
        return None
    tiles = [
        Tile(
            row["package"].name,
            row["used_bytes"],
            reverse("registry:files", args=[account.name, row["package"].name]),
        )
        for row in largest[:_TILES]
    ]
    rest = used.used_bytes - sum(tile.number for tile in tiles)
    if rest > 0:
        tiles.append(Tile(_("others"), rest))
    return Treemap(
        sentence=_("%(size)s in all, %(part)d %% of it %(name)s")
        % {
            "size": filesize(used.used_bytes),
            "part": percent_of(tiles[0].number, used.used_bytes),
            "name": tiles[0].label,
        },
        corner=_("Package"),
        unit=_("Size"),
        tiles=tiles,
        csv_url=reverse("registry:storage-csv", args=[account.name]),
    )


@login_required
@require_safe
def storage_csv(request: HttpRequest, account: str) -> HttpResponseBase:
    """All packages of the account with what they take."""
    _identity, found = administered(request, account, Ability.READ)
    header = ["package", "files", "bytes"]
    lines = spreadsheets.csv_lines(header, quotas.usage_by_name(found))
    name = f"{found.name}-storage.csv"
    return spreadsheets.download(lines, filename=name, content_type="text/csv")


@form_page
def storage_unlisted(request: HttpRequest, account: str) -> HttpResponse:
    """The files that stand in no channel; the form deletes them."""
    identity, found = administered(request, account, Ability.WRITE)
    files = quotas.unlisted_files(found)
    form = TypedNameForm(request.POST or None, name=found.name)
    if request.method == "POST" and form.is_valid():
        try:
            count = delete_unlisted(by=identity, account=found, at_most=_AT_ONCE)
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _deleted(count, is_all=not files.exists()))
            return redirect(reverse("registry:storage-unlisted", args=[found.name]))
    context = settings_frame(request, found, "storage", _("In no channel"))
    context["crumbs"][2]["url"] = reverse("registry:storage", args=[found.name])
    total = quotas.usage_by_place(found).unlisted
    pages = Paginator(files, PAGE_SIZE)
    pages.count = total.used_files  # else it would go through all files of the account once more
    context |= {
        "page": pages.get_page(request.GET.get("page")),
        "total": total,
        "form": form,
    }
    wrong = bool(form.errors)
    return render(request, "registry/storage_unlisted.html", context, status=422 if wrong else 200)


def _deleted(count: int, *, is_all: bool) -> str:
    words = _("%(count)s files are deleted.") % {"count": thousands(count)}
    return words if is_all else f"{words} " + _("There are more: go on.")
