"""Every row of anaconda.org's API, asked for what it must refuse: the status of its table, a
sentence in the one form that clients show, and nothing stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from accounts.models import Organization
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, stored_files
from tests.factories import make_group
from tests.registry.dialects.anaconda.calls import NOTHING, call, error, said

HELLO = build_conda("hello", "1.0")
FILE = "hello/1.0/noarch/hello-1.0-0.conda"
NEW_FILE = "other/1.0/noarch/other-1.0-0.conda"
EXPIRES = (datetime.now(UTC) + timedelta(days=30)).isoformat()
READ, WRITE, GROUPS, API = "api:read", "api:write", "api:modify-group", "api"


@dataclass(frozen=True)
class Row:
    """One request; ``{}`` in its path is the owner, and ``wrong`` are bodies that are refused."""

    method: str
    path: str
    scope: str
    body: Any = NOTHING
    wrong: tuple[Any, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def ask(self, by: Person | str | None, *, owner: str = "acme", body: object = ...) -> Answer:
        sent = self.body if body is ... else body
        return call(self.method, self.path.format(owner), by, sent)


ATTRIBUTES = {"public_attrs": {"summary": "x"}}
WRONG_ATTRIBUTES: tuple[Any, ...] = (
    {"public_attrs": []},
    {"public_attrs": {"summary": 7}},
    [1],
    "x",
)
STAGE = {"distribution_type": "conda", "channels": [], "sha256": "0" * 64}
WRONG_STAGE: tuple[Any, ...] = (
    {**STAGE, "channels": "main"}, {**STAGE, "channels": [7]}, {**STAGE, "sha256": "short"},
    {**STAGE, "sha256": 7}, {**STAGE, "distribution_type": "pypi"}, {**STAGE, "channels": ["/"]},
    {**STAGE, "channels": [f"c{number}" for number in range(100)]}, [], 7,
)  # fmt: skip
FILES = {"package": "hello", "version": None, "basename": None}
WRONG_FILES: tuple[Any, ...] = ({**FILES, "package": 7}, {**FILES, "version": []}, [], "x")
PLACES = {"to_owner": None, "from_channel": "main", "to_channel": "dev"}
WRONG_PLACES: tuple[Any, ...] = ({**PLACES, "to_owner": 7}, {**PLACES, "to_channel": None}, [])
NOTICE = {"message": "Moved", "level": "info", "expires_at": EXPIRES}
WRONG_NOTICES: tuple[Any, ...] = (
    {**NOTICE, "message": 7}, {**NOTICE, "message": "x" * 5000}, {**NOTICE, "level": "loud"},
    {**NOTICE, "expires_at": "soon"}, {"message": "x"}, [],
)  # fmt: skip

READS = [
    Row("GET", "/user/{}", READ),
    Row("GET", "/packages/{}", READ),
    Row("GET", "/package/{}/hello", READ),
    Row("GET", "/release/{}/hello/1.0", READ),
    Row("GET", f"/dist/{{}}/{FILE}", READ),
    Row("GET", f"/download/{{}}/{FILE}", READ),
    Row("GET", "/channels/{}", READ),
    Row("GET", "/channels/{}/main", READ),
    Row("GET", "/packages/{}/hello/collaborators", READ),
    Row("GET", "/groups/{}", READ),
    Row("GET", "/group/{}/devs", READ),
    Row("GET", "/group/{}/devs/members", READ),
    Row("GET", "/group/{}/devs/members/olga", READ),
    Row("GET", "/group/{}/devs/packages", READ),
    Row("GET", "/{}/notices", READ),
]
WRITES = [
    # Before the POST to a label: when that is refused, this is refused for it, too.
    Row("DELETE", "/channels/{}/main", WRITE, FILES, WRONG_FILES),
    Row("POST", "/package/{}/new", WRITE, ATTRIBUTES, (*WRONG_ATTRIBUTES, {"public": "x"})),
    Row("PATCH", "/package/{}/hello", WRITE, ATTRIBUTES, WRONG_ATTRIBUTES),
    Row("DELETE", "/package/{}/hello", WRITE),
    Row("POST", "/release/{}/hello/2.0", WRITE, {"summary": "x"}, ({"summary": 7}, [1], "x")),
    Row("PATCH", "/release/{}/hello/1.0", WRITE, ATTRIBUTES, WRONG_ATTRIBUTES),
    Row("DELETE", "/release/{}/hello/1.0", WRITE),
    Row("DELETE", f"/dist/{{}}/{FILE}", WRITE),
    Row("POST", f"/stage/{{}}/{NEW_FILE}", WRITE, STAGE, WRONG_STAGE),
    Row("POST", f"/commit/{{}}/{NEW_FILE}", WRITE, {"dist_id": "0" * 24}, ({}, {"dist_id": 7}, [])),
    Row("POST", "/channels/{}/dev", WRITE, FILES, WRONG_FILES),
    Row("POST", "/channels/{}/main/copy/dev", WRITE),
    Row("POST", "/channels/{}/main/lock", WRITE),
    Row("DELETE", "/channels/{}/main/lock", WRITE),
    Row("POST", f"/copy/package/{{}}/{FILE}", WRITE, PLACES, WRONG_PLACES),
    Row("PUT", f"/copy/package/{{}}/{FILE}", WRITE, PLACES, WRONG_PLACES),
    Row("PATCH", "/copy/package/{}/hello/1.0/", WRITE, PLACES, WRONG_PLACES),
    Row("POST", "/{}/notices", WRITE, NOTICE, WRONG_NOTICES),
]
PEOPLE = [
    Row("PUT", "/packages/{}/hello/collaborators/sven", GROUPS),
    Row("DELETE", "/packages/{}/hello/collaborators/sven", GROUPS),
    Row("POST", "/group/{}/fresh", GROUPS, {"perms": "write"}, ({"perms": "all"}, {"perms": 7})),
    Row("PUT", "/group/{}/devs/members/sven", GROUPS),
    Row("DELETE", "/group/{}/devs/members/olga", GROUPS),
    Row("PUT", "/group/{}/devs/packages/hello", GROUPS),
    Row("DELETE", "/group/{}/devs/packages/hello", GROUPS),
]
CHANGES = [*WRITES, *PEOPLE]


def everything() -> dict[str, object]:
    """How many rows there are of each kind, and which bytes; tokens, sessions, and what tells of
    refusals aside."""
    passing = {"Token", "Session", "RefusedUpload"}
    counts: dict[str, object] = {
        model.__name__: model._default_manager.count()
        for model in apps.get_models()
        if model.__name__ not in passing
    }
    return {**counts, "files": sorted(stored_files())}


@pytest.fixture
def world(owner: Person, stranger: Person, acme: Organization, channel: ChannelAddress) -> Person:
    """A file in acme's main, and a group with nobody in it."""
    assert owner.upload(HELLO, to=channel).status_code == 201
    make_group(acme, "devs")
    return owner


@pytest.fixture
def nothing_changes(world: Person) -> Iterator[None]:
    before = everything()
    yield
    assert everything() == before


@pytest.mark.usefixtures("nothing_changes")
def test_an_owner_that_is_not_there_is_404(world: Person) -> None:
    secret = world.token().secret
    for row in [*READS, *CHANGES]:
        for name in ("nobody", "NO..body", "%2e%2e", "x" * 300):
            assert error(row.ask(secret, owner=name), 404), (str(row), name)


@pytest.mark.usefixtures("nothing_changes")
def test_changes_want_a_credential(world: Person) -> None:
    for row in CHANGES:
        sentence = error(row.ask(None), 401)
        assert sentence.startswith("Authorization header was not given."), (str(row), sentence)
        assert "no longer valid" in error(row.ask("ac-0000"), 401), str(row)


@pytest.mark.usefixtures("nothing_changes")
def test_the_scope_that_is_missing_is_named(world: Person) -> None:
    other = {READ: "conda:download", WRITE: READ, GROUPS: WRITE}
    secrets = {scope: world.token(scope).secret for scope in {*other.values()}}
    for row in CHANGES:
        sentence = error(row.ask(secrets[other[row.scope]]), 401)
        assert f"sufficient scope to perform this action expected: {row.scope}." in sentence, str(
            row
        )


@pytest.mark.usefixtures("nothing_changes")
def test_who_may_not_is_told_so(world: Person, stranger: Person) -> None:
    secret = stranger.token().secret
    for row in (row for row in CHANGES if not row.path.startswith("/copy/")):  # to their own
        answer = row.ask(secret)
        assert answer.status_code in {403, 404}, (str(row), answer.content)
        assert error(answer, answer.status_code)


@pytest.mark.usefixtures("nothing_changes")
def test_a_body_of_wrong_types_is_400_and_says_what_is_wrong(world: Person) -> None:
    secret = world.token().secret
    for row in CHANGES:
        for body in row.wrong:
            answer = row.ask(secret, body=body)
            assert answer.status_code in {400, 422}, (str(row), body, answer.content)
            assert len(error(answer, answer.status_code)) > 20


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"a": NaN}', 400),
        (b"[" * 100_000, 400),
        (json.dumps({"x": "y" * 2**20}).encode(), 413),
    ],
    ids=["cut", "no text", "no number", "deep", "large"],
)
def test_what_is_no_json_or_too_much_of_it_is_refused(
    data: bytes, status: int, world: Person
) -> None:
    headers = {"Authorization": f"token {world.token().secret}"}
    for row in (row for row in CHANGES if row.body is not NOTHING):
        path = f"/api{row.path.format('acme')}"
        answer = Client(headers=headers, enforce_csrf_checks=True).generic(
            row.method, path, data, content_type="application/json"
        )
        assert error(answer, status), str(row)


@pytest.mark.usefixtures("nothing_changes")
def test_a_method_that_a_path_does_not_know_is_405(world: Person) -> None:
    secret = world.token().secret
    for row in [*READS, *CHANGES]:
        answer = call("TRACE", row.path.format("acme"), secret)
        assert error(answer, 405), str(row)
        assert row.method in answer["Allow"], str(row)


def test_asked_rightly_every_row_says_yes(world: Person) -> None:
    """Else the refusals above might be for other reasons than they say."""
    secret = world.token().secret
    last = ("DELETE /dist", "DELETE /release", "DELETE /package/", "DELETE /channels/{}/main")
    done = [row for row in CHANGES if not str(row).startswith(last)]
    for row in [*READS, *done]:
        if "/commit/" in row.path or "members/olga" in row.path:
            continue  # these want something before them
        answer = row.ask(secret)
        assert answer.status_code < 400, (str(row), answer.getvalue())
    assert said(call("GET", "/user", secret))["login"] == world.name
