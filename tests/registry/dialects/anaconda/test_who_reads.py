"""Who is shown what, row by row and by each of the cast; and people, lists and search."""

# The tables read in columns, so their lines are longer than others.
# ruff: noqa: E501

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Organization, User
from accounts.roles import Permission
from registry.collaboration import set_collaborator
from registry.models import Package, PackageFile
from tests.cast import Person
from tests.factories import add_member, make_group, make_organization, make_token, make_user
from tests.registry.api.world import World, make_world, publish
from tests.registry.dialects.anaconda.calls import NOTHING, call, error, said

# cora may read the private package hidden and cleo may write it, as collaborators who are no members
# of acme; gus may write it as a member of a group. The last five are tokens: the owner's, limited
# to the package hello, to the channel dev, to uploading, and expired; and the organization's.
CAST = (
    "nobody", "sven", "cora", "gus", "cleo", "rita", "maria", "adam", "olga",
    "hello", "dev", "write", "expired", "org",
)  # fmt: skip

By = Person | str | None


@pytest.fixture
def world(acme: Organization, owner: Person) -> World:
    """acme: ``hello`` is public in main, ``hidden`` a private package in main, ``buried`` stands
    in the private channel secret only; there also is an empty public channel dev."""
    made = make_world("acme", owner, organization=acme)
    hidden = Package.objects.get(name="hidden")
    gus = make_user("gus")
    add_member(acme, gus)
    testers = make_group(acme, "testers", permission=Permission.WRITE, members=[gus])
    for permission, who in (
        (Permission.READ, {"user": make_user("cora")}),
        (Permission.WRITE, {"user": make_user("cleo")}),
        (Permission.WRITE, {"group": testers}),
    ):
        set_collaborator(by=owner.identity, package=hidden, permission=permission, **who)
    return made


@pytest.fixture
def cast(
    world: World, owner: Person, admin: Person, reader: Person, maintainer: Person, stranger: Person
) -> dict[str, By]:
    people = [stranger, reader, maintainer, admin, owner]
    guests = map(Person, User.objects.filter(username__in=["cora", "gus", "cleo"]))
    yesterday = timezone.now() - timedelta(days=1)
    return {
        "nobody": None,
        **{person.name: person for person in (*people, *guests)},
        "hello": owner.token("all", packages=["hello"]).secret,
        "dev": owner.token("all", channels=["dev"]).secret,
        "write": owner.token("api:write").secret,
        "expired": owner.token("all", expires_at=yesterday).secret,
        "org": make_token(world.organization.account, "all").secret,
    }


HIDDEN, BURIED = "noarch/hidden-1.0-0.conda", "noarch/buried-1.0-0.conda"

ROWS = [
    #                                            nobody sven cora gus cleo rita maria adam olga  hello dev write expired org
    ("/user",                                    "401 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/user/acme",                               "200 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/user/missing",                            "404 404 404 404 404 404 404 404 404  404 404 404 401 404"),
    ("/user/orgs",                               "401 200 200 200 200 200 200 200 200  200 200 401 401 200"),
    ("/users/olga/orgs",                         "200 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/users/missing/orgs",                      "404 404 404 404 404 404 404 404 404  404 404 404 401 404"),
    ("/packages",                                "401 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/packages/acme",                           "200 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/packages/missing",                        "404 404 404 404 404 404 404 404 404  404 404 404 401 404"),
    ("/search?name=hid",                         "200 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/package/acme/hello",                      "200 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/package/acme/hidden",                     "404 404 200 200 200 200 200 200 200  404 200 404 401 200"),
    ("/package/acme/buried",                     "404 404 404 200 404 200 200 200 200  404 200 404 401 200"),
    ("/package/acme/missing",                    "404 404 404 404 404 404 404 404 404  404 404 404 401 404"),
    ("/package/acme/hidden/latest-version",      "404 404 200 200 200 200 200 200 200  404 200 404 401 200"),
    ("/package/acme/buried/latest-version",      "404 404 404 200 404 200 200 200 200  404 404 404 401 200"),
    ("/package/acme/hidden/total-downloads",     "404 404 200 200 200 200 200 200 200  404 200 404 401 200"),
    ("/release/acme/hello/1.0",                  "200 200 200 200 200 200 200 200 200  200 200 200 401 200"),
    ("/release/acme/hidden/1.0",                 "404 404 200 200 200 200 200 200 200  404 200 200 401 200"),
    ("/release/acme/buried/1.0",                 "404 404 404 200 404 200 200 200 200  404 404 200 401 200"),
    (f"/dist/acme/hidden/1.0/{HIDDEN}",          "404 404 200 200 200 200 200 200 200  404 200 404 401 200"),
    (f"/dist/acme/buried/1.0/{BURIED}",          "404 404 404 200 404 200 200 200 200  404 404 404 401 200"),
    (f"/download/acme/hidden/1.0/{HIDDEN}",      "404 404 200 200 200 200 200 200 200  404 200 404 401 200"),
    (f"/download/acme/buried/1.0/{BURIED}",      "404 404 404 200 404 200 200 200 200  404 404 404 401 200"),
    ("/download/acme/hello/1.0/noarch/hello-1.0-0.conda",
                                                 "302 302 302 302 302 302 302 302 302  302 302 302 401 302"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "statuses"), ROWS, ids=[path for path, _ in ROWS])
def test_each_of_the_cast_is_answered_as_the_table_says(
    cast: dict[str, By], path: str, statuses: str
) -> None:
    got = {}
    for name in CAST:
        answer = call("GET", path, cast[name])
        got[name] = answer.status_code
        content = answer.getvalue()
        if answer.status_code == 404:
            assert list(json.loads(content)) == ["error"]
            hidden = [package for package in ("hidden", "buried") if package in path]
            for package in hidden:
                if call("GET", f"/package/acme/{package}", cast[name]).status_code == 404:
                    # The bytes of what is not there.
                    missing = call("GET", path.replace(package, "missing"), cast[name])
                    assert content == missing.content.replace(b"missing", package.encode())

    assert got == dict(zip(CAST, map(int, statuses.split()), strict=True))


SEEN = {
    "hello": "nobody sven write hello",
    "hello hidden": "cora cleo",
    "buried hello hidden": "gus rita maria adam olga dev org",
}


@pytest.mark.parametrize("path", ["/packages/acme", "/search?name="])
def test_lists_name_what_each_may_know_of(cast: dict[str, By], path: str) -> None:
    for names, people in SEEN.items():
        for who in people.split():
            rows = said(call("GET", path, cast[who]))
            assert sorted(row["name"] for row in rows) == names.split(), who


ACTS = [
    #                                            nobody sven cora gus cleo rita maria adam olga  hello dev write expired org
    ("POST",   "/package/acme/fresh",            "401 403 403 403 403 403 200 200 200  403 200 200 401 200"),
    ("PATCH",  "/package/acme/hello",            "401 403 403 403 403 403 200 200 200  200 403 200 401 200"),
    ("PATCH",  "/package/acme/hidden",           "404 404 403 200 200 403 200 200 200  404 403 200 401 200"),
    ("PATCH",  "/package/acme/buried",           "404 404 404 403 404 403 200 200 200  404 403 200 401 200"),
    ("POST",   "/release/acme/hidden/2.0",       "404 404 403 200 200 403 200 200 200  404 200 200 401 200"),
    ("PATCH",  "/release/acme/hidden/1.0",       "404 404 403 200 200 403 200 200 200  404 200 200 401 200"),
    ("DELETE", "/release/acme/hello/1.0",        "401 403 403 403 403 403 201 201 201  201 403 201 401 201"),
    ("DELETE", "/release/acme/hidden/1.0",       "404 404 403 201 201 403 201 201 201  404 403 201 401 201"),
    ("DELETE", f"/dist/acme/hidden/1.0/{HIDDEN}", "404 404 403 200 200 403 200 200 200  404 403 404 401 200"),
    ("DELETE", f"/dist/acme/buried/1.0/{BURIED}", "404 404 404 403 404 403 200 200 200  404 404 404 401 200"),
    # Its collaborators lose theirs, so an admin has to do it.
    ("DELETE", "/package/acme/hidden",           "404 404 403 403 403 403 403 201 201  404 403 201 401 201"),
    ("DELETE", "/package/acme/buried",           "404 404 404 403 404 403 201 201 201  404 403 201 401 201"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "statuses"), ACTS, ids=[f"{method} {path}" for method, path, _ in ACTS]
)
def test_each_of_the_cast_may_do_what_the_table_says(
    cast: dict[str, By], method: str, path: str, statuses: str
) -> None:
    got = {}
    for name in CAST:
        before = transaction.savepoint()
        answer = call(method, path, cast[name], NOTHING if method == "DELETE" else {})
        transaction.savepoint_rollback(before)
        got[name] = answer.status_code
        if answer.status_code >= 400:
            assert len(error(answer, answer.status_code)) > 20

    assert got == dict(zip(CAST, map(int, statuses.split()), strict=True))


# --- People ------------------------------------------------------------------------------------


def test_whoami_says_whose_the_credential_is(owner: Person, acme: Organization) -> None:
    me = said(call("GET", "/user", owner))
    acme.account.display_name = "Acme Inc."
    acme.account.save()
    organization = said(call("GET", "/user", make_token(acme.account, "api").secret))

    assert datetime.fromisoformat(me.pop("created_at")).utcoffset() is not None
    assert me | {"html_url": ""} == {
        "login": "olga", "name": "", "user_type": "user", "description": "", "company": "",
        "location": "", "url": "", "html_url": "",
    }  # fmt: skip
    assert (organization["login"], organization["user_type"]) == ("acme", "org")
    assert organization["name"] == "Acme Inc."
    assert said(call("GET", "/user/Acme"))["login"] == "acme"


def test_who_belongs_to_an_organization_is_told_to_its_members_alone(
    owner: Person, reader: Person, stranger: Person, acme: Organization
) -> None:
    add_member(make_organization("globex", owner=stranger.user), reader.user)

    def told(path: str, by: By) -> list[str]:
        return [row["login"] for row in said(call("GET", path, by))]

    assert told("/user/orgs", reader) == ["acme", "globex"]
    assert told("/users/rita/orgs", reader) == ["acme", "globex"]
    assert told("/users/rita/orgs", owner) == ["acme"]
    assert told("/users/rita/orgs", stranger) == ["globex"]
    assert told("/users/rita/orgs", make_token(acme.account, "api").secret) == ["acme"]
    assert told("/users/rita/orgs", owner.token("api:write").secret) == []
    assert told("/users/rita/orgs", None) == []
    assert told("/users/acme/orgs", owner) == []


# --- Lists of packages and search --------------------------------------------------------------


def test_a_package_in_a_list_has_what_the_client_prints(world: World, owner: Person) -> None:
    publish(owner, "acme", "dev", "hello", "2.0", subdir="win-64", about={"summary": "Anew"})

    [row] = said(call("GET", "/packages/acme"))

    assert {
        name: row[name]
        for name in (
            "full_name", "name", "latest_version", "public", "published", "package_types",
            "conda_platforms", "builds", "summary", "owner",
        )
    } == {
        "full_name": "acme/hello",
        "name": "hello",
        "latest_version": "2.0",
        "public": True,
        "published": False,
        "package_types": ["conda"],
        "conda_platforms": ["noarch", "win-64"],
        "builds": [],
        "summary": "Anew",
        "owner": "acme",
    }  # fmt: skip
    assert said(call("GET", "/search?name=hello")) == [row]


def test_platforms_are_those_of_channels_that_are_theirs_to_read(
    world: World, owner: Person
) -> None:
    publish(owner, "acme", "secret", "hello", "2.0", subdir="win-64")

    def platforms(path: str, by: By) -> object:
        return {row["name"]: row["conda_platforms"] for row in said(call("GET", path, by))}

    for path in ("/packages/acme", "/search?name=hello"):
        assert platforms(path, None) == {"hello": ["noarch"]}
        assert platforms(path, owner)["hello"] == ["noarch", "win-64"]  # type: ignore[index]  # a dict
    for path in ("/packages/acme?platform=win-64", "/search?name=hello&platform=win-64"):
        assert platforms(path, None) == {}
        assert list(platforms(path, owner)) == ["hello"]  # type: ignore[call-overload]  # a dict


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["buried", "hello", "hidden"]),
        ("access=public", ["buried", "hello"]),
        ("access=private", ["hidden"]),
        ("access=authenticated", []),
        ("package_type=conda", ["buried", "hello", "hidden"]),
        ("package_type=pypi", []),
        ("type=app", []),
        ("platform=noarch", ["buried", "hello", "hidden"]),
        ("platform=win-64", []),
        ("platform=%27%22x", []),
    ],
)
def test_a_list_of_packages_can_be_filtered(
    world: World, owner: Person, query: str, names: list[str]
) -> None:
    rows = said(call("GET", f"/packages/acme?{query}", owner))

    assert [row["name"] for row in rows] == names


def test_an_access_that_is_none_is_refused(world: World) -> None:
    assert "'mine'" in error(call("GET", "/packages/acme?access=mine"), 400)


def test_one_s_own_packages_are_those_of_the_credential(world: World, owner: Person) -> None:
    publish(owner, "olga", "main", "own")

    assert [row["full_name"] for row in said(call("GET", "/packages", owner))] == ["olga/own"]
    organization = make_token(world.organization.account, "api").secret
    assert len(said(call("GET", "/packages", organization))) == 3


def test_search_finds_names_before_summaries(world: World, owner: Person) -> None:
    publish(owner, "acme", "main", "hello-world")
    publish(owner, "olga", "main", "othello")
    publish(owner, "olga", "main", "greeting", about={"summary": "Hello, and more"})

    def found(query: str) -> list[str]:
        return [row["full_name"] for row in said(call("GET", f"/search?{query}"))]

    assert found("name=hello") == [
        "acme/hello", "acme/hello-world", "olga/othello", "olga/greeting",
    ]  # fmt: skip
    assert found("name=HELLO%20world") == ["acme/hello-world"]
    assert found("name=olga/hello") == ["olga/othello", "olga/greeting"]
    assert found("name=hello&type=pypi") == []
    assert found("name=hello&type=conda&platform=noarch") == found("name=hello")
    assert found("name=nothing") == []
    assert found(f"name={'x' * 5000}") == []


def test_search_gives_the_best_hundred(world: World, owner: Person) -> None:
    file = PackageFile.objects.get(name="hello")
    entry = file.entries.get()
    for number in range(120):
        package = Package.objects.create(account=file.account, name=f"many-{number:03d}")
        file.pk = entry.pk = None
        file.package, file.name = package, package.name
        file.filename = entry.filename = f"{package.name}-1.0-0.conda"
        file.save()
        entry.file, entry.name = file, package.name
        entry.save()

    with CaptureQueriesContext(connection) as queries:
        rows = said(call("GET", "/search?name=many"))

    assert [row["name"] for row in rows] == [f"many-{number:03d}" for number in range(100)]
    assert {tuple(row["conda_platforms"]) for row in rows} == {("noarch",)}
    # By beginning, by the rest of names, by summary, who may know, their rows and platforms.
    assert len(queries) == 6
    with CaptureQueriesContext(connection) as queries:
        assert len(said(call("GET", "/packages/acme"))) == 121
    assert len(queries) == 3
