"""Work that goes on without a page: how far it is, what failed, and stopping it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.authentication import identify_session
from accounts.views.frame import act_of, page
from portal.sentences import shown
from registry import jobs as acts
from registry.filter_forms import JobsForm
from registry.models import Job
from registry.views.paging import links, position, slice_of


@page
def job_list(request: HttpRequest) -> HttpResponse:
    """Jobs that they started, and those of accounts that they administer."""
    identity = identify_session(request)
    form = JobsForm(request.GET)
    state = form.value("state")
    rows = acts.visible_jobs(identity).defer("params", "failures", "lines")
    if state:
        rows = rows.filter(state=state)
    after, before = form.value("after"), form.value("before")
    part = slice_of(rows, ["-pk"], after=position(after), before=position(before))
    context = {
        "form": form,
        "jobs": [job_facts(job) for job in part.rows],
        "is_filtered": bool(state),
        **links(request, part, [job.pk for job in part.rows]),
    }
    return render(request, "registry/jobs.html", context)


@page
def job(request: HttpRequest, key: str) -> HttpResponse:
    """One job. Its script asks for the part that changes alone."""
    identity = identify_session(request)
    found = acts.find_job(identity, key)
    context = job_context(found) | {
        "job_url": reverse("registry:job", args=[key]),
        "stop_url": reverse("registry:job-stop", args=[key]),
        "retry_url": reverse("registry:job-retry", args=[key])
        if acts.may_retry(identity, found)
        else "",
    }
    part = request.GET.get("part") == "state"
    return render(request, "registry/job_state.html" if part else "registry/job.html", context)


def job_facts(job: Job) -> dict[str, Any]:
    """How far a job is, for lists and its page."""
    handled, total = job.handled, job.total
    return {
        "job": job,
        "handled": min(handled, total) if total else handled,
        "percent": min(100, handled * 100 // total) if total else None,
    }


def job_context(job: Job) -> dict[str, Any]:
    """What the page of a job says of it, for whomever."""
    facts = job_facts(job)
    return facts | {
        # Read out: every ten percent is often enough.
        "tens": (facts["percent"] or 0) // 10 * 10,
        "more_failures": job.unlisted_failures,
        "lines": [
            {"at": datetime.fromisoformat(str(line["at"])), "line": shown(line["line"])}
            for line in job.lines
        ],
    }


@act_of("registry:job")
def job_stop(request: HttpRequest, key: str) -> HttpResponse:
    stop(request, acts.find_job(identify_session(request), key))
    return redirect(reverse("registry:job", args=[key]))


def stop(request: HttpRequest, job: Job) -> None:
    """Stop it for who asks, and say so on the next page."""
    stopped = acts.stop(by=identify_session(request), job=job)
    messages.success(
        request,
        _("The job is stopped.") if stopped.is_over else _("The job stops in a moment."),
    )


@act_of("registry:job")
def job_retry(request: HttpRequest, key: str) -> HttpResponse:
    retry(request, acts.find_job(identify_session(request), key))
    return redirect(reverse("registry:job", args=[key]))


def retry(request: HttpRequest, job: Job) -> None:
    """Begin it again for who asks, and say so on the next page."""
    acts.retry(by=identify_session(request), job=job)
    messages.success(request, _("The job waits for a worker."))
