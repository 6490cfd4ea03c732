import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import pytest

from registry.conda import current
from registry.conda.current import CurrentRow, Newest
from registry.conda.version import VersionOrder


@dataclass(frozen=True)
class Row:
    """What a test says of one package file."""

    filename: str
    name: str
    version: str
    depends: tuple[str, ...]


def newest_of(rows: Iterable[Row]) -> list[Newest]:
    found = []
    for name, group in groupby(rows, key=attrgetter("name")):
        files = list(group)
        best = max(VersionOrder(row.version) for row in files)
        last = [row for row in files if VersionOrder(row.version) == best]
        depends = [spec for row in last for spec in row.depends]
        found.append(Newest(name, [(row.version, row.filename) for row in last], depends))
    return found


def current_filenames(rows: list[Row]) -> set[str]:
    def more(names: Collection[str]) -> list[CurrentRow]:
        return [
            CurrentRow(row.filename, row.name, row.version) for row in rows if row.name in names
        ]

    def depends(filenames: Collection[str]) -> list[str]:
        return [spec for row in rows if row.filename in filenames for spec in row.depends]

    return current.current_filenames(newest_of(rows), more, depends)


def rows(*dists: str, **depends: tuple[str, ...]) -> list[Row]:
    """Rows for ``name-version-build``, each with the dependencies given for its ``name``."""
    made = []
    for dist in sorted(dists):
        name, version, _ = dist.rsplit("-", 2)
        made.append(
            Row(
                filename=f"{dist}.conda",
                name=name,
                version=version,
                depends=depends.get(name, ()),
            )
        )
    return made


def chosen(*dists: str) -> set[str]:
    return {f"{dist}.conda" for dist in dists}


def test_an_empty_subdir_has_nothing_current() -> None:
    assert current_filenames([]) == set()


def test_all_builds_of_the_newest_version_are_current() -> None:
    found = current_filenames(rows("a-1.9-0", "a-1.10-0", "a-1.10-1", "b-1-0", "b-2rc1-0"))

    assert found == chosen("a-1.10-0", "a-1.10-1", "b-2rc1-0")


def test_the_same_version_in_two_spellings_is_one_version() -> None:
    assert current_filenames(rows("a-1.0-0", "a-1.0.0-0", "a-0.9-0")) == chosen(
        "a-1.0-0", "a-1.0.0-0"
    )


@pytest.mark.parametrize(
    ("spec", "needed"),
    [
        ("lib", None),
        ("lib *", None),
        ("lib >=1.0", None),
        ("lib >=1.0,<2", "1.9"),
        ("lib >=1.0, <2", "1.9"),
        ("lib >=1.0,<2.0a0", "1.9"),
        ("lib<2", "1.9"),
        ("lib 1.0", "1.0"),
        ("lib ==1.0", "1.0"),
        ("lib ==1.0 h123_0", "1.0"),
        ("lib 1.0.*", "1.0.5"),
        ("lib 1.0.* h123_*", "1.0.5"),
        ("lib =1.0", "1.0.5"),
        ("lib=1.0", "1.0.5"),
        ("lib 1.*", "1.9"),
        ("lib 1.*,!=1.9", "1.0.5"),
        ("lib !=2.*", "1.9"),
        ("lib !=1.9", None),
        ("lib ~=1.0", "1.9"),
        ("lib ~=1.0.3", "1.0.5"),
        ("lib <=1.0|>=3", "1.0"),
        ("lib 1.0|2.0", None),
        ("lib >2", None),
        ("lib >1,<2", "1.9"),
        ("conda-forge::lib 1.0", "1.0"),
        ("LIB 1.0", "1.0"),
        ("lib >=9", None),
        ("lib 3.0", None),
        ("lib[version='1.0']", None),
        ("lib (>=1,<2)", None),
        ("lib ^1.0$", None),
        ("lib 1.0.*.2", None),
        ("lib >=", None),
        ("lib ,|,", None),
        ("", None),
        ("lib " + "1.0|" * 1000 + "1.0", None),
    ],
)
def test_an_older_version_that_a_dependency_needs_is_current(spec: str, needed: str | None) -> None:
    found = current_filenames(
        rows("app-1-0", "lib-1.0-0", "lib-1.0.5-0", "lib-1.9-0", "lib-2.0-0", app=(spec,))
    )

    expected = chosen("app-1-0", "lib-2.0-0")
    if needed is not None:
        expected |= chosen(f"lib-{needed}-0")
    assert found == expected


def test_pins_of_what_was_added_are_followed_too() -> None:
    # a comes before b and b before c, so no single pass in either direction finds all.
    made = [
        Row("a-1-0.conda", "a", "1", ("c 1",)),
        Row("a-2-0.conda", "a", "2", ()),
        Row("b-1-0.conda", "b", "1", ("a 1",)),
        Row("b-2-0.conda", "b", "2", ()),
        Row("c-1-0.conda", "c", "1", ("c ==1", "missing 1")),
        Row("c-2-0.conda", "c", "2", ()),
        Row("d-1-0.conda", "d", "1", ("b 1",)),
    ]

    assert current_filenames(made) == {row.filename for row in made}


def test_pins_of_what_is_not_current_are_not_followed() -> None:
    made = [
        Row("a-1-0.conda", "a", "1", ("b 1",)),
        Row("a-2-0.conda", "a", "2", ()),
        Row("b-1-0.conda", "b", "1", ()),
        Row("b-2-0.conda", "b", "2", ()),
    ]

    assert current_filenames(made) == {"a-2-0.conda", "b-2-0.conda"}


def test_both_archives_of_a_dist_are_current() -> None:
    made = [
        Row("a-1-0.conda", "a", "1", ()),
        Row("a-1-0.tar.bz2", "a", "1", ()),
    ]

    assert current_filenames(made) == {"a-1-0.conda", "a-1-0.tar.bz2"}


def test_a_large_subdir_takes_seconds_at_most() -> None:
    made = [
        Row(
            filename=f"n{name:03d}-1.{version}-0.conda",
            name=f"n{name:03d}",
            version=f"1.{version}",
            depends=(f"n{(name * 7 + 1) % 200:03d} 1.{name % 100}", "python >=3.10"),
        )
        for name in range(200)
        for version in range(100)
    ]
    started = time.process_time()

    found = current_filenames(made)

    assert time.process_time() - started < 20
    assert 200 < len(found) < len(made)
