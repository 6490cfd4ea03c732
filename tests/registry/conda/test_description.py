"""What about.json says is made fit to be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.conda.description import (
    MAX_DESCRIPTION_LENGTH,
    MAX_LINE_LENGTH,
    MAX_URL_LENGTH,
    description_fields,
)


def test_fields_are_taken_from_about() -> None:
    about = {
        "summary": "Tools\nfor  files",
        "description": "Line one\r\n\tLine two\n",
        "license": ["MIT", "BSD"],
        "home": ["https://a.example/x", "https://b.example"],
        "dev_url": "http://b.example:8080/?q=1#f",
        "doc_url": "https://a.example, https://b.example",
        "extra": {"sha": "0"},
    }
    assert description_fields(about) == {
        "summary": "Tools for files",
        "description": "Line one\n\tLine two",
        "license": "MIT, BSD",
        "license_url": "",
        "home": "https://a.example/x",
        "dev_url": "http://b.example:8080/?q=1#f",
        "doc_url": "https://a.example",
        "source_url": "",
    }


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "https:evil.example",
        "https://",
        "https://a.example:port",
        "https://a.example:99999",
        'https://a.example/"onclick="x',
        "https://a.example/<script>",
        "https://a.example/\u202egnp.exe",
        "https://[::1",
        "https://a.example/" + "a" * MAX_URL_LENGTH,
        "not a url",
        "",
        None,
        1,
        {"a": "https://a.example"},
        [1, None, []],
    ],
)
def test_what_is_no_web_address_is_left_out(url: object) -> None:
    assert description_fields({"home": url})["home"] == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("safe \u202egnp.exe", "safe gnp.exe"),
        ("a\u200bb\u2060c\ufeffd", "abcd"),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\ud800b", "ab"),
        ("Zalgo" + "\u0301" * 1000, "Zalgo" + "\u0301" * 6),
        ("日本語 und Ünïcödé", "日本語 und Ünïcödé"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_text_holds_nothing_invisible(text: str, shown: str) -> None:
    assert description_fields({"summary": text})["summary"] == shown


def test_text_is_cut_to_what_a_page_can_show() -> None:
    fields = description_fields({"summary": "a" * 10**6, "description": "b" * 10**6})
    assert fields["summary"] == "a" * (MAX_LINE_LENGTH - 1) + "…"
    assert fields["description"] == "b" * MAX_DESCRIPTION_LENGTH


@given(st.dictionaries(st.sampled_from(["summary", "description", "home", "license"]), st.text()))
def test_any_text_becomes_something_that_can_be_stored(about: dict[str, object]) -> None:
    for field in description_fields(about).values():
        field.encode()
        assert "\x00" not in field
