"""Figures, and the one table they are printed in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``samples`` are what ``value`` is the median of, if it is one."""

    what: str
    value: float
    unit: str
    goal: str = ""
    samples: tuple[float, ...] = ()


def median_of(what: str, samples: Sequence[float], unit: str, goal: str = "") -> Figure:
    return Figure(what, median(samples), unit, goal, tuple(samples))


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def table(sections: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    lines = []
    width = max(len(figure.what) for _, figures in sections for figure in figures)
    for title, figures in sections:
        lines += ["", title]
        for figure in figures:
            spread = (
                f"{_number(min(figure.samples))} … {_number(max(figure.samples))}"
                if len(figure.samples) > 1
                else ""
            )
            line = f"  {figure.what:<{width}}  {_number(figure.value):>8} {figure.unit:<16}"
            lines.append(f"{line} {spread:<17} {figure.goal}".rstrip())
    return "\n".join(lines)


def write_json(path: Path, sections: Sequence[tuple[str, Sequence[Figure]]], machine: str) -> None:
    document = {
        "machine": machine,
        "sections": {title: [asdict(figure) for figure in figures] for title, figures in sections},
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
