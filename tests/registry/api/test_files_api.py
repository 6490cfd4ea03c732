"""Package files over the REST API: found, put into channels, copied, deleted."""

from __future__ import annotations

import pytest
from django.db.models import Q

from accounts.models import GroupMember
from registry import access
from registry.models import PackageFile
from tests.cast import Person
from tests.factories import make_token, make_user
from tests.registry.api.world import Caller, World, by_session, by_token, nobody, publish

HELLO = "/accounts/acme/files/noarch/hello-1.0-0.conda"


def filenames(caller: Caller, path: str = "/accounts/acme/files") -> list[str]:
    return [row["filename"] for row in caller.get(path).json()["results"]]


def test_a_file_shows_what_it_is_and_where_it_stands(world: World) -> None:
    row = PackageFile.objects.get(name="hello")
    shown = nobody().get(HELLO).json()
    record = shown.pop("record")
    uploaded_at = shown.pop("uploaded_at")
    assert shown == {
        "account": "acme",
        "package": "hello",
        "subdir": "noarch",
        "filename": "hello-1.0-0.conda",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "md5": row.md5,
        "uploaded_by": "olga",
        "channels": ["main"],
    }
    assert record["name"] == "hello"
    assert record["sha256"] == row.sha256
    listed = nobody().get("/accounts/acme/files").json()["results"]
    assert listed == [shown | {"uploaded_at": uploaded_at}]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "",
            ["hello-2.0-0.conda", "buried-1.0-0.conda", "hidden-1.0-0.conda", "hello-1.0-0.conda"],
        ),
        ("package=hello", ["hello-2.0-0.conda", "hello-1.0-0.conda"]),
        ("version=1.0&package=hello", ["hello-1.0-0.conda"]),
        ("subdir=linux-64", ["hello-2.0-0.conda"]),
        ("channel=secret", ["buried-1.0-0.conda"]),
        ("channel=dev", ["hello-2.0-0.conda"]),
        ("channel=dev&package=hidden", []),
        ("filename=hidden-1.0-0.conda", ["hidden-1.0-0.conda"]),
        ("filename=hidden-1.0-0.conda&channel=main&package=hidden", ["hidden-1.0-0.conda"]),
        ("filename=hidden-1.0-0.conda&channel=dev", []),
        ("filename=hidden-1.0-0.conda&package=hello", []),
        ("filename=hidden-1.0-0.conda&version=2.0", []),
        ("package=missing", []),
    ],
)
def test_files_are_filtered(query: str, expected: list[str], world: World, olga: Caller) -> None:
    publish(world.owner, "acme", "dev", "hello", "2.0", subdir="linux-64")
    assert filenames(olga, f"/accounts/acme/files?{query}") == expected


@pytest.mark.parametrize("query", ["", "channel=main&", "package=hello&"])
def test_each_file_is_on_one_page_and_pages_lead_back(
    query: str, world: World, olga: Caller
) -> None:
    for version in ("2.0", "3.0", "4.0"):
        publish(world.owner, "acme", "dev", "hello", version)
        publish(world.owner, "acme", "main", "hello", version)
    path = f"/accounts/acme/files?{query}"
    whole = filenames(olga, path)

    forward, page = [], olga.get(f"{path}page_size=1").json()
    while page["next"]:
        forward.append(page)
        page = olga.get(page["next"].partition("/api/v1")[2]).json()
    back = [page]
    while page["previous"]:
        page = olga.get(page["previous"].partition("/api/v1")[2]).json()
        back.append(page)

    assert "hello-4.0-0.conda" in whole
    assert [row["filename"] for page in [*forward, back[0]] for row in page["results"]] == whole
    assert [row["filename"] for page in back for row in page["results"]] == whole[::-1]


@pytest.mark.parametrize("query", ["package=%00", "channel=", "subdir=" + "x" * 33])
def test_a_filter_that_can_match_nothing_is_refused(query: str, world: World) -> None:
    answer = nobody().get(f"/accounts/acme/files?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [query.partition("=")[0]]


def test_the_channels_of_a_file_are_named_as_far_as_the_viewer_may_know(
    world: World, olga: Caller
) -> None:
    added = olga.call("PUT", f"{HELLO}/channels/secret")
    assert (added.status_code, added.json()["channels"]) == (201, ["main", "secret"])
    assert nobody().get(HELLO).json()["channels"] == ["main"]
    entries = nobody().get(f"{HELLO}/channels").json()["results"]
    assert [entry["channel"] for entry in entries] == ["main"]
    assert set(entries[0]) == {"channel", "subdir", "filename", "added_at"}
    # A token that may write, but not read what is private, learns no name either.
    writer = by_token(world.owner.token("api:write").secret)
    assert writer.get(HELLO).json()["channels"] == ["main"]


def test_the_files_of_an_account_are_those_of_its_packages(
    world: World, callers: dict[str, Caller]
) -> None:
    """The one query for all packages says what the query for each of them says."""
    owner = world.owner
    for version, channel in (("2.0", "secret"), ("3.0", "dev")):
        publish(owner, "acme", channel, "hello", version)
    PackageFile.objects.get(name="hello", version="3.0").entries.all().delete()
    people = [Person(access.find_account(name).user) for name in ("sven", "rita", "maria", "adam")]
    cora = Person(access.find_account("cora-acme").user)
    GroupMember.objects.create(group=world.group, user=people[0].user)
    package = PackageFile.objects.get(name="hidden").package
    package.collaborators.create(user=cora.user, permission="write")
    identities = [person.identity for person in (owner, cora, *people)]
    for scope in ("all", "api", "api:read", "api:write", "api:modify-group", "conda:download"):
        for person in (owner, cora, people[2]):
            identities.append(person.identity_with(scope))
            identities.append(person.identity_with(scope, channels=["dev"]))
            identities.append(person.identity_with(scope, packages=["h*"]))
    account = world.organization.account
    for identity in identities:
        one_by_one = {
            file.pk
            for package in access.visible_packages(identity, account)
            for file in access.visible_files(identity, package)
        }
        at_once = set(
            access.visible_files_of_account(identity, account).values_list("pk", flat=True)
        )
        assert at_once == one_by_one
        in_order = access.visible_files_of_account(identity, account, in_order=True)
        assert set(in_order.values_list("pk", flat=True)) == one_by_one
        some = Q(name__in=["hello", "hidden"])
        named = {file.pk for file in in_order if file.name in {"hello", "hidden"}}
        for among in (some, some & Q(account=account)):
            found = access.visible_files_of_account(identity, account, among)
            assert set(found.values_list("pk", flat=True)) == named


def test_a_file_goes_in_and_out_of_channels(world: World, olga: Caller) -> None:
    assert olga.call("PUT", f"{HELLO}/channels/dev").status_code == 201
    assert olga.call("PUT", f"{HELLO}/channels/dev").status_code == 200
    assert olga.get(HELLO).json()["channels"] == ["dev", "main"]
    assert olga.call("DELETE", f"{HELLO}/channels/main").status_code == 204
    assert olga.call("DELETE", f"{HELLO}/channels/main").status_code == 204
    assert olga.get(HELLO).json()["channels"] == ["dev"]
    assert olga.call("PUT", f"{HELLO}/channels/missing").status_code == 404


def test_a_file_is_copied_to_another_account_without_its_bytes(world: World, olga: Caller) -> None:
    sven = Person(make_user("sven"))
    caller = by_session(sven)
    copied = caller.call("POST", f"{HELLO}/copies", {"account": "sven"})
    assert copied.status_code == 201
    assert copied.json()["account"] == "sven"
    assert copied.json()["channels"] == ["main"]
    assert copied.json()["sha256"] == olga.get(HELLO).json()["sha256"]
    again = caller.call("POST", f"{HELLO}/copies", {"account": "sven"})
    assert again.status_code == 200
    assert PackageFile.objects.filter(name="hello").values("blob").distinct().count() == 1


def test_a_deleted_file_is_gone_and_its_name_stays_spoken_for(world: World, olga: Caller) -> None:
    assert olga.call("DELETE", HELLO).status_code == 204
    assert olga.get(HELLO).status_code == 404
    assert olga.call("DELETE", HELLO).status_code == 404
    assert "hello-1.0-0.conda" not in filenames(olga)
    assert PackageFile.objects.get(name="hello").deleted_at is not None


def test_a_token_limited_to_packages_changes_no_other(world: World) -> None:
    limited = by_token(world.owner.token("all", packages=["foo*"]).secret)
    publish(world.owner, "acme", "main", "foo-evil")
    evil = "/accounts/acme/files/noarch/foo-evil-1.0-0.conda"
    exact = by_token(world.owner.token("all", packages=["foo"]).secret)
    assert limited.call("DELETE", HELLO).status_code == 403
    assert limited.call("PUT", f"{HELLO}/channels/dev").status_code == 403
    assert exact.call("DELETE", evil).status_code == 403
    assert limited.call("DELETE", evil).status_code == 204


def test_a_token_limited_to_a_channel_deletes_only_what_stands_there_alone(world: World) -> None:
    limited = by_token(make_token(world.organization.account, "all", channels=["dev"]).secret)
    publish(world.owner, "acme", "dev", "hello", "2.0")
    only_dev = "/accounts/acme/files/noarch/hello-2.0-0.conda"
    assert limited.call("PUT", f"{HELLO}/channels/dev").status_code == 201
    assert limited.call("DELETE", HELLO).status_code == 403
    assert limited.call("DELETE", f"{HELLO}/channels/dev").status_code == 204
    assert limited.call("DELETE", only_dev).status_code == 204


def test_a_read_token_changes_nothing(world: World) -> None:
    reader = by_token(world.owner.token("api:read").secret)
    before = nobody().get(HELLO).json()
    for method, path, body in (
        ("DELETE", HELLO, None),
        ("PUT", f"{HELLO}/channels/dev", None),
        ("DELETE", f"{HELLO}/channels/main", None),
        ("POST", f"{HELLO}/copies", {"account": "olga"}),
        ("PATCH", "/accounts/acme/packages/hello", {"is_private": True}),
    ):
        answer = reader.call(method, path, body)
        assert answer.status_code == 403
        assert "api:read" in answer.json()["detail"]
        assert "api:write" in answer.json()["detail"]
    assert nobody().get(HELLO).json() == before
