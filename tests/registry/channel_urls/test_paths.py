from __future__ import annotations

import pytest

from registry.channel_urls.paths import ChannelPath, channel_url, parse_channel_path

SHARD = f"{'0a' * 32}.msgpack.zst"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("noarch/repodata.json", ("main", "noarch", "repodata.json")),
        ("linux-64/a-1-0.conda", ("main", "linux-64", "a-1-0.conda")),
        ("main/noarch/repodata.json", ("main", "noarch", "repodata.json")),
        ("label/main/noarch/repodata.json", ("main", "noarch", "repodata.json")),
        ("dev/noarch/repodata.json", ("dev", "noarch", "repodata.json")),
        ("label/dev/noarch/repodata.json", ("dev", "noarch", "repodata.json")),
        ("label/a/b/c/linux-64/x-1-0.conda", ("a/b/c", "linux-64", "x-1-0.conda")),
        ("a/b/linux-64/x-1-0.conda", ("a/b", "linux-64", "x-1-0.conda")),
        # A channel that could be a subdir by its form: what stands before the file is one.
        ("release-candidate/noarch/a-1-0.conda", ("release-candidate", "noarch", "a-1-0.conda")),
        ("release-candidate/notices.json", ("release-candidate", None, "notices.json")),
        ("release-candidate/a-1-0.conda", ("main", "release-candidate", "a-1-0.conda")),
        ("noarch/noarch/repodata.json", ("noarch", "noarch", "repodata.json")),
        ("label/linux-64/noarch/repodata.json", ("linux-64", "noarch", "repodata.json")),
        # Words of ours as names of channels.
        ("shards/noarch/repodata.json", ("shards", "noarch", "repodata.json")),
        ("repodata.json/noarch/repodata.json", ("repodata.json", "noarch", "repodata.json")),
        ("notices.json/notices.json", ("notices.json", None, "notices.json")),
        ("v1.0:rc/linux-64/repodata.json", ("v1.0:rc", "linux-64", "repodata.json")),
        ("a/label/noarch/repodata.json", ("a/label", "noarch", "repodata.json")),
        # Packages that are called like index files.
        (
            "noarch/repodata.json-1.0-0.conda",
            ("main", "noarch", "repodata.json-1.0-0.conda"),
        ),
        ("noarch/notices.json-1-0.tar.bz2", ("main", "noarch", "notices.json-1-0.tar.bz2")),
        ("noarch/a+b-1!2+c-0.conda", ("main", "noarch", "a+b-1!2+c-0.conda")),
        ("notices.json", ("main", None, "notices.json")),
        ("channeldata.json", ("main", None, "channeldata.json")),
        ("label/dev/channeldata.json", ("dev", None, "channeldata.json")),
        ("label/a/b/notices.json", ("a/b", None, "notices.json")),
    ],
)
def test_a_path_means_one_channel_one_subdir_one_file(
    rest: str, expected: tuple[str, str | None, str]
) -> None:
    assert parse_channel_path(rest) == ChannelPath(*expected)


@pytest.mark.parametrize(
    ("rest", "channel", "subdir"),
    [
        (f"noarch/shards/{SHARD}", "main", "noarch"),
        (f"label/a/b/linux-64/shards/{SHARD}", "a/b", "linux-64"),
        (f"shards/linux-64/shards/{SHARD}", "shards", "linux-64"),
    ],
)
def test_shards_have_a_folder_of_their_own(rest: str, channel: str, subdir: str) -> None:
    assert parse_channel_path(rest) == ChannelPath(channel, subdir, SHARD, is_shard=True)


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "noarch",
        "noarch/",
        "repodata.json",
        "dev/repodata.json",
        "label/noarch/repodata.json/",
        "label/noarch",
        "label/notices.json",
        "label/noarch/repodata.json",
        "/noarch/repodata.json",
        "dev//noarch/repodata.json",
        "noarch//repodata.json",
        "../acme/noarch/repodata.json",
        "dev/../noarch/repodata.json",
        "./noarch/repodata.json",
        "noarch/..",
        "Linux-64/repodata.json",
        "noarch/shards/abc.msgpack.zst",
        f"noarch/shards/{SHARD.upper()}",
        f"shards/{SHARD}",
        "noarch/a\0-1-0.conda",
        "noarch/a\n-1-0.conda",
        "dev\u2028/noarch/repodata.json",
        f"{'a/' * 600}noarch/repodata.json",
    ],
)
def test_other_paths_are_no_place(rest: str) -> None:
    assert parse_channel_path(rest) is None


@pytest.mark.parametrize(
    ("channel", "subdir", "name", "url"),
    [
        ("main", "noarch", "a-1-0.conda", "/conda/acme/noarch/a-1-0.conda"),
        ("a/b:c", "linux-64", "a-1-0.conda", "/conda/acme/label/a/b:c/linux-64/a-1-0.conda"),
        ("main", "noarch", "a-1!2+c-0.conda", "/conda/acme/noarch/a-1%212%2Bc-0.conda"),
        ("dev", None, "", "/conda/acme/label/dev"),
        ("main", None, "notices.json", "/conda/acme/notices.json"),
    ],
)
def test_addresses_are_written_so_that_every_client_reads_them(
    channel: str, subdir: str | None, name: str, url: str
) -> None:
    assert channel_url("acme", channel, subdir, name) == url
