"""Many files at once: copied, moved, taken out, deleted; all of them or none."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Event, Organization
from accounts.roles import Permission
from portal.errors import Conflict, Forbidden, NotFound
from registry import access, channels, collaboration, placement
from registry.conda.archive import read_package
from registry.conda.facts import Digests, FileFacts, file_facts
from registry.conda.version import sort_key
from registry.entering import claim
from registry.models import Channel, ChannelFile, Package, PackageFile, Record
from registry.placement import CopyMode
from registry.publishing import Outcome, register
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import make_organization

GLOBEX = ChannelAddress("globex")
HELLO = build_conda("hello", "1.0", files={"x": "ours"})
OTHER_HELLO = build_conda("hello", "1.0", files={"x": "theirs"})
WORLD = build_conda("world", "1.0", subdir="linux-64")


def files_of(account: str, **which: object) -> list[PackageFile]:
    rows = PackageFile.objects.select_related("account", "package")
    return list(rows.filter(account__name=account, **which).order_by("pk"))


def the_channel(account: str, name: str) -> Channel:
    return Channel.objects.select_related("account").get(account__name=account, name=name)


def publish(person: Person, to: ChannelAddress, *built: BuiltPackage) -> None:
    for one in built:
        assert person.upload(one, to=to).status_code == 201


def listed(person: Person, channel: ChannelAddress, subdir: str = "noarch") -> dict[str, str]:
    run_pending_tasks()
    records = person.repodata(channel, subdir)["packages.conda"]
    return {filename: record["sha256"] for filename, record in records.items()}


@pytest.fixture
def globex(owner: Person) -> Organization:
    return make_organization("globex", owner=owner.user)


@pytest.fixture
def dev(owner: Person, acme: Organization, channel: ChannelAddress) -> Channel:
    return channels.create_channel(by=owner.identity, account=acme.account, name="dev")


def facts_like(built: BuiltPackage, number: int) -> FileFacts:
    """Those of ``built``, under another version: to build an archive for each takes minutes."""
    contents = read_package(io.BytesIO(built.data), size_bytes=built.size)
    facts = file_facts(contents, Digests(built.sha256, "0" * 32, built.size), now_ms=1)
    version = f"{number}.0"
    filename = f"{facts.name}-{version}-0.conda"
    return msgspec.structs.replace(
        facts,
        version=version,
        version_key=sort_key(version),
        filename=filename,
        repodata_key=facts.repodata_key[:1] + filename.encode(),
        record_json=facts.record_json.replace(facts.filename.encode(), filename.encode()),
        run_exports_json=facts.run_exports_json.replace(facts.filename.encode(), filename.encode()),
    )


def make_files(person: Person, channel: Channel, count: int) -> list[PackageFile]:
    facts = [facts_like(HELLO, number) for number in range(count)]
    blobs, _ = claim([facts[0].digests])
    for start in range(0, count, 500):
        register(by=person.identity, channel=channel, files=facts[start : start + 500], blobs=blobs)
    return files_of(channel.account.name)


# --- Copying -------------------------------------------------------------------------------------


def test_files_are_copied_to_another_account_without_their_bytes(
    owner: Person, globex: Organization, channel: ChannelAddress
) -> None:
    publish(owner, channel, HELLO, WORLD)

    copied = placement.copy_files(
        by=owner.identity, files=files_of("acme"), account_name="globex", channel_name="rc"
    )

    assert [one.outcome for one in copied] == [Outcome.CREATED, Outcome.CREATED]
    assert [one.file.account.name for one in copied] == ["globex", "globex"]
    rc = ChannelAddress("globex", "rc")
    assert listed(owner, rc) == {HELLO.filename: HELLO.sha256}
    assert listed(owner, rc, "linux-64") == {WORLD.filename: WORLD.sha256}
    assert get(rc.url(f"linux-64/{WORLD.filename}")).body == WORLD.data
    assert (
        owner.repodata(rc, "noarch")["packages.conda"]
        == (owner.repodata(channel, "noarch")["packages.conda"])
    )
    events = Event.objects.filter(account=globex.account, action="file.copy")
    assert sorted(events.values_list("target", flat=True)) == [
        f"linux-64/{WORLD.filename}",
        f"noarch/{HELLO.filename}",
    ]
    assert events[0].detail["from"] == "acme"


def test_files_are_copied_within_an_account(
    owner: Person, channel: ChannelAddress, dev: Channel
) -> None:
    publish(owner, channel, HELLO, WORLD)
    placement.add_to_channel(by=owner.identity, file=files_of("acme")[0], channel=dev)

    copied = placement.copy_files(
        by=owner.identity, files=files_of("acme"), account_name="acme", channel_name="dev"
    )

    assert [one.outcome for one in copied] == [Outcome.UNCHANGED, Outcome.ADDED]
    assert PackageFile.objects.count() == 2
    assert listed(owner, ChannelAddress("acme", "dev"), "linux-64") == {
        WORLD.filename: WORLD.sha256
    }


@pytest.mark.parametrize(
    ("mode", "outcomes", "hello"),
    [
        (CopyMode.REPLACE, [Outcome.REPLACED, Outcome.CREATED], HELLO),
        (CopyMode.UPDATE, [Outcome.CREATED], OTHER_HELLO),
    ],
)
def test_a_file_with_other_content_is_replaced_or_left(
    mode: CopyMode,
    outcomes: list[Outcome],
    hello: BuiltPackage,
    owner: Person,
    globex: Organization,
    channel: ChannelAddress,
) -> None:
    publish(owner, channel, HELLO, WORLD)
    publish(owner, GLOBEX, OTHER_HELLO)
    dev = channels.create_channel(by=owner.identity, account=globex.account, name="dev")
    placement.add_to_channel(by=owner.identity, file=files_of("globex")[0], channel=dev)
    run_pending_tasks()

    copied = placement.copy_files(
        by=owner.identity, files=files_of("acme"), account_name="globex", mode=mode
    )

    assert [one.outcome for one in copied] == outcomes
    for address in (GLOBEX, ChannelAddress("globex", "dev")):
        assert listed(owner, address) == {HELLO.filename: hello.sha256}
        assert get(address.url(f"noarch/{HELLO.filename}")).body == hello.data
    assert get(GLOBEX.url(f"linux-64/{WORLD.filename}")).body == WORLD.data
    replaced = Event.objects.filter(account=globex.account, action="file.replace")
    assert [event.detail["before"] for event in replaced] == (
        [OTHER_HELLO.sha256] if mode is CopyMode.REPLACE else []
    )


def lock(owner: Person) -> None:
    channels.change_channel(
        by=owner.identity, channel=the_channel("globex", "main"), is_locked=True
    )


def make_immutable(owner: Person) -> None:
    channels.change_channel(
        by=owner.identity, channel=the_channel("globex", "main"), is_immutable=True
    )


def nothing(owner: Person) -> None:
    pass


@pytest.mark.parametrize(
    ("bar", "mode", "refusal", "says"),
    [
        (nothing, CopyMode.PLAIN, Conflict, "globex already has noarch/hello-1.0-0.conda"),
        (make_immutable, CopyMode.REPLACE, Conflict, "hello-1.0-0.conda .* main, which is immut"),
        (lock, CopyMode.REPLACE, Forbidden, "main is locked"),
        (lock, CopyMode.UPDATE, Forbidden, "main is locked"),
    ],
)
def test_all_are_copied_or_none_and_the_reason_is_told(
    bar: Callable[[Person], None],
    mode: CopyMode,
    refusal: type[Exception],
    says: str,
    owner: Person,
    globex: Organization,
    channel: ChannelAddress,
) -> None:
    publish(owner, channel, WORLD, HELLO)
    publish(owner, GLOBEX, OTHER_HELLO)
    bar(owner)

    with pytest.raises(refusal, match=says):
        placement.copy_files(
            by=owner.identity, files=files_of("acme"), account_name="globex", mode=mode
        )

    assert [file.sha256 for file in files_of("globex")] == [OTHER_HELLO.sha256]
    assert not Package.objects.filter(account=globex.account, name="world").exists()


def test_who_may_not_see_a_file_copies_none(
    owner: Person, stranger: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    publish(owner, channel, HELLO)
    publish(owner, private_channel, WORLD)

    with pytest.raises(NotFound):
        placement.copy_files(by=stranger.identity, files=files_of("acme"), account_name="sven")

    assert not files_of("sven")


def test_who_may_not_publish_a_name_copies_none(
    owner: Person, stranger: Person, channel: ChannelAddress, globex: Organization
) -> None:
    publish(owner, channel, HELLO, WORLD)
    publish(owner, GLOBEX, OTHER_HELLO)
    Package.objects.get(account=globex.account).collaborators.create(
        user=stranger.user, permission=Permission.WRITE
    )

    with pytest.raises(Forbidden, match="may not publish world to globex"):
        placement.copy_files(by=stranger.identity, files=files_of("acme"), account_name="globex")

    assert len(files_of("globex")) == 1


def test_the_copy_of_a_private_package_is_private(
    owner: Person, stranger: Person, channel: ChannelAddress, globex: Organization
) -> None:
    publish(owner, channel, HELLO)
    package = Package.objects.get()
    collaboration.set_privacy(by=owner.identity, package=package, is_private=True)

    placement.copy_files(by=owner.identity, files=files_of("acme"), account_name="globex")

    with pytest.raises(NotFound):
        access.find_package(stranger.identity, "globex", "hello")
    assert get(GLOBEX.url(f"noarch/{HELLO.filename}")).status_code == 404


def test_a_copy_comes_under_the_name_of_a_deleted_file(
    owner: Person, channel: ChannelAddress, globex: Organization
) -> None:
    publish(owner, channel, HELLO)
    publish(owner, GLOBEX, OTHER_HELLO)
    placement.delete_files(by=owner.identity, files=files_of("globex"))

    [copied] = placement.copy_files(
        by=owner.identity, files=files_of("acme"), account_name="globex"
    )

    assert copied.outcome is Outcome.CREATED
    assert listed(owner, GLOBEX) == {HELLO.filename: HELLO.sha256}
    assert owner.repodata(GLOBEX, "noarch")["removed"] == []


def test_two_files_of_one_name_are_not_copied_together(
    owner: Person, channel: ChannelAddress, globex: Organization
) -> None:
    publish(owner, channel, HELLO)
    publish(owner, GLOBEX, OTHER_HELLO)

    with pytest.raises(Conflict, match=r"Two of the files are called noarch/hello-1\.0-0\.conda"):
        placement.copy_files(
            by=owner.identity,
            files=[*files_of("acme"), *files_of("globex")],
            account_name=owner.name,
        )


# --- Moving, taking out, deleting ----------------------------------------------------------------


def test_files_are_moved_in_one_step(owner: Person, channel: ChannelAddress, dev: Channel) -> None:
    publish(owner, channel, HELLO, WORLD)

    moved = placement.move_files(
        by=owner.identity, files=files_of("acme"), from_channel=channel.row, to_channel=dev
    )

    assert len(moved.left) == 2
    assert listed(owner, channel) == {}
    assert owner.repodata(channel, "linux-64")["removed"] == [WORLD.filename]
    assert listed(owner, ChannelAddress("acme", "dev")) == {HELLO.filename: HELLO.sha256}


def test_what_stands_elsewhere_does_not_move(
    owner: Person, channel: ChannelAddress, dev: Channel
) -> None:
    publish(owner, channel, HELLO)
    publish(owner, ChannelAddress("acme", "attic"), WORLD)

    moved = placement.move_files(
        by=owner.identity, files=files_of("acme"), from_channel=channel.row, to_channel=dev
    )

    assert len(moved.left) == 1
    assert set(ChannelFile.objects.values_list("channel__name", "file__filename")) == {
        ("dev", HELLO.filename),
        ("attic", WORLD.filename),
    }


@pytest.mark.parametrize("locked", ["main", "dev"])
def test_nothing_moves_when_one_of_the_channels_is_locked(
    locked: str, owner: Person, channel: ChannelAddress, dev: Channel
) -> None:
    publish(owner, channel, HELLO)
    channels.change_channel(by=owner.identity, channel=the_channel("acme", locked), is_locked=True)

    with pytest.raises(Forbidden, match=f"{locked} is locked"):
        placement.move_files(
            by=owner.identity,
            files=files_of("acme"),
            from_channel=channel.row,
            to_channel=the_channel("acme", "dev"),
        )

    assert ChannelFile.objects.get().channel == channel.row


def test_files_stay_where_they_are_when_both_channels_are_one(
    owner: Person, channel: ChannelAddress
) -> None:
    publish(owner, channel, HELLO)

    with pytest.raises(Conflict, match="name two channels"):
        placement.move_files(
            by=owner.identity,
            files=files_of("acme"),
            from_channel=channel.row,
            to_channel=channel.row,
        )

    assert ChannelFile.objects.count() == 1


def test_several_files_are_deleted_or_none(
    owner: Person, maintainer: Person, channel: ChannelAddress, dev: Channel
) -> None:
    publish(owner, channel, HELLO, WORLD)
    files = files_of("acme")
    placement.add_to_channel(by=owner.identity, file=files[1], channel=dev)
    channels.change_channel(by=owner.identity, channel=dev, is_locked=True)

    with pytest.raises(Forbidden, match="dev is locked"):
        placement.delete_files(by=maintainer.identity, files=files)
    assert len(listed(owner, channel)) == 1
    channels.change_channel(by=owner.identity, channel=dev, is_locked=False)

    assert placement.delete_files(by=maintainer.identity, files=files) == 2
    assert listed(owner, channel) == {}
    assert Event.objects.filter(action="file.delete").count() == 2
    assert placement.delete_files(by=maintainer.identity, files=files) == 0


# --- Thousands -----------------------------------------------------------------------------------


def copy(owner: Person, files: list[PackageFile], dev: Channel) -> None:
    placement.copy_files(by=owner.identity, files=files, account_name="globex")


def copy_over(owner: Person, files: list[PackageFile], dev: Channel) -> None:
    placement.copy_files(
        by=owner.identity, files=files, account_name="globex", mode=CopyMode.REPLACE
    )


def add(owner: Person, files: list[PackageFile], dev: Channel) -> None:
    placement.add_files(by=owner.identity, files=files, channel=dev)


def move(owner: Person, files: list[PackageFile], dev: Channel) -> None:
    placement.move_files(
        by=owner.identity, files=files, from_channel=dev, to_channel=the_channel("acme", "main")
    )


def delete(owner: Person, files: list[PackageFile], dev: Channel) -> None:
    placement.delete_files(by=owner.identity, files=files)


Act = Callable[[Person, list[PackageFile], Channel], None]


@pytest.mark.parametrize("act", [copy, copy_over, add, move, delete])
def test_what_is_asked_does_not_grow_with_the_files(
    act: Act, owner: Person, channel: ChannelAddress, globex: Organization, dev: Channel
) -> None:
    files = make_files(owner, channel.row, 120)
    if act is copy_over:
        copy(owner, files, dev)
        PackageFile.objects.filter(account=globex.account).update(sha256="f" * 64)
    if act is move:
        add(owner, files, dev)

    counts = []
    for some in (files[:20], files[20:]):
        with CaptureQueriesContext(connection) as asked:
            act(owner, some, dev)
        counts.append(len(asked))

    assert counts[1] <= counts[0] + 3


def test_two_thousand_files_are_copied_in_seconds(
    owner: Person, channel: ChannelAddress, globex: Organization, dev: Channel
) -> None:
    files = make_files(owner, channel.row, 2000)

    started = time.monotonic()
    placement.copy_files(by=owner.identity, files=files, account_name="globex")
    seconds = time.monotonic() - started

    assert Record.objects.filter(file__account=globex.account).count() == 2000
    # About one; another machine may be as busy as it likes.
    assert seconds < 20
    event = Event.objects.get(account=globex.account, action="file.copy")
    assert event.target == "2000 files"
    assert event.detail == {"channel": "main", "from": "acme", "files": 2000}
