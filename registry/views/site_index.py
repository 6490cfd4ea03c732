"""Which indexes wait, and having them written or compared anew."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.authentication import identify_session
from accounts.views.site_gate import site_act, site_page
from portal.errors import NotFound
from registry import channel_work, indexing
from registry.models import Channel, PublishedIndex, StaleMark
from registry.site_forms import IndexForm
from registry.views.paging import links, position, slice_of
from registry.views.site_frame import frame


@site_page
def site_index(request: HttpRequest) -> HttpResponse:
    """The published index of each subdir of each channel."""
    form = IndexForm(request.GET)
    # Those of a deleted account only wait for the sweep.
    rows = PublishedIndex.objects.filter(members_only=False, channel__account__deleted_at=None)
    rows = rows.select_related("channel__account").defer("files")
    account = form.value("account").lower()
    if account:
        rows = rows.filter(channel__account__name=account)
    after, before = form.value("after"), form.value("before")
    shown = slice_of(rows, ["-pk"], after=position(after), before=position(before))
    lead = _("What clients are given of each platform of each channel, and what waits.")
    context = frame("site-index", _("Index"), lead) | {
        "form": form,
        "rows": _with_marks(shown.rows),
        "is_filtered": bool(account),
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
