"""index.json to record (CEP 34, CEP 36, CEP 47, shards: CEP 16, CEP 21)."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rattler import Channel, RepoData

from registry.conda.errors import (
    InvalidMetadataError,
    InvalidSubdirError,
    PackageError,
    SubdirMismatchError,
    UnsafePathError,
)
from registry.conda.names import ArchiveFormat
from registry.conda.record import (
    PackageMetadata,
    make_record,
    parse_index,
    record_json,
    record_msgpack,
)
from tests.odd_packages import ODD_INDEXES

MD5, SHA256 = "d41d8cd98f00b204e9800998ecf8427e", "ab" * 32

INDEX: dict[str, object] = {
    "name": "xz",
    "version": "5.6.3",
    "build": "hb9d3cd8_1",
    "build_number": 1,
    "subdir": "linux-64",
    "depends": ["libgcc >=13"],
    "constrains": ["lzma <0"],
    "license": "0BSD",
    "license_family": "Other",
    "timestamp": 1_700_000_000_000,
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcäß", max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def parse(**changes: object) -> PackageMetadata:
    index = {key: value for key, value in {**INDEX, **changes}.items() if value is not ...}
    return parse_index(index, format=ArchiveFormat.CONDA)


def record_of(metadata: PackageMetadata) -> dict[str, object]:
    return make_record(
        metadata, md5=MD5, sha256=SHA256, size_bytes=1234, indexed_timestamp_ms=1_800_000_000_000
    )


def test_metadata_tells_what_the_package_is() -> None:
    metadata = parse()
    assert metadata.filename == "xz-5.6.3-hb9d3cd8_1.conda"
    assert str(metadata.dist) == "xz-5.6.3-hb9d3cd8_1"
    assert (metadata.build_number, metadata.subdir, metadata.noarch) == (1, "linux-64", None)
    assert metadata.depends == ("libgcc >=13",)
    assert metadata.constrains == ("lzma <0",)
    assert (metadata.license, metadata.license_family) == ("0BSD", "Other")
    assert metadata.timestamp_ms == 1_700_000_000_000
    assert metadata.schema_version == 1
    assert metadata.index == INDEX


def test_the_record_adds_what_the_server_knows() -> None:
    assert record_of(parse()) == {
        **INDEX,
        "md5": MD5,
        "sha256": SHA256,
        "size": 1234,
        "indexed_timestamp": 1_800_000_000_000,
    }


@pytest.mark.parametrize(
    "key",
    [
        *("md5", "sha256", "size", "url", "fn", "channel", "indexed_timestamp", "run_exports"),
        *("attestations_sha256", "legacy_bz2_md5", "legacy_bz2_size", "signatures"),
    ],
)
def test_what_only_the_server_knows_is_not_taken_from_the_uploader(key: str) -> None:
    assert parse(**{key: "mine"}).index == INDEX


def test_keys_we_do_not_know_are_passed_on() -> None:
    assert parse(preferred_env="_x_", x={"y": [1]}).index == {
        **INDEX,
        "preferred_env": "_x_",
        "x": {"y": [1]},
    }


def test_the_record_is_written_as_one_member_with_sorted_keys() -> None:
    record = record_of(parse(license="Lizenz für ö"))
    written = record_json("xz-5.6.3-hb9d3cd8_1.conda", record)
    document = json.dumps(
        {"xz-5.6.3-hb9d3cd8_1.conda": record},
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    assert b"{" + written + b"}" == document.encode()


def test_shards_have_raw_digests_and_run_exports() -> None:
    record = record_of(parse())
    shard_record = msgspec.msgpack.decode(record_msgpack(record, {"weak": ["xz >=5"]}))
    assert shard_record == {
        **record,
        "md5": bytes.fromhex(MD5),
        "sha256": bytes.fromhex(SHA256),
        "run_exports": {"weak": ["xz >=5"]},
    }


def test_a_package_without_run_exports_is_known_to_have_none() -> None:
    decoded = msgspec.msgpack.decode(record_msgpack(record_of(parse()), None))
    assert decoded["run_exports"] == {}


@given(st.dictionaries(st.text("abcdefgä_", min_size=1, max_size=8), json_values, max_size=6))
def test_a_record_survives_both_ways_of_writing_it(extra: dict[str, object]) -> None:
    record = record_of(parse(x=extra))
    assert json.loads(b"{" + record_json("f", record) + b"}") == {"f": record}
    decoded = msgspec.msgpack.decode(record_msgpack(record, None))
    assert decoded.pop("run_exports") == {}
    assert decoded == {**record, "md5": bytes.fromhex(MD5), "sha256": bytes.fromhex(SHA256)}


@given(st.dictionaries(st.text("abcdefg", max_size=8), json_values, max_size=6))
def test_the_order_of_keys_does_not_change_a_byte(extra: dict[str, object]) -> None:
    record = record_of(parse(x=extra))
    backwards = dict(reversed(record.items()))
    assert record_json("f", record) == record_json("f", backwards)
    assert record_msgpack(record, None) == record_msgpack(backwards, None)


def test_clients_can_read_an_index_of_odd_packages(tmp_path: Path) -> None:
    members = {}
    for changes in ODD_INDEXES.values():
        odd = {key: value for key, value in {**INDEX, **changes}.items() if value is not None}
        metadata = parse_index(odd, format=ArchiveFormat.CONDA)
        members[metadata.filename] = record_json(metadata.filename, record_of(metadata))
    path = tmp_path / "repodata.json"
    path.write_bytes(b'{"packages.conda":{' + b",".join(members.values()) + b"}}")
    records = RepoData.from_path(path).into_repo_data(Channel("https://a.example/channel"))
    assert {record.file_name for record in records} == members.keys()


@pytest.mark.parametrize(
    ("timestamp", "milliseconds"),
    [
        (..., 0),
        (None, 0),
        (0, 0),
        (1_500_000_000, 1_500_000_000_000),
        (1_500_000_000_123, 1_500_000_000_123),
        (1_500_000_000.5, 1_500_000_000_500),
        (1_500_000_000_123.7, 1_500_000_000_123),
        (253_402_300_799, 253_402_300_799_000),
    ],
)
def test_timestamps_are_seconds_or_milliseconds(timestamp: object, milliseconds: int) -> None:
    assert parse(timestamp=timestamp).timestamp_ms == milliseconds


@pytest.mark.parametrize(
    ("changes", "subdir"),
    [
        ({}, "linux-64"),
        ({"subdir": ..., "noarch": "python"}, "noarch"),
        ({"subdir": None, "noarch": True}, "noarch"),
        ({"subdir": ..., "platform": "win", "arch": "x86"}, "win-32"),
        ({"noarch": "python"}, "linux-64"),
    ],
)
def test_the_subdir_is_what_the_package_says(changes: dict[str, object], subdir: str) -> None:
    metadata = parse(**changes)
    assert metadata.subdir == metadata.index["subdir"] == subdir


def test_a_package_without_any_subdir_is_refused() -> None:
    with pytest.raises(InvalidSubdirError, match="names no subdir"):
        parse(subdir=...)


def test_a_package_is_refused_in_another_subdir_than_its_own() -> None:
    parse_index(INDEX, format=ArchiveFormat.CONDA, subdir="linux-64")
    with pytest.raises(SubdirMismatchError, match=r"'linux-64'.*'noarch'"):
        parse_index(INDEX, format=ArchiveFormat.CONDA, subdir="noarch")


def test_what_is_missing_is_filled_in_for_clients() -> None:
    metadata = parse(depends=..., build_number=..., constrains=...)
    assert metadata.index["depends"] == []
    assert metadata.index["build_number"] == 0
    assert "constrains" not in metadata.index


@pytest.mark.parametrize(
    "depends", ["python", [1], [""], ["*"], ["[[["], ["a\nb"], ["a"] * 5001, {}]
)
def test_dependencies_must_be_specs(depends: object) -> None:
    with pytest.raises(InvalidMetadataError, match="depends"):
        parse(depends=depends)


@pytest.mark.parametrize("path", ["/usr", "../x", "a/../../x", "C:/x", "a\\b", "", "a//b", "a\nb"])
def test_site_packages_must_be_inside_the_environment(path: str) -> None:
    with pytest.raises(UnsafePathError, match="python_site_packages_path"):
        parse(python_site_packages_path=path)


def test_features_may_be_a_list_or_a_string() -> None:
    assert parse(track_features=["a", "b"]).index["track_features"] == "a b"
    assert parse(track_features="a b").index["track_features"] == "a b"
    assert "track_features" not in parse(track_features=None).index


def test_packages_of_the_third_schema_keep_their_extras() -> None:
    metadata = parse(
        schema_version=3, extra_depends={"test": ["pytest"]}, flags=["gpu", "blas:mkl"]
    )
    assert metadata.schema_version == 3
    assert metadata.index["schema_version"] == 3
    assert metadata.index["extra_depends"] == {"test": ["pytest"]}
    assert metadata.index["flags"] == ["gpu", "blas:mkl"]


@given(st.dictionaries(st.sampled_from([*INDEX, "noarch", "arch", "flags", "x"]), json_values))
def test_any_values_are_taken_or_refused_with_a_sentence(changes: dict[str, object]) -> None:
    try:
        metadata = parse(**changes)
    except PackageError as refused:
        message = str(refused)
        assert len(message) <= 500
        return
    record_json(metadata.filename, record_of(metadata))
    record_msgpack(record_of(metadata), None)
