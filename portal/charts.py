"""What ``components/chart.html`` draws: numbers over time, with the same numbers as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from django.utils import formats

from portal.templatetags.ui import day as day_words

# Each has a colour and a dash of its own (``.series-1`` and so on).
MOST_SERIES = 6


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the axis of time, and what it is called."""

    label: str
    at: datetime

    @classmethod
    def of_day(cls, day: date) -> Point:
        return cls(day_words(day), datetime.combine(day, time(), UTC))

    @property
    def seconds(self) -> int:
        return int(self.at.timestamp())


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    numbers: Sequence[int]
    # What the legend says of it, where that is not its sum.
    figure: int | None = None

    @property
    def total(self) -> int:
        return sum(self.numbers)

    @property
    def shown(self) -> int:
        return self.total if self.figure is None else self.figure


@dataclass(frozen=True, slots=True)
class Chart:
    """Series that stand upon each other, the lowest first.

    ``sentence`` says what the drawing shows, ``span`` of what time, ``corner`` what the points
    are. Levels are not added up, as what there is on each day is not.
    """

    sentence: str
    span: str
    corner: str
    points: Sequence[Point]
    series: Sequence[Series]
    kind: Literal["area", "bars"] = "area"
    csv_url: str = ""
    are_levels: bool = False

    @property
    def rows(self) -> Iterator[tuple[Point, tuple[int, ...]]]:
        columns = zip(*(one.numbers for one in self.series), strict=True)
        return zip(self.points, columns, strict=True)

    @property
    def total(self) -> int:
        return sum(one.total for one in self.series)

    @property
    def stacked(self) -> list[list[int]]:
        """The upper edge of each series, the lowest first."""
        edges: list[list[int]] = []
        edge = [0] * len(self.points)
        for one in self.series:
            edge = [below + number for below, number in zip(edge, one.numbers, strict=True)]
            edges.append(edge)
        return edges


def step_of(days: int) -> int:
    """How many days one point stands for: beyond a hundred points nobody tells them apart."""
    return 1 if days <= 100 else 7


def bundled(numbers: Sequence[int], step: int) -> list[int]:
    """Sums of ``step`` numbers each, counted from the last; the first may be of fewer."""
    first = len(numbers) % step
    starts: Iterable[int] = range(first, len(numbers), step)
    head = [sum(numbers[:first])] if first else []
    return head + [sum(numbers[start : start + step]) for start in starts]


@dataclass(frozen=True, slots=True)
class Calendar:
    """How much there was on each day, weeks side by side."""

    sentence: str
    first: date
    numbers: Sequence[int]
    csv_url: str = ""

    @property
    def days(self) -> Iterator[tuple[date, int]]:
        return (
            (self.first + timedelta(days=offset), number)
            for offset, number in enumerate(self.numbers)
        )

    @property
    def months(self) -> list[tuple[str, int]]:
        """What each month sums up to, of those that have any."""
        found: dict[date, int] = {}
        for day, number in self.days:
            month = day.replace(day=1)
            found[month] = found.get(month, 0) + number
        return [(formats.date_format(month, "F Y"), found[month]) for month in found]


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    number: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Treemap:
    """Parts of a whole as areas, the largest first; ``corner`` says what they are, ``unit`` what
    their numbers are."""

    sentence: str
    corner: str
    unit: str
    tiles: Sequence[Tile]
    csv_url: str = ""

    @property
    def total(self) -> int:
        return sum(tile.number for tile in self.tiles)
