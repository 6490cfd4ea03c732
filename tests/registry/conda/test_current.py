import time

import pytest

from registry.conda.current import (
    MAX_SPEC_LENGTH,
    Version,
    is_met,
    needed_version,
    required_name,
)
from registry.conda.version import sort_key


def newest_first(*texts: str) -> list[Version]:
    return sorted((Version(sort_key(text), text) for text in texts), reverse=True)


LIBS = newest_first("1.0", "1.0.5", "1.9", "2.0")


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
def test_the_newest_version_that_does_is_needed(spec: str, needed: str | None) -> None:
    assert needed_version(spec, LIBS) == (None if needed is None else sort_key(needed))


@pytest.mark.parametrize("spec", ["lib 1.0.*", "lib <2"])
def test_what_is_needed_is_not_met_by_the_newest(spec: str) -> None:
    assert not is_met(spec, LIBS[:1])
    assert is_met(spec, LIBS)


@pytest.mark.parametrize(
    "spec", ["lib", "lib >=1.0", "lib 2.*", "lib[version='1.0']", "", "lib >="]
)
def test_what_the_newest_meets_or_nobody_can_read_is_met(spec: str) -> None:
    assert is_met(spec, LIBS[:1])


def test_all_spellings_of_a_version_are_tried() -> None:
    spelled = newest_first("2.0", "1.0", "1")

    assert needed_version("lib 1.0.*", spelled) == sort_key("1")
    assert is_met("lib 1.0.*", newest_first("1", "1.0"))


def test_nothing_is_needed_of_a_name_without_versions() -> None:
    assert needed_version("elsewhere 1.0", []) is None


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("lib", "lib"),
        ("lib >=1.0,<2", "lib"),
        ("lib>=1.0", "lib"),
        ("LIB 1.0 h0_0", "lib"),
        ("conda-forge::lib 1.0", "lib"),
        ("lib[version='1.0']", "lib"),
        ("__glibc >=2.17", "__glibc"),
        ("", ""),
        ("(", ""),
        ("x" * (MAX_SPEC_LENGTH + 1), ""),
    ],
)
def test_a_dependency_asks_for_a_name(spec: str, name: str) -> None:
    assert required_name(spec) == name


def test_hostile_dependencies_are_read_in_no_time() -> None:
    started = time.process_time()

    for spec in ("lib " + "1.0," * 120, "lib " + "." * 400, "a" * 499, "lib " + "1|" * 200):
        is_met(spec, LIBS)
        needed_version(spec, LIBS)

    assert time.process_time() - started < 2
