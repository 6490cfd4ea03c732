"""What a package is said to be, which follows its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from registry.conda.record import description_fields
from registry.conda.version import sort_key
from registry.models import Channel, ChannelFile, Package, PackageFile, bulk

_DESCRIPTION = (
    "latest_version", "summary", "description", "license", "home_url", "dev_url", "doc_url",
    "source_url",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A file that comes into a channel, and what it says of its package."""

    package: Package
    version: str
    license: str
    about: Mapping[str, object]


def shown_packages(packages: Iterable[Package]) -> set[int]:
    """Those of the packages that stand in a public channel."""
    standing = ChannelFile.objects.filter(
        file__package=OuterRef("pk"), channel__visibility=Channel.Visibility.PUBLIC
    )
    ids = [package.pk for package in packages]
    shown = Package.objects.filter(Exists(standing), pk__in=ids).order_by()
    return set(shown.values_list("pk", flat=True))


def describe(newcomers: Iterable[Newcomer], channel: Channel, *, shown: set[int]) -> None:
    """Let what describes packages follow the files that came into ``channel``, unless they are
    of an older version. ``shown`` are the packages that stood in a public channel before.

    Whoever may know of the package sees this. So what comes into a private channel changes
    nothing for a package that stands in a public one, and the first file in a public one all.
    """
    shown = set(shown)
    chosen: dict[int, Newcomer] = {}
    for newcomer in newcomers:
        row = newcomer.package
        is_shown = row.pk in shown
        if is_shown and channel.is_private:
            continue
        latest = row.latest_version
        follows = is_shown or channel.is_private
        if follows and latest and sort_key(newcomer.version) < sort_key(latest):
            continue
        row.latest_version = newcomer.version
        chosen[row.pk] = newcomer
        if not channel.is_private:
            shown.add(row.pk)
    for newcomer in chosen.values():
        _describe(newcomer)
    # Not the whole rows: they may have been made private since they were read.
    bulk.update([newcomer.package for newcomer in chosen.values()], _DESCRIPTION)


def _describe(newcomer: Newcomer) -> None:
    row, fields = newcomer.package, description_fields(newcomer.about)
    row.summary = fields["summary"][:1000]
    row.description = fields["description"]
    row.license = (newcomer.license or fields["license"])[:255]
    row.home_url = fields["home"][:500]
    row.dev_url = fields["dev_url"][:500]
    row.doc_url = fields["doc_url"][:500]
    row.source_url = fields["source_url"][:500]


def follow_newest(package: Package) -> None:
    """Let the latest version be that of the newest file left: of those in public channels, as
    long as there are any."""
    files = PackageFile.objects.filter(package=package, deleted_at=None)
    in_public = files.filter(entries__channel__visibility=Channel.Visibility.PUBLIC)
    newest = _newest_version(in_public) or _newest_version(files) or ""
    Package.objects.filter(pk=package.pk).update(latest_version=newest)


def _newest_version(files: QuerySet[PackageFile]) -> str | None:
    ordered = files.order_by("-version_key", "-uploaded_at")
    return ordered.values_list("version", flat=True).first()
