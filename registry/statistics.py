"""Small figures about packages, as far as the one who asks may see their files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Case, CharField, F, Q, QuerySet, Sum, TextChoices, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

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
    first = _first_of(days)
    counted = dict(_since(files, first).values_list("day").annotate(total=Sum("count")))
    span = (first + timedelta(days=offset) for offset in range(days))
    return [(day, counted.get(day, 0)) for day in span]


# --- By day and group ----------------------------------------------------------------------------


class Grouping(TextChoices):
    PLATFORM = "platform", _("By platform")
    VERSION = "version", _("By version")


_COLUMNS = {Grouping.PLATFORM: "file__subdir", Grouping.VERSION: "file__version"}


@dataclass(frozen=True, slots=True)
class Grouped:
    """Counts of each day, the oldest first, of each group, the largest first; ``others`` are all
    groups that are not among them, and None where there are none."""

    first: date
    days: int
    groups: dict[str, list[int]]
    others: list[int] | None

    @property
    def total(self) -> int:
        return sum(map(sum, self.groups.values())) + sum(self.others or ())


def downloads_by_group(
    files: QuerySet[PackageFile], *, by: Grouping, days: int, most: int
) -> Grouped:
    """The last ``days`` of at most ``most`` groups, the others being one of them. Two queries,
    neither of which brings more rows than there are days and groups shown."""
    first = _first_of(days)
    column = _COLUMNS[by]
    rows = _since(files, first)
    totals = rows.values_list(column).annotate(total=Sum("count")).filter(total__gt=0)
    largest = [name for name, _total in totals.order_by("-total", column)[: most + 1]]
    shown = largest if len(largest) <= most else largest[: most - 1]
    # Names of groups are never empty.
    group = Case(
        When(**{f"{column}__in": shown}, then=F(column)),
        default=Value(""),
        output_field=CharField(),
    )
    counted: dict[str, list[int]] = {name: [0] * days for name in shown}
    others = [0] * days
    found = rows.annotate(group=group).values_list("group", "day").annotate(total=Sum("count"))
    for name, day, count in found:
        offset = (day - first).days
        if offset < days:
            counted.get(name, others)[offset] = count
    return Grouped(first, days, counted, others if len(largest) > most else None)


def each_day_of_groups(
    files: QuerySet[PackageFile], *, by: Grouping, days: int
) -> Iterator[tuple[date, str, int]]:
    """Every day and group that was downloaded at all, in order; nothing is held."""
    column = _COLUMNS[by]
    rows = _since(files, _first_of(days)).values_list("day", column)
    return rows.annotate(total=Sum("count")).order_by("day", column).iterator()


def _first_of(days: int) -> date:
    return timezone.now().date() - timedelta(days=days - 1)


def _since(files: QuerySet[PackageFile], first: date) -> QuerySet[Download]:
    return Download.objects.filter(
        file__in=files.order_by().values("pk"), day__gte=first
    ).order_by()
