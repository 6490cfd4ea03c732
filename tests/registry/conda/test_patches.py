"""Patch instructions: what conda's tools make of them, and what is refused."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from typing import Any

import pytest

from registry.conda import patches
from registry.conda.patches import (
    CONDA,
    MAX_CHANGES_BYTES,
    TAR_BZ2,
    DistPatch,
    Instructions,
    InvalidPatchError,
    apply,
)

XZ: dict[str, Any] = {
    "name": "xz",
    "version": "5.6.3",
    "build": "h1_0",
    "build_number": 0,
    "subdir": "linux-64",
    "depends": ["libgcc >=13"],
    "constrains": ["lzma <1"],
    "license": "0BSD",
    "track_features": "old",
    "md5": "0" * 32,
    "sha256": "0" * 64,
    "size": 1,
    "indexed_timestamp": 1,
}
DIST = "xz-5.6.3-h1_0"


def read(document: object) -> Instructions:
    return Instructions(json.dumps(document).encode(), source="the set")


def said_of(document: object, dist: str = DIST) -> DistPatch:
    return dict(read(document).patches())[dist]


def patched(
    document: object, extension: str = CONDA, schema_version: int = 1, record: Any = XZ
) -> dict[str, Any]:
    """What the set makes of the record, where it is changed."""
    said = [said for dist, said in read(document).patches() if dist == DIST]
    made = apply(
        record, {"weak": ["xz >=5"]}, said, extension=extension, schema_version=schema_version
    )
    keys = made.record.keys() | record.keys()
    return {k: made.record.get(k) for k in keys if made.record.get(k) != record.get(k)}


def test_a_key_takes_the_place_of_what_was_there() -> None:
    changes = {"depends": ["libgcc >=14"], "namespace": "python"}
    assert patched({"packages.conda": {f"{DIST}.conda": changes}}) == changes


def test_null_takes_a_key_away() -> None:
    changes = {"track_features": None, "constrains": None, "license": None, "features": None}
    made = patched({"packages.conda": {f"{DIST}.conda": changes}})
    assert made == {"track_features": None, "constrains": None, "license": None}


def test_an_object_changes_in_the_keys_that_are_given() -> None:
    record = {**XZ, "extra_depends": {"gui": ["qt"], "doc": ["sphinx"]}}
    change = {"extra_depends": {"gui": ["qt >=6"], "doc": None, "cli": ["click"]}}
    before = deepcopy(record)
    made = patched({"packages.conda": {f"{DIST}.conda": change}}, record=record)
    assert made == {"extra_depends": {"gui": ["qt >=6"], "cli": ["click"]}}
    assert record == before


@pytest.mark.parametrize(
    ("section", "name", "tar_bz2", "conda"),
    [
        ("packages", f"{DIST}.tar.bz2", True, True),
        ("packages", f"{DIST}.conda", False, True),
        ("packages.conda", f"{DIST}.conda", False, True),
        ("packages.conda", f"{DIST}.tar.bz2", False, False),
    ],
)
def test_which_file_is_meant(section: str, name: str, tar_bz2: bool, conda: bool) -> None:
    document = {section: {name: {"license": "MIT"}}}
    assert bool(patched(document, TAR_BZ2)) is tar_bz2
    assert bool(patched(document, CONDA)) is conda
    # Packages for clients that read v3 stand elsewhere, and so do their patches.
    assert not patched(document, TAR_BZ2, schema_version=3)
    assert not patched(document, CONDA, schema_version=3)


def test_what_is_said_of_the_conda_alone_counts_over_what_is_said_of_the_twin() -> None:
    document = {
        "packages": {f"{DIST}.tar.bz2": {"license": "MIT", "depends": []}},
        "packages.conda": {f"{DIST}.conda": {"license": "BSD-3-Clause"}},
    }
    assert patched(document, CONDA) == {"license": "BSD-3-Clause", "depends": []}
    assert patched(document, TAR_BZ2) == {"license": "MIT", "depends": []}


@pytest.mark.parametrize(("section", "extension"), [("conda", CONDA), ("tar.bz2", TAR_BZ2)])
def test_a_package_of_v3_is_patched_in_v3(section: str, extension: str) -> None:
    document = {"v3": {section: {DIST: {"depends": ['libgcc[version=">=14"]']}}}}
    assert patched(document, extension, schema_version=3)
    assert not patched(document, extension)


@pytest.mark.parametrize(
    ("name", "extensions"),
    [(f"{DIST}.tar.bz2", (TAR_BZ2, CONDA)), (f"{DIST}.conda", (CONDA,)), ("xz.whl", None)],
)
def test_revoking_and_removing_mean_the_twin_as_well(
    name: str, extensions: tuple[str, ...] | None
) -> None:
    said = dict(read({"revoke": [name], "remove": [name]}).patches())
    found = [(each.revoked, each.removed) for each in said.values()]
    assert found == ([] if extensions is None else [(extensions, extensions)])


@pytest.mark.parametrize("schema_version", [1, 3])
def test_what_is_revoked_depends_on_what_nobody_has(schema_version: int) -> None:
    document = {"revoke": [f"{DIST}.conda"]}
    revoked = {"revoked": True, "depends": ["libgcc >=13", "package_has_been_revoked"]}
    assert patched(document, schema_version=schema_version) == revoked
    assert patched(document, record={**XZ, **revoked}) == {}
    assert XZ["depends"] == ["libgcc >=13"]


def test_an_edit_does_not_make_a_revoked_package_installable() -> None:
    revoked = said_of({"revoke": [f"{DIST}.conda"]})
    edited = DistPatch(one_file={"depends": ["libgcc"]}, extension=CONDA)
    made = apply(XZ, None, [revoked, edited], extension=CONDA, schema_version=1)
    assert made.record["depends"] == ["libgcc", "package_has_been_revoked"]


def test_an_edit_is_of_one_file_whatever_its_schema() -> None:
    edited = DistPatch(one_file={"depends": []}, extension=CONDA)
    for schema_version in (1, 2, 3):
        made = apply(XZ, None, [edited], extension=CONDA, schema_version=schema_version)
        assert made.record["depends"] == []
    twin = apply(XZ, None, [edited], extension=TAR_BZ2, schema_version=1)
    assert twin.record == XZ


def test_specs_in_v3_get_their_form() -> None:
    change = {"depends": ["xz >=5"], "extra_depends": {"gui": ["qt 6.*"], "doc": None}}
    said = said_of({"v3": {"conda": {DIST: change}}}).v3_conda
    assert said["depends"] == ['xz[version=">=5"]']
    assert said["extra_depends"]["doc"] is None
    assert said["extra_depends"]["gui"] == ['qt[version="6.*"]']
    with pytest.raises(InvalidPatchError, match=r"the set, v3\.conda, xz"):
        said_of({"v3": {"conda": {DIST: {"depends": ["xz[channel=x]"]}}}})


# --- Versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "exports"),
    [
        ({"weak": ["xz >=5.6"]}, {"weak": ["xz >=5.6"]}),
        ({"strong": ["libxz"]}, {"weak": ["xz >=5"], "strong": ["libxz"]}),
        ({"weak": None}, {}),
        (None, {}),
        (["xz 5.*"], {"weak": ["xz 5.*"]}),
    ],
)
def test_version_2_patches_run_exports(change: object, exports: object) -> None:
    document = {
        "patch_instructions_version": 2,
        "packages.conda": {f"{DIST}.conda": {"run_exports": change}},
    }
    said = [said_of(document)]
    made = apply(XZ, {"weak": ["xz >=5"]}, said, extension=CONDA, schema_version=1)
    assert made.run_exports == exports
    assert made.record == XZ


def test_version_1_knows_no_run_exports() -> None:
    instructions = read({"packages.conda": {f"{DIST}.conda": {"run_exports": {"weak": ["x"]}}}})
    assert dict(instructions.patches()) == {DIST: DistPatch()}
    assert instructions.unused.keys == {"run_exports": 1}


@pytest.mark.parametrize("version", [3, "1", True, 1.5])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(InvalidPatchError, match="patch_instructions_version"):
        read({"patch_instructions_version": version})


@pytest.mark.parametrize("document", [{}, {"patch_instructions_version": 0}, {"packages": {}}])
def test_a_set_may_say_nothing(document: object) -> None:
    assert list(read(document).patches()) == []


# --- What can't be patched -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "name", "version", "build", "subdir", "md5", "sha256", "size", "indexed_timestamp",
        "attestations_sha256", "fn", "url", "schema_version", "legacy_bz2_md5",
    ],
)  # fmt: skip
def test_what_clients_know_a_file_by_is_left_alone_and_told(key: str) -> None:
    change = {key: "x", "license": "MIT"}
    instructions = read({"packages": {f"{DIST}.tar.bz2": change}})
    assert [said.packages for _, said in instructions.patches()] == [{"license": "MIT"}]
    assert instructions.unused.keys == {key: 1}


def test_sections_and_names_that_nobody_has_are_told() -> None:
    instructions = read(
        {
            "external_dependencies": {"a": "b"},
            "packages": {"README.txt": {}, "xz-1-0.conda\0": {}},
            "v3": {"whl": {"six-1.0-py3": {}}},
            "remove": ["six.whl"],
        }
    )
    assert list(instructions.patches()) == []
    assert instructions.unused.keys == {"external_dependencies": 1, "v3.whl": 1}
    assert sorted(instructions.unused.names) == ["README.txt", "six.whl", "xz-1-0.conda\0"]
    assert instructions.unused.names_count == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depends": None}, "gives depends as null"),
        ({"depends": "python"}, "gives depends as 'python'. It must be a list"),
        ({"depends": [1]}, "holds 1 in depends"),
        ({"depends": ["a\nb"]}, "in depends"),
        ({"constrains": [""]}, "in constrains"),
        ({"license": 1}, "gives license as 1"),
        ({"build_number": -1}, "gives build_number as -1"),
        ({"timestamp": "now"}, "gives timestamp as 'now'"),
        ({"noarch": "ruby"}, "gives noarch as 'ruby'"),
        ({"purls": ["x"]}, "gives purls as"),
        ({"extra_depends": {"gui": "qt"}}, "gives extra_depends"),
        ({"python_site_packages_path": "../.."}, "gives python_site_packages_path"),
        ({"run_exports": 1}, "gives run_exports as 1"),
        ({"run_exports": {"weak": ["\n"]}}, "run_exports.weak"),
        ({"summary": "\0"}, "NUL"),
        ({"summary": 2**70}, "64 bits"),
        ([], "It must be an object of keys"),
        ({"summary": "x" * MAX_CHANGES_BYTES}, "At most 262,144 are allowed"),
    ],
)
def test_a_value_that_breaks_clients_is_refused_with_its_place(change: Any, words: str) -> None:
    document = {"patch_instructions_version": 2, "packages.conda": {f"{DIST}.conda": change}}
    with pytest.raises(InvalidPatchError) as refused:
        list(read(document).patches())
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"the set, packages.conda, {DIST}.conda")
    assert "index.json" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[]", "the set holds a list"),
        (b'{"packages": []}', "the set, packages holds a list"),
        (b'{"packages": {"xz-1-0.tar.bz2": {"a": NaN}}}', "not valid JSON"),
        (b'{"packages": {"xz-1-0.tar.bz2": {"a": "\xff"}}}', "not valid JSON"),
        (b'{"packages": {"xz-1-0.tar.bz2": {"a": "\\ud800"}}}', "not valid JSON"),
        (b'{"revoke": {}}', "'revoke' something else than a list"),
        (b'{"remove": [1]}', "'remove' something else than a list"),
        (b'{"v3": 1}', "the set, v3 holds 1"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (
            b'{"packages": {"xz-1-0.conda": {"a": ' + b"[" * 50 + b"]" * 50 + b"}}}",
            "nested too deeply",
        ),
    ],
)
def test_what_is_no_set_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidPatchError) as refused:
        list(Instructions(data, source="the set").patches())
    assert words in str(refused.value)


def test_dists_come_in_the_order_of_their_bytes() -> None:
    names = ["b-1-0", "a-1-0", "a_b-1-0", "a.b-1-0", "a-1+x-0"]
    read_names = [dist for dist, _ in read({"remove": [f"{n}.conda" for n in names]}).patches()]
    assert read_names == sorted(names, key=str.encode)


def test_a_large_set_is_read_in_linear_time() -> None:
    def seconds(count: int) -> float:
        names = {f"p{i}-1-0.conda": {"depends": [f"d{i} >=1", "python"]} for i in range(count)}
        data = json.dumps({"packages.conda": names, "remove": [*names]}).encode()
        started = time.process_time()
        assert sum(1 for _ in Instructions(data).patches()) == count
        return time.process_time() - started

    seconds(100)
    assert seconds(16_000) < 16 * 4 * max(seconds(1000), 0.005)


def test_too_many_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "MAX_NAMES", 2)
    with pytest.raises(InvalidPatchError, match="At most 2"):
        read({"remove": [f"x-{i}-0.conda" for i in range(3)]})
