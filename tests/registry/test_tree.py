"""The index files of public channels as plain files: what is there, when, and what never is."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from accounts.models import Organization
from registry import channels, collaboration, generations, tree
from registry.models import Channel, Package, PublishedIndex
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks

PRIVATE, PUBLIC = Channel.Visibility.PRIVATE, Channel.Visibility.PUBLIC


@pytest.fixture(autouse=True)
def tree_is_kept(settings: Settings) -> None:
    settings.INDEX_TREE = True


@pytest.fixture
def folder(settings: Settings) -> Path:
    return Path(settings.FILES_FOLDER) / "tree" / "public"


def publish(
    person: Person, channel: ChannelAddress, name: str = "hello", version: str = "1.0"
) -> None:
    answer = person.upload(build_conda(name, version, subdir="linux-64"), to=channel)
    assert answer.status_code == 201, answer.body
    run_pending_tasks()


def set_visibility(person: Person, channel: ChannelAddress, visibility: str) -> None:
    channels.change_channel(by=person.identity, channel=channel.row, visibility=visibility)


def set_privacy(person: Person, name: str, *, is_private: bool) -> None:
    package = Package.objects.select_related("account").get(name=name)
    collaboration.set_privacy(by=person.identity, package=package, is_private=is_private)


def packages_of(link: Path) -> set[str]:
    return set(json.loads((link / "repodata.json").read_bytes())["packages.conda"])


# --- What is there -----------------------------------------------------------------------------


def test_what_is_published_lies_in_the_tree(
    owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    publish(owner, channel)

    here = folder / "acme/main/@/linux-64"
    row = PublishedIndex.objects.get(subdir="linux-64")
    assert {path.name for path in here.iterdir()} == {*row.files, "shards"}
    for name in row.files:
        assert (here / name).read_bytes() == get(channel.url(f"linux-64/{name}")).body
    digests = generations.read_shard_index(row.files[generations.SHARD_INDEX])
    for digest in digests.values():
        assert (here / "shards" / f"{digest.hex()}.msgpack.zst").is_file()
    channeldata = folder / "acme/main/@/_/channeldata.json"
    assert channeldata.read_bytes() == get(channel.url("channeldata.json")).body


def test_a_tree_is_kept_only_where_it_is_wanted(
    owner: Person, channel: ChannelAddress, folder: Path, settings: Settings
) -> None:
    settings.INDEX_TREE = False

    publish(owner, channel)
    set_visibility(owner, channel, PRIVATE)

    assert not folder.exists()


def test_a_tree_that_is_not_wanted_any_more_is_withdrawn_from_and_taken_away(
    owner: Person, channel: ChannelAddress, folder: Path, settings: Settings
) -> None:
    publish(owner, channel)
    settings.INDEX_TREE = False
    publish(owner, channel, version="2.0")
    assert not (folder / "acme/main/@/linux-64").exists()

    tree.mend()

    assert not folder.exists()


def test_channels_within_channels_keep_apart(
    owner: Person, acme: Organization, folder: Path
) -> None:
    for name in ("dev", "dev/x.y", "dev/linux-64/z:1"):
        channels.create_channel(by=owner.identity, account=acme.account, name=name)
        publish(owner, ChannelAddress("acme", name), name.replace("/", "-").replace(":", "."))

    assert packages_of(folder / "acme/dev/@/linux-64") == {"dev-1.0-0.conda"}
    assert packages_of(folder / "acme/dev/x.y/@/linux-64") == {"dev-x.y-1.0-0.conda"}
    assert packages_of(folder / "acme/dev/linux-64/z:1/@/linux-64") == {
        "dev-linux-64-z.1-1.0-0.conda"
    }


def test_a_channel_whose_name_is_no_plain_path_is_left_to_condarium(
    owner: Person, acme: Organization, folder: Path
) -> None:
    channels.create_channel(by=owner.identity, account=acme.account, name="dev/.hidden")
    publish(owner, ChannelAddress("acme", "dev/.hidden"))

    assert not (folder / "acme").exists()
    assert tree.mend() == 0


def test_a_file_that_is_the_same_keeps_its_time_and_a_new_one_gets_a_later(
    owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    here = folder / "acme/main/@/linux-64"
    publish(owner, channel)
    before = {path.name: path.stat() for path in here.iterdir()}
    tree.place(channel.row, "linux-64")
    same = {path.name: path.stat() for path in here.iterdir()}
    publish(owner, channel, version="2.0")
    after = {path.name: path.stat() for path in here.iterdir()}

    assert {k: v.st_mtime_ns for k, v in same.items()} == {
        k: v.st_mtime_ns for k, v in before.items()
    }
    changed = {name for name in before if before[name].st_ino != after[name].st_ino}
    assert {"repodata.json", "repodata.json.zst", generations.SHARD_INDEX} <= changed
    for name in changed:
        assert int(after[name].st_mtime) > int(before[name].st_mtime)


def test_times_go_on_where_they_were_when_the_tree_was_deleted(
    owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    here = folder / "acme/main/@/linux-64/repodata.json"
    for number in range(5):  # faster than one a second, so the last is ahead of the clock
        publish(owner, channel, version=f"{number}.0")
    before = here.stat().st_mtime
    shutil.rmtree(folder.parent)
    publish(owner, channel, version="9.0")

    assert here.stat().st_mtime > before


def test_only_the_current_set_and_the_one_before_are_kept(
    owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    for number in range(4):
        publish(owner, channel, version=f"{number}.0")

    sets = [p for p in (folder / "acme/main/@").iterdir() if p.name.startswith("linux-64.")]
    assert len(sets) == 2


# --- What is not there any more ----------------------------------------------------------------


def test_a_private_channel_has_no_tree(
    owner: Person, private_channel: ChannelAddress, folder: Path
) -> None:
    publish(owner, private_channel)

    assert not folder.exists()


def test_a_channel_that_is_made_private_leaves_the_tree_before_anybody_is_told(
    owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    publish(owner, channel)
    with transaction.atomic():
        set_visibility(owner, channel, PRIVATE)

        assert not (folder / "acme").exists()
    run_pending_tasks()
    assert not (folder / "acme").exists()

    set_visibility(owner, channel, PUBLIC)
    assert not (folder / "acme").exists()
    run_pending_tasks()
    assert packages_of(folder / "acme/main/@/linux-64") == {"hello-1.0-0.conda"}


def test_a_deleted_channel_leaves_the_tree(owner: Person, acme: Organization, folder: Path) -> None:
    row = channels.create_channel(by=owner.identity, account=acme.account, name="dev")
    publish(owner, ChannelAddress("acme", "dev"))
    assert (folder / "acme/dev").exists()

    channels.delete_channel(by=owner.identity, channel=row)

    assert not (folder / "acme").exists()


def test_a_hidden_package_leaves_the_tree_and_takes_the_shards_along(
    owner: Person, channel: ChannelAddress, acme: Organization, folder: Path
) -> None:
    channels.create_channel(by=owner.identity, account=acme.account, name="other")
    publish(owner, channel, "hello")
    publish(owner, channel, "secret")
    publish(owner, ChannelAddress("acme", "other"), "open")
    here, other = folder / "acme/main/@/linux-64", folder / "acme/other/@/linux-64"
    with transaction.atomic():
        set_privacy(owner, "secret", is_private=True)

        assert not here.exists()
        assert other.exists()
        # It may have stood in any channel of the account, a few days ago.
        assert not (other / "shards").is_symlink()
    run_pending_tasks()

    assert packages_of(here) == {"hello-1.0-0.conda"}
    assert not (here / "shards").is_symlink()
    set_privacy(owner, "secret", is_private=False)
    run_pending_tasks()
    tree.mend()
    assert packages_of(here) == {"hello-1.0-0.conda", "secret-1.0-0.conda"}
    assert (here / "shards").is_dir()
    assert (other / "shards").is_dir()


def test_nothing_is_withdrawn_outside_of_a_transaction(
    transactional_db: None, owner: Person, channel: ChannelAddress
) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        tree.withdraw(channel.row)


def test_a_tree_that_cannot_be_written_shows_nothing_old(
    owner: Person, channel: ChannelAddress, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(owner, channel)
    here = folder / "acme/main/@/linux-64"
    row = PublishedIndex.objects.get(subdir="linux-64")
    stored = Path(folder.parent.parent, str(row.files["run_exports.json"]["key"]))
    stored.rename(stored.with_suffix(".away"))
    tree.place(channel.row, "linux-64")

    assert not here.is_symlink()
    assert "can't be written" in caplog.text
    stored.with_suffix(".away").rename(stored)
    assert tree.mend() == 1
    assert packages_of(here) == {"hello-1.0-0.conda"}


# --- Mending -----------------------------------------------------------------------------------


def lose_all(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def lose_a_link(folder: Path) -> None:
    (folder / "acme/main/@/linux-64").unlink()


def point_to_the_set_before(folder: Path) -> None:
    link = folder / "acme/main/@/linux-64"
    sets = sorted(p.name for p in link.parent.iterdir() if p.name.startswith("linux-64."))
    link.unlink()
    link.symlink_to(sets[0])


@pytest.mark.parametrize("lose", [lose_all, lose_a_link, point_to_the_set_before])
def test_what_was_lost_is_mended(
    owner: Person, channel: ChannelAddress, folder: Path, lose: Callable[[Path], None]
) -> None:
    publish(owner, channel)
    publish(owner, channel, version="2.0")
    assert tree.mend() == 0
    lose(folder)

    assert tree.mend() > 0
    assert packages_of(folder / "acme/main/@/linux-64") == {
        "hello-1.0-0.conda",
        "hello-2.0-0.conda",
    }
    assert tree.mend() == 0


def test_what_belongs_to_no_public_channel_is_mended_away(
    owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    publish(owner, channel)
    for name in ("acme/gone/@", "nobody/main/@"):
        shutil.copytree(folder / "acme/main/@", folder / name, symlinks=True)

    assert tree.mend() == 2
    assert sorted(path.name for path in folder.iterdir()) == ["acme"]
    assert sorted(path.name for path in (folder / "acme").iterdir()) == ["main"]


# --- Two at a time -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_placing_waits_for_who_makes_the_channel_private(
    transactional_db: None, owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    publish(owner, channel)
    row = channel.row

    def place() -> None:
        try:
            tree.place(row, "linux-64")
        finally:
            connection.close()

    thread = threading.Thread(target=place)
    with transaction.atomic():
        set_visibility(owner, channel, PRIVATE)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(20)

    assert not (folder / "acme/main/@/linux-64").is_symlink()


@pytest.mark.django_db(transaction=True)
def test_whoever_places_late_places_nothing_old(
    transactional_db: None, owner: Person, channel: ChannelAddress, folder: Path
) -> None:
    publish(owner, channel)
    row = channel.row
    stop = threading.Event()
    faults: list[BaseException] = []

    def place_again_and_again() -> None:
        try:
            while not stop.wait(0.01):  # SQLite's lock is given to whoever asks next
                tree.place(row, "linux-64")
        except BaseException as error:  # noqa: BLE001 - shown by the test
            faults.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=place_again_and_again)
    thread.start()
    try:
        for number in range(2, 5):
            publish(owner, channel, version=f"{number}.0")
            shown = packages_of(folder / "acme/main/@/linux-64")
            assert f"hello-{number}.0-0.conda" in shown
            set_visibility(owner, channel, PRIVATE)
            assert not (folder / "acme/main/@/linux-64").is_symlink()
            set_visibility(owner, channel, PUBLIC)
            run_pending_tasks()
    finally:
        stop.set()
        thread.join(20)
    assert not faults
