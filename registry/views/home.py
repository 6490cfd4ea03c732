"""The first page, and searching."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.core.cache import cache
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.identity import ANONYMOUS, Identity
from accounts.models import Account
from portal.remembering import remembered
from registry import access, statistics
from registry.filter_forms import SearchForm
from registry.models import Package, PackageFile
from registry.searching import counted, find, packages_of, suggest
from registry.views.frame import viewer
from registry.views.listing import package_rows

_NEWEST_SHOWN = 10
# Of so many newest files they are found at once, else beyond those of the packages found so far.
_LOOKED_AT = 40
_LOOKS = 2
_POPULAR_SHOWN = 5
_WEEK = 7
_KEPT_SECONDS = 60
_SHOWN = 20
_CHOICES_SHOWN = 8


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    identity = viewer(request)
    context = {
        "numbers": remembered("home-numbers", _numbers, at_least_seconds=_KEPT_SECONDS),
        "newest": _newest(identity),
        # Names, which are not to be shown for longer to those who may not know them any more.
        "popular": cache.get_or_set("home-popular", _popular, _KEPT_SECONDS),
    }
    return render(request, "registry/home.html", context)


def _numbers() -> dict[str, int]:
    """What everybody may see of this host, counted."""
    packages = access.visible_packages(ANONYMOUS)
    return {
        "packages": packages.count(),
        "files": access.readable_files(ANONYMOUS).filter(package__is_private=False).count(),
        "accounts": Account.objects.filter(suspended_at=None).count(),
    }


def _popular() -> list[tuple[str, str, int]]:
    """Account, name and downloads of this week of what everybody may see."""
    found = statistics.most_downloaded(
        access.readable_files(ANONYMOUS),
        access.visible_packages(ANONYMOUS),
        days=_WEEK,
        most=_POPULAR_SHOWN,
    )
    packages = Package.objects.select_related("account").in_bulk([pk for pk, _count in found])
    return [(packages[pk].account.name, packages[pk].name, count) for pk, count in found]


@dataclass(frozen=True, slots=True)
class _NewRelease:
    package: Package
    version: str
    uploaded_at: datetime
    others: int
    """How many other versions came in the last days."""


def _newest(identity: Identity) -> list[_NewRelease]:
    """The packages that something came to last, each once, however much it was."""
    known = access.visible_packages(identity).order_by().select_related(None)
    files = access.readable_files(identity)
    newest = _newest_files(files, files.filter(Exists(known.filter(pk=OuterRef("package")))))
    lately = files.filter(
        package__in=[file.package_id for file in newest],
        uploaded_at__gte=timezone.now() - timedelta(days=_WEEK),
    )
    versions = lately.order_by().values_list("package").annotate(Count("version", distinct=True))
    counted = dict(versions) if newest else {}
    return [
        _NewRelease(
            file.package, file.version, file.uploaded_at, counted.get(file.package_id, 1) - 1
        )
        for file in newest
    ]


def _newest_files(
    files: QuerySet[PackageFile], of_known: QuerySet[PackageFile]
) -> list[PackageFile]:
    """The newest of each package, as many as are shown."""
    shown = (
        of_known.select_related("package__account")
        .only("version", "uploaded_at", "package__name", "package__is_private",
              "package__account__name")
        .order_by("-pk")
    )  # fmt: skip
    found: dict[int, PackageFile] = {}
    for _ in range(_LOOKS):
        # Thousands of files that came to one package at once are passed over by its key.
        rows = list(shown.exclude(package__in=list(found))[:_LOOKED_AT])
        for file in rows:
            found.setdefault(file.package_id, file)
        if len(found) >= _NEWEST_SHOWN or len(rows) < _LOOKED_AT:
            return list(found.values())[:_NEWEST_SHOWN]
    newer = files.filter(package=OuterRef("package"), pk__gt=OuterRef("pk"))
    others = shown.exclude(package__in=list(found)).filter(~Exists(newer))
    return [*found.values(), *others[: _NEWEST_SHOWN - len(found)]]


# --- Search ------------------------------------------------------------------------------------


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """What was found; with ``part=results`` nothing but that, for those who are still typing."""
    identity = viewer(request)
    form = SearchForm(request.GET)
    wanted = form.wanted
    found = counted(find(identity, wanted))
    page = Paginator(found.ids, _SHOWN).get_page(request.GET.get("page"))
    packages = packages_of(
        found.ids[page.start_index() - 1 : page.end_index()] if found.ids else []
    )
    context = {
        "form": form,
        "words": form.value("q"),
        "rows": package_rows(packages, access.readable_files(identity)),
        "exact": "-".join(wanted.words).rpartition("/")[2],
        "found": found,
        "page": page,
        "suggestion": "" if found.ids else suggest(identity, wanted.words),
        "account_choices": _choices(request, "account", found.accounts, wanted.account),
        "license_choices": _choices(request, "license", found.licenses, wanted.license),
        "clear_url": f"?{urlencode({'q': form.value('q')})}",
        "page_query": _query_without(request, "page", "part"),
    }
    part = request.GET.get("part") == "results"
    name = "registry/search_results.html" if part else "registry/search.html"
    return render(request, name, context)


@dataclass(frozen=True, slots=True)
class _Choice:
    """A filter that is a link: sets it, or takes it off where it is set."""

    name: str
    count: int
    url: str
    is_set: bool


def _choices(request: HttpRequest, key: str, counts: dict[str, int], now: str) -> list[_Choice]:
    """What there is most of, and what is chosen although there is nothing of it."""
    names = list(counts)[:_CHOICES_SHOWN]
    if now and now not in names:
        names.append(now)
    choices = []
    for name in names:
        chosen = "" if name == now else urlencode({key: name})
        url = f"?{_query_without(request, 'page', 'part', key)}{chosen}"
        choices.append(_Choice(name, counts.get(name, 0), url, name == now))
    return choices


def _query_without(request: HttpRequest, *names: str) -> str:
    """The query as it is but for these, as something can be added to it."""
    query = request.GET.copy()
    for name in names:
        query.pop(name, None)
    return f"{query.urlencode()}&" if query else ""
