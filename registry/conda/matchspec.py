"""Specs of packages, in the one form that records of ``v3`` have (CEP 29; CEP 43, 44, 45, 48).

Packages name what they need in many ways, ``xz >=5``, ``xz=5.6=h0``, and clients disagree on
some. A record of ``v3`` has ``xz`` or ``xz[version=">=5"]`` and nothing else, so the server
rewrites what index.json says, as rattler's indexer does. What a spec means stays: one that
clients read in two ways, or that says what no record may say, is refused with a sentence.

All of it takes time linear in the length of the spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from registry.conda.errors import (
    InvalidMetadataError,
    InvalidVersionError,
    Phrase,
    gettext_noop,
    quote,
)
from registry.conda.names import MAX_NAME_LENGTH
from registry.conda.version import sort_key

MAX_DEPTH = 16
MAX_PARTS = 200
"""Of a version or a condition: who sends more wants to keep us busy."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OPERATORS = ("==", "!=", ">=", "<=", "~=", "=", ">", "<")
_CLAUSE = re.compile(r"(==|!=|>=|<=|~=|=|>|<)?([A-Za-z0-9._+!-]*)(\*)?")
# ``name=version=build``, where the name is gone already.
_WITH_BUILD = re.compile(r"(==?)?([^=<>!~,|()]+)=([^=]+)")
_BUILD = re.compile(r"[A-Za-z0-9_.+*]+|\^[^\s\"'\\]*\$")
_BUILD_NUMBER = re.compile(r"(?:==|!=|>=|<=|=|>|<)?[0-9]{1,10}")
_KEY = re.compile(r"[a-z0-9_]+")
_GROUP = re.compile(r"[a-z0-9_.+-]{1,64}")  # CEP 44
_FLAG = re.compile(r"[a-z0-9_*]{1,64}(?::[a-z0-9_*]{1,64})?")  # CEP 45
# Possessive, so that what does not close is given up at once.
_CONDITION_WORD = re.compile(
    r"""\s*+([()]|(?:[^\s()\[\]]|\[(?:"[^"]*+"|'[^']*+'|\[[^\[\]]*+\]|[^\[\]"'])*+\])++)"""
)
_NEEDS_V3 = re.compile(r"[\[,]\s*(?:when|extras|flags)\s*=")
_FORBIDDEN = frozenset(
    ("channel", "subdir", "namespace", "name", "md5", "sha256", "url", "fn", "license",
     "license_family", "track_features", "features")
)  # fmt: skip


class InvalidSpecError(InvalidMetadataError):
    """A spec that can't stand in a record of ``v3``."""


_Error = Callable[[], InvalidSpecError]
"""Made when it is raised: nearly all specs are right."""


def v3_spec(spec: str) -> str:
    """The spec as a record of ``v3`` has it; what comes out of this comes back as it is.

    Raises `InvalidSpecError`.
    """
    return _parse(spec).text('"')


def needs_v3(spec: str) -> bool:
    """Whether the spec says what older clients can't read: a condition, extras or flags."""
    return "[" in spec and _NEEDS_V3.search(spec) is not None


@dataclass(frozen=True, slots=True)
class _Spec:
    name: str
    version: str = ""
    build: str = ""
    build_number: str = ""
    extras: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    when: str = ""

    def text(self, mark: str) -> str:
        """The spec in brackets, its values between quotation ``mark``s."""
        fields = [
            f"{key}={mark}{value}{mark}"
            for key, value in (("version", self.version), ("build", self.build))
            if value
        ]
        if self.build_number:
            plain = self.build_number.isdigit()
            fields.append(
                f"build_number={self.build_number if plain else mark + self.build_number + mark}"
            )
        for key, items in (("extras", self.extras), ("flags", self.flags)):
            if items:
                # YAML would take a bare "*" for something else.
                shown = (f"{mark}{item}{mark}" if {*"*:"} & {*item} else item for item in items)
                fields.append(f"{key}=[{','.join(shown)}]")
        if self.when:
            fields.append(f"when={mark}{self.when}{mark}")
        return f"{self.name}[{','.join(fields)}]" if fields else self.name

    def condition(self) -> str:
        """The spec as it stands in a condition, which is itself between double marks."""
        simple = self.version[:1] in {*"=<>!~"} and not {*",|()"} & {*self.version}
        if simple and self == _Spec(self.name, self.version):
            return f"{self.name}{self.version}"
        return self.text("'")


def _parse(spec: str, *, in_condition: bool = False) -> _Spec:
    head, bracket, rest = spec.partition("[")
    name, version, build = _positional(spec, head)
    fields = _fields(spec, rest) if bracket else {}
    for key, given in (("version", version), ("build", build)):
        if given and key in fields:
            raise _refused(
                spec,
                Phrase(gettext_noop("names the %(key)s twice"), key=key),
                Phrase(gettext_noop("Name it once")),
            )
    if in_condition and "when" in fields:
        raise _refused(
            spec,
            Phrase(gettext_noop("has a condition within a condition")),
            Phrase(gettext_noop("Leave one out")),
        )
    if "version" in fields:
        version = _version_expression(spec, "".join(fields["version"].split()))
    if "build" in fields:
        build = _checked(spec, "build", fields["build"], _BUILD)
    build_number = fields.get("build_number", "")
    if build_number:
        build_number = _checked(spec, "build_number", build_number, _BUILD_NUMBER)
    return _Spec(
        name=name,
        version=version,
        build=build,
        build_number=build_number,
        extras=_items(spec, "extras", fields, _GROUP),
        flags=_items(spec, "flags", fields, _FLAG),
        when=_condition(spec, fields["when"]) if "when" in fields else "",
    )


def _refused(spec: str, what: Phrase, do: Phrase) -> InvalidSpecError:
    return InvalidSpecError(
        gettext_noop(
            "The spec %(spec)s %(what)s, so it can't stand in a record for clients of repodata v3. "
            "%(do)s, as in 'xz[version=\">=5\"]', and rebuild the package."
        ),
        spec=quote(spec),
        what=what,
        do=do,
    )


# --- Name, version and build in their places -----------------------------------------------


def _positional(spec: str, head: str) -> tuple[str, str, str]:
    head = head.strip()
    match = _NAME.match(head)
    if match is None:
        raise _refused(
            spec,
            Phrase(gettext_noop("begins with no package name")),
            Phrase(gettext_noop("Begin with one")),
        )
    name, rest = match[0].lower(), head[match.end() :]
    if rest.startswith((":", "/")):
        raise _refused(
            spec,
            Phrase(gettext_noop("names a channel")),
            Phrase(gettext_noop("Leave the channel out")),
        )
    if rest and not rest[0].isspace() and rest[0] not in "=<>!~":
        raise _refused(
            spec,
            Phrase(gettext_noop("has %(character)s in the package name"), character=quote(rest[0])),
            Phrase(gettext_noop("Name one package")),
        )
    if len(name) > MAX_NAME_LENGTH:
        raise _refused(
            spec,
            Phrase(gettext_noop("has a name of over %(most)s letters"), most=MAX_NAME_LENGTH),
            Phrase(gettext_noop("Shorten it")),
        )
    version, build = _version_and_build(spec, _squeezed(rest))
    return name, version, build


def _squeezed(text: str) -> str:
    """Without the spaces that separate nothing: those that stay come before a build."""
    text = " ".join(text.split())
    for mark in ",|":
        text = text.replace(f" {mark}", mark).replace(f"{mark} ", mark)
    text = text.replace("( ", "(").replace(" )", ")")
    for mark in "=<>!~":
        text = text.replace(f"{mark} ", mark)
    return text


def _version_and_build(spec: str, text: str) -> tuple[str, str]:
    if not text:
        return "", ""
    version, space, build = text.partition(" ")
    by_equals = None if space else _WITH_BUILD.fullmatch(version)
    if by_equals is not None:
        # CEP 29: in ``name=1.0=h0`` the version is exact, however many signs come before it.
        version, build = f"{by_equals[1] or ''}{by_equals[2]}", by_equals[3]
    if build:
        build = _checked(spec, "build", build, _BUILD)
    elif space or by_equals is not None:
        raise _refused(
            spec,
            Phrase(gettext_noop("has no build where one is announced")),
            Phrase(gettext_noop("Name it")),
        )
    match = _CLAUSE.fullmatch(version)
    if match is None or match[1] not in {None, "=", "=="}:
        return _version_expression(spec, version), build
    # One version alone: here, and only here, its sign means something else than in brackets.
    sign, literal, star = match[1] or "", match[2], match[3] or ""
    if star:
        if sign == "==" and build:
            raise _refused(
                spec,
                Phrase(gettext_noop("is read differently by clients")),
                Phrase(gettext_noop("Write the version without =")),
            )
        return _version_expression(spec, literal + star), build
    if sign == "=" and build and by_equals is None:
        raise _refused(
            spec,
            Phrase(gettext_noop("is read differently by clients")),
            Phrase(gettext_noop("Write the version as 1.2.*")),
        )
    exact = sign != "=" or bool(build)
    return _version_expression(spec, f"=={literal}" if exact else f"{literal}.*"), build


def _version_expression(spec: str, text: str) -> str:
    """Check clauses joined by ``,`` and ``|``, with parentheses; they stay as they are."""
    depth, awaits_clause = 0, True
    for count, part in enumerate(_split_expression(text)):
        if part == "(" and awaits_clause:
            depth += 1
        elif part == ")" and not awaits_clause and depth:
            depth -= 1
        elif part in {",", "|"} and not awaits_clause:
            awaits_clause = True
        elif part not in {"(", ")", ",", "|"} and awaits_clause:
            _check_clause(spec, part)
            awaits_clause = False
        else:
            raise _refused(
                spec,
                Phrase(gettext_noop("has the version %(text)s"), text=quote(text)),
                Phrase(gettext_noop("Write a version")),
            )
        if depth > MAX_DEPTH or count > MAX_PARTS:
            raise _refused(
                spec,
                Phrase(gettext_noop("has too long a version")),
                Phrase(gettext_noop("Write a shorter one")),
            )
    if depth or awaits_clause:
        raise _refused(
            spec,
            Phrase(gettext_noop("has the version %(text)s"), text=quote(text)),
            Phrase(gettext_noop("Write a version")),
        )
    return text


def _split_expression(text: str) -> Iterator[str]:
    return (match[0] for match in re.finditer(r"[(),|]|[^(),|]+", text))


def _check_clause(spec: str, clause: str) -> None:
    match = _CLAUSE.fullmatch(clause)
    sign, literal, star = (match[1] or "", match[2], match[3] or "") if match else ("", "", "")
    if match and not literal and star and not sign:
        return
    if literal and star and sign in {"==", "~="}:
        raise _refused(
            spec,
            Phrase(gettext_noop("is read differently by clients")),
            Phrase(gettext_noop("Leave the star or the sign out")),
        )
    try:
        # In a spec a dash stands for "_"; in a version it could not be.
        sort_key((literal.removesuffix(".") if star else literal).lower().replace("-", "_"))
    except InvalidVersionError as error:
        raise _refused(
            spec,
            Phrase(gettext_noop("has the version %(clause)s"), clause=quote(clause)),
            Phrase(gettext_noop("Write a version")),
        ) from error


# --- Brackets --------------------------------------------------------------------------------


def _unreadable(spec: str) -> InvalidSpecError:
    return _refused(
        spec,
        Phrase(gettext_noop("has brackets that can't be read")),
        Phrase(gettext_noop('Write key="value" in them')),
    )


def _fields(spec: str, text: str) -> dict[str, str]:
    """What stands between the brackets; ``text`` begins behind the first. Lists lose theirs."""
    fields: dict[str, str] = {}
    unreadable = partial(_unreadable, spec)
    position = _behind_space(text, 0)
    while not text.startswith("]", position):
        key = _KEY.match(text, position)
        if key is None:
            raise unreadable()
        position = _behind_space(text, key.end())
        if not text.startswith("=", position):
            raise unreadable()
        value, position = _value(text, _behind_space(text, position + 1), unreadable)
        _add(spec, fields, key[0], value)
        position = _behind_space(text, position)
        if text.startswith(",", position):
            position = _behind_space(text, position + 1)
            if text.startswith("]", position):
                raise unreadable()
        elif not text.startswith("]", position):
            raise unreadable()
    if text[position + 1 :].strip():
        raise _refused(
            spec,
            Phrase(gettext_noop("goes on behind its brackets")),
            Phrase(gettext_noop("End with them")),
        )
    return fields


def _add(spec: str, fields: dict[str, str], key: str, value: str) -> None:
    if key in _FORBIDDEN:
        raise _refused(
            spec,
            Phrase(gettext_noop("sets %(key)s"), key=key),
            Phrase(gettext_noop("Leave it out")),
        )
    if key not in {"version", "build", "build_number", "extras", "flags", "when"}:
        raise _refused(
            spec,
            Phrase(gettext_noop("sets %(key)s, which no client knows"), key=quote(key)),
            Phrase(gettext_noop("Leave it out")),
        )
    if key in fields:
        raise _refused(
            spec,
            Phrase(gettext_noop("names the %(key)s twice"), key=key),
            Phrase(gettext_noop("Name it once")),
        )
    if not value.strip():
        raise _refused(
            spec,
            Phrase(gettext_noop("sets %(key)s to nothing"), key=key),
            Phrase(gettext_noop("Leave it out")),
        )
    fields[key] = value.strip()


def _behind_space(text: str, position: int) -> int:
    while text.startswith(" ", position):
        position += 1
    return position


def _value(text: str, position: int, unreadable: _Error) -> tuple[str, int]:
    """A value, without its marks, and where it ends."""
    mark = text[position : position + 1]
    if mark in {'"', "'"}:
        return _quoted(text, position, mark, unreadable)
    if mark == "[":
        end = text.find("]", position)
        if end < 0:
            raise unreadable()
        return text[position + 1 : end], end + 1
    end = position
    while end < len(text) and text[end] not in ",]\"'[":
        end += 1
    bare = text[position:end].strip()
    if " " in bare:
        raise unreadable()
    return bare, end


def _quoted(text: str, position: int, mark: str, unreadable: _Error) -> tuple[str, int]:
    found = []
    position += 1
    while position < len(text) and text[position] != mark:
        if text[position] == "\\":
            position += 1
            # Of other escapes clients make different things.
            if text[position : position + 1] not in {'"', "'", "\\"}:
                raise unreadable()
        found.append(text[position])
        position += 1
    if position >= len(text):
        raise unreadable()
    return "".join(found), position + 1


def _checked(spec: str, key: str, value: str, pattern: re.Pattern[str]) -> str:
    if pattern.fullmatch(value) is None:
        raise _refused(
            spec,
            Phrase(gettext_noop("has the %(key)s %(value)s"), key=key, value=quote(value)),
            Phrase(gettext_noop("Correct it")),
        )
    return value


def _items(
    spec: str, key: str, fields: dict[str, str], pattern: re.Pattern[str]
) -> tuple[str, ...]:
    if key not in fields:
        return ()
    items = []
    for item in fields[key].split(","):
        bare = item.strip()
        if bare[:1] in {'"', "'"} and len(bare) > 1 and bare[-1] == bare[0]:
            bare = bare[1:-1].strip()
        items.append(_checked(spec, key, bare, pattern))
    return tuple(items)


# --- Conditions (CEP 43) -----------------------------------------------------------------------


def _wrong_condition(spec: str, text: str) -> InvalidSpecError:
    return _refused(
        spec,
        Phrase(gettext_noop("has the condition %(text)s"), text=quote(text)),
        Phrase(gettext_noop("Join specs by 'and' and 'or'")),
    )


def _condition(spec: str, text: str) -> str:
    """A condition with each of its specs in the form that CEP 43 wants, otherwise as it is."""
    depth, awaits_spec = 0, True
    written: list[str] = []
    wrong = partial(_wrong_condition, spec, text)
    for count, part in enumerate(_condition_parts(text, wrong)):
        if part == "(" and awaits_spec:
            depth += 1
            written.append(part)
        elif part == ")" and not awaits_spec and depth:
            depth -= 1
            written.append(part)
        elif part in {"and", "or"} and not awaits_spec:
            awaits_spec = True
            written.append(f" {part} ")
        elif part not in {"(", ")", "and", "or"} and awaits_spec:
            leaf = _parse(part, in_condition=True)
            if leaf.name in {"not", "and", "or"}:
                raise wrong()
            awaits_spec = False
            written.append(leaf.condition())
        else:
            raise wrong()
        if depth > MAX_DEPTH or count > MAX_PARTS:
            raise wrong()
    if depth or awaits_spec:
        raise wrong()
    return "".join(written)


def _condition_parts(text: str, wrong: _Error) -> Iterator[str]:
    """Parentheses, ``and``, ``or`` and the specs between them."""
    words: list[str] = []
    for word in _condition_words(text, wrong):
        if word in {"(", ")", "and", "or"}:
            if words:
                yield " ".join(words)
                words = []
            yield word
        else:
            words.append(word)
    if words:
        yield " ".join(words)


def _condition_words(text: str, wrong: _Error) -> Iterator[str]:
    """Split at spaces and parentheses, but not within brackets or between marks."""
    position, text = 0, text.strip()
    while position < len(text):
        match = _CONDITION_WORD.match(text, position)
        if match is None:
            raise wrong()
        yield match[1]
        position = match.end()
