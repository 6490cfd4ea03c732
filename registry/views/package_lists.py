"""Pages of packages: those of an account, which can be sorted, and those of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from accounts.identity import Identity
from accounts.models import Account
from registry import access
from registry.filter_forms import PackagesForm
from registry.models import Package, PackageFile
from registry.views.listing import package_rows
from registry.views.paging import Position, Slice, links, slice_of

# Which way a column is sorted when it is pressed first.
_FIRST = {"name": "name", "updated": "-updated", "downloads": "-downloads"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def packages_part(
    request: HttpRequest, packages: QuerySet[Package], files: QuerySet[PackageFile]
) -> dict[str, Any]:
    """The context of ``registry/packages_part.html``: a filtered page of packages by name.
    ``files`` are those of `access.shown_files`."""
    form = PackagesForm(request.GET)
    shown, places = _by_name(form, _called(packages, form), "name")
    return _part(request, form, shown, places, files)


def sorted_packages_part(
    request: HttpRequest, identity: Identity, account: Account
) -> dict[str, Any]:
    """The same of all packages of the account, sorted as the viewer likes. Who doesn't belong to
    it is told of downloads of public files alone."""
    packages = access.visible_packages(identity, account)
    files = access.shown_files(identity, account)
    belongs = access.reads_privately(identity, account)
    form = PackagesForm(request.GET)
    sort = form.value("sort") or "name"
    fetched = "fetched" if belongs else "fetched_publicly"
    if sort.endswith("updated"):
        shown, places = _by_update(form, identity, account, sort)
    elif sort.endswith("downloads"):
        shown, places = _by_downloads(form, _called(packages, form), sort, fetched)
    else:
        shown, places = _by_name(form, _called(packages, form), sort)
    return {
        **_part(request, form, shown, places, files, fetched=fetched),
        "sorts": _sorts(request, sort),
        "leaves_out_empty": sort.endswith("updated"),
    }


def _called(rows: QuerySet[Any], form: PackagesForm) -> QuerySet[Any]:
    words = form.value("q")
    return rows.filter(name__contains=words) if words else rows


def _part(
    request: HttpRequest,
    form: PackagesForm,
    shown: Slice[Package],
    places: Sequence[str],
    files: QuerySet[PackageFile],
    *,
    fetched: str = "",
) -> dict[str, Any]:
    return {
        "form": form,
        "words": form.value("q"),
        "rows": package_rows(shown.rows, files, fetched=fetched),
        **links(request, shown, places),
    }


def _sorts(request: HttpRequest, current: str) -> dict[str, dict[str, str]]:
    """For each column the address that sorts by it, and how it is sorted now."""
    found = {}
    for name, first in _FIRST.items():
        query = request.GET.copy()
        for part in ("after", "before", "done"):
            query.pop(part, None)
        turned = first.removeprefix("-") if first.startswith("-") else f"-{first}"
        query["sort"] = turned if current == first else first
        state = {name: "ascending", f"-{name}": "descending"}.get(current, "")
        found[name] = {"url": f"?{query.urlencode()}", "state": state}
    return found


# --- Orders ------------------------------------------------------------------------------------


def _by_name(
    form: PackagesForm, packages: QuerySet[Package], sort: str
) -> tuple[Slice[Package], list[str]]:
    after, before = form.value("after"), form.value("before")
    shown = slice_of(
        packages,
        [sort],
        after=(after,) if after else None,
        before=(before,) if before else None,
    )
    return shown, [package.name for package in shown.rows]


def _by_downloads(
    form: PackagesForm, packages: QuerySet[Package], sort: str, field: str
) -> tuple[Slice[Package], list[str]]:
    """Those that are fetched alike by name, in the same direction as an index has them."""
    order = [f"-{field}", "name"] if sort.startswith("-") else [field, "-name"]
    shown = slice_of(
        packages,
        order,
        after=_numbered(form.value("after")),
        before=_numbered(form.value("before")),
    )
    return shown, [f"{getattr(package, field)}-{package.name}" for package in shown.rows]


def _numbered(text: str) -> Position | None:
    number, _dash, name = text.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19 and name):
        return None
    return int(number), name


def _by_update(
    form: PackagesForm, identity: Identity, account: Account, sort: str
) -> tuple[Slice[Package], list[str]]:
    """Packages by the newest of their files that the viewer sees: the account's files are walked
    along, and those that are not it are passed over. A package without any is not among them.

    What is asked of a file is a single value each, found when the file is come to. Of EXISTS and IN
    PostgreSQL makes joins, and without statistics goes through all packages, or all files, for each
    file. More conditions on the walk would have it go along another index than that of its order;
    and with the account, the newest of a package would be looked for among all of the account.

    The packages are fetched by a second query: in one, PostgreSQL without statistics went along the
    walk again for each file that there is.
    """
    known = access.known_by_a_file(identity).order_by().filter(pk=OuterRef("package"))
    of_package = access.shown_files_of(identity, account, OuterRef("package"))
    newest = of_package.order_by("-uploaded_at", "-pk")
    sign = "-" if sort.startswith("-") else ""
    shown = slice_of(
        _called(PackageFile.objects.filter(account=account), form)
        .filter(
            # Equal, in words that have PostgreSQL expect enough of them to walk along the order:
            # of what it takes for rare it would look at all, and sort it then.
            package__gte=Subquery(known.values("pk")[:1]),
            pk__gte=Subquery(newest.values("pk")[:1]),
            pk__lte=Subquery(newest.values("pk")[:1]),
        )
        .values_list("package", "uploaded_at", "pk"),
        [f"{sign}uploaded_at", f"{sign}pk"],
        after=_timed(form.value("after")),
        before=_timed(form.value("before")),
    )
    packages = Package.objects.select_related("account").in_bulk([row[0] for row in shown.rows])
    places = [f"{(at - _EPOCH) // _TICK}-{pk}" for _package, at, pk in shown.rows]
    # One may be gone since, with its account.
    rows = [packages[package] for package, _at, _pk in shown.rows if package in packages]
    return Slice(rows, shown.has_before, shown.has_after), places


_TICK = timedelta(microseconds=1)


def _timed(text: str) -> Position | None:
    ticks, _dash, number = text.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) < 18 for part in (ticks, number)):
        return None
    try:
        return _EPOCH + int(ticks) * _TICK, int(number)
    except OverflowError:
        return None
