"""The jobs of all accounts, and what is done by the clock."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.authentication import identify_session
from accounts.views.site_gate import site_act, site_page
from portal.errors import NotFound
from registry import jobs
from registry.models import ChoreRun, Job
from registry.site_forms import SiteJobsForm
from registry.views.jobs import job_context, job_facts, retry, stop
from registry.views.paging import links, position, slice_of
from registry.views.site_frame import frame


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
        "failed_jobs": jobs.open_and_failed()[1],
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
    "channel.import": gettext_lazy("Import into a channel"),
    "account.import": gettext_lazy("Import an account"),
}


def _kinds() -> list[dict[str, Any]]:
    return [
        {
            **row,
            "label": _KINDS.get(row["kind"], row["kind"]),
            # One that was stopped before it began took no time.
            "seconds": (row["last"] - row["began"]).total_seconds() if row["began"] else None,
        }
        for row in jobs.ended_by_kind()
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
    "packages of the tree": gettext_lazy("Place package files for the web server"),
    "links of the tree": gettext_lazy("Look through the web server's package files"),
    "downloads by the front server": gettext_lazy("Count downloads that the web server noted"),
    "index files after a restart": gettext_lazy("Look through index files after a restart"),
    "smaller index files": gettext_lazy("Compress index files again"),
}


def _chores() -> list[dict[str, Any]]:
    """What is done by the clock: the last time, how long it took, and how it failed last."""
    return [
        {
            "label": _CHORES.get(row.name, row.name),
            "row": row,
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
        "retry_url": reverse("registry:site-job-retry", args=[key])
        if jobs.may_retry(identify_session(request), found)
        else "",
    }
    if request.GET.get("part") == "state":
        return render(request, "registry/job_state.html", context)
    context |= frame("site-jobs", found.title, "", found.title)
    return render(request, "registry/site_job.html", context)


@site_act("registry:site-jobs")
def site_job_stop(request: HttpRequest, key: str) -> HttpResponse:
    stop(request, _job(key))
    return redirect(reverse("registry:site-job", args=[key]))


@site_act("registry:site-jobs")
def site_job_retry(request: HttpRequest, key: str) -> HttpResponse:
    retry(request, _job(key))
    return redirect(reverse("registry:site-job", args=[key]))
