"""Who deletes a file to upload it anew leaves no gap in what clients read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Event, Organization
from portal.errors import Conflict, Forbidden, NotFound
from registry import channels, housekeeping, placement, replacing
from registry.models import Announcement, PackageFile
from registry.refusing import ChannelLocked
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.registry.sources import folder_of, run

FIRST = build_conda("hello", "1.0", files={"x": "first"})
SECOND = build_conda("hello", "1.0", files={"x": "second"})
PLACE = f"noarch/{FIRST.filename}"
FILE = f"/api/v1/accounts/acme/files/{PLACE}"
DEV = ChannelAddress("acme", "dev")


def the_file() -> PackageFile:
    return PackageFile.objects.select_related("account", "package").get()


@pytest.fixture
def by(owner: Person, channel: ChannelAddress, acme: Organization) -> Identity:
    """Whoever uploads by force: a token; the file stands in main and in dev."""
    assert owner.upload(FIRST, to=channel).status_code == 201
    dev = channels.create_channel(by=owner.identity, account=acme.account, name="dev")
    placement.add_to_channel(by=owner.identity, file=the_file(), channel=dev)
    run_pending_tasks()
    return owner.identity_with("api:read", "api:write")


def delete(by: Identity) -> bool:
    """As the face does that has no other way to replace; whether it leaves."""
    file = the_file()
    leaves = replacing.leave(by, file)
    if not leaves:
        placement.delete_file(by=by, file=file)
    return leaves


def listed(owner: Person, channel: ChannelAddress) -> dict[str, Any]:
    run_pending_tasks()
    found: dict[str, Any] = owner.repodata(channel, "noarch")["packages.conda"]
    return found


def end_the_time() -> None:
    PackageFile.objects.exclude(leaving_until=None).update(
        leaving_until=timezone.now() - timedelta(seconds=1)
    )


def test_a_file_that_was_looked_at_leaves_and_is_replaced_in_one_step(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    replacing.announce(by, the_file())

    assert delete(by)

    # For people it is gone, and for clients it is not.
    assert get(FILE, token=owner.token().secret).status_code == 404
    assert owner.client.get(f"/acme/hello/files/{PLACE}").status_code == 404
    assert FIRST.filename not in get("/acme/hello/files").body.decode()
    assert listed(owner, channel)[FIRST.filename]["sha256"] == FIRST.sha256
    assert get(channel.url(PLACE)).body == FIRST.data

    answer = owner.upload(SECOND, to=channel)

    assert (answer.status_code, answer.json()["outcome"]) == (201, "replaced")
    assert listed(owner, channel)[FIRST.filename]["sha256"] == SECOND.sha256
    assert get(FILE).json()["sha256"] == SECOND.sha256
    assert the_file().leaving_until is None


def test_afterwards_it_stands_only_where_it_was_uploaded_to(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    replacing.announce(by, the_file())
    delete(by)

    owner.upload(SECOND, to=DEV)

    assert FIRST.filename not in listed(owner, channel)
    assert listed(owner, DEV)[FIRST.filename]["sha256"] == SECOND.sha256
    acts = Event.objects.filter(action__startswith="file.").order_by("pk")
    assert list(acts.values_list("action", "detail__channel")) == [
        ("file.publish", "main"),
        ("file.add", "dev"),
        ("file.replace", "dev"),
        ("file.remove", "main"),
    ]


def test_the_same_bytes_bring_it_back(by: Identity, owner: Person, channel: ChannelAddress) -> None:
    replacing.announce(by, the_file())
    delete(by)

    answer = owner.upload(FIRST, to=channel)

    assert (answer.status_code, answer.json()["outcome"]) == (201, "created")
    assert get(FILE).json()["channels"] == ["main"]
    assert list(listed(owner, channel)) == [FIRST.filename]
    assert FIRST.filename not in listed(owner, DEV)


def test_without_a_look_at_it_it_is_deleted_at_once(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    assert not delete(by)

    assert get(channel.url(PLACE)).status_code == 404
    assert FIRST.filename not in listed(owner, channel)


@pytest.mark.parametrize("why", ["too long ago", "by somebody else", "stands nowhere"])
def test_it_does_not_leave_when_nothing_speaks_for_an_upload(
    why: str, by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    replacing.announce(owner.identity_with("all") if why == "by somebody else" else by, the_file())
    if why == "too long ago":
        Announcement.objects.update(announced_at=timezone.now() - timedelta(seconds=61))
    if why == "stands nowhere":
        for address in (channel, DEV):
            placement.remove_from_channel(by=owner.identity, file=the_file(), channel=address.row)

    assert not delete(by)
    assert the_file().deleted_at is not None


def test_who_may_not_delete_announces_nothing(
    by: Identity, owner: Person, reader: Person, stranger: Person
) -> None:
    for identity in (
        reader.identity,
        stranger.identity,
        Identity(),
        owner.identity_with("api:read"),
        owner.identity_with("all", channels=["dev"]),
    ):
        replacing.announce(identity, the_file())

    assert not Announcement.objects.exists()


def test_a_file_that_is_not_uploaded_anew_in_time_is_deleted(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    replacing.announce(by, the_file())
    delete(by)
    assert replacing.sweep() == 0
    replacing.prolong(
        account=channel.row.account,
        subdir="noarch",
        filename=FIRST.filename,
        until=timezone.now() + timedelta(hours=1),
    )
    until = the_file().leaving_until
    assert until is not None
    assert until > timezone.now() + timedelta(minutes=50)

    end_the_time()

    assert housekeeping.keep_house()["files that left"] == 1
    assert get(channel.url(PLACE)).status_code == 404
    assert FIRST.filename not in listed(owner, channel)
    event = Event.objects.get(action="file.delete")
    assert (event.target, event.actor, event.token) == (PLACE, owner.user, by.token)
    assert the_file().leaving_until is None


def test_it_can_be_deleted_once_only(by: Identity) -> None:
    replacing.announce(by, the_file())
    file = the_file()
    delete(by)
    replacing.announce(by, file)

    with pytest.raises(NotFound):
        replacing.leave(by, file)
    with pytest.raises(NotFound):
        placement.add_to_channel(by=by, file=file, channel=DEV.row)


def test_while_a_channel_is_locked_nothing_leaves_it(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    replacing.announce(by, the_file())
    channels.change_channel(by=owner.identity, channel=DEV.row, is_locked=True)

    with pytest.raises(ChannelLocked, match="dev is locked"):
        delete(by)

    assert get(FILE).status_code == 200


def test_what_left_stays_in_a_channel_that_was_locked_since_until_it_is_open(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    replacing.announce(by, the_file())
    delete(by)
    channels.change_channel(by=owner.identity, channel=DEV.row, is_locked=True)
    assert owner.upload(SECOND, to=channel).status_code == 403
    end_the_time()

    assert replacing.sweep() == 0
    assert FIRST.filename in listed(owner, DEV)
    channels.change_channel(by=owner.identity, channel=DEV.row, is_locked=False)
    assert replacing.sweep() == 1
    assert FIRST.filename not in listed(owner, DEV)


def test_from_an_immutable_channel_a_file_goes_only_when_that_is_meant(
    by: Identity, owner: Person, channel: ChannelAddress
) -> None:
    channels.change_channel(by=owner.identity, channel=channel.row, is_immutable=True)
    replacing.announce(by, the_file())

    with pytest.raises(Conflict, match=r"main, which is immutable.*Raise the build number"):
        delete(by)
    assert get(FILE).status_code == 200

    assert not delete(by), "asked for again, without another look at it"
    assert get(channel.url(PLACE)).status_code == 404


def test_rights_are_asked_for_when_it_leaves(by: Identity, owner: Person) -> None:
    replacing.announce(by, the_file())
    assert by.token is not None
    by.token.channels = ["dev"]

    with pytest.raises(Forbidden):
        delete(by)


def test_an_import_of_the_same_bytes_brings_it_back(
    by: Identity, owner: Person, channel: ChannelAddress, tmp_path: Path
) -> None:
    replacing.announce(by, the_file())
    delete(by)

    done = run(str(folder_of(tmp_path / "source", FIRST)), "acme")

    assert "1 published" in done.out
    assert replacing.sweep() == 0
    assert the_file().leaving_until is None
    assert get(FILE).json()["channels"] == ["main"]
