"""Package files: finding one among many, and what to do with it."""

from __future__ import annotations

from datetime import UTC, datetime, time

from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from accounts.models import Account
from accounts.roles import Permission
from accounts.views.frame import act_of
from portal.errors import NotFound
from registry import access, placement
from registry.conda.errors import InvalidVersionError
from registry.conda.version import sort_key
from registry.filter_forms import IN_NO_CHANNEL, FilesForm
from registry.forms import PutForm
from registry.models import Channel, ChannelFile, PackageFile
from registry.refusing import ChannelLocked
from registry.views import listing
from registry.views.attested import with_marks
from registry.views.file_pages import file_info, find_file, url_of
from registry.views.frame import (
    package_context,
    viewer,
    visible_entries,
)
from registry.views.packages import with_channels
from registry.views.paging import links, slice_of

_CHANNELS_OFFERED = 200
_FIELDS = {
    "file": "filename",
    "platform": "subdir",
    "version": "version_key",
    "build": "build",
    "size": "size_bytes",
    "uploaded": "uploaded_at",
    "downloads": "download_count",
}
_NEWEST_FIRST = "-version"


@require_safe
def files(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    context = package_context(identity, found, "files", _("Files"))
    visible = access.visible_files(identity, found)
    form = files_form(identity, found.account, request.GET, with_none=context["may_write"])
    matching = _matching(identity, found.account, form)
    counted = _by_platform(visible, matching if context["may_write"] else Q())
    form.offer_platforms(listing.in_order(counted))
    rows = visible.filter(matching)
    sort = form.value("sort") or _NEWEST_FIRST
    shown = slice_of(
        with_marks(rows)
        .annotate(download_count=Coalesce("download_total__count", 0))
        .select_related("uploaded_by", "uploaded_with")
        .defer("index", "about", "run_exports", "findings", "channeldata_flags"),
        _order(sort),
        after=_position(form.value("after"), sort),
        before=_position(form.value("before"), sort),
    )
    context |= {
        "form": form,
        "files": with_channels(identity, found.account, shown.rows),
        "sorts": _sorts(request, sort),
        "total": sum(counted.values()),
        "is_one_page": not (shown.has_before or shown.has_after),
        "filters": form.filters(),
        **links(request, shown, [_cursor(file, sort) for file in shown.rows]),
    }
    return render(request, "registry/files.html", context)


def files_form(
    identity: Identity, account: Account, query: QueryDict, *, with_none: bool
) -> FilesForm:
    """The filters that a query holds; which platforms there are is found out with them."""
    channels = access.visible_channels(identity, account).order_by("name")
    return FilesForm(
        query,
        channels=channels.values_list("name", flat=True)[:_CHANNELS_OFFERED],
        with_none=with_none,
    )


def _by_platform(files: QuerySet[PackageFile], matching: Q) -> dict[str, int]:
    """The platforms of the files, and how many on each match; one query for both."""
    return dict(
        files.order_by()
        .values_list("subdir")
        .annotate(count=Count("pk", filter=matching) if matching else Count("pk"))
    )


def _order(sort: str) -> tuple[str, str]:
    sign = "-" if sort.startswith("-") else ""
    return f"{sign}{_FIELDS[sort.removeprefix('-')]}", f"{sign}pk"


def _sorts(request: HttpRequest, current: str) -> dict[str, dict[str, str]]:
    """For each column the address that sorts by it, and how it is sorted now."""
    found = {}
    for name in _FIELDS:
        query = request.GET.copy()
        for part in ("after", "before", "done"):
            query.pop(part, None)
        query["sort"] = f"-{name}" if current == name else name
        state = {name: "ascending", f"-{name}": "descending"}.get(current, "")
        found[name] = {"url": f"?{query.urlencode()}", "state": state}
    return found


def _cursor(file: PackageFile, sort: str) -> str:
    name = sort.removeprefix("-")
    value = getattr(file, "version" if name == "version" else _FIELDS[name])
    return f"{file.pk}-{value.isoformat() if isinstance(value, datetime) else value}"


def _position(text: str, sort: str) -> tuple[object, int] | None:
    """Where the row of that cursor stands, or stood."""
    number, _sep, value = text.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    try:
        match sort.removeprefix("-"):
            case "version":
                return sort_key(value), int(number)
            case "size" | "downloads":
                return min(int(value), 2**62), int(number)
            case "uploaded":
                when = datetime.fromisoformat(value)
                return (when, int(number)) if when.tzinfo else None
    except (ValueError, InvalidVersionError):
        return None
    return value, int(number)


def filtered(
    identity: Identity, account: Account, files: QuerySet[PackageFile], form: FilesForm
) -> QuerySet[PackageFile]:
    return files.filter(_matching(identity, account, form))


def _matching(identity: Identity, account: Account, form: FilesForm) -> Q:
    """What the filters ask of a file."""
    wanted = {
        "filename__icontains": form.value("q"),
        "subdir": form.value("platform"),
        "version": form.value("version"),
        "build__icontains": form.value("build"),
        "filename__endswith": form.value("format") and f".{form.value('format')}",
    }
    found = Q(**{name: value for name, value in wanted.items() if value})
    since = form.cleaned_data.get("since")
    if since:
        found &= Q(uploaded_at__gte=datetime.combine(since, time.min, tzinfo=UTC))
    channel = form.value("channel")
    if channel == IN_NO_CHANNEL:
        found &= ~Q(Exists(ChannelFile.objects.filter(file=OuterRef("pk"))))
    elif channel:
        inside = visible_entries(identity, account).filter(channel__name=channel)
        found &= Q(Exists(inside.filter(file=OuterRef("pk"))))
    return found


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
        messages.success(
            request,
            gettext("%(file)s stands in %(channel)s now.")
            % {"file": file.filename, "channel": channel.name},
        )
    else:
        messages.info(
            request,
            gettext("%(file)s stood in %(channel)s already.")
            % {"file": file.filename, "channel": channel.name},
        )
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
            gettext("%(file)s is out of %(target)s. The file is kept, and can be put back.")
            % {"file": file.filename, "target": target.name},
        )
    return redirect(url_of(file))
