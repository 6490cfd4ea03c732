"""Replacing a file: other bytes under its name, in all channels in which it stands."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts.forms import show_refusal
from accounts.identity import Identity
from portal.errors import Refusal
from portal.upload_check import stop_here_if_asked
from registry import access, publishing
from registry.forms import ReplaceForm
from registry.models import PackageFile
from registry.publishing import Claims, Outcome
from registry.refusing import immutable_channels
from registry.storage import Readable
from registry.views.file_pages import find_file, url_of
from registry.views.frame import channels_of, package_context, viewer
from registry.views.uploads import receiving


# As on the page of uploads: who may is decided before the form is read, and the check against
# forged requests reads all of it.
@csrf_exempt
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def file_replace(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    identity = viewer(request)
    file = find_file(identity, account, package, subdir, filename)
    access.require_delete(identity, file)
    if request.method != "POST":
        return _render(request, identity, file, ReplaceForm(name=file.filename))
    stop_here_if_asked(request.META)
    with receiving(request):
        return _replace(request, identity, file)


@csrf_protect
def _replace(request: HttpRequest, identity: Identity, file: PackageFile) -> HttpResponse:
    form = ReplaceForm(request.POST, request.FILES, name=file.filename)
    if not form.is_valid():
        return _render(request, identity, file, form)
    try:
        outcome = _take(identity, file, form)
    except Refusal as refusal:
        show_refusal(form, refusal)
        return _render(request, identity, file, form)
    if outcome is Outcome.REPLACED:
        now = PackageFile.objects.get(pk=file.pk)
        words = _("%(file)s is replaced: sha256 %(old)s… before, %(new)s… now.")
        said = {"file": file.filename, "old": file.sha256[:12], "new": now.sha256[:12]}
        messages.success(request, words % said)
    else:
        messages.info(request, _("These are the bytes that it has. Nothing changed."))
    return redirect(url_of(file))


def _take(identity: Identity, file: PackageFile, form: ReplaceForm) -> Outcome:
    # Where it stands, it stays; so any of its channels does as the way in.
    channels = channels_of(identity, file)
    destination = publishing.open_destination(
        identity, file.account.name, channels[0].name if channels else ""
    )
    published = publishing.publish_to(
        by=identity,
        destination=destination,
        body=cast(Readable, form.cleaned_data["file"].file),
        claims=Claims(
            filename=file.filename,
            subdir=file.subdir,
            sha256=form.cleaned_data["sha256"] or None,
        ),
        replaces=True,
    )
    return published.outcome


def _render(
    request: HttpRequest, identity: Identity, file: PackageFile, form: ReplaceForm
) -> HttpResponse:
    channels = channels_of(identity, file)
    immutable = immutable_channels(file.account, [(file.subdir, file.filename)])
    context: dict[str, Any] = {
        **package_context(identity, file.package, "files", _("Replace %s") % file.filename),
        "file": file,
        "file_url": url_of(file),
        "act_url": url_of(file, "file-replace"),
        "channels": [channel.name for channel in channels],
        "is_immutable": bool(immutable),
        "locked": [channel.name for channel in channels if channel.is_locked],
        "form": form,
    }
    wrong = bool(form.errors)
    return render(request, "registry/file_replace.html", context, status=422 if wrong else 200)
