"""What differs between two builds, told apart by kind."""

from __future__ import annotations

import pytest

from registry.conda.comparison import Change, Sign, compare_files, compare_specs, compare_values
from registry.conda.contents import Listing, PathEntry


@pytest.mark.parametrize(
    ("before", "after", "sign"),
    [
        ("zlib", "zlib >=1.3", Sign.TIGHTENED),
        ("zlib >=1.2", "zlib >=1.3", Sign.TIGHTENED),
        ("zlib >=1.10,<2", "zlib >=1.9,<2", Sign.LOOSENED),
        ("zlib >=1,<2", "zlib >=1,<3", Sign.LOOSENED),
        ("zlib >=1,<2", "zlib >=1", Sign.LOOSENED),
        ("zlib 1.2.*", "zlib 1.3.*", Sign.CHANGED),
        ("zlib >=1..0", "zlib >=2..0", Sign.CHANGED),
    ],
)
def test_a_dependency_that_changed_says_how(before: str, after: str, sign: Sign) -> None:
    rest_before, rest_after = (spec.removeprefix("zlib").strip() for spec in (before, after))

    assert compare_specs([before], [after]) == [Change(sign, "zlib", rest_before, rest_after)]


def test_dependencies_come_and_go_and_the_same_is_nothing() -> None:
    changes = compare_specs(["a 1", "b", "libgcc  >=13"], ["libgcc >=13", "c >=2", "a 1"])

    assert changes == [Change(Sign.DROPPED, "b"), Change(Sign.ADDED, "c", "", ">=2")]
    assert compare_specs(["[[", "", "x" * 9000], ["[["]) != []


def test_values_are_compared_by_their_names() -> None:
    before, after = {"a": "1", "b": "2", "c": ""}, {"b": "3", "c": "", "d": "4"}

    assert compare_values(before, after) == [
        Change(Sign.DROPPED, "a", "1", ""),
        Change(Sign.CHANGED, "b", "2", "3"),
        Change(Sign.ADDED, "d", "", "4"),
    ]


def _listing(*entries: PathEntry) -> Listing:
    paths = sorted(entries, key=lambda entry: entry.path)
    return Listing(paths, len(paths), has_paths=True)


def test_files_are_added_dropped_changed_and_renamed() -> None:
    same, moved = "1" * 64, "2" * 64
    files = compare_files(
        _listing(
            PathEntry("bin/xz", "hardlink", 10, "3" * 64),
            PathEntry("lib/old.so", "hardlink", 50, moved),
            PathEntry("lib/same.so", "hardlink", 5, same),
            PathEntry("share/gone", "hardlink", 7, "5" * 64),
            PathEntry("empty-a", "hardlink", 0, "0" * 64),
        ),
        _listing(
            PathEntry("bin/xz", "hardlink", 14, "4" * 64),
            PathEntry("lib/new.so", "hardlink", 50, moved),
            PathEntry("lib/same.so", "hardlink", 5, same),
            PathEntry("empty-b", "hardlink", 0, "0" * 64),
        ),
    )

    assert [(change.sign, change.path, change.came_from) for change in files.changes] == [
        (Sign.CHANGED, "bin/xz", ""),
        (Sign.DROPPED, "empty-a", ""),
        (Sign.ADDED, "empty-b", ""),
        (Sign.RENAMED, "lib/new.so", "lib/old.so"),
        (Sign.DROPPED, "share/gone", ""),
    ]
    assert files.difference == -3
    assert [(folder.name, folder.difference) for folder in files.folders] == [
        ("share", -7),
        ("bin", 4),
        ("", 0),
        ("lib", 0),
    ]
