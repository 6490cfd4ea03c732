from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from accounts.names import MAX_LENGTH, RESERVED, check_account_name, fold


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("acme", "acme"),
        ("  Acme ", "acme"),
        ("Numpy-Tools", "numpy-tools"),
        ("a", "a"),
        ("7zip", "7zip"),
        ("a.b_c-d", "a.b_c-d"),
        ("x" * MAX_LENGTH, "x" * MAX_LENGTH),
    ],
)
def test_a_name_is_kept_in_one_spelling(typed: str, kept: str) -> None:
    assert check_account_name(typed) == kept


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * (MAX_LENGTH + 1), "long"),
        (".hidden", "characters"),
        ("..", "characters"),
        ("-dash", "characters"),
        ("_under", "characters"),
        ("a b", "characters"),
        ("a/b", "characters"),
        ("a\nb", "characters"),
        ("a\0", "characters"),
        ("straße", "characters"),
        ("аcme", "characters"),  # the first letter is Cyrillic
        ("api", "reserved"),
        ("API", "reserved"),
        ("label", "reserved"),
        ("main", "reserved"),
        ("t", "reserved"),
        ("c0nda", "reserved"),
        ("adrnin", "reserved"),
        ("noarch", "reserved"),
        ("linux-64", "reserved"),
        ("osx-arm64", "reserved"),
        ("win-32", "reserved"),
        ("emscripten-wasm32", "reserved"),
    ],
)
def test_a_name_is_refused_with_its_reason(typed: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_account_name(typed)

    assert refused.value.code == code
    assert refused.value.messages[0].endswith(".")


@pytest.mark.parametrize("name", sorted(RESERVED - {"-"}))
def test_every_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        check_account_name(name)


@given(st.text(max_size=80))
def test_a_kept_name_is_kept_again_as_it_is(typed: str) -> None:
    try:
        kept = check_account_name(typed)
    except ValidationError:
        return
    assert check_account_name(kept) == kept
    assert kept.isascii()
    assert kept == kept.lower()
    assert not set(kept) - set("abcdefghijklmnopqrstuvwxyz0123456789._-")


@given(st.text(max_size=40))
def test_folding_ignores_capital_letters(typed: str) -> None:
    assert fold(typed.lower().upper()) == fold(typed.upper())
