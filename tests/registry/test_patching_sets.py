"""Sets of patch instructions: what clients are told, and what once a set is undone."""

from __future__ import annotations

import io
import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Event
from portal.errors import InvalidInput
from registry import channels, patching, placement
from registry.models import ChannelFile, PackageFile, Patch, PatchedRecord, StaleMark
from registry.patching import InvalidPatch
from tests.builders import build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get
from tests.registry.patches import (
    HELLO,
    NEW_DEPENDS,
    SUBDIR,
    WORLD,
    apply,
    body,
    depends,
    index,
    publish,
    records,
    shard,
    undo,
)


@pytest.fixture
def hello(owner: Person, channel: ChannelAddress) -> PackageFile:
    return publish(owner, channel, build_conda("hello", depends=["python"], constrains=["xz <6"]))


@pytest.fixture
def world(owner: Person, channel: ChannelAddress) -> PackageFile:
    return publish(owner, channel, build_conda("world", depends=["hello"]))


# --- What clients are told ---------------------------------------------------------------------


def test_clients_are_told_what_the_set_says(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    before = records(channel)

    effect = apply(owner, channel, NEW_DEPENDS, note="needs a newer python")

    assert (effect.changed, effect.withdrawn, effect.unmatched) == (1, 0, 0)
    after = records(channel)
    assert after[HELLO] == {**before[HELLO], "depends": ["python >=3.10", "xz"]}
    assert after[WORLD] == before[WORLD]
    assert shard(channel)["packages.conda"][HELLO]["depends"] == ["python >=3.10", "xz"]


def test_what_files_say_stays_to_be_had(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    before = records(channel)
    assert records(channel, "repodata_from_packages.json") == before

    apply(owner, channel, {**NEW_DEPENDS, "remove": [WORLD]})

    assert records(channel, "repodata_from_packages.json") == before
    assert index(channel, "repodata_from_packages.json")["removed"] == []


def test_a_set_takes_the_place_of_the_one_before_until_it_is_undone(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    original = records(channel)
    apply(owner, channel, NEW_DEPENDS)
    first = records(channel)
    effect = apply(owner, channel, {"packages.conda": {WORLD: {"depends": ["hello >=2"]}}})

    assert effect.changed == 2
    assert depends(channel) == ["python"]
    assert depends(channel, WORLD) == ["hello >=2"]

    undo(owner)
    assert records(channel) == first
    undo(owner)
    assert records(channel) == original
    assert not PatchedRecord.objects.exists()


def test_undoing_a_set_that_another_replaced_changes_nothing(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    original = records(channel)
    apply(owner, channel, {"packages.conda": {HELLO: {"license": "another"}}})
    first = Patch.objects.get()
    apply(owner, channel, NEW_DEPENDS)
    StaleMark.objects.all().delete()

    made = patching.undo_patch(by=owner.identity, patch=first)

    assert made.effect.changed == 0
    assert not StaleMark.objects.exists()
    assert depends(channel) == ["python >=3.10", "xz"]
    undo(owner)
    assert records(channel) == original


def test_an_archive_of_either_kind_is_patched(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    publish(owner, channel, build_tar_bz2("hello", depends=["python"]))
    apply(owner, channel, {"packages": {"hello-1.0-0.tar.bz2": {"depends": []}}})

    assert depends(channel) == depends(channel, "hello-1.0-0.tar.bz2") == []


def test_a_removed_file_leaves_the_index_and_can_still_be_fetched(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    effect = apply(owner, channel, {"remove": [HELLO]})

    assert (effect.changed, effect.withdrawn) == (1, 1)
    assert list(records(channel)) == [WORLD]
    assert index(channel)["removed"] == [HELLO]
    assert get(channel.url(f"{SUBDIR}/{HELLO}")).status_code == 200

    assert undo(owner).restored == 1
    assert list(records(channel)) == [HELLO, WORLD]
    assert index(channel)["removed"] == []


def test_a_file_that_left_is_not_brought_back_by_undoing(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    apply(owner, channel, {"remove": [HELLO, WORLD]})
    placement.remove_from_channel(by=owner.identity, file=hello, channel=channel.row)

    undo(owner)

    assert list(records(channel)) == [WORLD]
    assert index(channel)["removed"] == [HELLO]


def test_a_file_that_left_before_stays_removed(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    placement.remove_from_channel(by=owner.identity, file=hello, channel=channel.row)
    effect = apply(owner, channel, {"remove": [HELLO], "packages.conda": {HELLO: {"license": "x"}}})
    assert (effect.changed, effect.unmatched_names) == (0, [HELLO])
    undo(owner)
    assert index(channel)["removed"] == [HELLO]


def test_a_revoked_file_can_be_solved_by_nobody(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    assert apply(owner, channel, {"revoke": [HELLO]}).revoked == 1

    record = records(channel)[HELLO]
    assert record["depends"] == ["python", "package_has_been_revoked"]
    assert record["revoked"] is True


def test_run_exports_are_patched_in_shards_and_in_their_file(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    exports = {"weak": ["hello >=1,<2"]}
    apply(
        owner,
        channel,
        {
            "patch_instructions_version": 2,
            "packages.conda": {HELLO: {"run_exports": exports}},
        },
    )

    assert shard(channel)["packages.conda"][HELLO]["run_exports"] == exports
    assert index(channel, "run_exports.json")["packages.conda"][HELLO]["run_exports"] == exports
    assert "run_exports" not in records(channel)[HELLO]
    undo(owner)
    assert shard(channel)["packages.conda"][HELLO]["run_exports"] == {}
    assert index(channel, "run_exports.json")["packages.conda"][HELLO]["run_exports"] == {}


def test_digests_are_never_patched(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    change = {"sha256": "0" * 64, "indexed_timestamp": 1, "subdir": "linux-64"}
    before = records(channel)

    effect = apply(owner, channel, {"packages.conda": {HELLO: change}})

    assert effect.ignored == dict.fromkeys(change, 1)
    assert records(channel) == before


def test_a_set_for_another_subdir_or_channel_says_nothing_here(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    other = channels.create_channel(by=owner.identity, account=hello.account, name="other")
    for target, subdir in ((channel.row, "linux-64"), (other, SUBDIR)):
        made = patching.upload_instructions(
            by=owner.identity, channel=target, subdir=subdir, body=body(NEW_DEPENDS)
        )
        assert (made.effect.changed, made.effect.unmatched_names) == (0, [HELLO])
    assert depends(channel) == ["python"]


# --- Files that come later ---------------------------------------------------------------------


def test_a_file_that_comes_later_is_patched_as_well(owner: Person, channel: ChannelAddress) -> None:
    effect = apply(owner, channel, NEW_DEPENDS)
    assert (effect.changed, effect.unmatched, effect.unmatched_names) == (0, 1, [HELLO])

    publish(owner, channel, build_conda("hello", depends=["python"]))

    assert depends(channel) == ["python >=3.10", "xz"]


def test_a_removed_file_that_comes_later_stays_out(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    apply(owner, channel, {"remove": [HELLO]})
    placement.remove_from_channel(by=owner.identity, file=hello, channel=channel.row)
    placement.add_to_channel(by=owner.identity, file=hello, channel=channel.row)

    assert records(channel) == {}
    assert index(channel)["removed"] == [HELLO]
    undo(owner)
    assert list(records(channel)) == [HELLO]
    assert index(channel)["removed"] == []


def test_a_file_follows_the_patches_of_the_channel_it_is_put_into(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    stable = ChannelAddress("acme", "stable")
    row = channels.create_channel(by=owner.identity, account=hello.account, name="stable")
    apply(owner, stable, NEW_DEPENDS)

    placement.add_to_channel(by=owner.identity, file=hello, channel=row)

    assert depends(stable) == ["python >=3.10", "xz"]
    assert depends(channel) == ["python"]


def test_a_channel_without_patches_costs_an_upload_one_question(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    row = channels.create_channel(by=owner.identity, account=hello.account, name="stable")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        placement.add_to_channel(by=owner.identity, file=hello, channel=row)
    about = [each["sql"] for each in asked if "patch" in each["sql"].lower()]
    assert len(about) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("patch_first", [True, False])
def test_a_file_that_comes_while_the_channel_is_patched_is_not_missed(
    owner: Person, channel: ChannelAddress, hello: PackageFile, patch_first: bool
) -> None:
    row = channels.create_channel(by=owner.identity, account=hello.account, name="stable")

    def put() -> None:
        placement.add_to_channel(by=owner.identity, file=hello, channel=row)

    def patch() -> None:
        patching.upload_instructions(
            by=owner.identity, channel=row, subdir=SUBDIR, body=body(NEW_DEPENDS)
        )

    first, second = (patch, put) if patch_first else (put, patch)

    def later() -> None:
        try:
            second()
        finally:
            connection.close()

    thread = threading.Thread(target=later)
    with transaction.atomic():
        first()
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()  # it waits for the other
    thread.join(20)
    assert depends(ChannelAddress("acme", "stable")) == ["python >=3.10", "xz"]


# --- Looking first -----------------------------------------------------------------------------


def test_a_preview_tells_what_would_change_and_changes_nothing(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    before = records(channel)
    document = {
        "patch_instructions_version": 2,
        "packages.conda": {
            HELLO: {"depends": ["python", "xz"], "constrains": None, "size": 1},
            "gone-1.0-0.conda": {"license": "MIT"},
        },
        "remove": [WORLD, "what?"],
    }

    effect = patching.preview_instructions(
        by=owner.identity, channel=channel.row, subdir=SUBDIR, body=body(document)
    )

    assert (effect.changed, effect.withdrawn, effect.unmatched) == (2, 1, 2)
    assert sorted(effect.unmatched_names) == ["gone-1.0-0.conda", "what?"]
    assert effect.ignored == {"size": 1}
    hello_diff, world_diff = effect.diffs
    assert hello_diff.filename == HELLO
    assert [tuple(change) for change in hello_diff.keys] == [
        ("constrains", ["xz <6"], None),
        ("depends", ["python"], ["python", "xz"]),
    ]
    assert (world_diff.filename, world_diff.is_withdrawn) == (WORLD, True)
    assert not Patch.objects.exists()
    assert not Event.objects.filter(action__startswith="patch").exists()
    assert records(channel) == before


# --- What can't be used ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not valid JSON"),
        (b"nonsense", "not valid JSON"),
        (b'{"packages": 1}', "packages holds 1"),
        (b'{"packages.conda": {"x-1-0.conda": {"depends": 1}}}', "x-1-0.conda gives depends as 1"),
        (b'{"patch_instructions_version": 9}', "gives patch_instructions_version as 9"),
    ],
)
def test_a_set_that_cannot_be_used_leaves_nothing_behind(
    owner: Person, channel: ChannelAddress, hello: PackageFile, data: bytes, words: str
) -> None:
    with pytest.raises(InvalidPatch, match=words):
        patching.upload_instructions(
            by=owner.identity, channel=channel.row, subdir=SUBDIR, body=io.BytesIO(data)
        )
    assert not Patch.objects.exists()


def test_no_subdir_is_no_place_for_a_set(owner: Person, channel: ChannelAddress) -> None:
    with pytest.raises(InvalidInput, match="subdir"):
        patching.upload_instructions(
            by=owner.identity, channel=channel.row, subdir="../x", body=body({})
        )


# --- Many --------------------------------------------------------------------------------------


def stand(channel: ChannelAddress, file: PackageFile, count: int) -> list[str]:
    """Rows of files that differ from ``file`` in their names; nobody fetches them."""
    fields = {
        field.name: getattr(file, field.name)
        for field in PackageFile._meta.concrete_fields
        if field.name != "id"
    }
    files = PackageFile.objects.bulk_create(
        PackageFile(**{**fields, "filename": f"hello-1.0-{i:04}.conda"}) for i in range(count)
    )
    ChannelFile.objects.bulk_create(ChannelFile.of(each, channel.row) for each in files)
    return [each.filename for each in files]


def test_what_is_touched_is_marked_one_by_one_until_it_is_much(
    owner: Person, channel: ChannelAddress, hello: PackageFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patching, "_MARKED_ONE_BY_ONE", 3)
    names = stand(channel, hello, 5)
    for count, marks in (
        (3, {(SUBDIR, "hello", names[i]) for i in range(3)} | {("", "hello", "")}),
        (5, {(SUBDIR, "", ""), ("", "", "")}),
    ):
        StaleMark.objects.all().delete()
        document = {"packages.conda": {name: {"license": str(count)} for name in names[:count]}}
        patching.upload_instructions(
            by=owner.identity, channel=channel.row, subdir=SUBDIR, body=body(document)
        )
        found = StaleMark.objects.values_list("subdir", "package_name", "filename")
        assert set(found) == marks


def test_many_files_are_patched_with_few_questions(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    names = stand(channel, hello, 1200)

    def questions(document: dict[str, dict[str, object]]) -> int:
        with CaptureQueriesContext(connection) as asked:
            made = patching.upload_instructions(
                by=owner.identity, channel=channel.row, subdir=SUBDIR, body=body(document)
            )
        assert made.effect.changed == len(document["packages.conda"])
        return len(asked)

    few = questions({"packages.conda": {name: {"license": "a"} for name in names[:5]}})
    many = questions({"packages.conda": {name: {"license": "b"} for name in names}})
    assert many - few < 60
    assert PatchedRecord.objects.count() == 1200
    # A set that hardly differs costs what differs.
    document = {"packages.conda": {name: {"license": "b"} for name in names}}
    document["packages.conda"][names[0]] = {"license": "c"}
    with CaptureQueriesContext(connection) as asked:
        made = patching.upload_instructions(
            by=owner.identity, channel=channel.row, subdir=SUBDIR, body=body(document)
        )
    assert made.effect.changed == 1
    assert len(asked) <= few + 5
