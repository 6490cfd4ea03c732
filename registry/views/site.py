"""The pages for those who run the site: how it is, what is closed, jobs, indexes, storage."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import connection
from django.db.models import Count, Max, Min, OuterRef, Q, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import switches
from accounts.authentication import identify_session
from accounts.forms import show_refusal
from accounts.models import Event, Switch
from accounts.views.site_gate import site_act, site_form, site_page
from portal import env
from portal.charts import Chart, Point, Series
from portal.errors import NotFound, Refusal
from portal.templatetags.ui import thousands
from registry import channel_work, checking, indexing, jobs
from registry.models import (
    Blob,
    Channel,
    ChoreRun,
    FaultCount,
    Job,
    PackageFile,
    PublishedIndex,
    StaleMark,
)
from registry.site_forms import IndexForm, NoticeForm, SiteJobsForm, SiteLogForm, SwitchForm
from registry.views.jobs import job_context, job_facts
from registry.views.paging import links, position, slice_of

_MOST_COUNTED = 5000
_LITTLE_SPACE = 0.1
_LONG_WAIT_SECONDS = 60
_HOURS = 24
_MOST_DAMAGED = 100

_PAGES = (
    ("site", gettext_lazy("Overview"), "activity"),
    ("site-accounts", gettext_lazy("Accounts"), "users"),
    ("site-switches", gettext_lazy("Switches"), "ban"),
    ("site-notices", gettext_lazy("Notices"), "bell"),
    ("site-jobs", gettext_lazy("Jobs"), "clock"),
    ("site-index", gettext_lazy("Index"), "layers"),
    ("site-storage", gettext_lazy("Storage"), "hard-drive"),
    ("site-settings", gettext_lazy("Settings"), "settings"),
    ("site-log", gettext_lazy("Log"), "scroll-text"),
)


def frame(current: str, title: str, lead: str = "", *further: str) -> dict[str, Any]:
    """What all of these pages have: the menu, the path and the heading."""
    menu = [
        {
            "label": label,
            "icon": icon,
            "url": reverse(f"registry:{key}"),
            "current": key == current,
        }
        for key, label, icon in _PAGES
    ]
    labels = {key: label for key, label, _icon in _PAGES}
    crumbs: list[dict[str, Any]] = [{"label": _("Site"), "url": reverse("registry:site")}]
    if current != "site":
        crumbs.append({"label": labels[current], "url": reverse(f"registry:{current}")})
    crumbs += [{"label": label} for label in further]
    crumbs[-1].pop("url", None)
    return {
        "menu_sections": [{"title": "", "entries": menu}],
        "crumbs": crumbs,
        "title": title,
        "lead": lead,
    }


# --- Overview ----------------------------------------------------------------------------------


@site_page
def overview(request: HttpRequest) -> HttpResponse:
    waits = indexing.oldest_mark_seconds()
    total, free = _space()
    open_jobs, failed = _open_and_failed_jobs()
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
            Counter({hour: _own(counts) for hour, counts in faults_by_hour.items()}),
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
    if any(chore["is_failing"] for chore in _chores()):
        found.append(_("A chore of the worker failed when it was done last."))
    return found


def _recently_failed() -> int:
    return _open_and_failed_jobs()[1]


def _open_and_failed_jobs() -> tuple[int, int]:
    """How many jobs wait or run, and how many failed in 7 days."""
    is_open = Q(state__in=jobs.OPEN)
    has_failed = Q(state=Job.State.FAILED, ended_at__gte=timezone.now() - timedelta(days=7))
    counted = Job.objects.filter(is_open | has_failed).aggregate(
        open=Count("pk", filter=is_open), failed=Count("pk", filter=has_failed)
    )
    return counted["open"], counted["failed"]


def _newest_uploads() -> list[datetime]:
    """When the newest files came; of very many only so many."""
    newest = PackageFile.objects.order_by("-pk").values_list("uploaded_at", flat=True)
    return list(newest[:_MOST_COUNTED])


def _uploads(newest: list[datetime], hours: int) -> str:
    since = timezone.now() - timedelta(hours=hours)
    count = sum(at >= since for at in newest)
    return f"{count}+" if count == _MOST_COUNTED else str(count)


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


def _space() -> tuple[int, int]:
    """How large the disk of the data is, and how much of it is free; of an S3 nobody knows."""
    if settings.S3_BUCKET:
        return 0, 0
    folder = Path(settings.FILES_FOLDER)
    while not folder.exists():
        folder = folder.parent
    used = shutil.disk_usage(folder)
    return used.total, used.free


def _database_version() -> str:
    with connection.cursor() as cursor:
        is_postgres = connection.vendor == "postgresql"
        cursor.execute("SHOW server_version" if is_postgres else "SELECT sqlite_version()")
        row = cursor.fetchone()
    return str(row[0]) if row else ""


# --- Switches and notices ----------------------------------------------------------------------


@site_page
def site_switches(request: HttpRequest) -> HttpResponse:
    return render(request, "registry/site_switches.html", _switches_context())


def _switches_context(wrong: str = "", form: SwitchForm | None = None) -> dict[str, Any]:
    rows = {row.name: row for row in Switch.objects.all()}
    lead = _("What is closed for everybody. It takes effect within two seconds, without a restart.")
    return frame("site-switches", _("Switches"), lead) | {
        "switches": [
            {
                "name": name,
                "label": Switch.Name(name).label,
                "words": switches.words(name),
                "row": rows.get(name),
                "is_thrown": name in rows and rows[name].is_thrown,
                "form": form if name == wrong and form else SwitchForm(auto_id=f"{name}_%s"),
            }
            for name in Switch.Name.values
            if name != Switch.Name.NOTICE
        ]
    }


@site_act("registry:site-switches")
def switch_throw(request: HttpRequest, name: str) -> HttpResponse:
    _require_switch(name)
    form = SwitchForm(request.POST, auto_id=f"{name}_%s")
    if not form.is_valid():
        context = _switches_context(name, form)
        return render(request, "registry/site_switches.html", context, status=422)
    said = form.cleaned_data["message"]
    switches.set_switch(by=identify_session(request), name=name, is_thrown=True, message=said)
    messages.success(request, switches.words(name))
    return redirect("registry:site-switches")


@site_act("registry:site-switches")
def switch_reset(request: HttpRequest, name: str) -> HttpResponse:
    _require_switch(name)
    switches.set_switch(by=identify_session(request), name=name, is_thrown=False)
    messages.success(request, _("All is as usual again: %s.") % Switch.Name(name).label)
    is_notice = name == Switch.Name.NOTICE
    return redirect("registry:site-notices" if is_notice else "registry:site-switches")


def _require_switch(name: str) -> None:
    if name not in Switch.Name.values:
        raise NotFound


@site_form
def notices(request: HttpRequest) -> HttpResponse:
    """The banner of all pages."""
    row = Switch.objects.filter(name=Switch.Name.NOTICE, is_thrown=True).first()
    form = NoticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            switches.set_switch(
                by=identify_session(request),
                name=Switch.Name.NOTICE,
                is_thrown=True,
                **form.cleaned_data,
            )
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("The notice is shown on all pages."))
            return redirect("registry:site-notices")
    lead = _("One sentence or two that all pages show to everybody.")
    context = frame("site-notices", _("Notices"), lead) | {"notice": row, "form": form}
    status = 422 if form.errors else 200
    return render(request, "registry/site_notices.html", context, status=status)


# --- Jobs --------------------------------------------------------------------------------------


@site_page
def site_jobs(request: HttpRequest) -> HttpResponse:
    form = SiteJobsForm(request.GET)
    state = form.value("state")
    rows = Job.objects.select_related("account").defer("params", "failures", "lines")
    if state:
        rows = rows.filter(state=state)
    after, before = form.value("after"), form.value("before")
    shown = slice_of(rows, ["-pk"], after=position(after), before=position(before))
    lead = _("The work of all accounts that takes longer than a page.")
    context = frame("site-jobs", _("Jobs"), lead) | {
        "form": form,
        "jobs": [job_facts(job) for job in shown.rows],
        "is_filtered": bool(state),
        "failed_jobs": _recently_failed(),
        "kinds": _kinds(),
        "chores": _chores(),
        **links(request, shown, [job.pk for job in shown.rows]),
    }
    return render(request, "registry/site_jobs.html", context)


_KINDS = {
    "files.move": gettext_lazy("Move files"),
    "files.copy": gettext_lazy("Copy files"),
    "files.remove": gettext_lazy("Remove files from a channel"),
    "files.delete": gettext_lazy("Delete files"),
    "channel.reindex": gettext_lazy("Rebuild indexes"),
    "channel.verify": gettext_lazy("Verify indexes"),
    "channel.copy_all": gettext_lazy("Copy a channel"),
    "channel.transfer": gettext_lazy("Take a channel over"),
}


def _kinds() -> list[dict[str, Any]]:
    """Of each kind of job that is kept: when one ended last, how long it took, and how many of
    this week failed."""
    since = timezone.now() - timedelta(days=7)
    last = Job.objects.filter(kind=OuterRef("kind"), ended_at__isnull=False).order_by("-ended_at")
    rows = (
        Job.objects.filter(ended_at__isnull=False)
        .order_by()
        .values("kind")
        .annotate(
            last=Max("ended_at"),
            began=Subquery(last.values("started_at")[:1]),
            ended=Count("pk", filter=Q(ended_at__gte=since)),
            failed=Count("pk", filter=Q(ended_at__gte=since, state=Job.State.FAILED)),
        )
    )
    return [
        {
            **row,
            "label": _KINDS.get(row["kind"], row["kind"]),
            # One that was stopped before it began took no time.
            "seconds": (row["last"] - row["began"]).total_seconds() if row["began"] else None,
        }
        for row in rows.order_by("kind")
    ]


_CHORES = {
    "stored packages": gettext_lazy("Read stored packages again"),
    "suspensions that ended": gettext_lazy("End suspensions"),
    "invitations to packages": gettext_lazy("Forget old invitations to packages"),
    "refused uploads": gettext_lazy("Forget old refused uploads"),
    "counted errors": gettext_lazy("Forget old counts of errors"),
    "old jobs": gettext_lazy("Forget old jobs"),
    "figures of packages": gettext_lazy("Add up downloads"),
    "tokens that end soon": gettext_lazy("Write about tokens that end soon"),
    "of deleted accounts": gettext_lazy("Clear what deleted accounts leave"),
    "files that left": gettext_lazy("Delete files that were not uploaded again"),
    "files that no rule keeps": gettext_lazy("Apply retention rules"),
    "files in bins": gettext_lazy("Empty bins"),
    "uploads": gettext_lazy("Clear uploads that were cut"),
    "staged uploads": gettext_lazy("Clear uploads that were not committed"),
    "blobs": gettext_lazy("Delete bytes that no file needs"),
    "index files": gettext_lazy("Delete old index files"),
    "subdirs of the tree": gettext_lazy("Place index files for the web server"),
    "index files after a restart": gettext_lazy("Look through index files after a restart"),
    "smaller index files": gettext_lazy("Compress index files again"),
}


def _chores() -> list[dict[str, Any]]:
    """What is done by the clock: the last time, how long it took, and how it failed last."""
    return [
        {
            "label": _CHORES.get(row.name, row.name),
            "row": row,
            # The failure of long ago, that went well since, is no news.
            "is_failing": row.failed_at and (row.ended_at is None or row.ended_at < row.failed_at),
        }
        for row in ChoreRun.objects.order_by("name")
    ]


def _job(key: str) -> Job:
    found = Job.objects.select_related("account", "token").filter(key=key).first()
    if found is None:
        raise NotFound
    return found


@site_page
def site_job(request: HttpRequest, key: str) -> HttpResponse:
    found = _job(key)
    context = job_context(found) | {
        "job_url": reverse("registry:site-job", args=[key]),
        "stop_url": reverse("registry:site-job-stop", args=[key]),
        "retry_url": reverse("registry:site-job-retry", args=[key]),
    }
    if request.GET.get("part") == "state":
        return render(request, "registry/job_state.html", context)
    context |= frame("site-jobs", found.title, "", found.title)
    return render(request, "registry/site_job.html", context)


@site_act("registry:site-jobs")
def site_job_stop(request: HttpRequest, key: str) -> HttpResponse:
    jobs.stop(by=identify_session(request), job=_job(key))
    return redirect(reverse("registry:site-job", args=[key]))


@site_act("registry:site-jobs")
def site_job_retry(request: HttpRequest, key: str) -> HttpResponse:
    jobs.retry(by=identify_session(request), job=_job(key))
    return redirect(reverse("registry:site-job", args=[key]))


# --- Index -------------------------------------------------------------------------------------


@site_page
def site_index(request: HttpRequest) -> HttpResponse:
    """The published index of each subdir of each channel."""
    form = IndexForm(request.GET)
    rows = PublishedIndex.objects.filter(members_only=False).select_related("channel__account")
    rows = rows.defer("files")
    if form.value("account"):
        rows = rows.filter(channel__account__name=form.value("account").lower())
    after, before = form.value("after"), form.value("before")
    shown = slice_of(rows, ["-pk"], after=position(after), before=position(before))
    lead = _("What clients are given of each platform of each channel, and what waits.")
    context = frame("site-index", _("Index"), lead) | {
        "form": form,
        "rows": _with_marks(shown.rows),
        "waits": indexing.oldest_mark_seconds(),
        **links(request, shown, [row.pk for row in shown.rows]),
    }
    return render(request, "registry/site_index.html", context)


def _with_marks(indexes: list[PublishedIndex]) -> list[dict[str, Any]]:
    channels = {index.channel_id for index in indexes}
    marks = StaleMark.objects.filter(channel__in=channels).order_by()
    counted = marks.values_list("channel_id", "subdir").annotate(count=Count("pk"))
    waiting = {(channel, subdir): count for channel, subdir, count in counted}
    return [
        {"index": index, "marks": waiting.get((index.channel_id, index.subdir), 0)}
        for index in indexes
    ]


def _channel(pk: int) -> Channel:
    found = Channel.objects.select_related("account").filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


@site_act("registry:site-index")
def index_rebuild(request: HttpRequest, channel: int) -> HttpResponse:
    job = channel_work.start_reindex(by=identify_session(request), channel=_channel(channel))
    return redirect(reverse("registry:site-job", args=[job.key]))


@site_act("registry:site-index")
def index_verify(request: HttpRequest, channel: int) -> HttpResponse:
    job = channel_work.start_verify(by=identify_session(request), channel=_channel(channel))
    return redirect(reverse("registry:site-job", args=[job.key]))


# --- Storage, settings, log --------------------------------------------------------------------


@site_page
def site_storage(request: HttpRequest) -> HttpResponse:
    """The accounts that keep most, and what no file needs any more."""
    files = PackageFile.objects.present().order_by().values("account__name")
    largest = files.annotate(size=Sum("size_bytes"), count=Count("pk")).order_by("-size")[:50]
    unneeded = Blob.objects.filter(files=None).aggregate(size=Sum("size_bytes"), count=Count("pk"))
    stored = Blob.objects.aggregate(size=Sum("size_bytes"), count=Count("pk"))
    # More than is stored where the same bytes lie in several accounts, or in one twice.
    of_all = PackageFile.objects.present().aggregate(size=Sum("size_bytes"))
    total, free = _space()
    context = frame("site-storage", _("Storage"), _("The accounts that keep most.")) | {
        "largest": list(largest),
        "of_all": of_all["size"],
        "unneeded": unneeded,
        "stored": stored,
        "total": total,
        "free": free,
        "kept_days": settings.UNREFERENCED_BYTES_KEPT.days,
        "checked": _last_check(),
        "longest_unread": Blob.objects.aggregate(first=Min("checked_at"))["first"],
        "check_days": settings.CHECK_EVERY.days,
        "damaged": _damaged(),
    }
    return render(request, "registry/site_storage.html", context)


def _damaged() -> list[dict[str, Any]]:
    """The stored packages that are known to be damaged, with the files that need them."""
    blobs = list(Blob.objects.damaged().order_by("checked_at")[:_MOST_DAMAGED])
    files = defaultdict[int | None, list[PackageFile]](list)
    for file in checking.files_of([blob.pk for blob in blobs])[: 5 * _MOST_DAMAGED]:
        files[file.blob_id].append(file)
    return [{"blob": blob, "files": files[blob.pk]} for blob in blobs]


def _last_check() -> Job | None:
    """The last time that somebody had the stored index files of a channel compared with their
    hashes, to the end."""
    ended = (Job.State.DONE, Job.State.FAILED)
    # Without a total nothing was looked at; with an error not everything.
    checks = Job.objects.filter(
        kind="channel.verify", state__in=ended, total__isnull=False, error=""
    )
    return checks.order_by("-ended_at").first()


@site_page
def site_settings(request: HttpRequest) -> HttpResponse:
    """Every variable of the environment; of a secret only whether it is set."""
    lead = _("The variables of the environment as this process read them at its start.")
    context = frame("site-settings", _("Settings"), lead) | {
        "readings": sorted(env.readings.values(), key=lambda reading: reading.name),
        "process": os.getpid(),
        "executable": sys.executable,
    }
    return render(request, "registry/site_settings.html", context)


@site_page
def site_log(request: HttpRequest) -> HttpResponse:
    """The audit log of all accounts and of the site itself."""
    form = SiteLogForm(request.GET)
    events = Event.objects.select_related("account")
    account, who = form.value("account").lower(), form.value("who").lower()
    if account:
        events = events.filter(account__name=account)
    if who:
        events = events.filter(actor__username=who)
    after, before = form.value("after"), form.value("before")
    shown = slice_of(events, ["-pk"], after=position(after), before=position(before))
    lead = _("Who changed what, in all accounts and of the site itself.")
    context = frame("site-log", _("Log"), lead) | {
        "form": form,
        "events": shown.rows,
        "is_filtered": bool(account or who),
        **links(request, shown, [event.pk for event in shown.rows]),
    }
    return render(request, "registry/site_log.html", context)
