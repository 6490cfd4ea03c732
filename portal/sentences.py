"""Sentences that are kept, and said in the language of whoever reads them later.

`gettext` and `ngettext` are called as Django's are, and word a template in the language of now;
what they give also knows what it was made of. So does the reason of every `Refusal`.

What is kept of a sentence is JSON: ``{"template", "values"}``, with ``{"plural", "number"}`` where
the words depend on a number, or a list of sentences. A template that a later version doesn't know
is said as it stands, in English. What is nobody's template is a string, and said as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeAlias

from django.utils import translation

from portal.templatetags.ui import filesize, short_date, thousands

Kept: TypeAlias = str | list[Any] | dict[str, Any]
_SHORT = 80


class Number(int):
    """A number in a sentence, written with the separators of its language."""

    def __str__(self) -> str:
        return thousands(int(self))


class Size(int):
    """Bytes in a sentence."""

    def __str__(self) -> str:
        return filesize(int(self))


@dataclass(frozen=True, slots=True)
class Day:
    """A day in a sentence."""

    when: datetime

    def __str__(self) -> str:
        return short_date(self.when)


class Sentence(str):
    """A sentence as it was said in some language, and what it was made of.

    It is filled in by ``%`` with names. Added to something else, it is a mere string. Without a
    template it is somebody's own words.
    """

    template: str
    plural: str
    number: int
    values: Mapping[str, object]

    def __new__(
        cls,
        said: str,
        template: str = "",
        *,
        plural: str = "",
        number: int = 0,
        values: Mapping[str, object] | None = None,
    ) -> Self:
        made = super().__new__(cls, said)
        made.template, made.plural, made.number = template, plural, number
        made.values = values or {}
        return made

    def __mod__(self, values: Any) -> Sentence:
        return Sentence(
            super().__mod__(values),
            self.template,
            plural=self.plural,
            number=self.number,
            values=values,
        )


class _Several(Sentence):
    """Sentences that stand one after another."""

    parts: tuple[str, ...]


def gettext(template: str) -> Sentence:
    return Sentence(translation.gettext(template) if template else "", template)


def ngettext(template: str, plural: str, number: int) -> Sentence:
    said = translation.ngettext(template, plural, number)
    return Sentence(said, template, plural=plural, number=number)


def in_english(template: str, /, **values: object) -> Sentence:
    """A sentence that programs are told; `shown` says it to people in their language."""
    return Sentence(template % values if values else template, template, values=values)


def together(sentences: Iterable[str]) -> Sentence:
    """One after another."""
    parts = tuple(filter(None, sentences))
    said = _Several(" ".join(parts))
    said.parts = parts
    return said


# --- Keeping -----------------------------------------------------------------------------------


def kept(said: str, most: int) -> Kept:
    """What to store of a sentence of which ``most`` characters are kept.

    Of several, those are left out that are too many; in one, what fills it in is made short.
    """
    if isinstance(said, _Several):
        return _first(said.parts, most)
    if not isinstance(said, Sentence):
        return str(said)[:most]
    if len(said) <= most:
        whole: Kept = _as_json(said)
        return whole
    short: Kept = _as_json(said, _SHORT)
    with translation.override("en"):
        english = str(shown(short))
    return short if len(english) <= most else english[:most]


def _first(parts: Iterable[str], most: int) -> list[Kept]:
    found: list[Kept] = []
    for part in parts:
        if found and len(part) >= most:
            break
        found.append(kept(part, most))
        most -= len(part) + 1
    return found


def _as_json(value: object, short: int | None = None) -> Any:
    match value:
        case _Several(parts=parts):
            return [_as_json(part, short) for part in parts]
        case Sentence(template=str(template)) if template:
            said = {name: _as_json(one, short) for name, one in value.values.items()}
            forms = {"plural": value.plural, "number": value.number} if value.plural else {}
            return {"template": template, "values": said, **forms}
        case Number():
            return {"count": int(value)}
        case Size():
            return {"bytes": int(value)}
        case Day(when=when):
            return {"day": when.isoformat()}
        case int() | float():
            return value
    text = str(value)
    return text if short is None or len(text) <= short else text[: short - 1] + "…"


# --- Saying it again -----------------------------------------------------------------------------


def shown(kept: object) -> Sentence:
    """What was kept of a sentence, in the language of now."""
    match kept:
        case list():
            return together(map(shown, kept))
        case {"template": str(template), "values": dict(values), **form}:
            return _filled(_form(template, form), {k: _value(one) for k, one in values.items()})
    return Sentence(str(kept))


def english(said: str) -> str:
    """For logs, and whatever else is one language for all readers."""
    with translation.override("en"):
        return str(shown(_as_json(said)))


def _form(template: str, form: Mapping[Any, object]) -> Sentence:
    match form:
        case {"plural": str(plural), "number": int(number)}:
            return ngettext(template, plural, number)
    return gettext(template)


def _filled(said: Sentence, values: dict[str, object]) -> Sentence:
    if not values:
        return said
    try:
        return said % values
    except (KeyError, TypeError, ValueError):  # of a version with other places to fill in
        return Sentence(said.template)


def _value(kept: object) -> object:
    match kept:
        case {"count": int(count)}:
            return Number(count)
        case {"bytes": int(size_bytes)}:
            return Size(size_bytes)
        case {"day": str(when)}:
            return Day(datetime.fromisoformat(when))
        case dict() | list():
            return shown(kept)
    return kept
