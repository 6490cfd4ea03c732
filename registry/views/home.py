"""The first page, and searching."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.identity import ANONYMOUS, Identity
from accounts.models import Account
from registry import access
from registry.forms import SearchForm
from registry.models import ChannelFile, Package, PackageFile
from registry.searching import matching, words_of
from registry.views.frame import viewer
from registry.views.listing import package_rows
from registry.views.paging import links, position, slice_of

_NEWEST_SHOWN = 10
# A release may have hundreds of files; older ones than these are not looked at for the first page.
_FILES_LOOKED_AT = 200
_NUMBERS_KEPT_SECONDS = 60


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    identity = viewer(request)
    numbers = cache.get_or_set("home-numbers", _numbers, _NUMBERS_KEPT_SECONDS)
    context = {"numbers": numbers, "newest": _newest(identity)}
    return render(request, "registry/home.html", context)


def _numbers() -> dict[str, int]:
    """What everybody may see of this host, counted."""
    packages = access.visible_packages(ANONYMOUS)
    return {
        "packages": packages.count(),
        "files": _readable_files(ANONYMOUS).filter(package__is_private=False).count(),
        "accounts": Account.objects.filter(suspended_at=None).count(),
    }


def _readable_files(identity: Identity) -> QuerySet[PackageFile]:
    """Files in channels that they may read, of all accounts; their packages are asked of apart."""
    readable = access.readable_channels(identity).values("pk")
    standing = ChannelFile.objects.filter(file=OuterRef("pk"), channel__in=readable)
    return PackageFile.objects.staying().filter(Exists(standing))


@dataclass(frozen=True, slots=True)
class _NewRelease:
    package: Package
    version: str
    uploaded_at: datetime


def _newest(identity: Identity) -> list[_NewRelease]:
    """The releases that came last, each once, however many files it has."""
    packages = access.visible_packages(identity).order_by().values("pk")
    files = (
        _readable_files(identity)
        .filter(package__in=packages)
        .select_related("package__account")
        .only("version", "uploaded_at", "package__name", "package__is_private",
              "package__account__name")
        .order_by("-pk")[:_FILES_LOOKED_AT]
    )  # fmt: skip
    found: dict[tuple[int, str], _NewRelease] = {}
    for file in files:
        release = _NewRelease(file.package, file.version, file.uploaded_at)
        found.setdefault((file.package_id, file.version), release)
        if len(found) == _NEWEST_SHOWN:
            break
    return list(found.values())


# --- Search ------------------------------------------------------------------------------------


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    identity = viewer(request)
    form = SearchForm(request.GET)
    words = words_of(form.value("q"))
    packages = _filtered(identity, form, words)
    shown = slice_of(
        packages,
        ["place"],
        after=position(form.value("after")),
        before=position(form.value("before")),
        size=20,
    )
    rows = package_rows(shown.rows, _readable_files(identity))
    context = {
        "form": form,
        "words": form.value("q"),
        "rows": rows,
        "exact": "-".join(words),
        "count": packages.count(),
        **links(request, shown, [getattr(package, "place", "") for package in shown.rows]),
    }
    return render(request, "registry/search.html", context)


def _filtered(identity: Identity, form: SearchForm, words: list[str]) -> QuerySet[Package]:
    packages = access.visible_packages(identity)
    if form.value("account"):
        packages = packages.filter(account__name=form.value("account"))
    if form.value("platform"):
        built = _readable_files(identity).filter(
            package=OuterRef("pk"), subdir=form.value("platform")
        )
        packages = packages.filter(Exists(built))
    return matching(packages, words)
