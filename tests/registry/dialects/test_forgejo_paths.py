"""The table of routes of Forgejo's registry, without a request."""

from __future__ import annotations

import pytest
from django.urls import Resolver404, resolve

from registry.conda.names import ArchiveFormat
from registry.dialects.forgejo.paths import (
    Archive,
    ChannelFile,
    IndexFile,
    Shard,
    Upload,
    join_name,
    parse_read,
    parse_upload,
    split_name,
)

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("rest", "meant"),
    [
        ("noarch/repodata.json", IndexFile("main", "noarch", "repodata.json")),
        ("noarch/repodata.json.bz2", IndexFile("main", "noarch", "repodata.json.bz2")),
        ("linux-64/current_repodata.json", IndexFile("main", "linux-64", "current_repodata.json")),
        (
            "dev/noarch/current_repodata.json.bz2",
            IndexFile("dev", "noarch", "current_repodata.json.bz2"),
        ),
        ("a/b/noarch/repodata.json", IndexFile("a/b", "noarch", "repodata.json")),
        ("linux-64/noarch/repodata.json", IndexFile("linux-64", "noarch", "repodata.json")),
        ("dev//noarch///repodata.json//", IndexFile("dev", "noarch", "repodata.json")),
        ("noarch/x-1.0-0.conda", Archive("main", "noarch", "x-1.0-0.conda")),
        ("noarch/x-1.0-0.tar.bz2", Archive("main", "noarch", "x-1.0-0.tar.bz2")),
        ("a/b/osx-64/x-1!2.0+g-0.conda", Archive("a/b", "osx-64", "x-1!2.0+g-0.conda")),
        # Beyond Forgejo: what clients look for where their channel_alias points.
        ("noarch/repodata.json.zst", IndexFile("main", "noarch", "repodata.json.zst")),
        (
            "a/b/noarch/repodata_shards.msgpack.zst",
            IndexFile("a/b", "noarch", "repodata_shards.msgpack.zst"),
        ),
        ("noarch/run_exports.json", IndexFile("main", "noarch", "run_exports.json")),
        ("noarch/run_exports.json.zst", IndexFile("main", "noarch", "run_exports.json.zst")),
        (
            f"a/b/noarch/shards/{DIGEST}.msgpack.zst",
            Shard("a/b", "noarch", f"{DIGEST}.msgpack.zst"),
        ),
        ("channeldata.json", ChannelFile("main", "channeldata.json")),
        ("a/b/notices.json", ChannelFile("a/b", "notices.json")),
    ],
)
def test_what_a_get_asks_for(rest: str, meant: object) -> None:
    assert parse_read(rest) == meant


@pytest.mark.parametrize(
    "rest",
    [
        "repodata.json",
        "repodata.json.bz2",
        "noarch",
        "noarch/",
        "noarch/x.CONDA",
        "noarch/x.TAR.BZ2",
        "noarch/.conda",
        "noarch/.tar.bz2",
        "x-1.0-0.conda",
        "noarch/repodata.json.jlap",
        "noarch/repodata.json.gz",
        "noarch/repodata_from_packages.json",
        "noarch/index.html",
        "noarch/patch_instructions.json",
        "noarch/x.whl",
        f"noarch/shards/{DIGEST.upper()}.msgpack.zst",
        "noarch/repodata.json\nx",
    ],
)
def test_what_no_get_can_ask_for(rest: str) -> None:
    assert parse_read(rest) is None


@pytest.mark.parametrize(
    ("rest", "meant"),
    [
        ("x.conda", Upload("main", None, ArchiveFormat.CONDA)),
        ("x-1.0.tar.bz2", Upload("main", None, ArchiveFormat.TAR_BZ2)),
        ("dev/x.conda", Upload("dev", None, ArchiveFormat.CONDA)),
        ("a/b/x.conda", Upload("a/b", None, ArchiveFormat.CONDA)),
        ("//a//b//x.conda/", Upload("a/b", None, ArchiveFormat.CONDA)),
        ("release-candidate/x.conda", Upload("release-candidate", None, ArchiveFormat.CONDA)),
        ("linux-64/x.conda", Upload("main", "linux-64", ArchiveFormat.CONDA)),
        ("noarch/x.tar.bz2", Upload("main", "noarch", ArchiveFormat.TAR_BZ2)),
        ("a/b/osx-arm64/x.conda", Upload("a/b", "osx-arm64", ArchiveFormat.CONDA)),
    ],
)
def test_where_a_put_goes(rest: str, meant: Upload) -> None:
    assert parse_upload(rest) == meant


@pytest.mark.parametrize(
    "rest", ["x.whl", "x.tar.gz", "X.TAR.BZ2", "x.Conda", ".conda", "dev/.tar.bz2", "x.conda.part"]
)
def test_where_no_put_goes(rest: str) -> None:
    assert parse_upload(rest) is None


@pytest.mark.parametrize(
    ("name", "channel", "package"),
    [("numpy", "main", "numpy"), ("dev/numpy", "dev", "numpy"), ("a/b/numpy", "a/b", "numpy")],
)
def test_a_name_holds_its_channel(name: str, channel: str, package: str) -> None:
    assert split_name(name) == (channel, package)
    assert join_name(channel, package) == name


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/packages/acme/conda/x.conda", "forgejo-registry"),
        ("//api//packages//acme//conda//x.conda//", "forgejo-registry"),
        ("//api/packages/acme/conda/x.conda", "forgejo-registry"),
        ("/api/packages/acme/conda/noarch/repodata.json", "forgejo-registry"),
        ("/api/packages/acme/conda/collaborators/noarch/repodata.json", "forgejo-registry"),
        ("/api/packages/acme/conda/collaborators/x-1.0-0.conda", "forgejo-registry"),
        ("/api/packages/acme/conda/collaboratorsx", "forgejo-registry"),
        ("/api/v1/packages/acme", "forgejo-packages"),
        ("/api/v1/packages/acme/", "forgejo-packages"),
        ("/api/v1/packages/acme/conda/x/1.0", "forgejo-package"),
        ("/api/v1/packages/acme/conda/dev/x/1.0", "forgejo-package"),
        ("/api/v1/packages/acme/conda/x/files", "forgejo-package"),
        ("/api/v1/packages/acme/conda/x/1.0/files", "forgejo-files"),
        ("/api/v1/packages/acme/conda/a/b/x/1.0/files/", "forgejo-files"),
    ],
)
def test_a_path_leads_to_its_route(path: str, route: str) -> None:
    assert resolve(path).url_name == route


@pytest.mark.parametrize(
    "path",
    [
        "/api/packages/acme",
        "/api/packages/acme/conda",
        "/api/packages/acme/conda/",
        # anaconda.org's collaborators of a package called conda
        "/api/packages/acme/conda/collaborators",
        "/api/packages/acme/conda/collaborators/",
        "/api/packages/acme/conda/collaborators/olga",
        "/api/packages/acme/numpy/collaborators/olga",
        "/api/v1/packages",
    ],
)
def test_other_paths_are_left_to_others(path: str) -> None:
    try:
        name = resolve(path).url_name or ""
    except Resolver404:
        return
    assert not name.startswith("forgejo")
