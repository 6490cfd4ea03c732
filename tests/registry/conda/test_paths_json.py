"""A small paths.json is read at once, a large one piece by piece; both are held to the same."""

from __future__ import annotations

import pytest

from registry.conda.errors import PackageError
from registry.conda.limits import DEFAULT_LIMITS
from registry.conda.paths_json import PathsJsonScanner


def read_whole(text: bytes) -> tuple[bool, bool]:
    scanner = PathsJsonScanner(DEFAULT_LIMITS)
    scanner.read(text)
    return scanner.binary_prefix, scanner.text_prefix


def read_in_pieces(text: bytes) -> tuple[bool, bool]:
    scanner = PathsJsonScanner(DEFAULT_LIMITS)
    for start in range(0, len(text), 7):
        scanner.feed(text[start : start + 7])
    scanner.finish()
    return scanner.binary_prefix, scanner.text_prefix


@pytest.mark.parametrize(
    ("text", "prefixes"),
    [
        (b'{"paths": []}', (False, False)),
        (b' {"paths_version" : 1 , "paths" : [ ] } ', (False, False)),
        (b'{"paths": [{"_path": "a"}, {"_path": "b/c"}], "paths_version": 1}', (False, False)),
        (b'{"paths": [{"_path": "a", "prefix_placeholder": "/x"}]}', (False, True)),
        (
            b'{"paths": [{"_path": "a", "prefix_placeholder": "/x", "file_mode": "binary"}]}',
            (True, False),
        ),
        (b'{"paths": [{"_path": "{[\\"paths\\"]}"}]}', (False, False)),
        (b'{"paths": [{"_path": "\\u0061"}], "more": "[{"}', (False, False)),
        (b'{"pat\\u0068s": [], "x": null}', (False, False)),
    ],
)
def test_what_is_right_is_read(text: bytes, prefixes: tuple[bool, bool]) -> None:
    assert read_whole(text) == read_in_pieces(text) == prefixes


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"paths": [], "paths": []}',
        b'{"paths": [], "pat\\u0068s": []}',
        b'{"paths": [{"_path": "../a"}]}',
        b'{"paths": [{"_path": "/a"}]}',
        b'{"paths": [{"_path": "a", "more": {}}]}',
        b'{"paths": [{"_path": "a", "more": []}]}',
        b'{"paths": [{}]}',
        b'{"paths": [1]}',
        b'{"paths": {}}',
        b'{"paths": null}',
        b'{"paths": [], "more": {}}',
        b'{"paths": [], "more": []}',
        b'{"paths": [{"_path": "a"},]}',
        b'{"paths": []',
        b'{"paths": []} x',
        b'{"paths": [], "\xff": 1}',
        b'{"paths": [], "\\ud800": 1}',
        b'{"paths": [{"_path": "\xff"}]}',
        b'{"paths": [{"_path": "a\x01"}]}',
    ],
)
def test_what_is_wrong_is_refused_with_the_same_words(text: bytes) -> None:
    with pytest.raises(PackageError) as at_once:
        read_whole(text)
    with pytest.raises(PackageError) as piece_by_piece:
        read_in_pieces(text)

    assert str(at_once.value) == str(piece_by_piece.value)
