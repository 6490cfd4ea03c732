"""Subdirs (CEP 26)."""

import pytest

from registry.conda.errors import InvalidSubdirError
from registry.conda.subdirs import (
    KNOWN_SUBDIRS,
    check_subdir,
    is_subdir,
    looks_like_subdir,
    subdir_from_platform,
)


@pytest.mark.parametrize("subdir", [*KNOWN_SUBDIRS, "linux-fake", "a-1", "a" * 15 + "-" + "b" * 16])
def test_subdirs_are_an_open_set(subdir: str) -> None:
    assert is_subdir(subdir)
    assert check_subdir(subdir) == subdir


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "LINUX-64",
        "linux-64-gnu",
        "linux_64",
        "linux-",
        "-64",
        "noarch\n",
        "../noarch",
        "a" * 16 + "-" + "b" * 16,
        None,
        64,
        ["noarch"],
    ],
)
def test_what_is_no_subdir_is_refused(text: object) -> None:
    with pytest.raises(InvalidSubdirError, match="must be 'noarch' or of the form"):
        check_subdir(text)


@pytest.mark.parametrize("text", ["noarch", "linux-64", "NoArch", "Linux-64", "win-x"])
def test_a_platform_is_recognized_whatever_its_case(text: str) -> None:
    assert looks_like_subdir(text)


@pytest.mark.parametrize("text", ["main", "release-candidate", "my-channel", "linux", "windows-64"])
def test_a_name_with_a_dash_is_not_taken_for_a_platform(text: str) -> None:
    assert not looks_like_subdir(text)


@pytest.mark.parametrize(
    ("platform", "arch", "subdir"),
    [
        ("linux", "x86_64", "linux-64"),
        ("linux", "x86", "linux-32"),
        ("linux", "aarch64", "linux-aarch64"),
        ("linux", "armv7l", "linux-armv7l"),
        ("osx", "x86_64", "osx-64"),
        ("osx", "arm64", "osx-arm64"),
        ("win", "x86_64", "win-64"),
        ("win", "x86", "win-32"),
        (None, None, None),
        ("linux", None, None),
        ("../x", "x86_64", None),
        ("linux", "x/y", None),
        (["linux"], "x86_64", None),
    ],
)
def test_old_packages_name_platform_and_architecture(
    platform: object, arch: object, subdir: str | None
) -> None:
    assert subdir_from_platform(platform, arch) == subdir
