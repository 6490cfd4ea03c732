"""JSON as every reader takes it (RFC 8259, and RFC 7493 on what to avoid).

Python's own reader is lenient where others are not: it takes NaN, 1e999 as infinity,
the last of two equal keys, UTF-16, and half a surrogate pair.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import msgspec

from registry.conda.errors import InvalidMetadataError, Phrase, gettext_noop, quote
from registry.conda.limits import DEFAULT_LIMITS, Limits

_MAX_INT_DIGITS = 20
_INT_RANGE = range(-(2**63), 2**64)
_NOT_ALLOWED = re.compile("[\x00\ud800-\udfff]")

# What nearly all metadata is made of, read in C by a decoder that is as strict as we are but for
# two things: it takes equal keys, and NUL as an escape.
_Plain = str | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | bool | None | list[str]
_plain_object: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(
    dict[str, _Plain | dict[str, _Plain]]
).decode
_PLAIN_DEPTH = 4
_REBUILD = Phrase(gettext_noop("rebuild the package"))
_KEY_END = re.compile(rb'"[ \t\r\n]*+:')


def parse_object(
    data: bytes, *, name: str, limits: Limits = DEFAULT_LIMITS, remedy: Phrase = _REBUILD
) -> dict[str, object]:
    """Parse the JSON object in ``data``; ``name`` is the file's and ``remedy`` what its maker can
    do, for messages."""
    if limits.json_depth >= _PLAIN_DEPTH and (plain := _plain(data)) is not None:
        return plain
    return _parse_strictly(data, name=name, limits=limits, remedy=remedy)


def _plain(data: bytes) -> dict[str, object] | None:
    """What is in ``data`` where it is plain and nothing is wrong; None for what must be looked
    at more closely."""
    if b"\\u" in data:
        return None
    try:
        value = _plain_object(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    keys = len(value)
    if data.count(b"{") > 1:
        keys += sum(len(inner) for inner in value.values() if isinstance(inner, dict))
    # Behind each key stands one of these. There may be more, in texts; less are found when a key
    # stands twice.
    return value if keys == data.count(b":") or keys == len(_KEY_END.findall(data)) else None


def _parse_strictly(data: bytes, *, name: str, limits: Limits, remedy: Phrase) -> dict[str, object]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidMetadataError(
            gettext_noop("%(name)s is not in UTF-8: %(remedy)s, or save the file as UTF-8."),
            name=name,
            remedy=remedy,
        ) from None
    if text.startswith("\ufeff"):
        raise InvalidMetadataError(
            gettext_noop(
                "%(name)s begins with a byte order mark: save the file as UTF-8 without one."
            ),
            name=name,
        )
    strict = _Strict(name)
    try:
        value = json.loads(
            text,
            object_pairs_hook=strict.object_of,
            parse_constant=strict.refuse_constant,
            parse_int=strict.integer,
            parse_float=strict.number,
        )
    except json.JSONDecodeError as error:
        raise InvalidMetadataError(
            gettext_noop(
                "%(name)s is not valid JSON (line %(line)s, column %(column)s): %(remedy)s."
            ),
            name=name,
            line=error.lineno,
            column=error.colno,
            remedy=remedy,
        ) from error
    except RecursionError as error:
        raise strict.too_deep(limits.json_depth) from error
    if not isinstance(value, dict):
        raise InvalidMetadataError(
            gettext_noop("%(name)s holds %(value)s where a JSON object is wanted: %(remedy)s."),
            name=name,
            value=quote(value),
            remedy=remedy,
        )
    # NUL and half pairs come from escapes alone: raw ones were refused above.
    if b"\\u" in data or data.count(b"{") + data.count(b"[") > limits.json_depth:
        _check_values(value, strict, limits)
    return value


class _Strict:
    def __init__(self, name: str) -> None:
        self._name = name

    def object_of(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InvalidMetadataError(
                gettext_noop(
                    "%(name)s has the key %(twice)s twice in one object. Readers disagree on which "
                    "counts: remove one."
                ),
                name=self._name,
                twice=quote(twice),
            )
        return value

    def refuse_constant(self, text: str) -> NoReturn:
        raise InvalidMetadataError(
            gettext_noop("%(name)s holds %(text)s, which is no JSON: use null, or a number."),
            name=self._name,
            text=text,
        )

    def integer(self, text: str) -> int:
        # Before int(): its time grows with the square of the digits.
        if len(text) > _MAX_INT_DIGITS or (value := int(text)) not in _INT_RANGE:
            raise InvalidMetadataError(
                gettext_noop(
                    "%(name)s holds the number %(text)s, which does not fit into 64 bits."
                ),
                name=self._name,
                text=quote(text),
            )
        return value

    def number(self, text: str) -> float:
        value = float(text)
        if value in {float("inf"), float("-inf")}:
            raise InvalidMetadataError(
                gettext_noop("%(name)s holds the number %(text)s, which is too large."),
                name=self._name,
                text=quote(text),
            )
        return value

    def text(self, text: str) -> None:
        if (match := _NOT_ALLOWED.search(text)) is not None:
            what = (
                Phrase(gettext_noop("a NUL character"))
                if match[0] == "\x00"
                else Phrase(gettext_noop("half of a surrogate pair"))
            )
            raise InvalidMetadataError(
                gettext_noop("%(name)s holds %(what)s in %(text)s: remove it."),
                name=self._name,
                what=what,
                text=quote(text),
            )

    def too_deep(self, depth: int) -> InvalidMetadataError:
        return InvalidMetadataError(
            gettext_noop("%(name)s is nested too deeply. At most %(depth)s levels are allowed."),
            name=self._name,
            depth=depth,
        )


def _check_values(value: object, strict: _Strict, limits: Limits) -> None:
    level: list[object] = [value]
    for _ in range(limits.json_depth):
        deeper: list[object] = []
        for item in level:
            if isinstance(item, str):
                strict.text(item)
            elif isinstance(item, dict):
                for key in item:
                    strict.text(key)
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        if not deeper:
            return
        level = deeper
    raise strict.too_deep(limits.json_depth)
