"""What a package is said to be, which follows its files."""

from __future__ import annotations

from django.db.models import QuerySet

from registry.conda.record import description_fields
from registry.conda.version import sort_key
from registry.models import Channel, ChannelFile, Package, PackageFile

_DESCRIPTION = (
    "latest_version", "summary", "description", "license", "home_url", "dev_url", "doc_url",
    "source_url",
)  # fmt: skip


def describe(file: PackageFile, channel: Channel) -> None:
    """Let what describes the package follow a file that came into ``channel``, unless it is of
    an older version.

    Whoever may know of the package sees this. So what comes into a private channel changes
    nothing for a package that stands in a public one, and the first file in a public one all.
    """
    row = file.package
    is_shown = (
        ChannelFile.objects.filter(file__package=row, channel__visibility=Channel.Visibility.PUBLIC)
        .exclude(file=file, channel=channel)
        .exists()
    )
    if is_shown and channel.is_private:
        return
    follows = is_shown or channel.is_private
    if follows and row.latest_version and sort_key(file.version) < sort_key(row.latest_version):
        return
    fields = description_fields(file.about)
    row.latest_version = file.version
    row.summary = fields["summary"][:1000]
    row.description = fields["description"]
    row.license = (str(file.index.get("license") or "") or fields["license"])[:255]
    row.home_url = fields["home"][:500]
    row.dev_url = fields["dev_url"][:500]
    row.doc_url = fields["doc_url"][:500]
    row.source_url = fields["source_url"][:500]
    # Not the whole row: it may have been made private since it was read.
    row.save(update_fields=[*_DESCRIPTION, "updated_at"])


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
