"""The list of a package's versions, and what its rows say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from accounts.models import Account
from registry import access
from registry.conda.errors import InvalidVersionError
from registry.conda.version import PRERELEASE, is_prerelease, sort_key
from registry.filter_forms import VersionsForm
from registry.models import PackageFile
from registry.views import listing
from registry.views.frame import package_context, viewer, visible_entries
from registry.views.paging import Position, Slice, links, slice_of

_CHANNELS_SHOWN = 6
_CHANNELS_OFFERED = 200
_PUBLISHERS_SHOWN = 3
_BY_VERSION, _BY_DATE = ("-version_key", "version"), ("-first", "version")


@dataclass(slots=True)
class Row:
    """A version in the list."""

    version: str
    first: datetime
    file_count: int
    size_bytes: int
    marks: list[str] = field(default_factory=list)
    line: str = ""
    channels: list[str] = field(default_factory=list)
    more_channels: list[str] = field(default_factory=list)
    subdirs: set[str] = field(default_factory=set)
    publishers: set[str] = field(default_factory=set)
    downloads: int = 0

    @property
    def platforms(self) -> list[str]:
        return listing.in_order(self.subdirs)


@require_safe
def versions(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    everything = access.visible_files(identity, found)
    channels = access.visible_channels(identity, found.account).order_by("name")
    form = VersionsForm(
        request.GET, channels=channels.values_list("name", flat=True)[:_CHANNELS_OFFERED]
    )
    files = _filtered(identity, found.account, everything, form)
    by_date = form.value("order") == "date"
    shown = _slice(files, form, by_date=by_date)
    rows = _rows(identity, found.account, files, shown.rows)
    _mark(rows, form, shown, by_date=by_date)
    context = {
        **package_context(identity, found, "versions", _("Versions")),
        "form": form,
        "rows": rows,
        "may_compare": len(rows) > 1,
        "from_version": rows[1].version if len(rows) > 1 else "",
        "to_version": rows[0].version if rows else "",
        **links(request, shown, [_cursor(row, by_date=by_date) for row in rows]),
    }
    return render(request, "registry/versions.html", context)


def _filtered(
    identity: Identity, account: Account, files: QuerySet[PackageFile], form: VersionsForm
) -> QuerySet[PackageFile]:
    if form.value("channel"):
        inside = visible_entries(identity, account).filter(channel__name=form.value("channel"))
        files = files.filter(pk__in=inside.values("file"))
    if form.value("stable"):
        files = files.exclude(version__iregex=PRERELEASE)
    return files


def _cursor(row: Row, *, by_date: bool) -> str:
    return f"{row.first.isoformat()}~{row.version}" if by_date else row.version


def _position(text: str, *, by_date: bool) -> Position | None:
    if by_date:
        moment, mark, version = text.partition("~")
        try:
            when = parse_datetime(moment)
        except ValueError:
            return None
        return (when, version) if mark and when is not None and when.tzinfo else None
    try:
        return (sort_key(text), text) if text else None
    except InvalidVersionError:
        return None


def _slice(
    files: QuerySet[PackageFile], form: VersionsForm, *, by_date: bool
) -> Slice[dict[str, Any]]:
    grouped = (
        files.order_by()
        .values("version_key", "version")
        .annotate(count=Count("pk"), total=Sum("size_bytes"), first=Min("uploaded_at"))
    )
    shown = slice_of(
        grouped,
        _BY_DATE if by_date else _BY_VERSION,
        after=_position(form.value("after"), by_date=by_date),
        before=_position(form.value("before"), by_date=by_date),
    )
    rows: list[dict[str, Any]] = [{**row} for row in shown.rows]
    return Slice(rows, shown.has_before, shown.has_after)


def _rows(
    identity: Identity,
    account: Account,
    files: QuerySet[PackageFile],
    shown: Sequence[Mapping[str, Any]],
) -> list[Row]:
    """What is said of these versions; two queries."""
    rows = {
        row["version"]: Row(row["version"], row["first"], row["count"], row["total"])
        for row in shown
    }
    of_them = files.filter(version__in=rows).order_by()
    told = of_them.values_list("version", "subdir", "uploaded_by__username").annotate(
        total=Sum("download_total__count")
    )
    for version, subdir, publisher, total in told:
        row = rows[version]
        row.downloads += total or 0
        row.subdirs.add(subdir)
        if publisher and len(row.publishers) < _PUBLISHERS_SHOWN:
            row.publishers.add(publisher)
    standing = (
        visible_entries(identity, account)
        .select_related(None)
        .filter(file__in=of_them.values("pk"))
        .order_by("channel__name")
        .values_list("file__version", "channel__name")
        .distinct()
    )
    for version, channel in standing:
        row = rows[version]
        (row.channels if len(row.channels) < _CHANNELS_SHOWN else row.more_channels).append(channel)
    return list(rows.values())


# --- Marks -------------------------------------------------------------------------------------


def release_line(version: str) -> str:
    """The line that a version belongs to: ``5.6`` of 5.6.3, ``2`` of 2.1; empty for what has no
    numbers to tell it by."""
    numbers = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    if numbers is None:
        return ""
    parts = numbers[1].split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else parts[0]


def newest_of_lines(versions: Sequence[str]) -> dict[str, str]:
    """By version, the line of which it is the newest; ``versions`` begin with the newest. A line
    of one version says nothing."""
    lines: dict[str, list[str]] = {}
    for version in versions:
        line = release_line(version)
        if line:
            lines.setdefault(line, []).append(version)
    newest = {}
    for line, found in lines.items():
        if len(found) > 1:
            first = next((version for version in found if not is_prerelease(version)), found[0])
            newest[first] = line
    return newest


def _mark(
    rows: Sequence[Row], form: VersionsForm, shown: Slice[dict[str, Any]], *, by_date: bool
) -> None:
    """Which of the rows are the newest of something, as far as this page can tell."""
    versions = [row.version for row in rows]
    is_first_page = not shown.has_before
    if rows and is_first_page and not form.count:
        rows[0].marks.append("latest")
    # Behind a position, the version before this page is known from it; before one it is not.
    known = [form.value("after")] if form.value("after") else []
    is_known = is_first_page or bool(known)
    lines = newest_of_lines([*known, *versions]) if is_known and not by_date else {}
    for number, row in enumerate(rows):
        if not (number == 0 and is_first_page):
            row.line = lines.get(row.version, "")
        if is_prerelease(row.version):
            row.marks.append("prerelease")
        if not row.channels:
            row.marks.append("nowhere")
        elif row.channels == ["broken"]:
            row.marks.append("broken")
