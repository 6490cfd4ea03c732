"""Names of packages, builds, package files and channels (CEP 26)."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.conda.errors import (
    InvalidBuildError,
    InvalidChannelNameError,
    InvalidFilenameError,
    InvalidNameError,
    InvalidVersionError,
    PackageError,
    quote,
)
from registry.conda.names import (
    ArchiveFormat,
    Dist,
    check_build_string,
    check_channel_name,
    check_filename,
    check_package_name,
    check_version,
)

# As CEP 26 prints it.
CEP_26_NAME = re.compile(r"^(([a-z0-9])|([a-z0-9_](?!_)))[._-]?([a-z0-9]+(\.|-|_|$))*$")

names = st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,5}){0,4}", fullmatch=True)
versions = st.from_regex(
    r"([0-9]{1,2}!)?[0-9a-z]{1,4}([._][0-9a-z]{1,4}){0,3}(\+[a-z0-9]{1,3})?", fullmatch=True
)
builds = st.from_regex(r"[A-Za-z0-9_.+]{1,12}", fullmatch=True)


@given(st.text(alphabet="a0_-.", max_size=10))
@example("a\n")
@example("__a")
@example("_")
def test_package_names_are_those_of_the_ceps_expression(text: str) -> None:
    try:
        check_package_name(text)
        taken = True
    except InvalidNameError:
        taken = False
    assert taken == (CEP_26_NAME.fullmatch(text) is not None and not text.endswith("\n"))


@pytest.mark.parametrize(
    "name", ["_libgcc_mutex", "ld_impl_linux-64", "a", "7zip", "odd.dot", "x" * 64]
)
def test_real_package_names_are_taken(name: str) -> None:
    assert check_package_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Odd", "__glibc", "a b", "a/b", "a--b", "ä", "x" * 65, "a\n", None, 1, ["a"]]
)
def test_other_package_names_are_refused(name: object) -> None:
    with pytest.raises(InvalidNameError, match="The package name is"):
        check_package_name(name)


def test_an_uppercase_name_is_told_its_lowercase_form() -> None:
    with pytest.raises(InvalidNameError, match="Rename it to 'odd-upper'"):
        check_package_name("Odd-Upper")


@pytest.mark.parametrize("text", ["a" * 10**6, "a-" * 10**6, "a" * 63 + "!", "0." * 31 + "!"])
def test_long_or_nasty_names_take_no_time(text: str) -> None:
    def seconds() -> float:
        start = time.process_time()
        with pytest.raises(PackageError):
            check_package_name(text)
        with pytest.raises(PackageError):
            check_filename(text)
        with pytest.raises(PackageError):
            check_channel_name("A" * 128 + text)
        return time.process_time() - start

    # Garbage of other tests may be collected meanwhile, but not each time.
    assert any(seconds() < 0.1 for _ in range(4))


@pytest.mark.parametrize("build", ["0", "py39_0", "H1A_0", "a.b+c_0", "x" * 64])
def test_build_strings_may_be_upper_case(build: str) -> None:
    assert check_build_string(build) == build


@pytest.mark.parametrize("build", ["", "a-b", "a/b", "a b", "x" * 65, "0\n", None, 0])
def test_other_build_strings_are_refused(build: object) -> None:
    with pytest.raises(InvalidBuildError, match="The build string is"):
        check_build_string(build)


@pytest.mark.parametrize("version", ["1.0", "1!2.0", "1.0+a.1", "1.0.1_", "2024a", "1" * 10])
def test_versions_are_taken(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize("version", ["", "1-0", "1.0A", "1..0", "1+", "a!1", "1!1!1", None, 1.0])
def test_other_versions_are_refused(version: object) -> None:
    with pytest.raises(InvalidVersionError, match="The version"):
        check_version(version)


@given(names, versions, builds, st.sampled_from(ArchiveFormat))
def test_a_dist_comes_back_from_its_filename(
    name: str, version: str, build: str, extension: ArchiveFormat
) -> None:
    dist = Dist(name, version, build)
    assert Dist.from_filename(dist.filename(extension)) == dist
    assert check_filename(dist.filename(extension)) == (dist, extension)


@given(st.text(max_size=30).map(lambda text: text + ".conda") | st.text(max_size=30))
def test_any_text_is_a_filename_or_refused(text: str) -> None:
    try:
        dist, extension = check_filename(text)
    except PackageError:
        return
    assert dist.filename(extension) == text


@pytest.mark.parametrize(
    ("filename", "dist"),
    [
        ("a-1-0.conda", Dist("a", "1", "0")),
        ("a-b-c-1.0-py_0.tar.bz2", Dist("a-b-c", "1.0", "py_0")),
        ("odd-both-2!1.0.dev3+g6a-g6a.conda", Dist("odd-both", "2!1.0.dev3+g6a", "g6a")),
        ("ld_impl_linux-64-2.43-h7_2.conda", Dist("ld_impl_linux-64", "2.43", "h7_2")),
    ],
)
def test_only_the_last_two_dashes_separate(filename: str, dist: Dist) -> None:
    assert Dist.from_filename(filename) == dist


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "a",
        "a.conda",
        "a-1.conda",
        "a-1-0",
        "a-1-0.zip",
        "a-1-0.CONDA",
        "../a-1-0.conda",
        "x/a-1-0.conda",
        "x\\a-1-0.conda",
        "a-1-0.conda\n",
        "a-1-0.conda;x",
        "a-1-0.conda\x00",
        "a" * 300 + "-1-0.conda",
        None,
    ],
)
def test_other_filenames_are_refused(filename: object) -> None:
    with pytest.raises(InvalidFilenameError, match="The file name is"):
        check_filename(filename)


@pytest.mark.parametrize(
    "name",
    ["main", "dev", "rc/2026", "A.b_c-d:e", "release-candidate", "a" * 128, "title", "labels"],
)
def test_channel_names_may_have_folders(name: str) -> None:
    assert check_channel_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "_a",
        "a b",
        "a%2fb",
        "a//b",
        "/a",
        "a/",
        "main/../x",
        "a/./b",
        "nolabel",
        "NoLabel",
        "t",
        "a/t/b",
        "label/a",
        "a/LABEL",
        "noarch",
        "linux-64",
        "a/linux-64",
        "a/NoArch",
        "a" * 129,
        "a\n",
        "ä",
        None,
    ],
)
def test_other_channel_names_are_refused(name: object) -> None:
    with pytest.raises(InvalidChannelNameError, match="The channel name is"):
        check_channel_name(name)


@given(st.text() | st.binary() | st.integers() | st.floats() | st.none() | st.booleans())
def test_what_is_quoted_is_short_and_printable(value: object) -> None:
    assert len(quote(value)) <= 80
    assert quote(value).isprintable()


@pytest.mark.parametrize("value", ["\n" * 1000, "\u202e" * 1000, b"\xff" * 1000, {}, []])
def test_huge_values_are_quoted_short(value: object) -> None:
    assert len(quote(value)) <= 80


def test_a_number_of_5000_digits_is_quoted_short() -> None:
    assert quote(10**5000) == "a huge number"
