"""How much an account keeps, how much it may, and what happens when it is full."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.identity import OPERATOR, Identity
from accounts.models import Account, Event, Organization
from portal import remembering
from portal.errors import Forbidden, InvalidInput
from registry import bin as bins
from registry import placement, quotas
from registry.models import AccountQuota, Blob, PackageFile
from registry.quotas import Usage
from tests.accounts.views.pages import words
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, stored_files
from tests.factories import make_organization, make_user
from tests.registry.api.world import by_session
from tests.registry.dialects.anaconda import staging
from tests.registry.dialects.anaconda.calls import call, error, said

HELLO = build_conda("hello", "1.0")
OTHER = build_conda("other", "1.0")


def limit(name: str, *, max_bytes: int | None = None, max_files: int | None = None) -> None:
    account = Account.objects.get(name=name)
    quotas.set_quota(by=OPERATOR, account=account, max_bytes=max_bytes, max_files=max_files)


def used(name: str = "acme") -> tuple[int, int]:
    usage = quotas.usage_of(Account.objects.get(name=name))
    return usage.used_bytes, usage.used_files


def upload(by: Person, built: BuiltPackage, to: ChannelAddress, status: int = 201) -> Any:
    answer = by.upload(built, to=to)
    assert answer.status_code == status, answer.content
    return answer


# --- Uploads in three steps ---------------------------------------------------------------------


def test_what_waits_for_its_commit_counts(owner: Person, acme: Organization) -> None:
    limit("acme", max_bytes=HELLO.size + OTHER.size - 1)
    first = staging.staged(owner, HELLO)
    beside = staging.staged(owner, HELLO)
    second = staging.staged(owner, OTHER)
    assert staging.send(first, HELLO).status_code == 201
    # The same file from a job beside it is kept once.
    assert staging.send(beside, HELLO).status_code == 201

    assert staging.code(staging.send(second, OTHER), 402) == "QuotaExceeded"
    assert len([path for path in stored_files() if path.startswith("staged/")]) == 2

    staging.commit(owner, HELLO, first)
    assert used() == (HELLO.size, 1)
    limit("acme", max_files=1)
    answer = staging.stage(owner, OTHER)
    assert "Storage requirements exceeded" in error(answer, 402)


# --- Uploads -----------------------------------------------------------------------------------


def test_a_full_account_says_what_it_keeps_and_what_helps(
    owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, HELLO, channel)
    limit("acme", max_bytes=HELLO.size + OTHER.size - 1)

    answer = upload(owner, OTHER, channel, 402)

    problem = json.loads(answer.content)
    assert problem["type"] == "/docs/problems#quota-exceeded"
    assert f"{HELLO.size} B of " in problem["detail"]
    assert f"{OTHER.size} B more" in problem["detail"]
    assert "/acme/settings/storage" in problem["detail"]
    assert used() == (HELLO.size, 1)
    assert [row.sha256 for row in Blob.objects.all()] == [HELLO.sha256]
    assert len(stored_files()) == 1


def test_a_limit_is_reached_to_the_byte(owner: Person, channel: ChannelAddress) -> None:
    limit("acme", max_bytes=HELLO.size + OTHER.size)

    upload(owner, HELLO, channel)
    upload(owner, OTHER, channel)

    assert used() == (HELLO.size + OTHER.size, 2)
    upload(owner, build_conda("third", "1.0"), channel, 402)


def test_files_are_counted_too(owner: Person, channel: ChannelAddress) -> None:
    limit("acme", max_files=1)

    upload(owner, HELLO, channel)

    said = json.loads(upload(owner, OTHER, channel, 402).content)["detail"]
    assert "acme has used 1 package file of 1, and this needs 1 package file more." in said
    # What is there already takes no room: a client that lost the answer tries again.
    assert upload(owner, HELLO, channel, 200)
    assert upload(owner, HELLO, ChannelAddress("acme", "dev"), 201)


def test_what_is_deleted_is_free_at_once(owner: Person, channel: ChannelAddress) -> None:
    limit("acme", max_files=1)
    upload(owner, HELLO, channel)
    upload(owner, OTHER, channel, 402)

    placement.delete_file(by=owner.identity, file=PackageFile.objects.get())

    assert used() == (0, 0)
    upload(owner, OTHER, channel)
    # Bringing the deleted one back takes room again.
    upload(owner, HELLO, channel, 402)


def test_the_settings_limit_all_who_have_no_limit_of_their_own(
    owner: Person, channel: ChannelAddress, settings: Settings
) -> None:
    settings.QUOTA_FILES = 1
    upload(owner, HELLO, channel)
    upload(owner, OTHER, channel, 402)
    own = ChannelAddress("olga")
    upload(owner, HELLO, own)

    limit("acme")

    upload(owner, OTHER, channel)
    upload(owner, OTHER, own, 402)
    quotas.reset_quota(by=OPERATOR, account=Account.objects.get(name="acme"))
    upload(owner, build_conda("third", "1.0"), channel, 402)


def test_copies_take_room(owner: Person, channel: ChannelAddress) -> None:
    make_organization("globex", owner=owner.user)
    upload(owner, HELLO, channel)
    limit("globex", max_bytes=HELLO.size - 1)
    places = {"to_owner": "globex"}

    assert "Storage requirements exceeded" in error(
        call("POST", "/copy/package/acme/hello/1.0/", owner, places), 402
    )
    assert used("globex") == (0, 0)
    limit("globex", max_bytes=HELLO.size)
    said(call("POST", "/copy/package/acme/hello/1.0/", owner, places))
    assert used("globex") == (HELLO.size, 1)


def test_anaconda_clients_are_refused_before_they_send_anything(
    owner: Person, channel: ChannelAddress
) -> None:
    upload(owner, HELLO, channel)
    limit("acme", max_bytes=HELLO.size)
    path = "/stage/acme/{}/1.0/noarch/{}-1.0-0.conda"

    sentence = error(call("POST", path.format("other", "other"), owner, {}), 402)

    assert sentence.startswith("Storage requirements exceeded")
    # The same file is known, and needs none.
    body = {"sha256": HELLO.sha256}
    assert said(call("POST", path.format("hello", "hello"), owner, body))["post_url"]


def test_an_account_without_limits_counts_nothing(
    owner: Person, channel: ChannelAddress, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    account = Account.objects.get(name="acme")

    with django_assert_num_queries(1):
        quotas.require_room(account, size_bytes=10**15)


@pytest.mark.django_db(transaction=True)
def test_of_two_uploads_at_a_time_only_those_that_fit_come_in(
    owner: Person, channel: ChannelAddress
) -> None:
    limit("acme", max_files=3)
    built = [build_conda(f"hello-{number}", "1.0") for number in range(6)]
    start = Barrier(len(built))

    def send(package: BuiltPackage) -> int:
        try:
            start.wait(20)
            return int(owner.upload(package, to=channel).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(built)) as pool:
        statuses = sorted(pool.map(send, built))

    assert statuses == [201] * 3 + [402] * 3
    assert PackageFile.objects.count() == 3


# --- Setting limits ----------------------------------------------------------------------------


def test_only_those_who_run_the_site_set_limits(owner: Person, acme: Organization) -> None:
    boss = make_user("root-user", is_superuser=True)
    account = acme.account

    for by in (owner.identity, Person(boss).identity_with("all"), Identity()):
        with pytest.raises(Forbidden):
            quotas.set_quota(by=by, account=account, max_bytes=1, max_files=None)
    quotas.set_quota(by=Identity(user=boss), account=account, max_bytes=5, max_files=None)

    assert quotas.limits_of(account).max_bytes == 5
    event = Event.objects.get(action="quota.set")
    assert (event.account, event.actor) == (account, boss)
    assert event.detail == {"max_bytes": [None, 5], "max_files": [None, None]}


@pytest.mark.parametrize("wrong", [-1, 2**60 + 1])
def test_a_limit_that_is_none_is_refused(wrong: int, acme: Organization) -> None:
    with pytest.raises(InvalidInput) as caught:
        quotas.set_quota(by=OPERATOR, account=acme.account, max_bytes=wrong, max_files=None)

    assert list(caught.value.errors) == ["max_bytes"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--bytes", "3GB"], (3_000_000_000, None)),
        (["--bytes", "1.5GiB"], (1_610_612_736, None)),
        (["--bytes", "500 MB", "--files", "20"], (500_000_000, 20)),
        (["--files", "0"], (None, 0)),
        (["--bytes", "12345"], (12345, None)),
    ],
)
def test_the_operator_sets_limits(
    arguments: list[str],
    expected: tuple[int | None, int | None],
    acme: Organization,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("quota", "ACME", *arguments)

    row = AccountQuota.objects.get(account=acme.account)
    assert (row.max_bytes, row.max_files) == expected
    assert "acme keeps" in capsys.readouterr().out


def test_the_operator_changes_one_limit_and_goes_back_to_none(
    acme: Organization, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.QUOTA_BYTES = 7000
    call_command("quota", "acme")
    assert "0 B of 7.0 kB in 0 package files (the limits for all)" in capsys.readouterr().out

    call_command("quota", "acme", "--files", "5")
    assert quotas.limits_of(acme.account) == quotas.Limits(7000, 5)
    call_command("quota", "acme", "--bytes", "none")
    assert quotas.limits_of(acme.account) == quotas.Limits(None, 5)
    call_command("quota", "acme", "--default")
    assert quotas.limits_of(acme.account) == quotas.Limits(7000, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nobody"],
        ["acme", "--bytes", "much"],
        ["acme", "--bytes", "-3"],
        ["acme", "--files", "3GB"],
    ],
)
def test_the_operator_is_told_what_is_wrong(arguments: list[str], acme: Organization) -> None:
    with pytest.raises(CommandError):
        call_command("quota", *arguments)

    assert not AccountQuota.objects.exists()


# --- Looking at it -----------------------------------------------------------------------------


@pytest.fixture
def kept(owner: Person, channel: ChannelAddress) -> dict[str, PackageFile]:
    """hello twice in main, once of them in dev too; other in no channel."""
    newer = build_conda("hello", "2.0", files={"big": "x" * 4000})
    for built in (HELLO, newer, OTHER):
        upload(owner, built, channel)
    upload(owner, HELLO, ChannelAddress("acme", "dev"))
    files = {f"{file.name} {file.version}": file for file in PackageFile.objects.all()}
    placement.remove_from_channel(by=owner.identity, file=files["other 1.0"], channel=channel.row)
    return files


def test_the_api_tells_what_is_kept_where(owner: Person, kept: dict[str, PackageFile]) -> None:
    limit("acme", max_bytes=10**6)
    caller = by_session(owner)

    shown = caller.get("/accounts/acme/storage").json()

    sizes = {name: file.size_bytes for name, file in kept.items()}
    hello = sizes["hello 1.0"] + sizes["hello 2.0"]
    assert shown == {
        "account": "acme",
        "used_bytes": sum(sizes.values()),
        "used_files": 3,
        "max_bytes": 10**6,
        "max_files": None,
        "channels": [
            {"channel": "dev", "used_bytes": sizes["hello 1.0"], "used_files": 1},
            {"channel": "main", "used_bytes": hello, "used_files": 2},
        ],
        "unlisted": {"used_bytes": sizes["other 1.0"], "used_files": 1},
    }
    packages = caller.get("/accounts/acme/storage/packages?page_size=1").json()
    assert packages["results"] == [{"name": "hello", "used_bytes": hello, "used_files": 2}]
    following = caller.get(packages["next"].partition("/api/v1")[2]).json()
    assert [row["name"] for row in following["results"]] == ["other"]
    unlisted = caller.get("/accounts/acme/storage/unlisted").json()["results"]
    assert [(file["filename"], file["channels"]) for file in unlisted] == [(OTHER.filename, [])]


def test_figures_that_are_remembered_are_counted_anew_after_each_act(
    owner: Person,
    channel: ChannelAddress,
    kept: dict[str, PackageFile],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if all of it took long to count.
    monkeypatch.setattr(remembering, "_LEAST_SECONDS", 0)
    monkeypatch.setattr(remembering, "_TIMES", 10**6)
    caller, by, account = by_session(owner), owner.identity, kept["hello 1.0"].account
    dev = ChannelAddress("acme", "dev").row

    def shown() -> dict[str, int]:
        told = caller.get("/accounts/acme/storage").json()
        assert told["used_files"] == used()[1]
        places = {one["channel"]: one["used_files"] for one in told["channels"]}
        return places | {"": told["unlisted"]["used_files"]}

    assert shown() == {"main": 2, "dev": 1, "": 1}
    PackageFile.objects.filter(pk=kept["other 1.0"].pk).update(leaving_until=timezone.now())
    assert shown() == {"main": 2, "dev": 1, "": 1}  # by no act: it is remembered
    PackageFile.objects.update(leaving_until=None)
    placement.add_to_channel(by=by, file=kept["other 1.0"], channel=dev)
    assert shown() == {"main": 2, "dev": 2, "": 0}
    placement.remove_from_channel(by=by, file=kept["hello 2.0"], channel=channel.row)
    assert shown() == {"main": 1, "dev": 2, "": 1}
    upload(owner, build_conda("third", "1.0"), channel)
    assert shown() == {"main": 2, "dev": 2, "": 1}
    placement.delete_file(by=by, file=kept["hello 1.0"])
    assert shown() == {"main": 1, "dev": 1, "": 1}
    bins.restore_files(by=by, account=account, files=[kept["hello 1.0"]])
    assert shown() == {"main": 2, "dev": 2, "": 1}
    owner.client.post("/acme/settings/storage/unlisted", {"typed": "acme"})
    assert shown() == {"main": 2, "dev": 2, "": 0}


def test_the_page_shows_the_largest_first(owner: Person, kept: dict[str, PackageFile]) -> None:
    total = sum(file.size_bytes for file in kept.values())
    limit("acme", max_bytes=total)

    answer = owner.client.get("/acme/settings/storage")

    text = words(answer)
    assert "The account is full" in text
    assert text.index("hello") < text.index("other")
    assert 'href="/acme/settings/storage/unlisted"' in answer.content.decode()
    limit("acme")
    assert "no limit" in words(owner.client.get("/acme/settings/storage"))


def test_an_empty_account_has_its_page_too(owner: Person) -> None:
    assert "Nothing is kept yet" in words(owner.client.get("/olga/settings/storage"))
    assert "There are none" in words(owner.client.get("/olga/settings/storage/unlisted"))


def test_files_in_no_channel_are_deleted_together(
    owner: Person, kept: dict[str, PackageFile]
) -> None:
    url = "/acme/settings/storage/unlisted"
    assert OTHER.filename in words(owner.client.get(url))

    wrong = owner.client.post(url, {"typed": "other"})
    assert (wrong.status_code, used()[1]) == (422, 3)
    deleted = owner.client.post(url, {"typed": "acme"}, follow=True)

    assert "1 files are deleted" in words(deleted)
    assert used()[1] == 2
    assert Event.objects.get(action="file.delete").target == f"noarch/{OTHER.filename}"


def test_what_an_account_keeps_is_the_business_of_its_admins(
    reader: Person, maintainer: Person, stranger: Person, kept: dict[str, PackageFile]
) -> None:
    for person in (reader, maintainer, stranger):
        for page in ("storage", "storage/unlisted"):
            assert person.client.get(f"/acme/settings/{page}").status_code == 403
            form = {"typed": "acme"}
            assert person.client.post(f"/acme/settings/{page}", form).status_code in {403, 405}
        assert by_session(person).get("/accounts/acme/storage").status_code == 403
    assert used()[1] == 3


def test_who_has_little_room_left_sees_it_on_the_dashboard(
    owner: Person, admin: Person, reader: Person, kept: dict[str, PackageFile]
) -> None:
    limit("acme", max_files=4)
    assert "little room" not in words(owner.client.get("/dashboard"))

    limit("acme", max_files=3)

    for person in (owner, admin):
        shown = words(person.client.get("/dashboard"))
        assert "acme has little room left" in shown
        assert "3 of 3 files" in shown
    assert "little room" not in words(reader.client.get("/dashboard"))


@pytest.mark.parametrize(
    ("usage", "limits", "share"),
    [
        (Usage(50, 3), quotas.Limits(100, None), 0.5),
        (Usage(50, 3), quotas.Limits(100, 4), 0.75),
        (Usage(50, 3), quotas.Limits(None, None), 0),
        (Usage(0, 0), quotas.Limits(0, None), 1),
    ],
)
def test_the_nearer_limit_counts(usage: Usage, limits: quotas.Limits, share: float) -> None:
    assert usage.share_of(limits) == share
