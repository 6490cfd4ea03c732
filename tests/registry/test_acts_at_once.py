"""Acts on one file at the same time: one comes after the other, and none falls over."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import permutations

import pytest
from django.db import connection, transaction

from portal.errors import NotFound, Refusal
from registry import channels, indexing, packages, patching, placement, replacing
from registry.models import Channel, PackageFile, Patch
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, run_pending_tasks
from tests.factories import make_organization
from tests.registry.test_index_engine import assert_right, published
from tests.registry.test_replacing import publish

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = build_conda("hello", "1.0", files={"x": "first"})
SECOND = build_conda("hello", "1.0", files={"x": "second"})
THIRD = build_conda("hello", "1.0", files={"x": "third"})
Act = Callable[[Person], object]


def the_file() -> PackageFile:
    return PackageFile.objects.select_related("account", "package__account").get(
        account__name="acme"
    )


def the_channel(name: str) -> Channel:
    return Channel.objects.select_related("account").get(account__name="acme", name=name)


def leave(owner: Person) -> None:
    file = the_file()
    replacing.announce(owner.identity, file)
    replacing.leave(owner.identity, file)


def patch(owner: Person) -> None:
    said = {"packages.conda": {FIRST.filename: {"license": "0BSD"}}, "remove": ["other-1-0.conda"]}
    body = json.dumps({"patch_instructions_version": 1, **said}).encode()
    patching.upload_instructions(
        by=owner.identity, channel=the_channel("dev"), subdir="noarch", body=io.BytesIO(body)
    )


ACTS: dict[str, Act] = {
    "replace": lambda owner: publish(owner, SECOND, "main", replaces=True),
    "replace otherwise": lambda owner: publish(owner, THIRD, "dev", "main", replaces=True),
    "publish again": lambda owner: publish(owner, FIRST, "dev"),
    "delete": lambda owner: placement.delete_file(by=owner.identity, file=the_file()),
    "add": lambda owner: placement.add_to_channel(
        by=owner.identity, file=the_file(), channel=the_channel("dev")
    ),
    "remove": lambda owner: placement.remove_from_channel(
        by=owner.identity, file=the_file(), channel=the_channel("main")
    ),
    "copy": lambda owner: placement.copy_file(
        by=owner.identity, file=the_file(), account_name="globex", channel_name="copies"
    ),
    "leave": leave,
    "patch": patch,
    "delete the package": lambda owner: packages.delete_package(
        by=owner.identity, package=the_file().package
    ),
    "delete the channel": lambda owner: channels.delete_channel(
        by=owner.identity, channel=the_channel("dev")
    ),
}


@pytest.fixture
def world(owner: Person, channel: ChannelAddress) -> Person:
    """A file that stands in two channels, and an organization to copy it to."""
    channels.create_channel(by=owner.identity, account=channel.row.account, name="dev")
    make_organization("globex", owner=owner.user)
    publish(owner, FIRST, "main", "dev")
    run_pending_tasks()
    return owner


def do(act: Act, owner: Person, together: threading.Barrier | None = None) -> None:
    """Do an act in a thread of its own; that it is refused is no trouble."""
    try:
        if together is not None:
            together.wait(20)
        with suppress(Refusal, PackageFile.DoesNotExist, Channel.DoesNotExist):
            act(owner)
    finally:
        connection.close()


def assert_index_is_right() -> None:
    run_pending_tasks()
    step_by_step = published()
    if not Patch.objects.exists():  # what is right is what the files say themselves
        assert_right(step_by_step)
    indexing.mark_everything(Channel.objects.all())
    run_pending_tasks()
    assert published() == step_by_step


# All that a file may go through while it is replaced or leaves, in both orders.
PAIRS = [
    pair for pair in permutations(ACTS, 2) if {"replace", "leave", "delete the package"} & {*pair}
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_acts_the_second_waits_for_the_first(first: str, second: str, world: Person) -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            ACTS[first](world)
            later = pool.submit(do, ACTS[second], world)
            wait([later], 0.02)
        later.result(20)

    assert_index_is_right()


def test_all_acts_at_once(world: Person) -> None:
    acts = [*ACTS.values(), ACTS["replace"], ACTS["publish again"]]
    together = threading.Barrier(len(acts))
    with ThreadPoolExecutor(len(acts)) as pool:
        for doing in [pool.submit(do, act, world, together) for act in acts]:
            doing.result(60)

    assert_index_is_right()


def test_a_file_that_is_deleted_while_it_is_put_elsewhere_stands_nowhere(world: Person) -> None:
    file = the_file()
    ACTS["delete"](world)

    with pytest.raises(NotFound):
        placement.add_to_channel(by=world.identity, file=file, channel=the_channel("dev"))


def test_sets_of_patches_for_one_channel_come_one_after_the_other(world: Person) -> None:
    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(do, patch, world, together) for _ in range(4)]
    for each in done:
        each.result()
    assert Patch.objects.count() == 4
    assert_index_is_right()
