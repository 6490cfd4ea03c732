"""Sentences that are kept are said in the language of whoever reads them."""

from __future__ import annotations

import ast
import copy
import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils import translation

import accounts
import registry
from portal.catalogues import catalogues, entries
from portal.errors import NotFound, Refusal
from portal.sentences import (
    Day,
    Number,
    Sentence,
    Size,
    english,
    gettext,
    in_english,
    kept,
    ngettext,
    shown,
    together,
)

# Their words are for whoever wrote a program, or stands at a command line.
_TO_PROGRAMS = {
    "authentication.py", "checking.py", "importing_anaconda.py", "importing_http.py",
    "importing_sources.py", "middleware.py", "post_forms.py", "receiving.py", "stages.py",
    "waiting.py",
}  # fmt: skip


def in_german(said: object) -> str:
    with translation.override("de"):
        return str(shown(said))


def stored(said: str, most: int = 500) -> object:
    return json.loads(json.dumps(kept(said, most)))


def sentences() -> Iterator[tuple[Sentence, str, str]]:
    yield gettext("Not found"), "Not found", "Nicht gefunden"
    locked = gettext("%(channel)s of %(account)s is locked.")
    locked %= {"channel": "50%", "account": "acme"}
    yield locked, "50% of acme is locked.", "50% von acme ist gesperrt."
    suspended = gettext("%(account)s is suspended.") % {"account": Number(12345)}
    yield suspended, "12,345 is suspended.", "12.345 ist stillgelegt."
    yield (
        together([locked, suspended]),
        "50% of acme is locked. 12,345 is suspended.",
        "50% von acme ist gesperrt. 12.345 ist stillgelegt.",
    )
    files = ngettext("%(n)s package file", "%(n)s package files", 3) % {"n": Number(3)}
    day = Day(datetime(2026, 3, 4, tzinfo=UTC))
    for used, name, name_in_german in (
        (files, "3 package files", "3 Paketdateien"),
        (Size(1_234_567), "1.2 MB", "1,2 MB"),
        (day, "4 March 2026", "4. März 2026"),
    ):
        said = gettext("%(account)s has used %(used)s of %(most)s.")
        said %= {"account": "acme", "used": used, "most": "all"}
        yield (
            said,
            f"acme has used {name} of all.",
            f"acme hat {name_in_german} von all belegt.",
        )
    for count, one, german in (
        (1, "1 package file", "1 Paketdatei"),
        (2, "2 package files", "2 Paketdateien"),
    ):
        yield ngettext("1 package file", "%(n)d package files", count) % {"n": count}, one, german
    yield (
        in_english("There is nothing here, or you may not see it."),
        NotFound().detail,
        "Hier ist nichts, oder du darfst es nicht sehen.",
    )


@pytest.mark.parametrize(("said", "in_words", "german"), list(sentences()))
def test_what_is_kept_of_a_sentence_is_said_in_each_language(
    said: Sentence, in_words: str, german: str
) -> None:
    again = stored(said)

    assert str(said) == shown(again) == in_words
    assert in_german(again) == german
    with translation.override("de"):
        assert english(shown(again)) == in_words
    assert stored(shown(again)) == again
    for other in (copy.deepcopy(said), pickle.loads(pickle.dumps(said))):
        assert stored(other) == again


@pytest.mark.parametrize(
    ("again", "sentence"),
    [
        ("What somebody wrote: 100 %(n)s", "What somebody wrote: 100 %(n)s"),
        ({"template": "No version says %(n)s.", "values": {"n": 3}}, "No version says 3."),
        ({"template": "Half of it: 50 %", "values": {}}, "Half of it: 50 %"),
        # Later words of ours with another place to fill in.
        ({"template": "%(file)s is missing.", "values": {"n": 1}}, "%(file)s is missing."),
        ("", ""),
    ],
)  # fmt: skip
def test_what_no_catalogue_knows_is_said_as_it_was(again: object, sentence: str) -> None:
    assert shown(again) == in_german(again) == sentence


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_more_is_kept_than_a_sentence_may_have(language: str) -> None:
    long = "x" * 10_000
    with translation.override(language):
        one = gettext("%(account)s is suspended.") % {"account": long}
        nested = gettext("%(reason)s Nothing was stored.") % {"reason": one}
        many = together([gettext("%(account)s is suspended.") % {"account": "y" * 40}] * 1000)
        plain = Sentence(long)

        for said in (one, nested, many, plain, long):
            again = kept(said, 300)
            assert len(json.dumps(again)) < 2000
            assert 1 < len(shown(again)) <= 330
        short = stored(nested, 300)
    assert in_german(short).endswith("… ist stillgelegt. Es wurde nichts gespeichert.")
    assert "y ist stillgelegt." in in_german(kept(many, 300))


# --- What acts say -------------------------------------------------------------------------------


def refusals(of: type[Refusal] = Refusal) -> Iterator[str]:
    yield of.__name__
    for each in of.__subclasses__():
        yield from refusals(each)


def acts() -> Iterator[tuple[str, ast.Module]]:
    """The modules of acts, whose reasons may be kept: those of jobs and of refused uploads are."""
    rooms = [Path(room.__file__ or "").parent for room in (accounts, registry)]
    for path in sorted(
        path for room in [*rooms, rooms[1] / "access"] for path in room.glob("*.py")
    ):
        yield path.name, ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "id", "") or getattr(node.func, "attr", "")


def test_what_acts_say_is_kept_with_what_it_was_made_of() -> None:
    names = {*refusals()} - {"Refusal"}
    count = 0
    for file, module in acts():
        if file in _TO_PROGRAMS:
            continue
        raises = [node for node in ast.walk(module) if called(node) in names]
        says = [
            node
            for node in ast.walk(module)
            if called(node) in {"fail", "note"} and ast.unparse(node).startswith("job.")
        ]
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
                taken = {name.name for name in node.names}
                assert not (raises or says) or not taken & {"gettext", "ngettext"}, file
        for node in [*raises, *says]:
            assert isinstance(node, ast.Call)
            of_the_reason = node.args[1:] if called(node) == "fail" else node.args[:1]
            for reason in of_the_reason:
                where = f"{file}:{node.lineno}"
                assert not isinstance(reason, ast.Constant | ast.JoinedStr), where
                is_sum = isinstance(reason, ast.BinOp) and isinstance(reason.op, ast.Add)
                assert not is_sum, f"{where}: together() says one after another"
                count += 1
    assert count > 150


def test_what_acts_say_has_german_words() -> None:
    (german,) = (path for path in catalogues() if "de" in path.parts)
    words = {entry.msgid: entry for entry in entries(german.read_text(encoding="utf-8"))}
    count = 0
    for file, module in acts():
        for node in ast.walk(module):
            if called(node) in {"gettext", "ngettext", "gettext_noop", "_"}:
                assert isinstance(node, ast.Call)
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                for text in texts[:1]:
                    assert isinstance(text, str)
                    assert text in words, f"{file}: {text!r}"
                    assert words[text].is_translated, f"{file}: {text!r}"
                    count += 1
    assert count > 200
