"""The first page for those who run the site: how it is, and what is wrong."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.metadata import version

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import switches
from accounts.views.site_gate import site_page
from portal.charts import Chart, Point, Series
from portal.templatetags.ui import thousands
from registry import indexing, jobs, storage
from registry.models import Blob, ChoreRun, FaultCount, PackageFile, StaleMark
from registry.views.site_frame import frame

_MOST_COUNTED = 5000
_LITTLE_SPACE = 0.1
_LONG_WAIT_SECONDS = 60
_HOURS = 24


@site_page
def overview(request: HttpRequest) -> HttpResponse:
    waits = indexing.oldest_mark_seconds()
    total, free = storage.disk_space()
    open_jobs, failed = jobs.open_and_failed()
    faults_by_hour = _faults()
    faults = sorted(sum(faults_by_hour.values(), Counter[int]()).items())
    newest = _newest_uploads()
    context = frame("site", _("Site")) | {
        "warnings": _warnings(waits, free / total if total else 1.0, failed, dict(faults)),
        "uploads": {hours: _uploads(newest, hours) for hours in (1, 24)},
        "chart": _uploads_chart(newest),
        "waits": waits,
        "marks": StaleMark.objects.all()[:_MOST_COUNTED].count(),
        "open_jobs": open_jobs,
        "failed_jobs": failed,
        "faults": faults,
        "fault_chart": _by_hour(
            Counter({hour: counts.total() for hour, counts in faults_by_hour.items()}),
            _("Most errors of the last 24 hours came after %(hour)s UTC: %(number)s"),
            _("Errors"),
        ),
        "free": free,
        "total": total,
        "versions": [
            ("Condarium", version("condarium")),
            ("Python", platform.python_version()),
            ("Django", version("django")),
            (connection.display_name, _database_version()),
        ],
    }
    return render(request, "registry/site_overview.html", context)


def _faults() -> dict[datetime, Counter[int]]:
    """Of each of the last 24 hours: how often each status of 500 or more was the answer."""
    found = defaultdict[datetime, Counter[int]](Counter)
    rows = FaultCount.objects.filter(hour__gt=timezone.now() - timedelta(hours=_HOURS))
    for hour, status, count in rows.values_list("hour", "status", "count"):
        found[hour][status] += count
    return found


def _own(faults: Mapping[int, int]) -> int:
    """How many were errors of ours; with 503 people are only asked to come again."""
    return sum(count for status, count in faults.items() if status != 503)


def _warnings(waits: int, share_free: float, failed: int, faults: dict[int, int]) -> list[str]:
    found = [switches.words(name) for name in switches.thrown() if name != switches.Name.NOTICE]
    if waits > _LONG_WAIT_SECONDS:
        found.append(_("The oldest change waits for its index for %d seconds.") % waits)
    if share_free < _LITTLE_SPACE:
        found.append(_("Less than a tenth of the disk is free."))
    if failed:
        found.append(_("Jobs failed in the last 7 days."))
    own = _own(faults)
    if own:
        found.append(
            ngettext(
                "%(n)s answer of the last 24 hours was an error of ours. The log has each.",
                "%(n)s answers of the last 24 hours were errors of ours. The log has each.",
                own,
            )
            % {"n": thousands(own)}
        )
    damaged = Blob.objects.damaged().count()
    if damaged:
        found.append(
            ngettext(
                "%(n)s stored package is damaged. Storage says what to do.",
                "%(n)s stored packages are damaged. Storage says what to do.",
                damaged,
            )
            % {"n": thousands(damaged)}
        )
    if any(chore.is_failing for chore in ChoreRun.objects.all()):
        found.append(_("A chore of the worker failed when it was done last."))
    return found


def _newest_uploads() -> list[datetime]:
    """When the newest files came; of very many only so many."""
    newest = PackageFile.objects.order_by("-pk").values_list("uploaded_at", flat=True)
    return list(newest[:_MOST_COUNTED])


def _uploads(newest: list[datetime], hours: int) -> str:
    since = timezone.now() - timedelta(hours=hours)
    count = sum(at >= since for at in newest)
    return f"{thousands(count)}+" if count == _MOST_COUNTED else thousands(count)


def _uploads_chart(newest: list[datetime]) -> Chart | None:
    """The uploads of each of the last 24 hours (UTC), this one being the last."""
    counted = Counter(at.replace(minute=0, second=0, microsecond=0) for at in newest)
    said = _("Most files of the last 24 hours came after %(hour)s UTC: %(number)s")
    return _by_hour(counted, said, _("Files uploaded"))


def _by_hour(counted: Counter[datetime], said: str, label: str) -> Chart | None:
    this = timezone.now().replace(minute=0, second=0, microsecond=0)
    hours = [this - timedelta(hours=back) for back in range(_HOURS - 1, -1, -1)]
    numbers = [counted[hour] for hour in hours]
    if not any(numbers):
        return None
    busiest = max(range(_HOURS), key=numbers.__getitem__)
    return Chart(
        sentence=said % {"hour": f"{hours[busiest]:%H:%M}", "number": thousands(numbers[busiest])},
        span=_("24 hours"),
        corner=_("Hour (UTC)"),
        points=[Point(f"{hour:%H:%M}", hour) for hour in hours],
        series=[Series(label, numbers)],
        kind="bars",
    )


def _database_version() -> str:
    with connection.cursor() as cursor:
        is_postgres = connection.vendor == "postgresql"
        cursor.execute("SHOW server_version" if is_postgres else "SELECT sqlite_version()")
        row = cursor.fetchone()
    return str(row[0]) if row else ""
