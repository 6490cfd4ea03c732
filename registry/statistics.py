"""Small figures about packages, as far as the one who asks may see their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    Count,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    TextChoices,
)  # fmt: skip
from django.db.models.functions import TruncDate
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from registry.models import (
    Channel,
    ChannelFile,
    Download,
    DownloadTotal,
    Package,
    PackageFile,
)  # fmt: skip

_MOST_LOOKED_AT = 100


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
    """The last ``days`` of at most ``most`` groups, the others being one of them. Three queries at
    most, which bring a row for each day and group shown, or platform."""
    first = _first_of(days)
    column = _COLUMNS[by]
    rows = _since(files, first)
    if by == Grouping.PLATFORM:
        # There are so few that one look at the rows brings them all.
        found = list(rows.values_list(column, "day").annotate(total=Sum("count")))
        totals: Counter[str] = Counter()
        for name, _day, count in found:
            totals[name] += count
        named = sorted((name for name in totals if totals[name]), key=lambda n: (-totals[n], n))
        largest = named[: most + 1]
        shown = largest if len(largest) <= most else largest[: most - 1]
        others = [(day, count) for name, day, count in found if name not in shown]
    else:
        by_total = rows.values_list(column).annotate(total=Sum("count")).filter(total__gt=0)
        largest = [name for name, _total in by_total.order_by("-total", column)[: most + 1]]
        shown = largest if len(largest) <= most else largest[: most - 1]
        # Of the others only the sums are told, so no group is made of each of them.
        of_shown = rows.filter(**{f"{column}__in": shown}).values_list(column, "day")
        found = list(of_shown.annotate(total=Sum("count")))
        others = [(day, -count) for _name, day, count in found]
        if len(largest) > most:
            others += rows.values_list("day").annotate(total=Sum("count"))
    counted: dict[str, list[int]] = {name: [0] * days for name in shown}
    left = [0] * days
    for name, day, count in found:
        if name in counted and 0 <= (day - first).days < days:
            counted[name][(day - first).days] += count
    for day, count in others:
        if 0 <= (day - first).days < days:
            left[(day - first).days] += count
    # What is fetched meanwhile is in the later of two queries only.
    none_below = [max(count, 0) for count in left]
    return Grouped(first, days, counted, none_below if len(largest) > most else None)


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


# --- Uploads and growth --------------------------------------------------------------------------


class _Day(TruncDate):
    """The day of a moment in UTC, as which SQLite keeps it: Django has Python work it out there,
    which takes ten times as long as the rest of the query."""

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_options: Any
    ) -> tuple[str, tuple[Any, ...]]:
        text, params = compiler.compile(self.lhs)
        return f"DATE({text})", tuple(params)


def uploads_by_day(files: QuerySet[PackageFile], *, days: int) -> list[tuple[date, int]]:
    """How many of these files came on each of the last ``days`` (UTC), the oldest first; one
    query."""
    first = _first_of(days)
    since = datetime.combine(first, time(), UTC)
    rows = (
        files.filter(uploaded_at__gte=since)
        .order_by()
        .annotate(day=_Day("uploaded_at", tzinfo=UTC))
        .values_list("day")
        .annotate(number=Count("*"))
    )
    counted = dict(rows)
    span = (first + timedelta(days=offset) for offset in range(days))
    return [(day, counted.get(day, 0)) for day in span]


def additions_by_day(channel: Channel, *, is_whole: bool) -> list[tuple[date, int]]:
    """On which days (UTC) what stands in the channel was put there, the oldest first; one query.
    As in `holdings`, without private packages unless ``is_whole``."""
    entries = ChannelFile.objects.filter(channel=channel)
    if not is_whole:
        private = Package.objects.filter(
            account=channel.account_id, is_private=True, name=OuterRef("name")
        )
        entries = entries.filter(~Exists(private))
    days = entries.order_by().annotate(day=_Day("added_at", tzinfo=UTC)).values_list("day")
    return sorted(days.annotate(number=Count("*")))


# --- This week -----------------------------------------------------------------------------------


def most_downloaded(
    files: QuerySet[PackageFile], packages: QuerySet[Package], *, days: int, most: int
) -> list[tuple[int, int]]:
    """The keys of those of these packages of which most was downloaded in the last ``days``, with
    how many of these files' downloads there were.

    Two queries. Only the packages with the most downloads of all are looked at: what the viewer
    may see is asked of a few, and counted exactly.
    """
    rows = Download.objects.filter(day__gte=_first_of(days)).order_by()
    of_all = rows.values_list("file__package").annotate(total=Sum("count")).order_by("-total")
    candidates = [pk for pk, _total in of_all[:_MOST_LOOKED_AT]]
    shown = rows.filter(
        file__in=files.order_by().filter(package__in=candidates).values("pk"),
        file__package__in=packages.order_by().filter(pk__in=candidates).values("pk"),
    )
    totals = shown.values_list("file__package").annotate(total=Sum("count")).filter(total__gt=0)
    return list(totals.order_by("-total", "file__package")[:most])
