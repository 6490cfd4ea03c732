"""The bin of an account: what was deleted, and can come back for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.forms import TypedNameForm, show_refusal
from accounts.models import Account
from accounts.scopes import Ability
from accounts.views.frame import act_of, administered, form_page, page, settings_frame
from portal.errors import NotFound, Refusal
from portal.templatetags.ui import thousands
from registry import access
from registry import bin as bins
from registry.filter_forms import PackagesForm
from registry.models import Binned, Channel, PackageFile
from registry.views.frame import viewer
from registry.views.paging import links, slice_of

_AT_ONCE = 500


@page
def bin_page(request: HttpRequest, account: str) -> HttpResponse:
    _identity, found = administered(request, account, Ability.READ)
    form = PackagesForm(request.GET)
    rows = bins.binned_files(found)
    if form.value("q"):
        rows = rows.filter(file__filename__icontains=form.value("q"))
    shown = slice_of(
        rows,
        ("-deleted_at", "-pk"),
        after=_position(form.value("after")),
        before=_position(form.value("before")),
    )
    context = {
        **settings_frame(request, found, "bin"),
        "form": form,
        "rows": _with_channels(found, shown.rows),
        "total": bins.usage_of_bin(found),
        "days": settings.BIN_KEPT.days,
        **links(request, shown, [f"{row.deleted_at.isoformat()}~{row.pk}" for row in shown.rows]),
    }
    return render(request, "registry/bin.html", context)


def _position(text: str) -> tuple[datetime, int] | None:
    when, _sep, number = text.partition("~")
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return None
    if moment.tzinfo is None or not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return moment, int(number)


def _with_channels(account: Account, rows: list[Binned]) -> list[dict[str, Any]]:
    """Each file, and the channels it stood in that are there yet; one query."""
    wanted = {pk for row in rows for pk in row.channels}
    channels = Channel.objects.filter(account=account, pk__in=wanted)
    names = dict(channels.order_by("name").values_list("pk", "name"))
    return [
        {
            "row": row,
            "file": row.file,
            "channels": [names[pk] for pk in names if pk in row.channels],
        }
        for row in rows
    ]


def _chosen(request: HttpRequest, account: Account) -> list[PackageFile]:
    ids = {int(text) for text in request.POST.getlist("file")[: _AT_ONCE + 1] if _is_key(text)}
    files = PackageFile.objects.select_related("account", "package")
    return list(files.filter(account=account, binned__isnull=False, pk__in=ids)[:_AT_ONCE])


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


@act_of("registry:bin")
def files_restore(request: HttpRequest, account: str) -> HttpResponse:
    """Put files back where they stood."""
    identity = viewer(request)
    found = access.find_account(account)
    files = _chosen(request, found)
    # Whoever may write none of an account's packages learns nothing of what its bin holds.
    access.require_writing(identity, found, {file.name for file in files} or {""})
    back = redirect(reverse("registry:bin", args=[found.name]))
    try:
        restored = bins.restore_files(by=identity, account=found, files=files)
    except NotFound:
        messages.info(request, _("None of them is in the bin any more."))
        return back
    except Refusal as refusal:
        messages.error(request, refusal.detail)
        return back
    messages.success(request, _restored_words(restored))
    left_out = sorted({name for one in restored for name in one.left_out})
    if left_out:
        words = _("Not put back into %(channels)s: locked, or it doesn't take such packages.")
        messages.warning(request, words % {"channels": ", ".join(left_out)})
    return back


def _restored_words(restored: list[bins.Restored]) -> str:
    if len(restored) > 1:
        words = _("%(count)s files are restored.")
        return words % {"count": thousands(len(restored))}
    [one] = restored
    said = {"file": one.file.filename, "channels": ", ".join(one.channels)}
    if one.channels:
        return _("%(file)s is restored, and stands in %(channels)s.") % said
    return _("%(file)s is restored, and stands in no channel.") % said


# --- Gone for good -----------------------------------------------------------------------------


@form_page
def bin_delete(request: HttpRequest, account: str, file: int) -> HttpResponse:
    """Give up one file before its time."""
    identity, found = administered(request, account, Ability.WRITE)
    # Of the key of a file, Django knows which numbers there can be; of a reference to it, not.
    row = bins.binned_files(found).filter(file__pk=file).first()
    if row is None:
        raise NotFound
    form = TypedNameForm(request.POST or None, name=row.file.filename)
    if request.method == "POST" and form.is_valid():
        try:
            bins.purge_files(by=identity, account=found, files=[row.file])
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("%(file)s is gone for good.") % {"file": row.file.filename})
            return redirect(reverse("registry:bin", args=[found.name]))
    return _purge_page(request, found, form, name=row.file.filename, row=row)


@form_page
def bin_empty(request: HttpRequest, account: str) -> HttpResponse:
    """Give up all that is in the bin."""
    identity, found = administered(request, account, Ability.WRITE)
    form = TypedNameForm(request.POST or None, name=found.name)
    if request.method == "POST" and form.is_valid():
        try:
            count = bins.empty_bin(by=identity, account=found)
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            words = ngettext(
                "%(count)s file is gone for good.", "%(count)s files are gone for good.", count
            )
            messages.success(request, words % {"count": thousands(count)})
            return redirect(reverse("registry:bin", args=[found.name]))
    return _purge_page(request, found, form, name=found.name)


def _purge_page(
    request: HttpRequest,
    account: Account,
    form: TypedNameForm,
    *,
    name: str,
    row: Binned | None = None,
) -> HttpResponse:
    context = settings_frame(request, account, "bin", _("Delete now") if row else _("Empty"))
    context["crumbs"][2]["url"] = reverse("registry:bin", args=[account.name])
    context |= {
        "form": form,
        "name": name,
        "row": row,
        "total": bins.usage_of_bin(account),
        "act_url": request.path,
    }
    wrong = bool(form.errors)
    return render(request, "registry/bin_purge.html", context, status=422 if wrong else 200)
