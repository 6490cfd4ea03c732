"""Tokens over the REST API: made once, shown once, never stronger than what made them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Event, Organization, Token
from accounts.tokens import NewToken, digest
from tests.cast import Person
from tests.factories import PASSWORD, make_token

# A response of Django's with what its test client adds to it, which has no public name.
Answer = Any
TOKENS = "/api/v1/accounts/olga/tokens"


def bearer(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


def make(client: Client, url: str = TOKENS, **fields: Any) -> Answer:
    body = {"name": "child", "scopes": ["api:read"], **fields}
    return client.post(url, json.dumps(body, default=str), content_type="application/json")


@pytest.fixture
def session(owner: Person) -> Client:
    client = Client()
    client.force_login(owner.user)
    return client


def test_the_secret_is_in_the_answer_that_makes_it_and_nowhere_after(session: Client) -> None:
    made = make(session, scopes=["conda:download", "api:read"], packages=["foo*"])
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    answer = made.json()
    secret = answer.pop("secret")
    assert answer["scopes"] == ["api:read", "conda:download"]
    assert answer["packages"] == ["foo*"]
    assert answer["created_by"] == "olga"
    assert Token.objects.get().digest == digest(secret)
    listed = session.get(TOKENS)
    assert listed.json()["results"] == [answer]
    assert secret not in listed.content.decode()
    assert secret not in json.dumps(list(Event.objects.values("target", "detail")))
    who = bearer(secret).get("/api/v1/user")
    assert who.json() | {"account": who.json()["account"]["name"]} == {
        "account": "olga",
        "token": "child",
        "scopes": ["api:read", "conda:download"],
        "channels": [],
        "packages": ["foo*"],
        "expires_at": answer["expires_at"],
    }


def test_a_session_is_not_limited(session: Client) -> None:
    who = session.get("/api/v1/user").json()
    assert (who["token"], who["scopes"], who["expires_at"]) == (None, None, None)


def test_a_revoked_token_opens_nothing_from_the_next_request_on(session: Client) -> None:
    made = make(session).json()
    client = bearer(made["secret"])
    assert client.get("/api/v1/user").status_code == 200
    assert session.delete(f"{TOKENS}/{made['id']}").status_code == 204
    assert client.get("/api/v1/user").status_code == 401
    assert session.delete(f"{TOKENS}/{made['id']}").status_code == 204
    assert Event.objects.filter(action="token.revoke").count() == 1
    assert session.get(TOKENS).json()["results"][0]["revoked_at"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": "all"}, "scopes"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"channels": ["x"] * 101}, "channels"),
        ({"packages": ["x" * 129]}, "packages"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    fields: dict[str, Any], field: str, session: Client
) -> None:
    answer = make(session, **fields)
    assert answer.status_code == 400
    assert field in {name.partition(".")[0] for name in answer.json()["errors"]}
    assert not Token.objects.exists()


def test_two_live_tokens_of_an_account_are_not_called_the_same(session: Client) -> None:
    made = make(session).json()
    assert make(session).status_code == 409
    session.delete(f"{TOKENS}/{made['id']}")
    assert make(session).status_code == 201


# --- No token makes a stronger or longer one ---------------------------------------------------


@pytest.fixture
def parent(owner: Person) -> NewToken:
    return owner.token("api", expires_at=timezone.now() + timedelta(days=10))


@pytest.mark.parametrize(
    ("scopes", "status"),
    [(["api"], 201), (["api:write", "conda"], 201), (["all"], 403), (["api", "all"], 403)],
)
def test_no_token_makes_one_that_may_do_more(
    scopes: list[str], status: int, parent: NewToken
) -> None:
    assert make(bearer(parent.secret), scopes=scopes).status_code == status
    assert Token.objects.count() == (2 if status == 201 else 1)


@pytest.mark.parametrize(("days", "status"), [(9, 201), (11, 403), (300, 403)])
def test_no_token_makes_one_that_outlives_it(days: int, status: int, parent: NewToken) -> None:
    expires_at = timezone.now() + timedelta(days=days)
    answer = make(bearer(parent.secret), expires_at=expires_at.isoformat())
    assert answer.status_code == status
    if status == 403:
        assert "This token expires at" in answer.json()["detail"]


def test_a_token_without_a_date_ends_with_the_one_that_made_it(parent: NewToken) -> None:
    make(bearer(parent.secret))
    assert Token.objects.get(name="child").expires_at == parent.token.expires_at


@pytest.mark.parametrize(
    ("own", "wanted", "status"),
    [
        ({"channels": ["dev", "rc"]}, {"channels": ["dev"]}, 201),
        ({"channels": ["dev", "rc"]}, {"channels": ["main"]}, 403),
        ({"channels": ["dev"]}, {"channels": ["dev", "main"]}, 403),
        ({"channels": ["dev"]}, {}, 403),
        ({"packages": ["foo*"]}, {"packages": ["foo*"]}, 201),
        ({"packages": ["foo*"]}, {"packages": ["foo-bar"]}, 201),
        ({"packages": ["foo*"]}, {"packages": ["foo-bar*"]}, 403),
        ({"packages": ["foo"]}, {"packages": ["fo?"]}, 403),
        ({"packages": ["[f]oo"]}, {"packages": ["[!f]oo"]}, 403),
        ({"packages": ["foo*"]}, {"packages": ["foo", "bar"]}, 403),
        ({"packages": ["foo*"]}, {}, 403),
        ({"packages": ["foo*"], "channels": ["dev"]}, {"packages": ["foo"]}, 403),
    ],
)
def test_no_token_makes_one_that_reaches_further(
    own: dict[str, list[str]], wanted: dict[str, Any], status: int, owner: Person
) -> None:
    parent = owner.token("all", **own)
    answer = make(bearer(parent.secret), **wanted)
    assert answer.status_code == status
    assert Token.objects.count() == (2 if status == 201 else 1)


def test_a_limited_token_revokes_none_that_reaches_further(owner: Person) -> None:
    limited = owner.token("all", channels=["dev"])
    free = owner.token("api:read")
    small = owner.token("api:read", channels=["dev"])
    client = bearer(limited.secret)
    assert client.delete(f"{TOKENS}/{free.token.pk}").status_code == 403
    assert client.delete(f"{TOKENS}/{small.token.pk}").status_code == 204
    assert client.delete(f"{TOKENS}/{limited.token.pk}").status_code == 204
    assert client.get("/api/v1/user").status_code == 401


def test_a_token_of_an_organization_makes_its_tokens(owner: Person, acme: Organization) -> None:
    parent = make_token(acme.account, "api", expires_at=timezone.now() + timedelta(days=3))
    made = make(bearer(parent.secret), "/api/v1/accounts/acme/tokens")
    assert made.status_code == 201
    assert made.json()["created_by"] is None
    assert bearer(made.json()["secret"]).get("/api/v1/user").json()["account"]["name"] == "acme"
    assert make(bearer(parent.secret), TOKENS).status_code == 403


# --- How one says who one is -------------------------------------------------------------------


def test_a_credential_is_read_from_each_place(owner: Person) -> None:
    secret = owner.token("api:read").secret

    def basic(pair: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"token {secret}"},
        basic(f"anything:{secret}"),
        basic(f"olga:{PASSWORD}"),
    ):
        answer = Client(headers=headers).get("/api/v1/user")
        assert answer.json()["account"]["name"] == "olga"
    assert Client().get(f"/t/{secret}/api/v1/user").json()["account"]["name"] == "olga"
    wrong = Client(headers=basic("olga:wrong")).get("/api/v1/accounts")
    assert wrong.status_code == 401
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")


def test_a_session_changes_nothing_without_the_csrf_token(owner: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)
    assert client.get(TOKENS).status_code == 200
    refused = make(client)
    assert refused.status_code == 403
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert not Token.objects.exists()

    client.get("/account/password/change/")  # a page with a form
    token = client.cookies["condarium-csrf"].value
    allowed = client.post(
        TOKENS,
        json.dumps({"name": "child", "scopes": ["api:read"]}),
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert allowed.status_code == 201


def test_a_token_needs_no_csrf_token_and_beats_the_session(owner: Person, stranger: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(stranger.user)
    headers = {"Authorization": f"Bearer {owner.token('all').secret}"}
    assert client.get("/api/v1/user", headers=headers).json()["account"]["name"] == "olga"
    answer = client.patch(
        "/api/v1/accounts/olga", "{}", content_type="application/json", headers=headers
    )
    assert answer.status_code == 200


def test_nobody_is_asked_for_a_credential(db: None) -> None:
    answer = Client().get("/api/v1/user")
    assert answer.status_code == 401
    assert answer.json()["type"] == "/docs/problems#credential-needed"
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Condarium"'


def test_a_suspended_account_is_let_in_nowhere(owner: Person, session: Client) -> None:
    secret = owner.token("all").secret
    owner.user.account.suspended_at = timezone.now()
    owner.user.account.save()
    # Their session has ended: they are a visitor, who is nobody here.
    assert session.get("/api/v1/user").status_code == 401
    assert bearer(secret).get("/api/v1/accounts").status_code == 401
