"""Patches of a channel, for those who manage it: sets of instructions, and edits of one file."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from accounts.forms import show_refusal
from accounts.identity import Identity
from accounts.views.frame import act_of, form_page, page, page_of
from portal.errors import Conflict, InvalidInput, NotFound, Refusal
from portal.upload_check import stop_here_if_asked
from registry import access, patched, patching
from registry.conda.subdirs import KNOWN_SUBDIRS
from registry.forms import InstructionsForm, RecordForm
from registry.models import Channel, ChannelFile, PackageFile, Patch
from registry.patching import Effect, InvalidPatch
from registry.refusing import ChannelLocked
from registry.storage import Readable
from registry.views.channel_settings import channel_frame, managed_channel
from registry.views.diffs import shown_changes
from registry.views.file_pages import find_file, url_of
from registry.views.files import standing_in
from registry.views.frame import package_context, viewer
from registry.views.uploads import receiving


def _patched_channel(request: HttpRequest, account: str, name: str) -> tuple[Identity, Channel]:
    identity, channel = managed_channel(request, account, name)
    access.require_patching(identity, channel)
    return identity, channel


def _list_url(channel: Channel) -> str:
    return reverse("registry:channel-patches", args=[channel.account.name, channel.name])


@page
def channel_patches(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    _, found = _patched_channel(request, account, channel)
    return _render(request, found)


def _render(
    request: HttpRequest,
    channel: Channel,
    *,
    form: InstructionsForm | None = None,
    effect: Effect | None = None,
) -> HttpResponse:
    """The channel's patches; with a form, the answer to it."""
    rows = Patch.objects.filter(channel=channel).select_related("applied_by", "undone_by")
    context = {
        **channel_frame(request, channel, gettext("Patches")),
        "page": page_of(request, rows.order_by("-pk")),
        "form": form or InstructionsForm(),
        "platforms": KNOWN_SUBDIRS,
        "effect": effect,
        "diffs": _diffs(effect) if effect is not None else [],
    }
    wrong = form is not None and bool(form.errors)
    return render(request, "registry/channel_patches.html", context, status=422 if wrong else 200)


def _diffs(effect: Effect) -> list[dict[str, Any]]:
    return [{"diff": each, "changes": shown_changes(each.keys)} for each in effect.diffs]


# As with packages: who may is decided before the form is read, and the check against forged
# requests reads the whole form.
@csrf_exempt
@act_of("registry:channel-patches")
def patches_apply(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    identity, found = _patched_channel(request, account, channel)
    stop_here_if_asked(request.META)
    with receiving(request):
        return _apply(request, identity, found)


@csrf_protect
def _apply(request: HttpRequest, identity: Identity, channel: Channel) -> HttpResponse:
    form = InstructionsForm(request.POST, request.FILES)
    if not form.is_valid():
        return _render(request, channel, form=form)
    sent = cast("UploadedFile[Any]", form.cleaned_data["document"])
    what = {
        "by": identity,
        "channel": channel,
        "subdir": form.cleaned_data["subdir"],
        "body": cast(Readable, sent.file),
    }
    try:
        if form.cleaned_data["dry_run"]:
            effect = patching.preview_instructions(**what)
            return _render(request, channel, form=form, effect=effect)
        applied = patching.upload_instructions(**what, note=form.cleaned_data["note"])
    except InvalidPatch as refusal:
        form.add_error("document", refusal.detail)
    except (ChannelLocked, InvalidInput) as refusal:
        show_refusal(form, refusal)
    else:
        messages.success(
            request, gettext("The set is applied. %(words)s") % {"words": _words(applied.effect)}
        )
        return redirect(_list_url(channel))
    return _render(request, channel, form=form)


def _words(effect: Effect) -> str:
    words = ngettext(
        "The index says otherwise of %(count)s file.",
        "The index says otherwise of %(count)s files.",
        effect.changed,
    )
    return words % {"count": f"{effect.changed:,}"}


@act_of("registry:channel-patches", "patch")
def patch_undo(request: HttpRequest, account: str, patch: int, channel: str) -> HttpResponse:
    identity, found = _patched_channel(request, account, channel)
    row = Patch.objects.select_related("channel__account").filter(channel=found, pk=patch).first()
    if row is None:
        raise NotFound
    try:
        undone = patching.undo_patch(by=identity, patch=row)
    except (ChannelLocked, Conflict) as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request, gettext("The patch is undone. %(words)s") % {"words": _words(undone.effect)}
        )
    return redirect(_list_url(found))


# --- One file ------------------------------------------------------------------------------------


@form_page
def file_patch(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str, channel: str
) -> HttpResponse:
    """Edit what a channel says that the file depends on."""
    identity = viewer(request)
    file = find_file(identity, account, package, subdir, filename)
    target = standing_in(identity, file, channel)
    access.require_patching(identity, target)
    entry = ChannelFile.objects.select_related("file", "patched").get(channel=target, file=file)
    said = patched.record_of_entry(entry)
    initial = {key: "\n".join(said.get(key) or []) for key in ("depends", "constrains")}
    form = RecordForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        refusal = _edit(identity, target, file, form)
        if refusal is None:
            messages.success(
                request,
                gettext("%(target)s says otherwise of %(file)s. It can be undone.")
                % {"target": target.name, "file": file.filename},
            )
            return redirect(url_of(file))
        show_refusal(form, refusal)
    context = {
        **package_context(
            identity, file.package, "files", file.filename, gettext("Edit dependencies")
        ),
        "file": file,
        "file_url": url_of(file),
        "channel": target,
        "form": form,
        "changes": shown_changes(patched.differences(entry)),
        "edits": Patch.objects.filter(
            channel=target, subdir=file.subdir, filename=file.filename, undone_at=None
        )
        .select_related("applied_by")
        .order_by("-pk"),
        "patches_url": _list_url(target),
    }
    context["crumbs"][2]["url"] = url_of(file)
    wrong = bool(form.errors)
    return render(request, "registry/file_patch.html", context, status=422 if wrong else 200)


def _edit(
    identity: Identity, channel: Channel, file: PackageFile, form: RecordForm
) -> Refusal | None:
    try:
        patching.edit_record(by=identity, channel=channel, file=file, **form.cleaned_data)
    except (ChannelLocked, Conflict, InvalidInput, InvalidPatch) as refusal:
        return refusal
    return None
