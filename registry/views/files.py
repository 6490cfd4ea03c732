"""Package files: finding one among many, and what to do with it."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.forms import TypedNameForm
from accounts.identity import Identity
from accounts.roles import Permission
from accounts.views.frame import act_of, form_page
from portal.errors import Conflict, Forbidden, NotFound
from registry import access, placement
from registry.conda.errors import InvalidVersionError
from registry.conda.version import sort_key
from registry.forms import IN_NO_CHANNEL, FilesForm, PutForm
from registry.models import Channel, ChannelFile, Package, PackageFile
from registry.refusing import ChannelLocked
from registry.views import listing
from registry.views.file_pages import file_info, find_file, url_of
from registry.views.frame import (
    package_context,
    viewer,
    visible_entries,
)
from registry.views.packages import with_channels
from registry.views.paging import links, slice_of

_ORDER = ("-version_key", "-pk")
_CHANNELS_OFFERED = 200


@require_safe
def files(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    context = package_context(identity, found, "files", "Files")
    visible = access.visible_files(identity, found)
    platforms = visible.order_by().values_list("subdir", flat=True).distinct()
    channels = access.visible_channels(identity, found.account).order_by("name")
    form = FilesForm(
        request.GET,
        platforms=listing.in_order(platforms),
        channels=channels.values_list("name", flat=True)[:_CHANNELS_OFFERED],
        with_none=context["may_write"],
    )
    rows = _filtered(identity, found, visible, form)
    shown = slice_of(
        rows.select_related("uploaded_by", "uploaded_with").defer("index", "about"),
        _ORDER,
        after=_position(form.value("after")),
        before=_position(form.value("before")),
    )
    context |= {
        "form": form,
        "files": with_channels(identity, found.account, shown.rows),
        **links(request, shown, [_cursor(file) for file in shown.rows]),
    }
    return render(request, "registry/files.html", context)


def _cursor(file: PackageFile) -> str:
    return f"{file.pk}-{file.version}"


def _position(text: str) -> tuple[bytes, int] | None:
    """Where the row of that cursor stands, or stood."""
    number, _, version = text.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    try:
        return sort_key(version), int(number)
    except InvalidVersionError:
        return None


def _filtered(
    identity: Identity, package: Package, files: QuerySet[PackageFile], form: FilesForm
) -> QuerySet[PackageFile]:
    if form.value("q"):
        files = files.filter(filename__icontains=form.value("q"))
    if form.value("platform"):
        files = files.filter(subdir=form.value("platform"))
    if form.value("version"):
        files = files.filter(version=form.value("version"))
    channel = form.value("channel")
    if channel == IN_NO_CHANNEL:
        return files.filter(~Exists(ChannelFile.objects.filter(file=OuterRef("pk"))))
    if channel:
        inside = visible_entries(identity, package.account).filter(channel__name=channel)
        return files.filter(Exists(inside.filter(file=OuterRef("pk"))))
    return files


# --- Acts --------------------------------------------------------------------------------------


@act_of("registry:file")
def file_put(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    """Put it into one more channel."""
    identity = viewer(request)
    file = find_file(identity, account, package, subdir, filename)
    access.require_package(identity, file.package, Permission.WRITE)
    names = access.visible_channels(identity, file.account).values_list("name", flat=True)
    form = PutForm(request.POST, channels=list(names))
    if not form.is_valid():
        return file_info(request, identity, file, form)
    channel = access.find_channel(identity, account, form.cleaned_data["channel"])
    try:
        added = placement.add_to_channel(by=identity, file=file, channel=channel)
    except ChannelLocked as refusal:
        form.add_error("channel", refusal.detail)
        return file_info(request, identity, file, form)
    if added:
        messages.success(request, f"{file.filename} stands in {channel.name} now.")
    else:
        messages.info(request, f"{file.filename} stood in {channel.name} already.")
    return redirect(url_of(file))


def standing_in(identity: Identity, file: PackageFile, name: str) -> Channel:
    channel = access.find_channel(identity, file.account.name, name)
    if not ChannelFile.objects.filter(channel=channel, file=file).exists():
        raise NotFound
    return channel


@act_of("registry:file", "channel")
def file_remove(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str, channel: str
) -> HttpResponse:
    """Take it out of a channel; putting it back is one press, so nothing is asked before."""
    identity = viewer(request)
    file = find_file(identity, account, package, subdir, filename)
    access.require_package(identity, file.package, Permission.WRITE)
    target = standing_in(identity, file, channel)
    try:
        placement.remove_from_channel(by=identity, file=file, channel=target)
    except ChannelLocked as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request,
            f"{file.filename} is out of {target.name}. The file is kept, and can be put back.",
        )
    return redirect(url_of(file))


@form_page
def file_delete(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    identity = viewer(request)
    file = find_file(identity, account, package, subdir, filename)
    access.require_delete(identity, file)
    form = TypedNameForm(request.POST or None, name=file.filename)
    if request.method == "POST" and form.is_valid():
        try:
            placement.delete_file(by=identity, file=file)
        except (Conflict, Forbidden) as refusal:
            form.add_error(None, refusal.detail)
        else:
            messages.success(request, f"{file.subdir}/{file.filename} is deleted.")
            return redirect(reverse("registry:files", args=[file.account.name, file.name]))
    entries = visible_entries(identity, file.account).filter(file=file)
    context = {
        **package_context(identity, file.package, "files", f"Delete {file.filename}"),
        "file": file,
        "file_url": url_of(file),
        "channels": [entry.channel.name for entry in entries],
        "form": form,
    }
    wrong = bool(form.errors)
    return render(request, "registry/file_delete.html", context, status=422 if wrong else 200)
