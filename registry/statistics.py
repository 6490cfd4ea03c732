"""Small figures about packages, as far as the one who asks may see their files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from registry.models import Channel, ChannelFile, Download, DownloadTotal, PackageFile


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest version by the order of versions (CEP 33), and when its last file came."""

    version: str
    uploaded_at: datetime


def latest(files: QuerySet[PackageFile]) -> Latest | None:
    newest = files.order_by("-version_key", "-uploaded_at", "-pk")
    row = newest.values_list("version", "uploaded_at").first()
    return None if row is None else Latest(*row)


def total_downloads(files: QuerySet[PackageFile]) -> int:
    counted = DownloadTotal.objects.filter(file__in=files.order_by().values("pk"))
    return counted.aggregate(total=Sum("count"))["total"] or 0


def platforms(files: QuerySet[PackageFile]) -> list[str]:
    return sorted(files.order_by().values_list("subdir", flat=True).distinct())


def platforms_by_name(
    channels: QuerySet[Channel], names: Collection[str] | None = None
) -> dict[tuple[int, str], list[str]]:
    """The subdirs in which packages of these names, or of all, stand in the channels: by account
    and name. One query, of an index of the database alone."""
    entries = ChannelFile.objects.filter(channel__in=channels.order_by().values("pk"))
    if names is not None:
        entries = entries.filter(name__in=names)
    rows = entries.order_by("subdir").values_list("channel__account_id", "name", "subdir")
    found: dict[tuple[int, str], list[str]] = {}
    for account_id, name, subdir in rows.distinct().iterator():
        found.setdefault((account_id, name), []).append(subdir)
    return found


@dataclass(frozen=True, slots=True)
class Fetched:
    """How often files were downloaded: in the last days, and since they came."""

    in_30_days: int
    in_90_days: int
    ever: int


def downloads_of(files: QuerySet[PackageFile]) -> Fetched:
    """Two queries."""
    today = timezone.now().date()
    of_them = Download.objects.filter(file__in=files.order_by().values("pk"))
    counted = of_them.filter(day__gt=today - timedelta(days=90)).aggregate(
        in_90=Sum("count"),
        in_30=Sum("count", filter=Q(day__gt=today - timedelta(days=30))),
    )
    return Fetched(counted["in_30"] or 0, counted["in_90"] or 0, total_downloads(files))


def downloads_by_day(files: QuerySet[PackageFile], *, days: int) -> list[tuple[date, int]]:
    """The last ``days``, today the last of them, also those without any; one query."""
    today = timezone.now().date()
    first = today - timedelta(days=days - 1)
    rows = (
        Download.objects.filter(file__in=files.order_by().values("pk"), day__gte=first)
        .order_by()
        .values_list("day")
        .annotate(total=Sum("count"))
    )
    counted = dict(rows)
    span = (first + timedelta(days=offset) for offset in range(days))
    return [(day, counted.get(day, 0)) for day in span]
