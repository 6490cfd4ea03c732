"""Numbers over time, as drawings with the same numbers as tables and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from accounts.models import Account
from portal import spreadsheets
from portal.charts import MOST_SERIES, Calendar, Chart, Point, Series, bundled, step_of
from portal.templatetags.ui import percent_of, thousands
from registry import access, statistics
from registry.filter_forms import DOWNLOADS_DAYS, DownloadsForm, ExportForm
from registry.models import Channel
from registry.statistics import Grouped, Grouping
from registry.views.frame import account_context, package_context, viewer

_DAYS = 90
# Counted over all files of an account or a channel: of 100,000 it takes half a second.
_KEPT_SECONDS = 60
_CALENDAR_DAYS = 52 * 7
# A channel that is younger is drawn as if it had stood empty before.
_SHORTEST_GROWTH = 30
_MOST_POINTS = 60


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
        "%(number)s download in %(days)d days, %(part)d %% %(name)s",
        "%(number)s downloads in %(days)d days, %(part)d %% %(name)s",
        grouped.total,
    )
    return words % {
        "number": thousands(grouped.total),
        "days": grouped.days,
        "part": percent_of(sum(counts), grouped.total),
        "name": name,
    }


# --- Channels ----------------------------------------------------------------------------------


@require_safe
def channel_growth(request: HttpRequest, account: str, channel: str) -> HttpResponseBase:
    """How many files stood in a channel on each day, as far as they still do."""
    identity = viewer(request)
    found = access.find_channel(identity, account, channel)
    added = _added(identity, found)
    if ExportForm(request.GET).value("format") == "csv":
        lines = spreadsheets.csv_lines(["day", "files put in"], added)
        return spreadsheets.download(lines, filename="growth.csv", content_type="text/csv")
    name = found.account.name
    url = reverse("registry:channel", args=[name, found.name])
    context = {
        **account_context(identity, found.account, "channels"),
        "channel": found,
        "channel_url": url,
        "crumbs": [
            {"label": name, "url": reverse("registry:account", args=[name])},
            {"label": _("Channels"), "url": reverse("registry:channels", args=[name])},
            {"label": found.name, "url": url},
            {"label": _("Growth")},
        ],
        "chart": _growth_chart(found, added) if added else None,
    }
    return render(request, "registry/channel_growth.html", context)


def _added(identity: Identity, channel: Channel) -> list[tuple[date, int]]:
    is_whole = channel.is_private or access.sees_members_index(identity, channel)
    found: list[tuple[date, int]] | None = cache.get_or_set(
        f"growth-{channel.pk}-{is_whole}",
        lambda: statistics.additions_by_day(channel, is_whole=is_whole),
        _KEPT_SECONDS,
    )
    return found or []


def _growth_chart(channel: Channel, added: Sequence[tuple[date, int]]) -> Chart:
    today = timezone.now().date()
    days = max((today - added[0][0]).days + 1, _SHORTEST_GROWTH)
    step = -(-days // _MOST_POINTS)
    ends = [today - timedelta(days=back) for back in range(0, days, step)][::-1]
    numbers: list[int] = []
    position = standing = 0
    for end in ends:
        while position < len(added) and added[position][0] <= end:
            standing += added[position][1]
            position += 1
        numbers.append(standing)
    lately = sum(count for day, count in added if (today - day).days < _SHORTEST_GROWTH)
    sentence = ngettext(
        "%(number)s file stands in %(name)s, %(lately)s of them put there in the last 30 days",
        "%(number)s files stand in %(name)s, %(lately)s of them put there in the last 30 days",
        standing,
    ) % {"number": thousands(standing), "name": channel.name, "lately": thousands(lately)}
    return Chart(
        sentence=sentence,
        span=_("Today"),
        corner=_("On"),
        points=[Point.of_day(end) for end in ends],
        series=[Series(_("Files"), numbers, figure=standing)],
        csv_url="?format=csv",
        are_levels=True,
    )


# --- Uploads of an account ---------------------------------------------------------------------


def uploads_calendar(identity: Identity, account: Account) -> Calendar | None:
    """The uploads of a year that the viewer may see; None where there were none."""
    days = _uploads(identity, account)
    total = sum(count for _day, count in days)
    if not total:
        return None
    sentence = ngettext(
        "%(number)s file uploaded in 52 weeks", "%(number)s files uploaded in 52 weeks", total
    ) % {"number": thousands(total)}
    return Calendar(
        sentence=sentence,
        first=days[0][0],
        numbers=[count for _day, count in days],
        csv_url=reverse("registry:account-uploads", args=[account.name]),
    )


@require_safe
def account_uploads(request: HttpRequest, account: str) -> HttpResponseBase:
    """The uploads of each day, as CSV."""
    identity = viewer(request)
    found = access.find_account(account)
    rows = [(day, count) for day, count in _uploads(identity, found) if count]
    lines = spreadsheets.csv_lines(["day", "files"], rows)
    name = f"{found.name}-uploads.csv"
    return spreadsheets.download(lines, filename=name, content_type="text/csv")


def _uploads(identity: Identity, account: Account) -> list[tuple[date, int]]:
    who = identity.user.pk if identity.user else 0
    found: list[tuple[date, int]] | None = cache.get_or_set(
        f"uploads-{account.pk}-{who}",
        lambda: statistics.uploads_by_day(
            access.visible_files_of_account(identity, account), days=_CALENDAR_DAYS
        ),
        _KEPT_SECONDS,
    )
    return found or []
