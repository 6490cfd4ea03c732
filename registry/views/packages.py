"""The pages of a package: what it is, how to get it, what was released, where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from accounts.models import Account
from registry import access, dependents, statistics
from registry.conda.provenance import package_url, provenance_of
from registry.filter_forms import PositionForm
from registry.models import Channel, ChannelFile, Collaborator, Package, PackageFile
from registry.views import listing
from registry.views.attested import signatures_of
from registry.views.badges import has_badges
from registry.views.frame import (
    channels_of,
    package_context,
    preference,
    viewer,
    visible_entries,
)
from registry.views.install import channel_url, install_variants
from registry.views.markdown import description_html
from registry.views.paging import links

_RELEASES_SHOWN = 5
_PEOPLE_SHOWN = 10
_CHANNELS_SHOWN = 8
_DAYS = 90
_MOST_COLUMNS = 200


def _found(request: HttpRequest, account: str, package: str) -> tuple[Identity, Package]:
    identity = viewer(request)
    return identity, access.find_package(identity, account, package)


def _standing(identity: Identity, account: Account) -> Exists:
    """Of a file: whether it stands in a channel that the viewer may know of."""
    return Exists(visible_entries(identity, account).filter(file=OuterRef("pk")))


def _install(
    identity: Identity,
    package: Package,
    files: QuerySet[PackageFile],
    newest: PackageFile,
    holders: list[Channel],
) -> dict[str, Any]:
    """How to get the newest version that can be installed, from the one channel that has it;
    ``holders`` are the channels that hold the newest file."""
    if not holders:
        standing = files.filter(_standing(identity, package.account)).defer("index", "about")
        installed = listing.newest_of(standing.select_related("account"))
        if installed is None:
            return {"variants": []}
        newest, holders = installed, channels_of(identity, installed)
    channel = holders[0]
    variants = install_variants(identity, channel, package.name, is_private=package.is_private)
    return {"variants": variants, "install_version": newest.version, "install_channel": channel}


@require_safe
def package(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _found(request, account, package)
    files = access.visible_files(identity, found)
    newest, size_bytes = listing.newest_and_size(files)
    context = package_context(identity, found, "overview")
    about = listing.about(found, newest)
    context |= {
        "newest": newest,
        "about": about,
        "description": description_html(about.description) if about.description else "",
        "links": _links(about),
        "people": _maintainers(found),
    }
    if newest is None:
        context["gone"] = _gone(found) if context["permission"] else None
        return render(request, "registry/package.html", context)
    shown = listing.releases(files, size=_RELEASES_SHOWN)
    channels, holders = _channels_and_holders(identity, found, files, newest)
    by_day = statistics.downloads_by_day(files, days=_DAYS)
    install = _install(identity, found, files, newest, holders)
    installed_from = install.get("install_channel")
    context |= {
        "matrix": listing.matrix(shown.rows),
        "has_more_versions": shown.has_after,
        "size_bytes": size_bytes,
        "channels": channels,
        "has_badges": has_badges(found, channels),
        "downloads": [count for _day, count in by_day],
        "downloads_total": sum(count for _day, count in by_day),
        "dependents": dependents.count_dependents(identity, found),
        "provenance": provenance_of(newest.about),
        "signatures": signatures_of(newest),
        "signed_filename": newest.filename,
        "purl": package_url(
            name=found.name,
            channel_url=channel_url(installed_from) if installed_from else "",
        ),
        **install,
    }
    return render(request, "registry/package.html", context)


def _gone(package: Package) -> PackageFile | None:
    """The file that was deleted last, where none is left: for those who belong there."""
    files = PackageFile.objects.filter(package=package)
    if files.present().exists():
        return None
    deleted = files.filter(deleted_at__isnull=False).defer("index", "about")
    return deleted.select_related("binned").order_by("-deleted_at").first()


def _links(about: listing.About) -> list[dict[str, str]]:
    named = [
        (gettext("Home"), about.home_url),
        (gettext("Documentation"), about.doc_url),
        (gettext("Source"), about.source_url),
        (gettext("Development"), about.dev_url),
    ]
    return [{"label": label, "url": url} for label, url in named if url]


def _channels_and_holders(
    identity: Identity, package: Package, files: QuerySet[PackageFile], newest: PackageFile
) -> tuple[list[Channel], list[Channel]]:
    """The channels that the viewer may know of and that hold any of ``files``, and those of them
    that hold ``newest``; the one to install from first."""
    inside = Channel.objects.filter(entries__file__in=files.order_by().values("pk"))
    holding = ChannelFile.objects.filter(channel=OuterRef("pk"), file=newest)
    found = (
        access.visible_channels(identity, package.account)
        .filter(pk__in=inside.values("pk"))
        .annotate(holds_newest=Exists(holding))
    )
    channels = sorted(found, key=preference)
    return list(channels), [channel for channel in channels if channel.holds_newest]


def _maintainers(package: Package) -> list[str]:
    """People named on the package itself who may publish it; groups stay among members."""
    named = Collaborator.objects.filter(package=package, user__isnull=False)
    writing = named.exclude(permission="read").order_by("user__username")
    return list(writing.values_list("user__username", flat=True)[:_PEOPLE_SHOWN])


# --- Files -------------------------------------------------------------------------------------


def with_channels(
    identity: Identity, account: Account, files: Sequence[PackageFile]
) -> list[dict[str, Any]]:
    """Rows of ``registry/files_table.html``: each file, and where it stands; one query."""
    return file_rows(files, channels_by_file(identity, account, files))


def channels_by_file(
    identity: Identity, account: Account, files: Sequence[PackageFile]
) -> dict[int, list[Channel]]:
    """Where each of the files stands, as far as the viewer may know; one query."""
    standing: dict[int, list[Channel]] = {}
    entries = visible_entries(identity, account).filter(file__in=[file.pk for file in files])
    for entry in entries.order_by("channel__name"):
        standing.setdefault(entry.file_id, []).append(entry.channel)
    return standing


def file_rows(
    files: Sequence[PackageFile], channels: dict[int, list[Channel]]
) -> list[dict[str, Any]]:
    rows = []
    for file in files:
        names = [channel.name for channel in channels.get(file.pk, [])]
        rows.append(
            {
                "file": file,
                "channels": names[:_CHANNELS_SHOWN],
                "more_channels": names[_CHANNELS_SHOWN:],
            }
        )
    return rows


# --- Channels ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    """How many files of a version stand in a channel, and what can be done about it."""

    channel: Channel
    count: int
    put_url: str = ""
    move_url: str = ""
    remove_url: str = ""


@require_safe
def package_channels(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """Which versions stand in which channel; who may write it puts them elsewhere from here."""
    identity, found = _found(request, account, package)
    context = package_context(identity, found, "channels", gettext("Channels"))
    form = PositionForm(request.GET)
    files = access.visible_files(identity, found)
    shown = listing.releases(files, after=form.value("after"), before=form.value("before"))
    channels = _columns(identity, found, files, may_change=context["may_change_files"])
    counts: dict[tuple[str, int], int] = {}
    entries = visible_entries(identity, found.account).filter(
        file__in=files.filter(version__in=[release.version for release in shown.rows])
        .order_by()
        .values("pk")
    )
    for standing, channel_id in entries.values_list("file__version", "channel"):
        counts[standing, channel_id] = counts.get((standing, channel_id), 0) + 1
    rows = [
        (
            release,
            [
                _cell(
                    found,
                    release.version,
                    channel,
                    counts.get((release.version, channel.pk), 0),
                    may_change=context["may_change_files"],
                )
                for channel in channels
            ],
        )
        for release in shown.rows
    ]
    context |= {
        "channels": channels,
        "rows": rows,
        **links(request, shown, [release.version for release in shown.rows]),
    }
    return render(request, "registry/package_channels.html", context)


def _columns(
    identity: Identity, package: Package, files: QuerySet[PackageFile], *, may_change: bool
) -> Sequence[Channel]:
    """The channels that hold any of it; for who may change that, some of the others too."""
    inside = ChannelFile.objects.filter(
        channel=OuterRef("pk"), file__in=files.order_by().values("pk")
    )
    channels = access.visible_channels(identity, package.account).annotate(holds=Exists(inside))
    if not may_change:
        return sorted(channels.filter(holds=True), key=preference)
    found = list(channels.order_by("-holds", "name")[:_MOST_COLUMNS])
    others = [channel for channel in found if not channel.holds and not channel.is_locked]
    return (
        sorted((channel for channel in found if channel.holds), key=preference)
        + sorted(others, key=preference)[:_CHANNELS_SHOWN]
    )


def _cell(
    package: Package, version: str, channel: Channel, count: int, *, may_change: bool
) -> _Cell:
    """Each act leads to its preview, filled in. A locked channel takes and gives nothing, and
    what an immutable one has stays."""
    if not may_change or channel.is_locked or (count and channel.is_immutable):
        return _Cell(channel, count)

    def address(page: str, **query: str) -> str:
        named = {"package": package.name, "all": "1", "version": version, **query}
        url = reverse(f"registry:{page}", args=[package.account.name])
        return f"{url}?{urlencode(named)}"

    if not count:
        return _Cell(channel, 0, put_url=address("files-copy", to=channel.name))
    # Where to is asked there; all that is known of taking out is known here.
    here = {"channel": channel.name}
    return _Cell(
        channel,
        count,
        move_url=address("files-move", **here),
        remove_url=address("files-remove", **here, **{"from": channel.name}),
    )
