"""Tokens over the API, as ``anaconda login``, ``logout`` and ``auth`` ask for them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import tokens
from accounts.models import Event, Organization, Token
from accounts.scopes import Scope
from tests.cast import Person
from tests.conda_client import Answer
from tests.factories import PASSWORD, make_token, make_user
from tests.registry.dialects.anaconda.calls import call, error, said

# As `anaconda login` sends it.
WANTED: dict[str, Any] = {
    "scopes": None,
    "note": "binstar_client:portal:olga@vm",
    "note_url": "http://127.0.0.1:8080/api",
    "hostname": "vm",
    "user": None,
    "max-age": None,
    "strength": "strong",
    "fail-if-exists": True,
}


def basic(name: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask(authorization: str, **changes: Any) -> Answer:
    """POST /authentications with some of the login's wishes changed."""
    return Client(headers={"Authorization": authorization}, enforce_csrf_checks=True).post(
        "/api/authentications",
        json.dumps({**WANTED, **{name.replace("_", "-"): v for name, v in changes.items()}}),
        content_type="application/json",
    )


def made(answer: Answer) -> Token:
    token = tokens.find(said(answer)["token"])
    assert token is not None
    return token


def lifetime(token: Token) -> timedelta:
    assert token.expires_at is not None
    return token.expires_at - timezone.now()


# --- Making ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["olga", "Olga", "olga@example.org"])
def test_name_and_password_make_a_token_that_may_everything_for_a_year(
    owner: Person, name: str
) -> None:
    answer = ask(basic(name))

    token = made(answer)
    assert (token.account, token.created_by) == (owner.user.account, owner.user)
    assert (token.name, token.hostname, token.note_url, token.scopes) == (
        WANTED["note"],
        "vm",
        WANTED["note_url"],
        ["all"],
    )
    assert abs(lifetime(token) - timedelta(days=365)) < timedelta(minutes=1)
    assert answer["Cache-Control"] == "no-store"
    event = Event.objects.get(action="token.create")
    assert (event.actor, event.target) == (owner.user, WANTED["note"])


def test_a_token_is_asked_for_with_scopes_an_end_and_the_name_of_its_organization(
    acme: Organization, owner: Person
) -> None:
    answer = ask(basic("olga"), note="ci", user="acme", scopes=["api:read api:write"], max_age=3600)

    token = made(answer)
    assert (token.account, token.scopes) == (acme.account, ["api:read", "api:write"])
    assert abs(lifetime(token) - timedelta(hours=1)) < timedelta(minutes=1)


def test_no_scopes_are_all_that_the_maker_has(owner: Person) -> None:
    limited = owner.token("api", channels=["dev"], packages=["xz*"])

    token = made(ask(f"token {limited.secret}", scopes=[]))

    assert (token.scopes, token.channels, token.packages) == (["api"], ["dev"], ["xz*"])


def test_a_token_makes_none_that_may_more_or_lives_longer(owner: Person) -> None:
    soon = timezone.now() + timedelta(days=3)
    maker = f"Bearer {owner.token('api', expires_at=soon).secret}"

    assert "may not make one with all" in error(ask(maker, scopes=["all"]), 403)
    assert "lives longer" in error(ask(maker, max_age=4 * 24 * 3600), 403)
    assert lifetime(made(ask(maker))) < timedelta(days=3)


@pytest.mark.parametrize(
    ("maker", "status", "sentence"),
    [
        ("", 401, "Authorization header was not given. "),
        (basic("olga", "wrong"), 401, "Incorrect username or password. "),
        ("token nonsense", 401, "Authorization token is no longer valid. "),
        ("Bearer nonsense", 401, "Authorization token is no longer valid. "),
        (
            "api:write",
            401,
            (
                "Authentication token does not have the sufficient scope to perform this action "
                "expected: api. This token may not make and revoke tokens: it has api:write. "
                "A token with api or all may."
            ),
        ),
    ],
)
def test_who_may_not_make_tokens_is_told_why(
    owner: Person, maker: str, status: int, sentence: str
) -> None:
    if maker == "api:write":
        maker = f"token {owner.token(maker).secret}"

    assert error(ask(maker), status).startswith(sentence)
    assert not Token.objects.filter(name=WANTED["note"]).exists()


def test_a_session_of_a_browser_makes_none(owner: Person) -> None:
    answer = owner.client.post("/api/authentications", WANTED, content_type="application/json")

    assert error(answer, 401).startswith("Authorization header was not given.")


def test_only_admins_make_tokens_of_an_organization(
    acme: Organization, admin: Person, reader: Person, stranger: Person
) -> None:
    assert made(ask(basic("adam"), user="acme", note="by an admin")).account == acme.account
    for person in (reader, stranger):
        assert "Only owners and admins of acme" in error(ask(basic(person.name), user="acme"), 403)
    assert error(ask(basic("adam"), user="olga"), 403) == "Only olga may do this."
    assert error(ask(basic("adam"), user="nobody-has-this-name"), 404)
    assert error(ask(basic("adam"), user="a\0b"), 404)
    assert Token.objects.count() == 1


def test_an_organizations_token_makes_more_of_them(acme: Organization) -> None:
    maker = make_token(acme.account, "api")

    assert made(ask(f"token {maker.secret}", scopes=["api:read"])).account == acme.account


@pytest.mark.parametrize("secure", [True, False])
def test_a_password_alone_is_not_enough_with_a_second_factor(
    owner: Person, settings: Settings, secure: bool
) -> None:
    settings.SECURE = secure
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={})

    # The client shows a 401 as a wrong password, whatever it says.
    sentence = error(ask(basic("olga")), 403)

    assert "Send a token as the password: Settings, Access." in sentence
    # By the browser the client signs in only where there is TLS.
    assert ("it asks in the browser" in sentence) is secure
    assert not Token.objects.exists()


def test_guessing_passwords_is_stopped_here_too(owner: Person) -> None:
    for number in range(10):
        error(ask(basic("olga", f"wrong {number}")), 401)

    answer = ask(basic("olga"))

    assert "Try again in 300 seconds" in error(answer, 429)
    assert answer["Retry-After"] == "300"


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"note": None}, "A token needs a name."),
        ({"note": "a\nb"}, "printable"),
        ({"note": 7}, "`$.note`"),
        ({"hostname": "h" * 256}, "at most 255"),
        ({"hostname": "a\0b"}, "printable"),
        ({"note_url": "u" * 501}, "at most 500"),
        ({"scopes": "api:read"}, "`$.scopes`"),
        ({"scopes": ["api:fly"]}, "There is no scope 'api:fly'. The scopes are: api:read, "),
        ({"scopes": [""]}, "would open nothing"),
        ({"max-age": 0}, "above 0"),
        ({"max-age": -1}, "above 0"),
        ({"max-age": "3600"}, "`$.max-age`"),
        ({"max-age": 367 * 24 * 3600 + 60}, "at most 366 days"),
        ({"max-age": 10**18}, "at most 366 days"),
        ({"strength": "mighty"}, "`$.strength`"),
        ({"user": ["acme"]}, "`$.user`"),
        ({"fail-if-exists": "no"}, "`$.fail-if-exists`"),
    ],
)
def test_a_wish_that_can_not_be_met_is_400_and_says_which(
    owner: Person, wishes: dict[str, Any], sentence: str
) -> None:
    body = {**WANTED, **wishes}
    answer = Client(headers={"Authorization": basic("olga")}).post(
        "/api/authentications", json.dumps(body), content_type="application/json"
    )

    assert sentence in error(answer, 400)
    assert not Token.objects.exists()


@pytest.mark.parametrize("body", ["[", "[]", '"text"', "{" * 5000])
def test_a_body_that_is_no_json_object_is_400(owner: Person, body: str) -> None:
    answer = Client(headers={"Authorization": basic("olga")}).post(
        "/api/authentications", body, content_type="application/json"
    )

    assert "JSON" in error(answer, 400)


def test_the_longest_life_of_a_token_is_the_hosts(owner: Person, settings: Settings) -> None:
    settings.TOKEN_MAX_LIFETIME = timedelta(days=30)

    assert "at most 30 days" in error(ask(basic("olga"), max_age=60 * 24 * 3600), 400)
    assert abs(lifetime(made(ask(basic("olga")))) - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("asked", "given", "without_meaning"),
    [
        (["api:read", "api:write", "pypi:upload"], ["api:read", "api:write"], ["pypi:upload"]),
        (
            ["repos:collection:mine api:build", "all"],
            ["all"],
            ["repos:collection:mine", "api:build"],
        ),
    ],
)
def test_scopes_for_what_is_not_here_are_taken_and_give_nothing(
    owner: Person, asked: list[str], given: list[str], without_meaning: list[str]
) -> None:
    answer = ask(basic("olga"), scopes=asked)

    assert made(answer).scopes == given
    assert answer.json()["scopes_without_meaning"] == without_meaning
    warning = answer["Conda-Token-Warning"]
    assert all(scope in warning for scope in without_meaning)
    assert "gives nothing here" in warning


def test_scopes_of_which_none_means_anything_make_no_token(owner: Person) -> None:
    sentence = error(ask(basic("olga"), scopes=["pypi", "pypi:upload"]), 400)

    assert "the token would open nothing" in sentence
    assert not Token.objects.exists()


# --- One that has the name ---------------------------------------------------------------------


def test_a_live_token_of_the_name_is_400_or_replaced(owner: Person) -> None:
    first = said(ask(basic("olga")))["token"]

    assert f"already has a token named {WANTED['note']}" in error(ask(basic("olga")), 400)
    assert said(call("GET", "/authentication", first))

    second = said(ask(basic("olga"), fail_if_exists=False))["token"]

    assert second != first
    assert "revoked" in error(call("GET", "/authentication", first), 401)
    assert said(call("GET", "/authentication", second))["application"] == WANTED["note"]
    assert [e.action for e in Event.objects.order_by("id")] == [
        "token.create",
        "token.revoke",
        "token.create",
    ]


def test_a_token_that_is_not_replaced_after_all_stays(owner: Person) -> None:
    first = said(ask(basic("olga")))["token"]

    error(ask(basic("olga"), fail_if_exists=False, scopes=["api:fly"]), 400)

    assert said(call("GET", "/authentication", first))


def test_an_expired_token_gives_its_name_back(owner: Person) -> None:
    owner.token(name=WANTED["note"], expires_at=timezone.now() - timedelta(seconds=1))

    assert made(ask(basic("olga"))).name == WANTED["note"]


def test_the_same_name_is_free_in_another_account(acme: Organization, owner: Person) -> None:
    for wish in ({}, {"user": "acme"}):
        assert made(ask(basic("olga"), **wish)).name == WANTED["note"]


# --- Looking -----------------------------------------------------------------------------------


def test_the_tokens_of_an_account_are_listed_without_their_secrets(
    acme: Organization, owner: Person
) -> None:
    made_now = said(ask(basic("olga"), scopes=["api"]))
    make_token(acme.account, name="of acme")
    tokens.revoke_token(by=owner.identity, token=owner.token(name="revoked").token)
    owner.token(name="without end")

    answer = call("GET", "/authentications", made_now["token"])

    listed = {item["application"]: item for item in said(answer)}
    assert set(listed) == {WANTED["note"], "without end"}
    assert listed["without end"]["expires"] is None
    of_login = listed[WANTED["note"]]
    assert (of_login["hostname"], of_login["scopes"]) == ("vm", ["api"])
    assert of_login["remote_addr"] == "127.0.0.1"
    assert datetime.fromisoformat(of_login["expires"]).tzinfo == UTC
    assert "cph-" not in answer.getvalue().decode()


def test_a_token_of_an_organization_lists_those_of_the_organization(
    acme: Organization, owner: Person
) -> None:
    mine = make_token(acme.account, "api:read", name="of acme")
    owner.token(name="of olga")

    listed = said(call("GET", "/authentications", mine.secret))

    assert [item["application"] for item in listed] == ["of acme"]


def test_any_token_may_look_at_itself(owner: Person) -> None:
    mine = owner.token("conda:download", name="for installs")

    shown = said(call("GET", "/authentication", mine.secret))

    assert (shown["application"], shown["id"]) == ("for installs", str(mine.token.pk))
    assert "expected: api:read" in error(call("GET", "/authentications", mine.secret), 401)
    assert "not given" in error(call("GET", "/authentication"), 401)
    assert "not given" in error(call("GET", "/authentications"), 401)


def test_how_to_sign_in_and_what_scopes_there_are_is_told_to_everybody(db: None) -> None:
    assert said(call("GET", "/authentication-type")) == {"authentication_type": "password"}
    scopes = said(call("GET", "/scopes"))
    assert list(scopes)[: len(Scope.values)] == Scope.values
    assert "gives nothing here" in scopes["pypi:upload"]
    assert all(isinstance(sentence, str) and sentence for sentence in scopes.values())


# --- Revoking ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["all", "conda:download"])
def test_logging_out_revokes_the_token_that_says_so(owner: Person, scope: str) -> None:
    mine, other = owner.token(scope), owner.token()

    assert said(call("DELETE", "/authentications", mine.secret), 201)

    assert "no longer valid" in error(call("DELETE", "/authentications", mine.secret), 401)
    assert said(call("GET", "/authentication", other.secret))


@pytest.mark.parametrize("name", ["ci", "binstar_client:portal:olga@vm", "a/b c%2Fd", "name/x"])
def test_a_token_is_revoked_by_its_name(owner: Person, name: str) -> None:
    gone, kept = owner.token(name=name), owner.token(name="kept")
    path = f"/authentications/name/{name.replace('%', '%25').replace(' ', '%20')}"

    assert said(call("DELETE", path, kept.secret), 201)

    assert "revoked" in error(call("GET", "/authentication", gone.secret), 401)
    assert error(call("DELETE", path, kept.secret), 404)


def test_a_token_of_an_organization_is_revoked_by_its_name(
    acme: Organization, owner: Person, maintainer: Person
) -> None:
    gone = make_token(acme.account, name="ci")
    path = "/authentications/org/acme/name/ci"

    assert "Only owners and admins" in error(call("DELETE", path, maintainer), 403)
    assert "expected: api" in error(call("DELETE", path, owner.token("api:write").secret), 401)
    assert said(call("DELETE", path, owner), 201)

    assert "revoked" in error(call("GET", "/authentication", gone.secret), 401)
    assert error(call("DELETE", path, owner), 404)
    assert error(call("DELETE", "/authentications/org/nobody/name/ci", owner), 404)


def test_names_of_others_tokens_are_not_found(owner: Person, stranger: Person) -> None:
    theirs = owner.token(name="ci")

    assert error(call("DELETE", "/authentications/name/ci", stranger), 404)

    assert said(call("GET", "/authentication", theirs.secret))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/authentications"),
        ("POST", "/authentication"),
        ("GET", "/authentications/name/ci"),
        ("POST", "/scopes"),
    ],
)
def test_other_methods_are_405(owner: Person, method: str, path: str) -> None:
    assert error(call(method, path, owner), 405)


# --- What a credential that opens nothing is told ----------------------------------------------


def test_each_wrong_token_is_told_as_anaconda_org_does_and_why(owner: Person) -> None:
    revoked, expired = owner.token(), owner.token(expires_at=timezone.now())
    tokens.revoke_token(by=owner.identity, token=revoked.token)

    for secret, sentence in (
        (revoked.secret, "Authorization token is no longer valid. This token was revoked."),
        (expired.secret, "Authentication token has expired. This token has expired."),
        ("al-4711", "Authorization token is no longer valid. This token is not known here."),
    ):
        answer = call("GET", "/scopes", secret)
        assert error(answer, 401).startswith(sentence)
        assert answer["WWW-Authenticate"].startswith("Basic ")


def test_a_missing_scope_is_named_with_what_the_token_has(owner: Person) -> None:
    answer = call("GET", "/authentications", owner.token("api:write").secret)

    assert error(answer, 401) == (
        "Authentication token does not have the sufficient scope to perform this action expected: "
        "api:read. This token may not read what you can read: it has api:write. "
        "A token with api:read or api may."
    )
    assert answer["WWW-Authenticate"].startswith("Basic ")


def test_a_user_who_was_suspended_makes_no_token(owner: Person) -> None:
    maker = f"token {owner.token().secret}"
    owner.user.account.suspended_at = timezone.now()
    owner.user.account.save()

    assert "suspended" in error(ask(maker), 401)
    assert "suspended" in error(ask(basic("olga")), 401)


def test_an_address_that_is_not_verified_makes_no_token(db: None) -> None:
    make_user("uma", verified=False)

    assert "not verified" in error(ask(basic("uma")), 403)
