"""What ``index.json`` says, as lists and words; what has another shape is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from registry.models import PackageFile

_MAX_SPECS = 500
_SPEC = re.compile(r"(?:[^\s]+::)?([A-Za-z0-9_][A-Za-z0-9_.-]*)\s*(.*)", re.DOTALL)
_PYTHON = re.compile(r"python\s+(\d+\.\d+)\.?\*?(?:\s|,|$)|python\s+>=(\d+\.\d+),<\d")


@dataclass(frozen=True, slots=True)
class Spec:
    """A dependency: which package, and what is asked of it."""

    name: str
    rest: str

    @property
    def text(self) -> str:
        return f"{self.name} {self.rest}".strip()


@dataclass(frozen=True, slots=True)
class IndexWords:
    depends: list[Spec]
    constrains: list[Spec]
    license: str
    license_family: str
    noarch: str
    features: str
    track_features: str
    built_at: datetime | None


def index_words(file: PackageFile) -> IndexWords:
    index = file.index
    return IndexWords(
        depends=specs(index.get("depends")),
        constrains=specs(index.get("constrains")),
        license=_word(index.get("license")),
        license_family=_word(index.get("license_family")),
        noarch=_word(index.get("noarch")),
        features=_word(index.get("features")),
        track_features=_word(index.get("track_features")),
        built_at=built_at(index.get("timestamp")),
    )


def specs(value: object) -> list[Spec]:
    if not isinstance(value, list):
        return []
    return [spec(item) for item in value[:_MAX_SPECS] if isinstance(item, str)]


def spec(text: str) -> Spec:
    match = _SPEC.fullmatch(text.strip())
    return Spec(match[1], match[2]) if match else Spec(text, "")


def _word(value: object) -> str:
    if isinstance(value, list):
        return " ".join(item for item in value if isinstance(item, str))
    return value if isinstance(value, str) else ""


def built_at(value: object) -> datetime | None:
    """Builders write seconds or milliseconds."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        return None
    seconds = value / 1000 if value > 253_402_300_799 else value
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return None


def variant_chips(depends: list[Spec]) -> list[str]:
    """What tells builds of one version apart for people: the Python they are for, and CUDA."""
    chips = []
    for each in depends:
        match = _PYTHON.match(each.text)
        if match:
            chips.append(f"python {match[1] or match[2]}")
        elif each.name in {"cuda-version", "cudatoolkit", "r-base", "perl", "numpy"}:
            digits = re.search(r"\d+(?:\.\d+)?", each.rest)
            if digits:
                chips.append(f"{each.name.removesuffix('-version')} {digits[0]}")
    return sorted(set(chips))
