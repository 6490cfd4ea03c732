"""The order of versions (CEP 33), against conda's own tables and against rattler."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rattler import Version

from registry.conda.errors import InvalidVersionError
from registry.conda.version import VersionOrder, sort_key

# Ascending; what stands in one row is equal. From conda's documentation of VersionOrder.
DOCUMENTED = [
    ["0.4", "0.4.0"],
    ["0.4.1.rc"],
    ["0.4.1"],
    ["0.5a1"],
    ["0.5b3"],
    ["0.5c1"],
    ["0.5"],
    ["0.9.6"],
    ["0.960923"],
    ["1.0"],
    ["1.1dev1"],
    ["1.1_"],
    ["1.1a1"],
    ["1.1.0dev1", "1.1.dev1"],
    ["1.1.a1"],
    ["1.1.0rc1"],
    ["1.1.0", "1.1"],
    ["1.1.0post1", "1.1.post1"],
    ["1.1post1"],
    ["1996.07.12"],
    ["1!0.4.1"],
    ["1!3.1.1.6"],
    ["2!0.4.1"],
]
OPENSSL = [["1.0.1dev"], ["1.0.1_"], ["1.0.1a"], ["1.0.1b"], ["1.0.1"], ["1.0.1post"], ["1.0.2"]]
PEP_440 = [
    ["1.0a1"],
    ["1.0a2.dev456"],
    ["1.0a12.dev456"],
    ["1.0a12"],
    ["1.0b1.dev456"],
    ["1.0b2"],
    ["1.0b2.post345.dev456"],
    ["1.0b2.post345"],
    ["1.0c1.dev456"],
    ["1.0c1"],
    ["1.0c3"],
    ["1.0rc2"],
    ["1.0.dev456"],
    ["1.0"],
    ["1.0.post456.dev34"],
    ["1.0.post456"],
    ["1.1.dev1"],
    ["1.2.r32+123456"],
    ["1.2.rev33+123456"],
    ["1.2+abc"],
    ["1.2+abc123def"],
    ["1.2+abc123"],
    ["1.2+123abc"],
    ["1.2+123abc456"],
    ["1.2+1234.abc"],
    ["1.2+123456"],
]

components = st.from_regex(r"([0-9]{1,3}|dev|post|rc|a|b|alpha|z){1,3}", fullmatch=True)
versions = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "0!", "1!", "12!"]),
    st.lists(components, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["", "", "", "_1", "_a", ".0", ".0.0", ".0a", ".00"]),
    st.sampled_from(["", "", "", "+1", "+a.1", "+0", "+dev_2"]),
)


@pytest.mark.parametrize("table", [DOCUMENTED, OPENSSL, PEP_440])
def test_versions_order_as_conda_says(table: list[list[str]]) -> None:
    for (low, lower), (high, higher) in itertools.combinations(enumerate(table), 2):
        assert low < high
        for a, b in itertools.product(lower, higher):
            assert VersionOrder(a) < VersionOrder(b), (a, b)
            assert VersionOrder(b) > VersionOrder(a)
            assert VersionOrder(a) != VersionOrder(b)


@pytest.mark.parametrize("row", [row for row in DOCUMENTED if len(row) > 1])
def test_zeros_at_the_end_do_not_count(row: list[str]) -> None:
    first, second = map(VersionOrder, row)
    assert first == second
    assert first <= second <= first
    assert hash(first) == hash(second)
    assert str(first) != str(second)


@given(versions, versions)
def test_the_order_is_that_of_rattler(a: str, b: str) -> None:
    ours = (sort_key(a) > sort_key(b)) - (sort_key(a) < sort_key(b))
    theirs = (Version(a) > Version(b)) - (Version(a) < Version(b))
    assert ours == theirs, (a, b)


@given(versions, versions, versions)
def test_the_order_is_total(a: str, b: str, c: str) -> None:
    x, y, z = sorted(map(VersionOrder, (a, b, c)))
    assert x <= y <= z
    assert x <= z
    assert (x < y) + (x == y) + (x > y) == 1


@given(versions)
def test_zeros_may_be_added_anywhere_behind(version: str) -> None:
    assume("+" not in version)
    assert sort_key(version) == sort_key(f"{version}.0") == sort_key(f"{version}.0.0+0")


@given(st.text(alphabet="019adevpost._!+", max_size=20))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    try:
        key = sort_key(text)
    except InvalidVersionError:
        return
    assert key == VersionOrder(text).key
    assert VersionOrder.parse(text) == VersionOrder(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "_", "!", "+", "1!", "1+", "+1", "1..2", "1!2!3", "a!1", "1+2+3"),
        *("1 2", "1-2", "1.0A", "1" * 65, "2147483648", "1.0\n", "1*", "\u0661"),
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidVersionError, match="The version"):
        sort_key(text)


def test_a_version_does_not_compare_with_text() -> None:
    assert VersionOrder("1.0") != "1.0"
    with pytest.raises(TypeError):
        assert VersionOrder("1.0") < "2.0"
