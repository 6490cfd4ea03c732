"""Deleted files wait in their account's bin: they come back, or go for good."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.identity import OPERATOR
from accounts.models import Event, Organization
from portal.errors import Forbidden, NotFound
from registry import channels, housekeeping, packages, placement, quotas
from registry.bin import binned_files, empty_bin, purge_files, restore_files, sweep, usage_of_bin
from registry.models import Binned, Blob, Channel, Package, PackageFile
from registry.quotas import QuotaExceeded
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks, stored_files

FIRST = build_conda("hello", "1.0", files={"x": "first"})
OTHER = build_conda("hello", "1.0", files={"x": "other"})
DEV = ChannelAddress("acme", "dev")


def the_file() -> PackageFile:
    return PackageFile.objects.select_related("account", "package").get()


@pytest.fixture
def deleted(owner: Person, channel: ChannelAddress, acme: Organization) -> PackageFile:
    """A file that stood in main and in dev."""
    assert owner.upload(FIRST, to=channel).status_code == 201
    dev = channels.create_channel(by=owner.identity, account=acme.account, name="dev")
    placement.add_to_channel(by=owner.identity, file=the_file(), channel=dev)
    run_pending_tasks()
    placement.delete_files(by=owner.identity, files=[the_file()], because={"reason": "broken"})
    return the_file()


def listed(owner: Person, channel: ChannelAddress) -> tuple[list[str], list[str]]:
    """What an index offers, and what it says was removed."""
    run_pending_tasks()
    found = owner.repodata(channel, "noarch")
    return list(found["packages.conda"]), found.get("removed", [])


def let_time_pass() -> None:
    long_ago = timezone.now() - timedelta(days=60)
    Blob.objects.update(claimed_at=long_ago)


def test_what_is_restored_stands_where_it_stood(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    assert listed(owner, channel) == ([], [FIRST.filename])
    assert get(channel.url(f"noarch/{FIRST.filename}")).status_code == 404
    [binned] = binned_files(deleted.account)
    assert (binned.deleted_by, binned.reason) == (owner.name, "broken")
    let_time_pass()
    assert housekeeping.sweep_unreferenced_blobs() == 0

    [restored] = restore_files(by=owner.identity, account=deleted.account, files=[deleted])

    assert restored.channels == ("main", "dev")
    for each in (channel, DEV):
        assert listed(owner, each) == ([FIRST.filename], [])
    assert get(channel.url(f"noarch/{FIRST.filename}")).body == FIRST.data
    assert Package.objects.get().latest_version == "1.0"
    event = Event.objects.latest("id")
    assert (event.action, event.target) == ("file.restore", f"noarch/{FIRST.filename}")
    with pytest.raises(NotFound):
        restore_files(by=owner.identity, account=deleted.account, files=[deleted])


def test_a_channel_that_is_locked_or_gone_is_left_out(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    Channel.objects.filter(name="main").update(is_locked=True)
    channels.delete_channel(by=owner.identity, channel=DEV.row)
    channels.create_channel(by=owner.identity, account=deleted.account, name="dev")

    [restored] = restore_files(by=owner.identity, account=deleted.account, files=[deleted])

    assert (restored.channels, restored.left_out) == ((), ("main",))
    assert PackageFile.objects.staying().count() == 1


def test_another_file_of_the_name_ends_its_stay(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    assert owner.upload(OTHER, to=channel).status_code == 201

    assert not Binned.objects.exists()
    let_time_pass()
    assert housekeeping.sweep_unreferenced_blobs() == 1
    assert get(channel.url(f"noarch/{FIRST.filename}")).body == OTHER.data


def test_the_same_file_again_comes_back_by_its_upload(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    assert owner.upload(FIRST, to=channel).status_code == 201

    assert not Binned.objects.exists()
    assert listed(owner, channel) == ([FIRST.filename], [])
    assert listed(owner, DEV) == ([], [FIRST.filename])


def test_an_immutable_channel_takes_back_what_stood_in_it_and_nothing_else(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    Channel.objects.filter(name="main").update(is_immutable=True)

    assert owner.upload(OTHER, to=channel).status_code == 409
    assert Binned.objects.exists()
    [restored] = restore_files(by=owner.identity, account=deleted.account, files=[deleted])

    assert restored.channels == ("main", "dev")


def test_what_is_in_the_bin_does_not_count_until_it_is_back(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    account = deleted.account
    assert quotas.usage_of(account).used_files == 0
    assert usage_of_bin(account).used_bytes == FIRST.size
    small = build_conda("small", "1.0")
    size = FIRST.size + small.size - 1
    quotas.set_quota(by=OPERATOR, account=account, max_bytes=size, max_files=None)
    assert owner.upload(small, to=channel).status_code == 201

    with pytest.raises(QuotaExceeded):
        restore_files(by=owner.identity, account=account, files=[deleted])

    assert Binned.objects.exists()
    assert PackageFile.objects.staying().count() == 1


def test_its_time_over_a_file_is_gone_for_good(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    assert sweep() == 0
    Binned.objects.update(kept_until=timezone.now())

    assert sweep() == 1
    let_time_pass()
    housekeeping.sweep_unreferenced_blobs()

    assert stored_files() == []
    assert Event.objects.latest("id").action == "file.purge"
    with pytest.raises(NotFound):
        restore_files(by=owner.identity, account=deleted.account, files=[deleted])


def test_a_bin_holds_no_more_than_its_account_may_keep(
    owner: Person, channel: ChannelAddress, deleted: PackageFile
) -> None:
    second = build_conda("second", "1.0")
    assert owner.upload(second, to=channel).status_code == 201
    newer = PackageFile.objects.select_related("account", "package").get(name="second")
    placement.delete_file(by=owner.identity, file=newer)
    size = FIRST.size + second.size - 1
    quotas.set_quota(by=OPERATOR, account=deleted.account, max_bytes=size, max_files=None)

    assert sweep() == 1

    assert Binned.objects.get().file_id == newer.pk


def test_without_a_bin_nothing_is_kept(
    owner: Person, channel: ChannelAddress, settings: Settings
) -> None:
    settings.BIN_KEPT = timedelta(0)
    assert owner.upload(FIRST, to=channel).status_code == 201
    placement.delete_file(by=owner.identity, file=the_file())

    assert not Binned.objects.exists()
    let_time_pass()
    assert housekeeping.sweep_unreferenced_blobs() == 1


def test_bytes_that_another_file_shares_stay(
    owner: Person, channel: ChannelAddress, deleted: PackageFile, stranger: Person
) -> None:
    assert stranger.upload(FIRST, to=ChannelAddress(stranger.name)).status_code == 201

    assert empty_bin(by=owner.identity, account=deleted.account) == 1
    let_time_pass()

    assert housekeeping.sweep_unreferenced_blobs() == 0


def test_a_package_that_was_deleted_comes_back_with_its_files_as_private_as_it_was(
    owner: Person, channel: ChannelAddress, stranger: Person
) -> None:
    assert owner.upload(FIRST, to=channel).status_code == 201
    Package.objects.update(is_private=True)
    packages.delete_package(by=owner.identity, package=Package.objects.get())

    restore_files(by=owner.identity, account=the_file().account, files=[the_file()])

    package = Package.objects.get()
    assert (package.deleted_at, package.is_private) == (None, True)
    assert listed(stranger, channel)[0] == []
    assert listed(owner, channel)[0] == [FIRST.filename]


def test_who_may_not_write_neither_restores_nor_purges(
    owner: Person, deleted: PackageFile, stranger: Person
) -> None:
    limited = owner.identity_with("all", channels=["main"])
    for by in (stranger.identity, limited, owner.identity_with("api:read")):
        for act in (restore_files, purge_files):
            with pytest.raises(Forbidden):
                act(by=by, account=deleted.account, files=[deleted])
        with pytest.raises(Forbidden):
            empty_bin(by=by, account=deleted.account)
    assert Binned.objects.exists()
