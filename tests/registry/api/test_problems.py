"""How the API says no, and that it takes nothing that it did not ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import Event, Organization, User
from registry.models import Channel, PackageFile
from tests.cast import Person
from tests.registry.api.test_who_may import TABLE, Row
from tests.registry.api.world import API, NOT_FOUND, Caller, World, nobody

# What somebody might try to slip in.
SMUGGLED = {
    "id": 1,
    "pk": 1,
    "account": "globex",
    "owner": "sven",
    "organization": "globex",
    "org": "globex",
    "kind": "user",
    "role": "owner",
    "permission": "admin",
    "is_staff": True,
    "is_superuser": True,
    "is_active": True,
    "private": False,
    "is_private": False,
    "visibility": "public",
    "verified": True,
    "quota": 10**9,
    "created_at": "2001-01-01T00:00:00Z",
    "created_by": "sven",
    "suspended_at": None,
    "sha256": "0" * 64,
    "digest": "0" * 64,
    "secret": "cph-",
    "download_count": 10**6,
    "name_": "x",
    "__class__": "x",
}
# A set of patches is a document of conda's, in which keys that nobody knows mean nothing.
WRITES = [
    row
    for row in TABLE
    if isinstance(row.body, dict)
    and "2" in row.roles.split()[-1][:1]
    and "/patches?" not in row.path
]


@pytest.mark.parametrize("row", WRITES, ids=lambda row: f"{row.method} {row.path}")
def test_no_field_is_taken_that_was_not_asked_for(
    row: Row, world: World, callers: dict[str, Caller]
) -> None:
    olga = callers["olga"]
    accepted = dict(row.body) if isinstance(row.body, dict) else {}
    path = row.path.format(**world.ids)
    before = _state()
    refused = 0
    for field, value in SMUGGLED.items():
        answer = olga.call(row.method, path, accepted | {field: value})
        if answer.status_code == 400 and list(answer.json()["errors"]) == [field]:
            assert "There is no such field here" in answer.json()["errors"][field][0]
            assert _state() == before
            refused += 1
        else:
            assert field in FIELDS_OF_THEIR_OWN, (field, answer.content)
            before = _state()
    assert refused >= len(SMUGGLED) - len(FIELDS_OF_THEIR_OWN)


# These are asked for somewhere; the tests of those endpoints say who may give what.
FIELDS_OF_THEIR_OWN = {"account", "role", "permission", "visibility", "is_private"}


def _state() -> dict[str, Any]:
    return {
        "events": Event.objects.count(),
        "staff": list(User.objects.filter(is_staff=True).values_list("pk", flat=True)),
        "files": list(PackageFile.objects.values_list("pk", "sha256", "account")),
        "channels": list(Channel.objects.values_list("pk", "account", "visibility")),
        "organizations": Organization.objects.count(),
    }


# --- The shape of a problem --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "slug"),
    [
        ("POST", "/accounts/acme/channels", {"name": 3, "x": 1}, 400, "invalid-input"),
        ("POST", "/accounts/acme/channels", {"name": "t"}, 400, "invalid-channel-name"),
        ("POST", "/accounts/acme/channels", {"name": "dev"}, 409, "conflict"),
        ("GET", "/accounts/missing", None, 404, "not-found"),
        ("GET", "/nothing/here", None, 404, "not-found"),
        ("GET", "/accounts/", None, 404, "not-found"),
        ("PUT", "/accounts", None, 405, "method-not-allowed"),
        ("GET", "/accounts/sven/tokens", None, 403, "forbidden"),
    ],
)
def test_every_no_is_a_problem_document(
    method: str,
    path: str,
    body: object,
    status: int,
    slug: str,
    world: World,
    stranger: Person,
    olga: Caller,
) -> None:
    answer = olga.call(method, path, body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem = answer.json()
    assert problem["type"] == f"/docs/problems#{slug}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert ("errors" in problem) == (slug == "invalid-input")


def test_a_hidden_thing_and_a_path_that_leads_nowhere_read_the_same(world: World) -> None:
    hidden = nobody().get("/accounts/acme/channels/secret")
    nowhere = nobody().get("/no/such/path")
    assert json.loads(hidden.content) == json.loads(nowhere.content) == json.loads(NOT_FOUND)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe{",
        b'{"name": NaN}',
        b'{"name": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'"' + b"x" * 100 + b'"',
        b"null",
        b"[]",
        b'{"name": "\\ud800"}',
        b'{"name": "\\u0000"}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes, world: World, olga: Caller) -> None:
    answer = olga.client.generic(
        "POST", f"{API}/accounts/acme/channels", body, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["type"] == "/docs/problems#invalid-input"


@pytest.mark.parametrize("charset", ["zlib", "utf-16", "base64", "nothing"])
def test_a_body_is_read_as_utf_8_whatever_its_sender_says(
    charset: str, world: World, olga: Caller
) -> None:
    answer = olga.client.generic(
        "PATCH",
        f"{API}/accounts/acme/channels/dev",
        '{"description": "Grüße"}'.encode(),
        content_type=f"application/json; charset={charset}",
    )
    assert answer.status_code == 200
    assert answer.json()["description"] == "Grüße"


def test_a_huge_body_is_refused(world: World, olga: Caller) -> None:
    body = b'{"description": "' + b"x" * (3 * 2**20) + b'"}'
    answer = olga.client.generic(
        "PATCH", f"{API}/accounts/acme/channels/dev", body, content_type="application/json"
    )
    assert answer.status_code == 413
    assert answer.json()["type"] == "/docs/problems#body-too-large"


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/xml"]
)
def test_a_body_of_another_kind_is_refused(kind: str, world: World, olga: Caller) -> None:
    answer = olga.client.generic(
        "PATCH", f"{API}/accounts/acme/channels/dev", b"description=x", content_type=kind
    )
    assert answer.status_code == 415
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_browser_that_takes_anything_is_given_json(world: World) -> None:
    accept = "text/html,application/xhtml+xml,*/*;q=0.8"
    answer = Client(headers={"Accept": accept}).get("/api/v1/accounts")
    assert answer.headers["Content-Type"] == "application/json"
    refused = Client(headers={"Accept": "application/xml"}).get("/api/v1/accounts")
    assert refused.status_code == 406
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_no_answer_is_read_as_a_page(world: World) -> None:
    answer = nobody().get("/accounts")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
