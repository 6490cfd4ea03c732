"""Figures, the goals they are held against, and the one table they are printed in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

_MISSED = "✗"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be at least, or at most."""

    sign: str
    value: float

    def is_met_by(self, value: float) -> bool:
        return value >= self.value if self.sign == "≥" else value <= self.value

    def __str__(self) -> str:
        return f"{self.sign} {self.value:,g}"


def at_least(value: float) -> Goal:
    return Goal("≥", value)


def at_most(value: float) -> Goal:
    return Goal("≤", value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``samples`` are what ``value`` is the median of, if it is one."""

    what: str
    value: float
    unit: str
    goal: Goal | None = None
    samples: tuple[float, ...] = ()

    @property
    def is_missed(self) -> bool:
        return self.goal is not None and not self.goal.is_met_by(self.value)


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together. Those of a ``column`` stand beside those of the sections next
    to it that have one: the same lines for channels of another size."""

    title: str
    figures: list[Figure]
    column: str = ""


def median_of(what: str, samples: Sequence[float], unit: str, goal: Goal | None = None) -> Figure:
    return Figure(what, median(samples), unit, goal, tuple(samples))


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def table(sections: Sequence[Section]) -> str:
    width = max(len(figure.what) for section in sections for figure in section.figures)
    lines: list[str] = []
    for group in _groups(sections):
        lines += ["", group[0].title]
        lines += _grid(group, width) if group[0].column else _list(group[0].figures, width)
    goals = [figure for section in sections for figure in section.figures if figure.goal]
    missed = sum(figure.is_missed for figure in goals)
    lines += ["", f"{len(goals) - missed} of {len(goals)} goals met; {_MISSED} marks the others."]
    return "\n".join(lines)


def write_json(path: Path, sections: Sequence[Section], machine: str) -> None:
    document = {"machine": machine, "sections": [asdict(section) for section in sections]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _groups(sections: Sequence[Section]) -> Iterator[list[Section]]:
    """Sections of one title, each a column; the others by themselves."""
    group: list[Section] = []
    for section in sections:
        if group and not (section.column and section.title == group[0].title):
            yield group
            group = []
        group.append(section)
    if group:
        yield group


def _list(figures: Sequence[Figure], width: int) -> Iterator[str]:
    for figure in figures:
        spread = (
            f"{_number(min(figure.samples))} … {_number(max(figure.samples))}"
            if len(figure.samples) > 1
            else ""
        )
        goal = f"goal: {figure.goal}{_mark(figure)}" if figure.goal else ""
        line = f"  {figure.what:<{width}}  {_number(figure.value):>9} {figure.unit:<14}"
        yield f"{line} {spread:<19} {goal}".rstrip()


def _grid(sections: Sequence[Section], width: int) -> Iterator[str]:
    heads = "".join(f"{section.column:>12}" for section in sections)
    yield f"  {'':<{width}}  {'':<14}{heads}".rstrip()
    columns = [{figure.what: figure for figure in section.figures} for section in sections]
    for what in dict.fromkeys(what for column in columns for what in column):
        figures = [column.get(what) for column in columns]
        there = [figure for figure in figures if figure is not None]
        cells = "".join(f"{_cell(figure):>12}" for figure in figures)
        goals = ", ".join(str(figure.goal) if figure and figure.goal else "–" for figure in figures)
        has_goals = any(figure.goal for figure in there)
        tail = f"  goal: {goals}" if has_goals else ""
        yield f"  {what:<{width}}  {there[0].unit:<14}{cells}{tail}"


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None else f"{_number(figure.value)}{_mark(figure)}"


def _mark(figure: Figure) -> str:
    return f" {_MISSED}" if figure.is_missed else ""


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
