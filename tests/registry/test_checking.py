"""Stored packages are read again; what is damaged is told, not given out, and mended."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Event
from portal.errors import Unavailable
from registry import checking, housekeeping, storage
from registry.models import Blob
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get
from tests.factories import make_organization
from tests.registry.sources import Site, folder_of, run, serving
from tests.servers import S3Server

HELLO = build_conda("hello", "1.0")
OTHER = build_conda("other", "1.0")
NAME = f"acme/noarch/{HELLO.filename}"


def path_of(built: BuiltPackage) -> Path:
    return Path(settings.FILES_FOLDER) / storage.blob_key(built.sha256)


def spoil(built: BuiltPackage, data: bytes | None) -> None:
    path = path_of(built)
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def age(*, days: int) -> None:
    long_ago = timezone.now() - timedelta(days=days)
    Blob.objects.update(checked_at=long_ago, claimed_at=long_ago)


def damage_of(built: BuiltPackage) -> str:
    return Blob.objects.get(sha256=built.sha256).damage


@pytest.fixture
def published(owner: Person, channel: ChannelAddress) -> ChannelAddress:
    for built in (HELLO, OTHER):
        assert owner.upload(built, to=channel).status_code == 201
    age(days=31)
    return channel


OTHER_BYTES = bytes(len(HELLO.data))


@pytest.mark.parametrize(
    ("data", "damage"), [(None, "missing"), (b"short", "size"), (OTHER_BYTES, "content")]
)
def test_what_is_damaged_is_refused_until_the_same_file_is_uploaded(
    published: ChannelAddress,
    owner: Person,
    data: bytes | None,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = published.url(f"noarch/{HELLO.filename}")
    assert get(url).status_code == 200
    spoil(HELLO, data)

    assert housekeeping.keep_house()["stored packages"] == 1
    assert housekeeping.keep_house()["stored packages"] == 0

    assert (damage_of(HELLO), damage_of(OTHER)) == (damage, "")
    assert path_of(HELLO).exists() == (data is not None)
    refused = get(url)
    assert (refused.status_code, refused.json()["title"]) == (503, "The stored package is damaged")
    assert refused.headers["Retry-After"] == "3600"
    assert get(published.url(f"noarch/{OTHER.filename}")).status_code == 200
    event = Event.objects.get(action="blob.damage")
    assert (event.account, event.target) == (None, NAME)
    assert event.detail == {"sha256": HELLO.sha256, "files": [NAME], "damage": damage}
    (record,) = [r for r in caplog.records if r.message == "a stored package is damaged"]
    assert record.__dict__["files"] == [NAME]

    assert owner.upload(HELLO, to=published).status_code == 200

    assert damage_of(HELLO) == ""
    assert path_of(HELLO).read_bytes() == HELLO.data
    assert get(url).body == HELLO.data
    assert Event.objects.get(action="blob.mend").target == NAME


def test_an_import_to_another_account_mends_what_both_need(
    published: ChannelAddress, owner: Person, tmp_path: Path
) -> None:
    make_organization("globex", owner=owner.user)
    spoil(HELLO, OTHER_BYTES)
    checking.check_some()

    assert run(str(folder_of(tmp_path / "source", HELLO)), "globex").code == 0

    assert damage_of(HELLO) == ""
    assert get(published.url(f"noarch/{HELLO.filename}")).body == HELLO.data


@pytest.mark.parametrize("is_mirror", [False, True])
def test_an_import_mends_what_it_finds_there_and_damaged(
    is_mirror: bool, published: ChannelAddress, tmp_path: Path
) -> None:
    spoil(HELLO, OTHER_BYTES)
    checking.check_some()
    assert get(published.url(f"noarch/{HELLO.filename}")).status_code == 503

    with serving(Site(tmp_path / "site")) as site:
        site.publish(HELLO, OTHER)
        done = run(site.url if is_mirror else str(site.folder), "acme")
        fetched = [path for path, _ in site.asked if path.endswith(".conda")]

    assert done.code == 0, done.err
    assert "0 published, 0 added to the channel, 2 were there" in done.out
    # Of a mirror only what has to be read is fetched.
    assert fetched == ([f"/noarch/{HELLO.filename}"] if is_mirror else [])
    assert damage_of(HELLO) == ""
    assert get(published.url(f"noarch/{HELLO.filename}")).body == HELLO.data
    assert Event.objects.get(action="blob.mend").target == NAME


def test_an_import_brings_no_other_bytes_in_place_of_damaged_ones(
    published: ChannelAddress, tmp_path: Path
) -> None:
    spoil(HELLO, OTHER_BYTES)
    checking.check_some()
    others = build_conda("hello", "1.0", about={"summary": "Not the same"})

    done = run(str(folder_of(tmp_path / "source", others)), "acme")

    assert (done.code, damage_of(HELLO)) == (1, "content")
    assert "1 conflicts" in done.out
    assert path_of(HELLO).read_bytes() == OTHER_BYTES


@pytest.mark.parametrize("is_imported", [False, True])
def test_what_an_s3_lost_or_changed_is_found_and_mended(
    is_imported: bool,
    in_s3: None,
    s3: S3Server,
    owner: Person,
    channel: ChannelAddress,
    tmp_path: Path,
) -> None:
    for built in (HELLO, OTHER):
        assert owner.upload(built, to=channel).status_code == 201
    age(days=31)
    assert checking.check_some() == 0
    age(days=31)
    client = s3.client()
    client.put_object(Bucket=s3.bucket, Key=storage.blob_key(HELLO.sha256), Body=OTHER_BYTES)
    client.delete_object(Bucket=s3.bucket, Key=storage.blob_key(OTHER.sha256))
    client.close()

    assert checking.check_some() == 2

    assert (damage_of(HELLO), damage_of(OTHER)) == ("content", "missing")
    for built in (HELLO, OTHER):
        assert get(channel.url(f"noarch/{built.filename}")).status_code == 503
    if is_imported:
        assert run(str(folder_of(tmp_path / "source", HELLO, OTHER)), "acme").code == 0
    else:
        assert owner.upload(HELLO, to=channel).status_code == 200
        assert owner.upload(OTHER, to=channel).status_code == 200
    call_command("verify")
    assert not Blob.objects.damaged().exists()


def test_a_run_reads_as_much_as_it_may_and_the_next_one_goes_on(
    published: ChannelAddress, settings: Settings
) -> None:
    settings.CHECK_RUN_BYTES = 1
    for left in (1, 0, 0):
        checking.check_some()
        border = timezone.now() - timedelta(days=1)
        assert Blob.objects.filter(checked_at__lt=border).count() == left
    settings.CHECK_EVERY = timedelta(0)
    age(days=400)
    spoil(HELLO, None)
    assert checking.check_some() == 0


def test_a_store_that_is_away_says_nothing_of_its_files(published: ChannelAddress) -> None:
    spoil(HELLO, None)
    spoil(OTHER, None)

    with pytest.raises(Unavailable, match="mounted"):
        checking.check_some()

    assert not Blob.objects.damaged().exists()


def test_bytes_that_are_just_being_stored_are_not_missed(published: ChannelAddress) -> None:
    spoil(HELLO, None)
    Blob.objects.update(claimed_at=timezone.now())

    assert checking.check_some() == 0


def test_the_command_reads_everything_and_looks_at_what_was_put_back(
    published: ChannelAddress, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify")
    assert "All is whole: 2 stored packages" in capsys.readouterr().out
    spoil(HELLO, OTHER_BYTES)

    with pytest.raises(CommandError, match=r"1 of 2 stored packages, .* are damaged"):
        call_command("verify", "acme")
    assert capsys.readouterr().out == f"{NAME}: content, {HELLO.sha256}\n"
    os.truncate(path_of(HELLO), 0)
    path_of(HELLO).write_bytes(HELLO.data)
    call_command("verify", "--damaged")

    assert "All is whole: 1 stored packages" in capsys.readouterr().out
    assert damage_of(HELLO) == ""
    with pytest.raises(CommandError, match="no user and no organization"):
        call_command("verify", "nobody-here")
