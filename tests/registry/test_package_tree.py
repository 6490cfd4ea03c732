"""Package files that everybody may fetch as links for a front server: what is there, when, and
what never is."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as house_settings
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import switches
from accounts.identity import OPERATOR
from registry import (
    channel_transfers,
    channels,
    checking,
    collaboration,
    endings,
    front_downloads,
    housekeeping,
    package_tree,
    placement,
    storage,
    transfers,
)
from registry.models import Blob, Channel, Download, Package, PackageFile
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks

FIRST = build_conda("hello", "1.0")
SECOND = build_conda("hello", "2.0")
OTHER = build_conda("other", "1.0")
# Another file under the name of the first one.
REBUILT = build_conda("hello", "1.0", about={"summary": "once more"})


@pytest.fixture(autouse=True)
def tree_is_kept(settings: Settings) -> None:
    settings.INDEX_TREE = True


@pytest.fixture
def folder(settings: Settings) -> Path:
    return Path(settings.FILES_FOLDER) / "tree" / "packages"


@pytest.fixture
def hello(owner: Person, channel: ChannelAddress, folder: Path) -> Path:
    """The first file of hello in the tree, beside a second one and another package."""
    publish(owner, channel, FIRST, SECOND, OTHER)
    return link_to(FIRST, folder)


def publish(person: Person, channel: ChannelAddress, *built: BuiltPackage) -> None:
    for one in built:
        answer = person.upload(one, to=channel)
        assert answer.status_code == 201, answer.body
    run_pending_tasks()


def link_to(built: BuiltPackage, folder: Path, channel: str = "acme/main") -> Path:
    name = built.filename.rsplit("-", 2)[0]
    return folder / channel / "@" / "noarch" / name / built.filename


def links_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.conda")}


def package(name: str) -> Package:
    return Package.objects.select_related("account").get(name=name, deleted_at=None)


def package_file(built: BuiltPackage) -> PackageFile:
    return PackageFile.objects.select_related("account", "package").get(filename=built.filename)


# --- What is there -----------------------------------------------------------------------------


def test_what_everybody_may_fetch_is_linked_to_the_stored_bytes(hello: Path, folder: Path) -> None:
    for built in (FIRST, SECOND, OTHER):
        link = link_to(built, folder)
        assert link.is_symlink()
        assert link.read_bytes() == built.data
        assert link.resolve().name == built.sha256


def test_links_are_there_before_the_index_names_them(
    owner: Person, channel: ChannelAddress, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(
        "portal.failpoints.reach",
        lambda name: seen.append(link_to(FIRST, folder).exists()) if "switched" in name else None,
    )

    publish(owner, channel, FIRST)

    assert seen
    assert all(seen)


def test_more_files_are_touched_than_a_database_takes_values(
    owner: Person, channel: ChannelAddress, hello: Path, folder: Path
) -> None:
    gone = [f"hello-3.{number}-0.conda" for number in range(300_000)]
    (folder / "acme/main/@/noarch/hello" / gone[-1]).symlink_to(hello.resolve())
    package_tree.place(channel.row, "noarch", {"hello": {*gone, FIRST.filename}})

    assert links_in(folder) == {FIRST.filename, SECOND.filename, OTHER.filename}


def test_other_bytes_of_the_same_size_have_another_time(
    owner: Person, channel: ChannelAddress, hello: Path
) -> None:
    before = hello.stat()
    assert int(before.st_mtime) == int(FIRST.sha256[:8], 16) >> 1
    assert owner.upload(REBUILT, to=channel, query="?force=true").status_code in {200, 201}
    run_pending_tasks()

    assert hello.read_bytes() == REBUILT.data
    assert int(hello.stat().st_mtime) == int(REBUILT.sha256[:8], 16) >> 1 != int(before.st_mtime)


def test_no_links_are_made_where_no_tree_is_wanted(
    owner: Person, channel: ChannelAddress, folder: Path, settings: Settings
) -> None:
    settings.INDEX_TREE = False

    publish(owner, channel, FIRST)

    assert not folder.parent.exists()


def test_a_private_channel_and_a_private_package_have_no_links(
    owner: Person,
    channel: ChannelAddress,
    private_channel: ChannelAddress,
    hello: Path,
    folder: Path,
) -> None:
    collaboration.set_privacy(by=owner.identity, package=package("other"), is_private=True)
    publish(owner, private_channel, build_conda("closed", "1.0"))
    publish(owner, channel, build_conda("other", "2.0"))

    assert links_in(folder) == {FIRST.filename, SECOND.filename}
    assert package_tree.check() > 0
    assert links_in(folder) == {FIRST.filename, SECOND.filename}


def test_a_promise_is_given_for_an_immutable_channel_alone(
    owner: Person, channel: ChannelAddress, hello: Path, folder: Path
) -> None:
    promise = folder / "acme/main/@/.immutable"
    assert not promise.exists()
    channels.change_channel(by=owner.identity, channel=channel.row, is_immutable=True)
    package_tree.check()
    assert promise.is_file()
    with transaction.atomic():
        channels.change_channel(by=owner.identity, channel=channel.row, is_immutable=False)

        assert not promise.exists()
    package_tree.check()
    assert not promise.exists()


# --- What is not there any more ----------------------------------------------------------------


def delete(owner: Person, channel: ChannelAddress) -> None:
    placement.delete_files(by=owner.identity, files=[package_file(FIRST)])


def delete_package(owner: Person, channel: ChannelAddress) -> None:
    files = PackageFile.objects.filter(name="hello").select_related("account", "package")
    placement.delete_files(by=owner.identity, files=list(files))


def replace(owner: Person, channel: ChannelAddress) -> None:
    assert owner.upload(REBUILT, to=channel, query="?force=true").status_code in {200, 201}


def hide(owner: Person, channel: ChannelAddress) -> None:
    collaboration.set_privacy(by=owner.identity, package=package("hello"), is_private=True)


def close_channel(owner: Person, channel: ChannelAddress) -> None:
    channels.change_channel(
        by=owner.identity, channel=channel.row, visibility=Channel.Visibility.PRIVATE
    )


def rename(owner: Person, channel: ChannelAddress) -> None:
    endings.rename_account(by=owner.identity, account=channel.row.account, name="acme-two")


def end(owner: Person, channel: ChannelAddress) -> None:
    endings.delete_account(by=owner.identity, account=channel.row.account)


def give_package(owner: Person, channel: ChannelAddress) -> None:
    offered = transfers.offer(
        by=owner.identity, package=package("hello"), target_name=owner.user.username
    )
    transfers.accept(by=owner.identity, transfer=offered)


def give_channel(owner: Person, channel: ChannelAddress) -> None:
    _give_channel_with(owner, channel, FIRST, SECOND)


def give_channel_with_a_part(owner: Person, channel: ChannelAddress) -> None:
    """The package stays, and one file of it goes."""
    _give_channel_with(owner, channel, FIRST)


def _give_channel_with(owner: Person, channel: ChannelAddress, *built: BuiltPackage) -> None:
    row = channels.create_channel(by=owner.identity, account=channel.row.account, name="dev")
    for one in map(package_file, built):
        placement.add_to_channel(by=owner.identity, file=one, channel=row)
        placement.remove_files(by=owner.identity, files=[one], channel=channel.row)
    offered = channel_transfers.offer(
        by=owner.identity, channel=row, target_name=owner.user.username
    )
    channel_transfers.accept(by=owner.identity, transfer=offered)


def damage(owner: Person, channel: ChannelAddress) -> None:
    blob = Blob.objects.get(sha256=FIRST.sha256)
    path = Path(house_settings.FILES_FOLDER, storage.blob_key(FIRST.sha256))
    path.write_bytes(bytes(len(FIRST.data)))
    assert checking.check(blob) == Blob.Damage.CONTENT


def close_downloads(owner: Person, channel: ChannelAddress) -> None:
    switches.set_switch(by=OPERATOR, name="downloads", is_thrown=True)


ACTS = [
    delete, delete_package, replace, hide, close_channel, rename, end, give_package, give_channel,
    give_channel_with_a_part, damage, close_downloads,
]  # fmt: skip


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_what_changes_is_gone_before_anybody_is_told(
    owner: Person,
    channel: ChannelAddress,
    hello: Path,
    act: Callable[[Person, ChannelAddress], None],
) -> None:
    assert hello.read_bytes() == FIRST.data
    with transaction.atomic():
        act(owner, channel)

        assert not hello.exists()
    run_pending_tasks()
    housekeeping.keep_house()
    package_tree.check()
    if act is replace:
        assert hello.read_bytes() == REBUILT.data
    else:
        assert not hello.exists()


@pytest.mark.parametrize("act", [delete, replace, damage], ids=lambda act: act.__name__)
def test_other_files_of_the_name_are_linked_again(
    owner: Person,
    channel: ChannelAddress,
    hello: Path,
    folder: Path,
    act: Callable[[Person, ChannelAddress], None],
) -> None:
    act(owner, channel)
    run_pending_tasks()
    package_tree.check()

    assert link_to(SECOND, folder).read_bytes() == SECOND.data
    assert link_to(OTHER, folder).read_bytes() == OTHER.data


def test_what_left_the_channel_and_is_deleted_then_is_gone(
    owner: Person, channel: ChannelAddress, hello: Path
) -> None:
    """Who reads yesterday's index still gets it, until it is deleted."""
    placement.remove_files(by=owner.identity, files=[package_file(FIRST)], channel=channel.row)
    run_pending_tasks()
    assert get(channel.url(f"noarch/{FIRST.filename}")).status_code == 200
    delete(owner, channel)

    assert not hello.exists()
    assert get(channel.url(f"noarch/{FIRST.filename}")).status_code == 404


def test_downloads_that_are_open_again_come_from_the_tree_again(
    transactional_db: None, owner: Person, channel: ChannelAddress, hello: Path
) -> None:
    close_downloads(owner, channel)
    publish(owner, channel, build_conda("later", "1.0"))
    package_tree.mend()
    assert not hello.exists()
    switches.set_switch(by=OPERATOR, name="downloads", is_thrown=False)

    assert hello.read_bytes() == FIRST.data


def test_a_switch_that_ended_by_itself_opens_the_tree(
    owner: Person, channel: ChannelAddress, hello: Path
) -> None:
    close_downloads(owner, channel)
    switch = switches.thrown()["downloads"]
    switch.ends_at = timezone.now() - timedelta(seconds=1)
    switch.save()

    package_tree.mend()

    assert hello.read_bytes() == FIRST.data


def test_a_channel_is_taken_away_in_one_step_and_deleted_later(
    owner: Person, channel: ChannelAddress, hello: Path, folder: Path
) -> None:
    close_channel(owner, channel)
    assert not links_in(folder)
    assert links_in(folder.parent / "gone") == {FIRST.filename, SECOND.filename, OTHER.filename}

    package_tree.mend()

    assert not (folder.parent / "gone").exists()


def test_a_tree_that_cannot_be_written_holds_up_nothing_and_is_mended(
    owner: Person,
    channel: ChannelAddress,
    hello: Path,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    package_tree.mend()
    third = build_conda("third", "3.0")
    in_the_way = link_to(third, folder).parent
    in_the_way.touch()
    publish(owner, channel, third)

    assert "can't be written" in caplog.text
    assert get(channel.url(f"noarch/{third.filename}")).body == third.data
    assert third.filename in owner.repodata(channel, "noarch")["packages.conda"]
    assert hello.read_bytes() == FIRST.data
    in_the_way.unlink()
    assert package_tree.mend() == 1
    assert link_to(third, folder).read_bytes() == third.data


def test_what_cannot_be_set_aside_is_deleted_at_once(
    owner: Person, channel: ChannelAddress, hello: Path, folder: Path
) -> None:
    (folder.parent / "gone").touch()  # no folder, and none can be made
    hide(owner, channel)

    assert not hello.exists()


# --- Mending -----------------------------------------------------------------------------------


def lose_all(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def lose_a_subdir(folder: Path) -> None:
    shutil.rmtree(folder / "acme/main/@/noarch")


def lose_the_entrance(folder: Path) -> None:
    folder.unlink()


@pytest.mark.parametrize("lose", [lose_all, lose_a_subdir, lose_the_entrance])
def test_what_was_lost_is_mended(hello: Path, folder: Path, lose: Callable[[Path], None]) -> None:
    package_tree.mend()
    lose(folder)

    package_tree.mend()

    assert hello.read_bytes() == FIRST.data
    assert link_to(OTHER, folder).exists()
    assert package_tree.mend() == 0


def test_a_link_that_should_not_be_there_is_found(
    owner: Person, channel: ChannelAddress, hello: Path, folder: Path
) -> None:
    kept = hello.resolve()
    hide(owner, channel)
    run_pending_tasks()
    hello.parent.mkdir()
    hello.symlink_to(kept)
    (folder / "acme/main/@/noarch/ghost").mkdir()
    ghost = build_conda("ghost", "1.0")
    link_to(ghost, folder).symlink_to(kept)
    wrong = link_to(OTHER, folder)
    wrong.unlink()
    wrong.symlink_to(kept)

    package_tree.check()

    assert not hello.is_symlink()
    assert not link_to(ghost, folder).is_symlink()
    assert wrong.read_bytes() == OTHER.data


def test_what_belongs_to_no_public_channel_is_mended_away(hello: Path, folder: Path) -> None:
    shutil.copytree(folder / "acme/main/@", folder / "acme/gone/@", symlinks=True)

    assert package_tree.mend() >= 1
    assert not (folder / "acme/gone").exists()
    assert hello.exists()


def test_bytes_that_are_lost_have_no_link(hello: Path, channel: ChannelAddress) -> None:
    hello.resolve().unlink()

    package_tree.check()

    assert not hello.is_symlink()
    assert get(channel.url(f"noarch/{FIRST.filename}")).status_code == 503


def test_a_tree_that_is_not_wanted_any_more_is_taken_away(
    hello: Path, folder: Path, settings: Settings
) -> None:
    settings.INDEX_TREE = False

    package_tree.mend()

    assert not folder.is_symlink()
    assert not (folder.parent / "package-files").exists()


# --- Two at a time -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_whoever_places_late_places_nothing_old(
    transactional_db: None, owner: Person, channel: ChannelAddress, hello: Path
) -> None:
    stop = threading.Event()
    faults: list[BaseException] = []

    def place_again_and_again() -> None:
        try:
            while not stop.wait(0.01):
                package_tree.check()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            faults.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=place_again_and_again)
    thread.start()
    try:
        for _ in range(5):
            hide(owner, channel)
            assert not hello.exists()
            time.sleep(0.03)
            assert not hello.exists()
            collaboration.set_privacy(by=owner.identity, package=package("hello"), is_private=False)
            delete(owner, channel)
            assert not hello.exists()
            time.sleep(0.03)
            assert not hello.exists()
            publish(owner, channel, FIRST)
            assert hello.exists()
    finally:
        stop.set()
        thread.join(20)
    assert not faults


# --- Counting ----------------------------------------------------------------------------------


def note(*lines: str, age: float = 120.0, name: str = "2026-11-23T05:16.log") -> Path:
    path = package_tree.downloads_folder() / name
    path.write_text("".join(lines), encoding="utf-8")
    at = time.time() - age
    os.utime(path, (at, at))
    return path


def line(path: str, at: str = "2026-11-22T23:59:58+00:00") -> str:
    return f"{at} {path}\n"


def counted() -> dict[tuple[str, str], int]:
    rows = Download.objects.values_list("file__filename", "day", "count")
    return {(filename, day.isoformat()): count for filename, day, count in rows}


def test_what_the_front_server_noted_is_counted_once(hello: Path) -> None:
    first, other = f"/conda/acme/noarch/{FIRST.filename}", f"/conda/acme/noarch/{OTHER.filename}"
    path = note(
        line(first),
        line(f"/conda/acme/label/main/noarch/{FIRST.filename}"),
        line(first, "2026-11-22T23:30:00-01:00"),  # which is the next day
        line(other),
    )

    assert front_downloads.count() == 4
    assert front_downloads.count() == 0
    assert not path.exists()
    assert counted() == {
        (FIRST.filename, "2026-11-22"): 2,
        (FIRST.filename, "2026-11-23"): 1,
        (OTHER.filename, "2026-11-22"): 1,
    }


def test_a_minute_that_is_not_over_is_left(hello: Path) -> None:
    path = note(line(f"/conda/acme/noarch/{FIRST.filename}"), age=5)

    assert front_downloads.count() == 0
    assert path.exists()


def test_lines_that_say_nothing_are_passed_over(hello: Path) -> None:
    note(
        "\n",
        "nonsense\n",
        line("/conda"),
        line("/conda/nobody/noarch/none-1.0-0.conda"),
        line(f"/conda/acme/noarch/{FIRST.filename}", "yesterday"),
        "2026-11-22T23:59:58+00:00 \udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"),
        line(f"/conda/acme/noarch/{FIRST.filename}"),
        "2026-11-22T23:59:58+00:00 /conda/acme/noar",
    )

    assert front_downloads.count() == 1
    assert counted() == {(FIRST.filename, "2026-11-22"): 1}


def test_what_a_killed_worker_took_is_counted_by_another(hello: Path) -> None:
    left = "2026-11-23T05:16.0011223344556677.taken"
    note(line(f"/conda/acme/noarch/{FIRST.filename}"), age=120, name=left)
    assert front_downloads.count() == 0
    note(line(f"/conda/acme/noarch/{FIRST.filename}"), age=7200, name=left)

    assert front_downloads.count() == 1
    assert not list(package_tree.downloads_folder().iterdir())


def test_many_lines_are_counted_by_few_queries(
    hello: Path, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    lines = Counter({FIRST.filename: 3000, SECOND.filename: 2000, OTHER.filename: 1})
    note(*(line(f"/conda/acme/noarch/{name}") for name in lines.elements()))

    with django_assert_max_num_queries(12):
        assert front_downloads.count() == 5001
