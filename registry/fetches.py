"""How often each package was fetched lately, noted beside it: lists are sorted by it.

What a page shows of one package is counted when it is asked for. For 100,000 packages that would be
millions of days, so a chore adds them up: once for everybody, of files in public channels, and once
for who belongs to the account, of files in any of its channels.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from registry.models import Channel, ChannelFile, Download, Package, PackageFile

DAYS = 30
_BATCH = 500


def note_fetches() -> int:
    """Count anew for all packages; of how many the numbers changed."""
    changed = last = 0
    while packages := list(
        Package.objects.filter(pk__gt=last)
        .order_by("pk")
        .only("pk", "fetched", "fetched_publicly")[:_BATCH]
    ):
        counted = dict[int, tuple[int, int]](
            (pk, (whole, public or 0))
            for pk, whole, public in _sums(packages[0].pk, packages[-1].pk)
        )
        differing = []
        for package in packages:
            known = (package.fetched, package.fetched_publicly)
            package.fetched, package.fetched_publicly = counted.get(package.pk, (0, 0))
            if known != (package.fetched, package.fetched_publicly):
                differing.append(package)
        if differing:
            Package.objects.bulk_update(differing, ["fetched", "fetched_publicly"])
        changed += len(differing)
        last = packages[-1].pk
    return changed


def _sums(first: int, last: int) -> QuerySet[Download, tuple[int, int, int | None]]:
    """Of the packages from one key to another that were fetched: whole, and publicly."""
    since = timezone.now().date() - timedelta(days=DAYS)
    files = PackageFile.objects.staying().filter(package__gte=first, package__lte=last)
    entries = ChannelFile.objects.filter(file=OuterRef("file"))
    in_public = Exists(entries.filter(channel__visibility=Channel.Visibility.PUBLIC))
    rows = Download.objects.filter(Exists(entries), file__in=files.values("pk"), day__gt=since)
    return (
        rows.order_by()
        .values_list("file__package")
        .annotate(
            whole=Sum("count"),
            public=Sum("count", filter=Q(in_public) & Q(file__package__is_private=False)),
        )
    )
