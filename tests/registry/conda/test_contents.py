"""Looking into a package: its paths, its metadata, one file of it, within time and bytes."""

from __future__ import annotations

import bz2
import io
import json
import time
from collections.abc import Callable

import pytest

from registry.conda.contents import (
    MAX_TEXT_BYTES,
    Found,
    Listing,
    OutOfPatience,
    PathEntry,
    Patience,
    read_listing,
    read_member,
)
from registry.conda.errors import PackageError
from registry.conda.limits import DEFAULT_LIMITS
from registry.conda.names import ArchiveFormat
from registry.conda.provenance import package_url, provenance_of
from tests.builders import BuiltPackage, build_conda, build_minimal_conda, build_tar_bz2, tar_of

_FILES: dict[str, bytes | str] = {
    "bin/xz": b"\x7fELF\x00",
    "share/xz/readme.txt": "Compression\n",
    "share/large.txt": "x" * (MAX_TEXT_BYTES + 1),
    "info/recipe/meta.yaml": "package:\n  name: xz\n",
}
_PATIENT = 1 << 40


def _patience(limit_bytes: int = _PATIENT) -> Patience:
    return Patience(time.monotonic() + 60, limit_bytes)


def _format(package: BuiltPackage) -> ArchiveFormat:
    is_conda = package.filename.endswith(".conda")
    return ArchiveFormat.CONDA if is_conda else ArchiveFormat.TAR_BZ2


def _listing(package: BuiltPackage, patience: Patience | None = None) -> Listing:
    return read_listing(
        io.BytesIO(package.data),
        size_bytes=package.size,
        archive_format=_format(package),
        patience=patience or _patience(),
        limits=DEFAULT_LIMITS,
    )


def _member(package: BuiltPackage, path: str, patience: Patience | None = None) -> Found | None:
    return read_member(
        io.BytesIO(package.data),
        path,
        size_bytes=package.size,
        archive_format=_format(package),
        patience=patience or _patience(),
        limits=DEFAULT_LIMITS,
    )


@pytest.mark.parametrize("build", [build_conda, build_tar_bz2])
def test_paths_and_metadata_are_listed(build: Callable[..., BuiltPackage]) -> None:
    listing = _listing(build("xz", "5.6.3", files=_FILES))

    paths = [entry.path for entry in listing.paths]
    assert paths == ["bin/xz", "share/large.txt", "share/xz/readme.txt"]
    assert listing.paths[2].size_bytes == len("Compression\n")
    assert len(listing.paths[2].sha256) == 64
    assert {"info/index.json", "info/paths.json"} <= set(listing.documents)
    assert listing.path_count == 3


@pytest.mark.parametrize("build", [build_conda, build_tar_bz2])
def test_one_file_is_read(build: Callable[..., BuiltPackage]) -> None:
    package = build("xz", "5.6.3", files=_FILES)

    readme, large = _member(package, "share/xz/readme.txt"), _member(package, "share/large.txt")

    assert readme is not None
    assert readme.data == b"Compression\n"
    assert large is not None
    assert large.data is None
    assert _member(package, "share/nothing") is None
    assert _member(package, "../etc/passwd") is None


def test_reading_ends_with_patience() -> None:
    package = build_tar_bz2("xz", files={"a": "a" * 4_000_000, "b": "b"})

    assert _listing(package, _patience(1_000_000)).path_count == 2  # info comes first
    with pytest.raises(OutOfPatience):
        _member(package, "b", _patience(1_000_000))
    with pytest.raises(OutOfPatience):
        _listing(package, Patience(time.monotonic() - 1, _PATIENT))


def _archive(paths: object, **more: str) -> BuiltPackage:
    info = {"info/index.json": "{}", "info/paths.json": json.dumps({"paths": paths})} | more
    return BuiltPackage("xz-1-0.tar.bz2", bz2.compress(tar_of(info)))


def test_what_is_odd_about_an_entry_is_left_out() -> None:
    listing = _listing(
        _archive(
            [
                {"_path": "b", "sha256": 7, "size_in_bytes": "many"},
                {"_path": "a", "prefix_placeholder": "/opt", "file_mode": "binary"},
                {"_path": "a", "size_in_bytes": 1},
            ]
        )
    )

    assert listing.paths == [
        PathEntry("a", "hardlink", None, "", "binary"),
        PathEntry("a", "hardlink", 1),
        PathEntry("b", "hardlink"),
    ]
    with pytest.raises(PackageError):
        _listing(_archive([{"_path": "../up"}]))


def test_old_packages_list_their_paths_as_lines() -> None:
    data = bz2.compress(tar_of({"info/index.json": "{}", "info/files": "bin/xz\nlib/liblzma.so\n"}))

    listing = _listing(BuiltPackage("xz-1-0.tar.bz2", data))

    assert [entry.path for entry in listing.paths] == ["bin/xz", "lib/liblzma.so"]
    assert not _listing(build_minimal_conda()).has_paths


def test_a_damaged_archive_is_an_error_of_the_package() -> None:
    package = build_conda("xz", files=_FILES)
    for data in (b"", package.data[:-100], b"PK\x03\x04" + bytes(500)):
        with pytest.raises(PackageError):
            _listing(BuiltPackage(package.filename, data))


def test_provenance_holds_what_can_be_shown() -> None:
    extra = {
        "remote_url": "https://github.com/acme/xz-feedstock.git",
        "sha": "50a4e2d4203f05082fcbb93e14541180de3aa8ac",
        "flow_run_id": "github_4411",
    }
    found = provenance_of({"extra": extra, "conda_build_version": "24.1.0"})

    assert found.repository_url == "https://github.com/acme/xz-feedstock"
    assert found.commit_url.endswith(f"/commit/{extra['sha']}")
    assert found.run_url == "https://github.com/acme/xz-feedstock/actions/runs/4411"
    assert found.builder == "conda-build 24.1.0"
    for hostile in ("javascript:alert(1)", "<b>", 7, None, ["x"], {"a": "b"}):
        assert not provenance_of(
            {"extra": {"remote_url": hostile, "sha": hostile}, "conda_build_version": hostile}
        )
        assert not provenance_of({"extra": hostile})


def test_a_package_url_names_one_file() -> None:
    assert package_url(name="xz") == "pkg:conda/xz"
    assert (
        package_url(
            name="xz", version="1!5.6+a", build="h_1", subdir="linux-64", filename="x.conda",
            channel_url="https://host.example/conda/acme",
        )
        == "pkg:conda/xz@1%215.6%2Ba?build=h_1&repository_url=https://host.example/conda/acme"
        "&subdir=linux-64&type=conda"
    )  # fmt: skip
