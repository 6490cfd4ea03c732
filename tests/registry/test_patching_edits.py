"""Edits of one file's record, and what holds for patches of either kind: who may, what is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Event
from portal.errors import Conflict, Forbidden, InvalidInput, NotFound, Refusal
from registry import channels, patching
from registry.models import Channel, PackageFile, Patch, PatchedRecord
from registry.patching import InvalidPatch
from registry.refusing import ChannelLocked
from tests.builders import build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.registry.patches import (
    HELLO,
    NEW_DEPENDS,
    SUBDIR,
    WORLD,
    apply,
    body,
    depends,
    edit,
    publish,
    records,
    undo,
)


@pytest.fixture
def hello(owner: Person, channel: ChannelAddress) -> PackageFile:
    return publish(owner, channel, build_conda("hello", depends=["python"], constrains=["xz <6"]))


@pytest.fixture
def world(owner: Person, channel: ChannelAddress) -> PackageFile:
    return publish(owner, channel, build_conda("world", depends=["hello"]))


# --- Edits -------------------------------------------------------------------------------------


def test_an_edit_changes_one_file_over_the_set(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    apply(owner, channel, {"packages.conda": {HELLO: {"depends": ["a"], "constrains": ["b"]}}})

    edit(owner, channel, hello, depends=["python <4"], note="by hand")
    assert records(channel)[HELLO]["depends"] == ["python <4"]
    assert records(channel)[HELLO]["constrains"] == ["b"]

    apply(owner, channel, NEW_DEPENDS)  # a newer set, under the edit
    assert depends(channel) == ["python <4"]
    assert records(channel)[HELLO]["constrains"] == ["xz <6"]

    undo(owner, Patch.objects.get(kind=Patch.Kind.EDIT))
    assert depends(channel) == ["python >=3.10", "xz"]


def test_edits_are_applied_in_their_order(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    first = edit(owner, channel, hello, depends=["one"])
    edit(owner, channel, hello, depends=["two"], constrains=[])
    assert (depends(channel), records(channel)[HELLO]["constrains"]) == (["two"], [])

    undo(owner, first)
    assert depends(channel) == ["two"]
    undo(owner)
    assert (depends(channel), records(channel)[HELLO]["constrains"]) == (["python"], ["xz <6"])
    assert not PatchedRecord.objects.exists()


def test_an_edit_leaves_the_twin_alone(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    old = publish(owner, channel, build_tar_bz2("hello", depends=["python"]))

    edit(owner, channel, old, depends=[])

    assert depends(channel, old.filename) == []
    assert depends(channel) == ["python"]


def test_an_edit_that_changes_nothing_is_refused(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    for how in ({}, {"depends": ["python"]}, {"depends": ["python"], "constrains": ["xz <6"]}):
        with pytest.raises(Conflict, match="says just that"):
            edit(owner, channel, hello, **how)
    assert not Patch.objects.exists()


@pytest.mark.parametrize(
    ("how", "refusal", "words"),
    [
        ({"depends": ["a\nb"]}, InvalidPatch, "The edit holds"),
        ({"constrains": [" "]}, InvalidPatch, "in constrains"),
        ({"depends": ["x"] * 5001}, InvalidPatch, "at most 5000"),
        ({"depends": ["x"], "note": "x" * 501}, InvalidInput, "501 characters"),
    ],
)
def test_an_edit_that_clients_could_not_read_is_refused(
    owner: Person,
    channel: ChannelAddress,
    hello: PackageFile,
    how: dict[str, Any],
    refusal: type[Refusal],
    words: str,
) -> None:
    with pytest.raises(refusal, match=words):
        edit(owner, channel, hello, **how)


def test_what_does_not_stand_in_the_channel_is_not_edited(
    owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    channels.create_channel(by=owner.identity, account=hello.account, name="other")
    with pytest.raises(NotFound):
        edit(owner, ChannelAddress("acme", "other"), hello, depends=[])


# --- Who may, and what is told of it -----------------------------------------------------------


Act = Callable[[Person, Channel, PackageFile], object]
ACTS: dict[str, Act] = {
    "upload": lambda by, channel, _file: patching.upload_instructions(
        by=by.identity, channel=channel, subdir=SUBDIR, body=body(NEW_DEPENDS)
    ),
    "preview": lambda by, channel, _file: patching.preview_instructions(
        by=by.identity, channel=channel, subdir=SUBDIR, body=body(NEW_DEPENDS)
    ),
    "edit": lambda by, channel, file: patching.edit_record(
        by=by.identity, channel=channel, file=file, depends=[]
    ),
    "undo": lambda by, channel, _file: patching.undo_patch(
        by=by.identity,
        patch=Patch.objects.create(channel=channel, subdir=SUBDIR, kind=Patch.Kind.INSTRUCTIONS),
    ),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_only_those_who_manage_channels_may(
    act: Act,
    channel: ChannelAddress,
    hello: PackageFile,
    admin: Person,
    maintainer: Person,
    reader: Person,
    stranger: Person,
) -> None:
    for person in (maintainer, reader, stranger):
        with pytest.raises(Forbidden):
            act(person, channel.row, hello)
    act(admin, channel.row, hello)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_locked_channel_refuses(
    act: Act, owner: Person, channel: ChannelAddress, hello: PackageFile
) -> None:
    locked = channels.change_channel(by=owner.identity, channel=channel.row, is_locked=True)
    with pytest.raises(ChannelLocked):
        act(owner, locked, hello)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_private_channel_is_not_told_of(
    act: Act, private_channel: ChannelAddress, owner: Person, stranger: Person
) -> None:
    file = publish(owner, private_channel, build_conda("hello", depends=["python"]))
    with pytest.raises(NotFound):
        act(stranger, private_channel.row, file)


@pytest.mark.parametrize(
    ("scopes", "limits"),
    [(["api:read"], {}), (["all"], {"channels": ["dev"]}), (["all"], {"packages": ["hello"]})],
)
def test_a_token_patches_what_it_may_manage(
    owner: Person,
    channel: ChannelAddress,
    hello: PackageFile,
    scopes: list[str],
    limits: dict[str, Any],
) -> None:
    with pytest.raises(Forbidden):
        patching.edit_record(
            by=owner.identity_with(*scopes, **limits), channel=channel.row, file=hello, depends=[]
        )
    allowed = owner.identity_with("api:write", channels=["main"])
    patching.edit_record(by=allowed, channel=channel.row, file=hello, depends=[])


def test_each_patch_is_an_event_with_its_counts(
    owner: Person, channel: ChannelAddress, hello: PackageFile, world: PackageFile
) -> None:
    apply(owner, channel, {**NEW_DEPENDS, "remove": [WORLD]}, note="broken builds")
    undo(owner)
    edit(owner, channel, hello, depends=[])

    events = Event.objects.filter(action__startswith="patch.").order_by("pk")
    told = [
        (event.action, event.target, event.detail["changed"], event.detail["withdrawn"])
        for event in events
    ]
    assert told == [
        ("patch.apply", SUBDIR, 2, 1),
        ("patch.undo", SUBDIR, 2, 0),
        ("patch.edit", f"{SUBDIR}/{HELLO}", 1, 0),
    ]
    assert events[0].detail["channel"] == "main"
    assert events[0].detail["note"] == "broken builds"
    patch = Patch.objects.earliest("pk")
    assert patch.summary["changed"] == 2
    assert (patch.applied_by, patch.undone_by) == (owner.user, owner.user)


def test_a_patch_is_undone_once(owner: Person, channel: ChannelAddress, hello: PackageFile) -> None:
    patch = edit(owner, channel, hello, depends=[])
    undo(owner, patch)
    with pytest.raises(Conflict, match=f"undone already, by {owner.name}"):
        undo(owner, patch)
