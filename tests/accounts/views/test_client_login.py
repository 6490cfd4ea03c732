"""Signing a program in by the browser, as ``anaconda login`` does it (RFC 6749, RFC 7636)."""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import client_login
from accounts.client_login import CLIENT_ID, REDIRECT_URI, InvalidGrant, challenge_of
from accounts.models import ClientLogin, Event, Token
from tests.accounts.views.conftest import Confirm
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.conda_client import Answer
from tests.factories import PASSWORD, make_user

VERIFIER = "v" * 128
# As anaconda-client 1.16 sends it.
ASKED: dict[str, str] = {
    "client_id": CLIENT_ID,
    "response_type": "code",
    "scope": "openid email profile offline_access",
    "state": "2c4f6f2e-3f0b-4b57-9f57-8b34a7f6c1a1",
    "redirect_uri": REDIRECT_URI,
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}
AUTHORIZE = "/-/login/authorize"
T = TypeVar("T")


def address(**changes: str | None) -> str:
    asked = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return f"{AUTHORIZE}?{urlencode(asked)}"


def led_back(answer: Answer) -> dict[str, str]:
    """What the program is told by the address that the browser is sent to."""
    assert answer.status_code == 302
    location = answer["Location"]
    assert location.startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(location).query))


def code_for(person: Person, **changes: str | None) -> str:
    return led_back(person.client.post(address(**changes)))["code"]


def exchange(code: str, /, **changes: str | None) -> Answer:
    form = {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
        **changes,
    }
    sent = urlencode({name: value for name, value in form.items() if value is not None})
    return Client(enforce_csrf_checks=True).post(
        "/-/login/token", sent, content_type="application/x-www-form-urlencoded"
    )


def make_token_with(access: str, **wishes: Any) -> Answer:
    body = {"note": "binstar_client:olga@vm", "fail-if-exists": False, **wishes}
    return Client(headers={"Authorization": f"Bearer {access}"}).post(
        "/api/authentications", json.dumps(body), content_type="application/json"
    )


def test_the_client_finds_what_it_asks(client: Client, settings: Settings) -> None:
    settings.BASE_URL = "https://conda.example.org"

    answer = client.get("/.well-known/openid-configuration")

    assert answer.status_code == 200
    document = answer.json()
    assert document["issuer"] == "https://conda.example.org"
    assert document["authorization_endpoint"] == f"https://conda.example.org{AUTHORIZE}"
    assert document["token_endpoint"] == "https://conda.example.org/-/login/token"
    assert document["code_challenge_methods_supported"] == ["S256"]


def test_a_program_gets_a_token_when_its_user_says_yes(confirmed_owner: Person) -> None:
    page = confirmed_owner.client.get(address())
    assert page.status_code == 200
    assert "Let anaconda sign in as olga?" in words(page)
    form = re.search(rf'action="({AUTHORIZE}[^"]*)"', page.content.decode())
    assert form is not None

    answer = led_back(confirmed_owner.client.post(html.unescape(form[1])))
    assert answer["state"] == ASKED["state"]
    exchanged = exchange(answer["code"])
    assert exchanged.status_code == 200
    assert exchanged["Cache-Control"] == "no-store"
    access = exchanged.json()
    assert (access["token_type"], access["expires_in"]) == ("Bearer", 300)
    assert "refresh_token" not in access
    made = make_token_with(access["access_token"])

    assert made.status_code == 200
    token = Token.objects.get()
    assert (token.account, token.scopes) == (confirmed_owner.user.account, ["all"])
    assert Event.objects.get(action="token.create").actor == confirmed_owner.user
    assert not ClientLogin.objects.exists()


def test_nothing_but_hashes_is_kept_of_a_sign_in(confirmed_owner: Person) -> None:
    code = code_for(confirmed_owner)
    access = exchange(code).json()["access_token"]

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {ClientLogin._meta.db_table}")
        kept = repr(cursor.fetchall())
    assert code not in kept
    assert access not in kept


def test_saying_no_tells_the_program_so_and_keeps_nothing(confirmed_owner: Person) -> None:
    page = confirmed_owner.client.get(address()).content.decode()

    refuse = re.search(rf'href="({re.escape(REDIRECT_URI)}[^"]*)"', page)

    assert refuse is not None
    told = parse_qs(urlsplit(html.unescape(refuse[1])).query)
    assert told["error"] == ["access_denied"]
    assert told["state"] == [ASKED["state"]]
    assert "code" not in told
    assert not ClientLogin.objects.exists()


def test_browsers_let_the_consent_lead_to_the_program_and_nowhere_else(
    confirmed_owner: Person,
) -> None:
    page = confirmed_owner.client.get(address())

    policy = dict(
        part.strip().split(" ", 1) for part in page["Content-Security-Policy"].split(";") if part
    )
    assert policy["form-action"] == "'self' http://127.0.0.1:8000"
    assert policy["frame-ancestors"] == "'none'"
    assert "no-store" in page["Cache-Control"]


def test_who_is_not_signed_in_does_so_first_and_comes_back(nobody: Client, owner: Person) -> None:
    answer = nobody.get(address())

    assert answer.status_code == 302
    login = urlsplit(answer["Location"])
    assert login.path == "/account/login/"
    assert parse_qs(login.query)["next"] == [address()]

    signed_in = nobody.post(
        answer["Location"], {"login": "olga", "password": PASSWORD, "next": address()}
    )

    assert signed_in["Location"] == address()
    assert nobody.get(address()).status_code == 200


def test_a_yes_of_somebody_who_is_not_signed_in_gives_no_code(nobody: Client, db: None) -> None:
    answer = nobody.post(address())

    assert urlsplit(answer["Location"]).path == "/account/login/"
    assert not ClientLogin.objects.exists()


def test_with_a_second_factor_the_password_alone_does_not_lead_to_the_consent(
    nobody: Client, owner: Person
) -> None:
    Authenticator.objects.create(
        user=owner.user, type=Authenticator.Type.TOTP, data={"secret": "A" * 32}
    )

    answer = nobody.post(
        f"/account/login/?{urlencode({'next': address()})}",
        {"login": "olga", "password": PASSWORD},
    )

    assert urlsplit(answer["Location"]).path == "/account/2fa/authenticate/"
    assert urlsplit(nobody.get(address())["Location"]).path == "/account/login/"


def test_who_signed_in_long_ago_proves_once_more_that_it_is_them(
    owner: Person, confirm: Confirm
) -> None:
    for answer in (owner.client.get(address()), owner.client.post(address(), follow=True)):
        place = answer.redirect_chain[-1][0] if hasattr(answer, "redirect_chain") else ""
        assert "/account/reauthenticate/" in (place or answer["Location"])
    assert not ClientLogin.objects.exists()

    confirm(owner.client)

    assert owner.client.get(address()).status_code == 200


def test_another_site_can_not_say_yes(confirmed_owner: Person) -> None:
    browser = Client(enforce_csrf_checks=True, HTTP_ACCEPT="text/html")
    browser.cookies = confirmed_owner.client.cookies

    assert browser.post(address(), headers={"Origin": "https://evil.example"}).status_code == 403
    assert not ClientLogin.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None},
        {"client_id": "another"},
        {"client_id": "\0"},
        {"redirect_uri": None},
        {"redirect_uri": "http://127.0.0.1:8000/auth/oidc/"},
        {"redirect_uri": "http://127.0.0.1:8001/auth/oidc"},
        {"redirect_uri": "http://localhost:8000/auth/oidc"},
        {"redirect_uri": "http://127.0.0.1:8000/auth/oidc?x=1"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "javascript:alert(1)"},
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_is_led_to_another_program(
    confirmed_owner: Person, wrong: dict[str, str | None], method: str
) -> None:
    answer = getattr(confirmed_owner.client, method)(address(**wrong))

    assert answer.status_code == 400
    assert "Location" not in answer
    assert "anaconda login" in words(answer)
    assert "evil" not in answer.content.decode()
    assert not ClientLogin.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"code_challenge": "é" * 43}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"prompt": "none"}, "interaction_required"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_program_that_asks_wrongly_is_told_so(
    confirmed_owner: Person, wrong: dict[str, str | None], error: str, method: str
) -> None:
    told = led_back(getattr(confirmed_owner.client, method)(address(**wrong)))

    assert (told["error"], told["state"]) == (error, ASKED["state"])
    assert told["error_description"]
    assert "code" not in told
    assert not ClientLogin.objects.exists()


@pytest.mark.parametrize("state", ["a\nb", "é", "s" * 1001])
def test_a_state_that_is_no_text_of_a_program_is_not_repeated(
    confirmed_owner: Person, state: str
) -> None:
    told = led_back(confirmed_owner.client.post(address(state=state)))

    assert told["error"] == "invalid_request"
    assert "state" not in told


@pytest.mark.parametrize("repeated", ["state", "code_challenge", "response_type"])
def test_what_is_asked_twice_is_not_chosen_from(confirmed_owner: Person, repeated: str) -> None:
    told = led_back(confirmed_owner.client.post(f"{address()}&{repeated}=other"))

    assert told["error"] == "invalid_request"
    twice = confirmed_owner.client.post(f"{address()}&redirect_uri=https://evil.example")
    assert twice.status_code == 400


@pytest.mark.parametrize("garbage", ["client_id=%zz&state=%", "%00", "&&&=", "client_id[]=1"])
def test_an_address_that_makes_no_sense_is_a_page_that_says_so(
    confirmed_owner: Person, garbage: str
) -> None:
    assert confirmed_owner.client.get(f"{AUTHORIZE}?{garbage}").status_code == 400


def test_the_state_is_given_back_as_it_came(confirmed_owner: Person) -> None:
    state = 'a b&c=d%20/?#"<>'

    assert led_back(confirmed_owner.client.post(address(state=state)))["state"] == state
    assert "state" not in led_back(confirmed_owner.client.post(address(state=None)))


# --- The access token --------------------------------------------------------------------------


def test_a_code_is_good_once_and_coming_again_takes_back_what_it_gave(
    confirmed_owner: Person,
) -> None:
    code = code_for(confirmed_owner)
    access = exchange(code).json()["access_token"]

    again = exchange(code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert make_token_with(access).status_code == 401
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    "verifier",
    [None, "", "w" * 128, "v" * 42, "v" * 129, challenge_of(VERIFIER), "é" * 64, "v\0" * 32],
)
def test_a_code_without_its_verifier_is_used_up(
    confirmed_owner: Person, verifier: str | None
) -> None:
    code = code_for(confirmed_owner)

    answer = exchange(code, code_verifier=verifier)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert exchange(code).json()["error"] == "invalid_grant"


def test_a_code_of_a_challenge_that_is_not_theirs_helps_nobody(confirmed_owner: Person) -> None:
    code = code_for(confirmed_owner, code_challenge=challenge_of("w" * 64))

    assert exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": "another"}, 400, "invalid_client"),
        ({"client_id": None}, 400, "invalid_client"),
        ({"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"redirect_uri": "http://127.0.0.1:8001/auth/oidc"}, 400, "invalid_grant"),
        ({"code": "cph-c" + "0" * 49}, 400, "invalid_grant"),
        ({"code": "\0"}, 400, "invalid_grant"),
        ({"code": None}, 400, "invalid_grant"),
        ({"resource": "foo" * 6000}, 413, "invalid_request"),
    ],
)
def test_what_is_not_exchanged(
    confirmed_owner: Person, changes: dict[str, str | None], status: int, error: str
) -> None:
    code = code_for(confirmed_owner)

    answer = exchange(code, **changes)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert exchange(code).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xfe%zz", "application/x-www-form-urlencoded"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"a=1&" * 30, "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"", "application/x-www-form-urlencoded"),
    ],
)
def test_a_form_that_makes_no_sense_is_400(
    client: Client, db: None, body: bytes, content_type: str
) -> None:
    answer = client.post("/-/login/token", body, content_type=content_type)

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}


def test_the_token_address_takes_posts_only(client: Client, db: None) -> None:
    answer = client.get("/-/login/token")

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_codes_and_access_tokens_are_short_lived(confirmed_owner: Person) -> None:
    late = code_for(confirmed_owner)
    ClientLogin.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert exchange(late).json()["error"] == "invalid_grant"

    access = exchange(code_for(confirmed_owner)).json()["access_token"]
    ClientLogin.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert make_token_with(access).status_code == 401

    code_for(confirmed_owner)
    assert ClientLogin.objects.count() == 1, "what is over is cleared away"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/authentications"),
        ("GET", "/api/authentication"),
        ("DELETE", "/api/authentications"),
        ("GET", "/api/v1/user"),
        ("POST", "/api/v1/accounts/olga/tokens"),
        ("GET", "/conda/olga/noarch/repodata.json"),
    ],
)
def test_an_access_token_opens_nothing_else(
    confirmed_owner: Person, method: str, path: str
) -> None:
    access = exchange(code_for(confirmed_owner)).json()["access_token"]

    answer = Client(headers={"Authorization": f"Bearer {access}"}).generic(method, path)

    assert answer.status_code == 401
    assert make_token_with(access).status_code == 200


def test_an_access_token_makes_one_token(confirmed_owner: Person) -> None:
    access = exchange(code_for(confirmed_owner)).json()["access_token"]

    assert make_token_with(access).status_code == 200
    again = make_token_with(access, note="another")

    assert again.status_code == 401
    assert "Run anaconda login again" in again.json()["error"]
    assert Token.objects.count() == 1


def test_who_was_suspended_in_the_meantime_gets_no_token(confirmed_owner: Person) -> None:
    access = exchange(code_for(confirmed_owner)).json()["access_token"]
    confirmed_owner.user.is_active = False
    confirmed_owner.user.save()

    assert make_token_with(access).status_code == 401
    assert not Token.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_bring_the_same_code_or_access_token_one_is_served() -> None:
    who = Person(make_user("olga"))

    code = client_login.allow(by=who.identity, code_challenge=challenge_of(VERIFIER))
    codes = at_once(8, lambda: _exchanged(code))
    assert len([given for given in codes if given]) == 1

    code = client_login.allow(by=who.identity, code_challenge=challenge_of(VERIFIER))
    access = client_login.exchange(code=code, verifier=VERIFIER)
    users = at_once(8, lambda: client_login.redeem(access))
    assert [user for user in users if user is not None] == [who.user]


def _exchanged(code: str) -> str | None:
    try:
        return client_login.exchange(code=code, verifier=VERIFIER)
    except InvalidGrant:
        return None


def at_once(count: int, act: Callable[[], T]) -> list[T]:
    results: list[T] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            results.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


# --- The pages where it ends -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/app/local-login-success", "Go back to your terminal"),
        ("/app/local-login-error", "The program did not sign in"),
    ],
)
def test_the_browser_is_told_how_it_ended(
    nobody: Client, owner: Person, path: str, sentence: str
) -> None:
    assert sentence in words(nobody.get(path))
    assert sentence in words(owner.client.get(path))


def test_the_client_sends_who_forgot_the_password_to_the_right_page(nobody: Client) -> None:
    answer = nobody.get("/account/forgot_password")

    assert (answer.status_code, answer["Location"]) == (302, "/account/password/reset/")
