"""Metadata is read by a quick decoder where nothing is odd about it, and by a strict one else:
nobody may be able to tell which of them it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.conda.errors import InvalidMetadataError
from registry.conda.strict_json import parse_object

_PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
_ANYTHING = st.recursive(
    _PLAIN | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(st.text(), _ANYTHING, max_size=6), is_ascii=st.booleans())
def test_what_was_written_is_read(value: dict[str, object], is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    if "\\u0000" in text or "\\ud" in text:  # what is refused, or may be half of a pair
        return

    assert parse_object(text.encode(), name="x.json") == value


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a", "name": "a"}',
        '{"name" : "a", "name":"a"}',
        '{"name"\n:"a","name"\t:"b"}',
        '{"name": "a", "na\\u006de": "b"}',
        '{"na\\/me": "a", "na/me": "b"}',
        '{"extra": {"final": true, "final": true}}',
        '{"a": {"b": 1}, "a": {"b": 1}}',
        '{"summary": "\\":", "summary": "once more"}',
        '{"summary": ":\\":\\":", "a": 1, "a": 1, "a": 1}',
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(InvalidMetadataError, match="twice"):
        parse_object(text.encode(), name="x.json")


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": "\\u0000"}',
        b'{"a\\u0000": 1}',
        b'{"a": ["\\u0000"]}',
        b'{"a": "\\ud800"}',
        b'{"a": "\x00"}',
        b'{"a": "\x1f"}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"\xff": 1}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 18446744073709551616}',
        b'{"a": -9223372036854775809}',
        b'{"a": 1e999}',
        b'{"a": NaN}',
        b'{"a": 01}',
        b'{"a": 1,}',
        b'{"a": [1,]}',
        b'{"a": 1} x',
        b'{"a": 1}\x00',
        b"{'a': 1}",
        b"{1: 2}",
        b"[]",
        b"",
    ],
)
def test_what_some_reader_would_take_otherwise_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidMetadataError):
        parse_object(text, name="x.json")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": "\\":"}', '":'),
        (b'{"a": "see \\"b\\": c"}', 'see "b": c'),
        (b'{"a": "{{{"}', "{{{"),
        (b'{"a": "\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"a": 18446744073709551615}', 2**64 - 1),
        (b'{"a": -9223372036854775808}', -(2**63)),
        (b'\r\n\t {"a"\t:\n -0 } \n', 0),
        (b'{"a": {"b": {"c": [[{"d": 1.5}]]}}}', {"b": {"c": [[{"d": 1.5}]]}}),
    ],
)
def test_what_is_odd_but_right_is_taken(text: bytes, value: object) -> None:
    assert parse_object(text, name="x.json") == {"a": value}
