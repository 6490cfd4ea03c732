"""Numbers over time, as drawings with the same numbers as tables and as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from portal import spreadsheets
from portal.charts import MOST_SERIES, Chart, Point, Series, bundled, step_of
from portal.templatetags.ui import percent_of, thousands
from registry import access, statistics
from registry.forms import DOWNLOADS_DAYS, DownloadsForm
from registry.statistics import Grouped, Grouping
from registry.views.frame import package_context, viewer

_DAYS = 90


@require_safe
def downloads(request: HttpRequest, account: str, package: str) -> HttpResponseBase:
    """How often the files that the viewer may see were fetched, by platform or by version."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    form = DownloadsForm(request.GET)
    by = Grouping(form.value("by") or Grouping.PLATFORM)
    days = int(form.value("days") or _DAYS)
    files = access.visible_files(identity, found)
    if form.value("format") == "csv":
        rows = statistics.each_day_of_groups(files, by=by, days=days)
        lines = spreadsheets.csv_lines(["day", by.value, "downloads"], rows)
        name = f"{found.account.name}-{found.name}-downloads.csv"
        return spreadsheets.download(lines, filename=name, content_type="text/csv")
    grouped = statistics.downloads_by_group(files, by=by, days=days, most=MOST_SERIES)
    context = {
        **package_context(identity, found, "downloads", _("Downloads")),
        "chart": _downloads_chart(grouped, by) if grouped.total else None,
        "empty": ngettext(
            "No downloads in this %(days)d day.", "No downloads in these %(days)d days.", days
        )
        % {"days": days},
        "groupings": _choices("by", {each: each.label for each in Grouping}, by, days=days),
        "spans": _choices("days", {each: _span(each) for each in DOWNLOADS_DAYS}, days, by=by),
    }
    return render(request, "registry/downloads.html", context)


def _span(days: int) -> str:
    return ngettext("%(days)d day", "%(days)d days", days) % {"days": days}


def _choices(
    key: str, labels: Mapping[Any, object], now: object, **others: object
) -> list[dict[str, object]]:
    """Links that choose one of these, and leave the rest as it is."""
    return [
        {"label": label, "url": f"?{urlencode({**others, key: value})}", "current": value == now}
        for value, label in labels.items()
    ]


def _downloads_chart(grouped: Grouped, by: Grouping) -> Chart:
    step = step_of(grouped.days)
    series = [Series(name, bundled(counts, step)) for name, counts in grouped.groups.items()]
    if grouped.others is not None:
        series.append(Series(_("others"), bundled(grouped.others, step)))
    # A point is called after the last of its days, as the last one is not over yet.
    last = grouped.first + timedelta(days=grouped.days - 1)
    count = len(series[0].numbers)
    points = [Point.of_day(last - timedelta(days=step * back)) for back in reversed(range(count))]
    return Chart(
        sentence=_downloads_sentence(grouped),
        span=_span(grouped.days),
        corner=_("Day") if step == 1 else _("Week up to"),
        points=points,
        series=series,
        csv_url=f"?{urlencode({'by': by.value, 'days': grouped.days, 'format': 'csv'})}",
    )


def _downloads_sentence(grouped: Grouped) -> str:
    """As in "12,431 downloads in 90 days, 62 % linux-64"."""
    name, counts = next(iter(grouped.groups.items()))
    words = ngettext(
        "%(number)s download in %(span)s, %(part)d %% %(name)s",
        "%(number)s downloads in %(span)s, %(part)d %% %(name)s",
        grouped.total,
    )
    return words % {
        "number": thousands(grouped.total),
        "span": _span(grouped.days),
        "part": percent_of(sum(counts), grouped.total),
        "name": name,
    }
