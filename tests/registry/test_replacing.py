"""A file takes the place of another one of its name: everywhere at once, and only where it may."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import zstandard
from django.utils import timezone

from accounts.models import Event, Group, Organization
from accounts.roles import Permission
from portal.errors import Conflict, Forbidden
from registry import channels, downloads, housekeeping, patching, placement, publishing, storage
from registry.generations import SHARD_INDEX, read_shard_index
from registry.models import Blob, Channel, ChannelFile, Download, PackageFile, PublishedIndex
from registry.publishing import Claims, Outcome, Published
from tests import conda_client
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get, run_pending_tasks
from tests.factories import make_organization

FIRST = build_conda("hello", "1.0", depends=["python"], files={"x": "first"})
SECOND = build_conda("hello", "1.0", depends=["python", "xz"], files={"x": "second"})
NEWER = {"extra_depends": {"test": ["pytest"]}}
PLACE = f"noarch/{FIRST.filename}"
DEV = ChannelAddress("acme", "dev")


@pytest.fixture
def dev(owner: Person, acme: Organization) -> ChannelAddress:
    channels.create_channel(by=owner.identity, account=acme.account, name="dev")
    return DEV


def upload(
    person: Person, built: BuiltPackage, to: ChannelAddress, *, force: bool = False
) -> Answer:
    return person.upload(built, to=to, query="?force=true" if force else "")


def the_file() -> PackageFile:
    return PackageFile.objects.select_related("account", "package").get(account__name="acme")


def put(person: Person, *addresses: ChannelAddress) -> None:
    for address in addresses:
        placement.add_to_channel(by=person.identity, file=the_file(), channel=address.row)


def record(person: Person, channel: ChannelAddress) -> dict[str, Any]:
    listed = person.repodata(channel, "noarch")["packages.conda"]
    found: dict[str, Any] = listed[FIRST.filename]
    return found


def record_in_shard(channel: ChannelAddress) -> dict[str, Any]:
    index = PublishedIndex.objects.get(channel=channel.row, subdir="noarch", members_only=False)
    digest = read_shard_index(index.files[SHARD_INDEX])["hello"]
    key = storage.shard_key(index.channel_id, "noarch", f"{digest.hex()}.msgpack.zst")
    data = b"".join(storage.store().blocks(key, start=0, length=storage.store().size(key) or 0))
    found: dict[str, Any] = msgspec.msgpack.decode(zstandard.decompress(data))["packages.conda"]
    one: dict[str, Any] = found[FIRST.filename]
    return one


# --- What clients read ---------------------------------------------------------------------------


def test_a_replaced_file_is_another_one_in_all_of_its_channels(
    owner: Person, channel: ChannelAddress, dev: ChannelAddress, private_channel: ChannelAddress
) -> None:
    assert upload(owner, FIRST, channel).status_code == 201
    put(owner, dev, private_channel)
    run_pending_tasks()

    answer = upload(owner, SECOND, dev, force=True)

    assert answer.status_code == 201
    assert answer.json()["outcome"] == "replaced"
    run_pending_tasks()
    token = owner.token().secret
    for address in (channel, dev, private_channel):
        assert record(owner, address)["sha256"] == SECOND.sha256
        assert record(owner, address)["depends"] == ["python", "xz"]
        assert record_in_shard(address)["sha256"] == bytes.fromhex(SECOND.sha256)
        assert get(address.url(PLACE), token=token).body == SECOND.data
    assert PackageFile.objects.count() == 1


def test_what_is_known_of_the_name_stays_and_what_is_known_of_the_bytes_does_not(
    owner: Person, maintainer: Person, channel: ChannelAddress
) -> None:
    upload(owner, FIRST, channel)
    get(channel.url(PLACE))
    downloads.flush()
    before = the_file()
    long_ago = timezone.now() - timedelta(days=10)
    PackageFile.objects.update(uploaded_at=long_ago)

    upload(maintainer, SECOND, channel, force=True)

    after = the_file()
    assert after.pk == before.pk
    assert (after.sha256, after.md5, after.size_bytes) == (
        SECOND.sha256,
        hashlib.md5(SECOND.data, usedforsecurity=False).hexdigest(),
        SECOND.size,
    )
    assert after.uploaded_by == maintainer.user
    assert after.uploaded_at > long_ago + timedelta(days=9)
    # CEP 47: these bytes came now.
    assert after.indexed_timestamp_ms > before.indexed_timestamp_ms
    assert after.index["indexed_timestamp"] == after.indexed_timestamp_ms
    assert Download.objects.get().count == 1


def test_one_event_names_both_digests(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, FIRST, channel)
    upload(owner, SECOND, channel, force=True)

    event = Event.objects.get(action="file.replace")
    assert event.target == PLACE
    assert event.detail == {
        "channel": "main",
        "sha256": SECOND.sha256,
        "before": FIRST.sha256,
        "size": SECOND.size,
    }
    assert Event.objects.filter(action__startswith="file.").count() == 2


def test_the_old_bytes_are_swept_after_a_grace(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(owner, FIRST, channel)
    Blob.objects.update(claimed_at=timezone.now() - timedelta(days=30))

    upload(owner, SECOND, channel, force=True)

    assert housekeeping.sweep_unreferenced_blobs() == 0
    assert storage.store().size(storage.blob_key(FIRST.sha256)) == FIRST.size
    Blob.objects.update(claimed_at=timezone.now() - timedelta(days=30))
    assert housekeeping.sweep_unreferenced_blobs() == 1
    assert storage.store().size(storage.blob_key(FIRST.sha256)) is None
    assert get(channel.url(PLACE)).body == SECOND.data


def test_the_same_bytes_by_force_change_nothing(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, FIRST, channel)
    run_pending_tasks()
    before = the_file()

    answer = upload(owner, FIRST, channel, force=True)

    assert (answer.status_code, answer.json()["outcome"]) == (200, "unchanged")
    assert the_file().uploaded_at == before.uploaded_at
    assert not Event.objects.filter(action="file.replace").exists()


def test_a_patch_holds_for_the_new_bytes(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, FIRST, channel)
    said = {"packages.conda": {FIRST.filename: {"license": "0BSD"}}}
    body = json.dumps({"patch_instructions_version": 1, **said}).encode()
    patching.upload_instructions(
        by=owner.identity, channel=channel.row, subdir="noarch", body=io.BytesIO(body)
    )

    upload(owner, SECOND, channel, force=True)

    run_pending_tasks()
    assert record(owner, channel)["license"] == "0BSD"
    assert record(owner, channel)["sha256"] == SECOND.sha256
    original = get(channel.url("noarch/repodata_from_packages.json")).body
    assert json.loads(original)["packages.conda"][FIRST.filename]["depends"] == ["python", "xz"]


@pytest.mark.parametrize("is_newer_first", [False, True])
def test_bytes_of_another_schema_move_to_their_part_of_the_index(
    is_newer_first: bool, owner: Person, channel: ChannelAddress
) -> None:
    channels.change_channel(by=owner.identity, channel=channel.row, allows_v3=True)
    newer = build_conda("hello", "1.0", index=NEWER)
    first, second = (newer, FIRST) if is_newer_first else (FIRST, newer)
    upload(owner, first, channel)
    run_pending_tasks()

    assert upload(owner, second, channel, force=True).status_code == 201

    run_pending_tasks()
    repodata = owner.repodata(channel, "noarch")
    listed = {*repodata["packages.conda"], *repodata["v3"].get("conda", {})}
    in_v3 = FIRST.filename.removesuffix(".conda")
    assert listed == {FIRST.filename if is_newer_first else in_v3}


def test_a_file_may_go_into_several_channels_at_once(
    owner: Person, channel: ChannelAddress, dev: ChannelAddress, private_channel: ChannelAddress
) -> None:
    upload(owner, FIRST, dev)
    Channel.objects.filter(name="rc").delete()

    published = publish(owner, SECOND, "main", "rc", "main", replaces=True)

    assert (published.channel.name, published.outcome) == ("main", Outcome.REPLACED)
    run_pending_tasks()
    for name in ("main", "rc", "dev"):
        assert record(owner, ChannelAddress("acme", name))["sha256"] == SECOND.sha256
    added = Event.objects.filter(action="file.add").values_list("detail__channel", flat=True)
    assert sorted(added) == ["main", "rc"]


def publish(person: Person, built: BuiltPackage, *names: str, replaces: bool = False) -> Published:
    first, *others = (publishing.open_destination(person.identity, "acme", name) for name in names)
    return publishing.publish_to(
        by=person.identity,
        destination=first,
        body=io.BytesIO(built.data),
        claims=Claims(),
        also=others,
        replaces=replaces,
    )


def test_of_several_channels_all_or_none_take_a_file(
    owner: Person, channel: ChannelAddress, dev: ChannelAddress
) -> None:
    newer = build_conda("hello", "1.0", index=NEWER)
    channels.change_channel(by=owner.identity, channel=channel.row, allows_v3=True)

    with pytest.raises(Forbidden):
        publish(owner, newer, "main", "dev")

    assert not PackageFile.objects.exists()


# --- What is in the way --------------------------------------------------------------------------


def lock(owner: Person, address: ChannelAddress) -> None:
    channels.change_channel(by=owner.identity, channel=address.row, is_locked=True)


def make_immutable(owner: Person, address: ChannelAddress) -> None:
    channels.change_channel(by=owner.identity, channel=address.row, is_immutable=True)


@pytest.mark.parametrize(
    ("bar", "status", "says"),
    [
        (lock, 403, "main is locked"),
        (make_immutable, 409, "main, which is immutable. Raise the build number"),
    ],
)
@pytest.mark.parametrize("to", ["main", "dev"])
def test_nothing_is_replaced_in_a_channel_that_bars_it(
    bar: Callable[[Person, ChannelAddress], None],
    status: int,
    says: str,
    to: str,
    owner: Person,
    channel: ChannelAddress,
    dev: ChannelAddress,
) -> None:
    upload(owner, FIRST, channel)
    put(owner, dev)
    bar(owner, channel)
    run_pending_tasks()

    answer = upload(owner, SECOND, ChannelAddress("acme", to), force=True)

    assert answer.status_code == status
    assert says in answer.json()["detail"]
    run_pending_tasks()
    assert get(DEV.url(PLACE)).body == FIRST.data
    assert record(owner, dev)["sha256"] == FIRST.sha256
    assert not Event.objects.filter(action="file.replace").exists()


def test_a_channel_that_one_may_not_know_of_is_not_named(
    owner: Person, acme: Organization, stranger: Person, private_channel: ChannelAddress,
    channel: ChannelAddress,
) -> None:  # fmt: skip
    upload(owner, FIRST, channel)
    put(owner, private_channel)
    the_file().package.collaborators.create(user=stranger.user, permission=Permission.WRITE)
    make_immutable(owner, private_channel)

    answer = upload(stranger, SECOND, channel, force=True)

    assert answer.status_code == 409
    assert "immutable" in answer.json()["detail"]
    assert "secret" not in answer.json()["detail"]


def test_a_channel_without_newer_packages_gets_none_by_replacing(
    owner: Person, channel: ChannelAddress, dev: ChannelAddress
) -> None:
    upload(owner, FIRST, channel)
    put(owner, dev)
    channels.change_channel(by=owner.identity, channel=dev.row, allows_v3=True)
    newer = build_conda("hello", "1.0", index=NEWER)

    answer = upload(owner, newer, dev, force=True)

    assert answer.status_code == 403
    assert "main does not take such packages" in answer.json()["detail"]
    assert get(channel.url(PLACE)).body == FIRST.data


@pytest.mark.parametrize(
    ("scopes", "limits", "status"),
    [
        (["api:write"], {}, 201),
        (["conda"], {}, 403),  # may upload, and not delete
        (["api:write"], {"channels": ["dev"]}, 403),  # the file stands in main, too
        (["api:write"], {"channels": ["dev", "main"]}, 201),
        (["api:write"], {"packages": ["other"]}, 403),
    ],
)
def test_who_may_not_delete_a_file_may_not_replace_it(
    scopes: list[str],
    limits: dict[str, Any],
    status: int,
    owner: Person,
    maintainer: Person,
    channel: ChannelAddress,
    dev: ChannelAddress,
) -> None:
    upload(owner, FIRST, channel)
    put(owner, dev)
    token = maintainer.token(*scopes, **limits).secret

    answer = conda_client.put(f"{DEV.url(PLACE)}?force=true", SECOND.data, token=token)

    assert answer.status_code == status, answer.content
    assert get(DEV.url(PLACE)).body == (SECOND.data if status == 201 else FIRST.data)


def test_without_force_the_answer_says_how(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, FIRST, channel)

    answer = upload(owner, SECOND, channel)

    assert answer.status_code == 409
    assert answer.json()["type"] == "/docs/problems#file-exists"
    assert "upload it with force to replace that one" in answer.json()["detail"]


@pytest.mark.parametrize("force", ["perhaps", "2"])
def test_force_is_true_or_false(force: str, owner: Person, channel: ChannelAddress) -> None:
    answer = owner.upload(FIRST, to=channel, query=f"?force={force}")

    assert answer.status_code == 400
    assert "true or false is wanted" in answer.json()["detail"]


# --- Names of deleted files ----------------------------------------------------------------------


def test_the_name_of_a_deleted_file_is_free_again(owner: Person, channel: ChannelAddress) -> None:
    upload(owner, FIRST, channel)
    placement.delete_file(by=owner.identity, file=the_file())
    run_pending_tasks()
    assert owner.repodata(channel, "noarch")["removed"] == [FIRST.filename]

    answer = upload(owner, SECOND, channel)

    assert (answer.status_code, answer.json()["outcome"]) == (201, "created")
    run_pending_tasks()
    assert record(owner, channel)["sha256"] == SECOND.sha256
    assert owner.repodata(channel, "noarch")["removed"] == []
    assert get(channel.url(PLACE)).body == SECOND.data


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["deleted", "removed"])
def test_an_immutable_channel_keeps_the_names_that_stood_in_it(
    how: str, when: str, owner: Person, channel: ChannelAddress, dev: ChannelAddress
) -> None:
    if when == "before":
        make_immutable(owner, channel)
    upload(owner, FIRST, channel)
    if how == "deleted":
        placement.delete_file(by=owner.identity, file=the_file())
    else:
        put(owner, dev)
        placement.remove_from_channel(by=owner.identity, file=the_file(), channel=channel.row)
    if when == "after":
        make_immutable(owner, channel)

    for to in (channel, dev):
        answer = upload(owner, SECOND, to, force=True)
        assert answer.status_code == 409
        assert "main, which is immutable" in answer.json()["detail"]
    slug = "filename-retired" if how == "deleted" else "file-exists"
    assert answer.json()["type"] == f"/docs/problems#{slug}"
    # The same bytes may come back.
    assert upload(owner, FIRST, channel).status_code == 201

    channels.change_channel(by=owner.identity, channel=channel.row, is_immutable=False)
    assert upload(owner, SECOND, channel, force=True).status_code == 201
    assert Event.objects.filter(action="channel.change", target="main").count() == 2


def test_only_an_admin_lets_a_channel_be_changed_again(
    owner: Person, maintainer: Person, channel: ChannelAddress
) -> None:
    make_immutable(owner, channel)

    with pytest.raises(Forbidden):
        channels.change_channel(by=maintainer.identity, channel=channel.row, is_immutable=False)


# --- Copies --------------------------------------------------------------------------------------


def test_a_copy_of_other_bytes_names_the_file_that_is_in_the_way(
    owner: Person, channel: ChannelAddress, maintainers: Group
) -> None:
    upload(owner, FIRST, channel)
    make_organization("globex", owner=owner.user)
    upload(owner, SECOND, ChannelAddress("globex"))

    with pytest.raises(Conflict, match=f"globex already has {PLACE} with other content"):
        placement.copy_file(by=owner.identity, file=the_file(), account_name="globex")

    assert ChannelFile.objects.filter(channel__account__name="globex").count() == 1
