"""Packages from the conda projects' own test suites, made by real tools over ten years."""

import io
import json
import os
from pathlib import Path

import pytest
from conda_package_streaming import package_streaming
from rattler.package import IndexJson

from registry.conda.archive import read_package
from registry.conda.errors import PackageError
from registry.conda.record import make_record, parse_index, record_json

_DEFAULT = Path(__file__).parents[4] / "shared" / "data"
FOLDER = Path(os.environ.get("CONDARIUM_SHARED_DATA", _DEFAULT)) / "packages"
# Tar archives of one empty file each, for tests of what is no package.
_NO_PACKAGES = {"a.tar.bz2", "b.tar.bz2", "subfolder.tar.bz2", "subfolder2.tar.bz2"}


def _packages() -> list[Path]:
    return sorted(path for path in FOLDER.rglob("*") if path.name.endswith((".conda", ".tar.bz2")))


def _is_bad(path: Path) -> bool:
    return "bad" in path.name or path.name in _NO_PACKAGES


def test_the_packages_are_there() -> None:
    if os.environ.get("CI") == "true":
        assert _packages(), f"CI must have the real packages, but there are none in {FOLDER}."
    elif not _packages():
        pytest.skip(f"There are no real packages in {FOLDER}; set CONDARIUM_SHARED_DATA.")


@pytest.mark.parametrize("path", [p for p in _packages() if not _is_bad(p)], ids=lambda p: p.name)
def test_a_real_package_is_taken_and_read_as_others_read_it(path: Path) -> None:
    with path.open("rb") as file:
        contents = read_package(file, size_bytes=path.stat().st_size)
    metadata = parse_index(contents.index, format=contents.format)
    assert metadata.filename == path.name

    with path.open("rb") as file:
        found = [
            json.load(content)
            for tar, info in package_streaming.stream_conda_info(path.name, file)
            if info.name == "info/index.json" and (content := tar.extractfile(info)) is not None
        ]
    assert found == [contents.index]
    index = IndexJson.from_package_archive(path)
    assert index.name.normalized == metadata.dist.name
    assert str(index.version) == metadata.dist.version
    assert index.depends == list(metadata.depends)


@pytest.mark.parametrize("path", [p for p in _packages() if not _is_bad(p)], ids=lambda p: p.name)
def test_the_record_of_a_real_package_says_what_the_package_says(path: Path) -> None:
    data = path.read_bytes()
    contents = read_package(io.BytesIO(data), size_bytes=len(data))
    metadata = parse_index(contents.index, format=contents.format)
    record = make_record(
        metadata, md5="0" * 32, sha256="0" * 64, size_bytes=len(data), indexed_timestamp_ms=1
    )
    (name, published), *_ = json.loads(b"{" + record_json(path.name, record) + b"}").items()
    assert name == path.name
    said = {key: value for key, value in contents.index.items() if value is not None}
    assert {key: published.get(key) for key in said} == said


@pytest.mark.parametrize("path", [p for p in _packages() if _is_bad(p)], ids=lambda p: p.name)
def test_a_bad_file_among_real_packages_is_refused(path: Path) -> None:
    with path.open("rb") as file, pytest.raises(PackageError):
        read_package(file, size_bytes=path.stat().st_size)
