"""What is wrong by the format is said in templates, which can be said in other languages."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import registry
from portal.catalogues import catalogues, entries
from registry.conda import attestation, matchspec, names, patches, relations
from registry.conda.errors import Count, FormatError, Phrase, gettext_noop, quote

ROOM = Path(registry.__file__).parent
_MODULES = (attestation, matchspec, names, patches, relations)  # all errors are known from here on
_PLACES = re.compile(r"%\((\w+)\)s")


def errors(of: type[FormatError] = FormatError) -> Iterator[type[FormatError]]:
    yield of
    for error in of.__subclasses__():
        yield from errors(error)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """All places at which an error or a part of its sentence is made."""
    made = {Phrase.__name__, *(error.__name__ for error in errors())}
    for path in sorted(ROOM.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not any(f"{name}(" in text for name in made):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in made:
                yield f"{path.name}:{node.lineno}", node


def test_each_error_is_made_of_a_template_and_what_fills_it_and_has_german_words() -> None:
    (german,) = (path for path in catalogues() if "de" in path.parts)
    words = {entry.msgid: entry for entry in entries(german.read_text(encoding="utf-8"))}
    count = 0
    for where, call in calls():
        template, named = call.args[0], {keyword.arg for keyword in call.keywords}
        if isinstance(template, ast.Attribute) and template.attr == "template":
            assert named == {None}, f"{where} takes a template over without its values"
            continue
        assert isinstance(template, ast.Call), where
        assert getattr(template.func, "id", "") == gettext_noop.__name__, where
        (text,) = (node.value for node in template.args if isinstance(node, ast.Constant))
        assert isinstance(text, str)
        assert set(_PLACES.findall(text)) == named, where
        assert named or "%" not in text, where
        assert words[text].is_translated, where
        count += 1
    assert count > 200


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (FormatError("100% wrong"), "100% wrong"),
        (FormatError("%(part)s: %(n)s", part=Phrase("all of %(x)s", x=1), n=2), "all of 1: 2"),
        (FormatError("%(n)s bytes", n=Count(1234567)), "1,234,567 bytes"),
        (FormatError("%(what)s", what=quote("50%(n)s")), "'50%(n)s'"),
        (FormatError("%(what)s", what=quote([1])), "a list"),
        (FormatError("%(what)s", what=quote(b"it's")), '"it\'s"'),
        (FormatError("%(what)s", what=quote(b"\x7fELF")), "7f 45 4c 46"),
        (FormatError("%(what)s", what=quote("ü".encode("latin-1"))), "fc"),
        (FormatError("%(what)s", what=quote(b"a" * 99)), f"'{'a' * 77}'…"),
        (FormatError("%(what)s", what=quote(b"\x00" * 99)), f"{'00 ' * 26}0…"),
    ],
)
def test_an_error_is_its_english_sentence_also_in_another_process(
    made: FormatError, sentence: str
) -> None:
    again = pickle.loads(pickle.dumps(made))

    assert str(made) == str(again) == sentence
    assert (again.template, again.values) == (made.template, made.values)
