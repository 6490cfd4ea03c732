"""How somebody signs in: the page, the second factor, and where they are signed in."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Event
from tests.accounts.views.conftest import Confirm
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.factories import PASSWORD
from tests.one_time_codes import code_of

PAGE = "/olga/settings/security"


@pytest.fixture
def secret(owner: Person, confirm: Confirm) -> str:
    """Of the authenticator app that the owner has added."""
    confirm(owner.client)
    page = owner.client.get("/account/2fa/totp/activate/").content.decode()
    found = re.search(r"<code>([A-Z2-7]{32})</code>", page)
    assert found is not None
    answer = owner.client.post("/account/2fa/totp/activate/", {"code": code_of(found[1])})
    assert answer.headers["Location"] == "/account/2fa/recovery-codes/"
    return found[1]


def recovery_codes(person: Person) -> list[str]:
    page = person.client.get("/account/2fa/recovery-codes/").content.decode()
    return re.findall(r"^(?:.*<code>)?(\d{8})(?:</code>.*)?$", page, re.MULTILINE)


def first_step(client: Client, password: str = PASSWORD) -> str:
    answer = client.post("/account/login/", {"login": "olga", "password": password})
    return str(answer.headers.get("Location", words(answer) if answer.status_code == 200 else ""))


def test_signing_in_then_takes_a_code_too(owner: Person, secret: str, nobody: Client) -> None:
    assert first_step(nobody) == "/account/2fa/authenticate/"
    assert nobody.get(PAGE).status_code == 302
    assert "Use a passkey" not in words(nobody.get("/account/2fa/authenticate/"))

    wrong = nobody.post("/account/2fa/authenticate/", {"code": "000000"})
    assert "That code is not right." in words(wrong)

    answer = nobody.post("/account/2fa/authenticate/", {"code": code_of(secret)})
    assert answer.headers["Location"] == "/dashboard"
    assert nobody.get(PAGE).status_code == 200


def test_a_recovery_code_signs_in_once(owner: Person, secret: str, nobody: Client) -> None:
    codes = recovery_codes(owner)
    assert len(codes) == 10
    first_step(nobody)

    answer = nobody.post("/account/2fa/authenticate/", {"code": codes[0]})

    assert answer.headers["Location"] == "/dashboard"
    assert "9 of 10 are left." in words(nobody.get(PAGE))
    again = Client(HTTP_ACCEPT="text/html")
    first_step(again)
    answer = again.post("/account/2fa/authenticate/", {"code": codes[0]})
    assert "That code is not right." in words(answer)
    assert Event.objects.filter(action="security.code-used").count() == 1


_NOT_READABLE: list[tuple[str, object]] = [
    ("totp", {}),
    ("totp", []),
    ("totp", {"secret": None}),
    ("totp", {"secret": "not of base 32"}),
    ("webauthn", {}),
    ("webauthn", {"name": 7, "credential": "none"}),
    ("webauthn", {"name": "key", "credential": {"id": "AA", "rawId": "AA", "response": {}}}),
    ("a kind of its own", {}),
]


@pytest.mark.parametrize(("kind", "data"), _NOT_READABLE)
def test_a_factor_that_cannot_be_read_lets_nobody_in_and_nobody_fail(
    kind: str,
    data: object,
    owner: Person,
    secret: str,
    nobody: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    codes = recovery_codes(owner)
    Authenticator.objects.filter(user=owner.user, type="totp").update(
        type="webauthn" if kind == "webauthn" else "totp", data=data
    )
    if kind == "a kind of its own":
        Authenticator.objects.create(user=owner.user, type=kind, data=data)

    assert first_step(nobody) == "/account/2fa/authenticate/"
    assert "can’t be read" in words(nobody.get("/account/2fa/authenticate/"))
    wrong = nobody.post("/account/2fa/authenticate/", {"code": "000000"})
    assert "That code is not right." in words(wrong)
    nobody.post("/account/2fa/authenticate/", {"credential": "{}"})
    assert nobody.get(PAGE).status_code == 302

    answer = nobody.post("/account/2fa/authenticate/", {"code": codes[0]})
    assert answer.headers["Location"] == "/dashboard"
    for path in ("/dashboard", PAGE, "/account/2fa/recovery-codes/", "/account/reauthenticate/"):
        assert nobody.get(path, follow=True).status_code == 200
    if kind in {"totp", "webauthn"}:
        key = Authenticator.objects.get(type=kind).pk
        way = "totp/deactivate/" if kind == "totp" else f"webauthn/keys/{key}/remove/"
        nobody.post(f"/account/2fa/{way}")
        assert not Authenticator.objects.filter(type=kind).exists()
    told = [record for record in caplog.records if "can't be read" in record.getMessage()]
    assert told or kind == "a kind of its own"
    assert not any(record.exc_info for record in told)


def test_recovery_codes_that_cannot_be_read_are_made_anew(
    owner: Person, secret: str, nobody: Client, confirm: Confirm
) -> None:
    Authenticator.objects.filter(user=owner.user, type="recovery_codes").update(data={})
    first_step(nobody)
    assert "can’t be read" in words(nobody.get("/account/2fa/authenticate/"))
    nobody.post("/account/2fa/authenticate/", {"code": code_of(secret)})

    assert "0 of 0 are unused" in words(nobody.get("/dashboard"))
    confirm(nobody)
    nobody.post("/account/2fa/recovery-codes/generate/")

    assert "10 of 10 are left." in words(nobody.get(PAGE))


def test_recovery_codes_are_asked_about_until_they_are_saved(owner: Person, secret: str) -> None:
    assert "recovery codes are not saved yet" in words(owner.client.get("/dashboard"))
    assert "you have not said yet" in words(owner.client.get(PAGE))

    unsaid = owner.client.post(f"{PAGE}/codes-saved", {})
    assert unsaid.headers["Location"] == "/account/2fa/recovery-codes/"
    assert "you have not said yet" in words(owner.client.get(PAGE))
    owner.client.post(f"{PAGE}/codes-saved", {"saved": "on"})

    assert "you have not said yet" not in words(owner.client.get(PAGE))
    assert "recovery codes are not saved" not in words(owner.client.get("/dashboard"))


def test_each_change_of_the_second_factor_stands_in_the_log(owner: Person, secret: str) -> None:
    owner.client.post("/account/2fa/totp/deactivate/")

    lines = Event.objects.filter(actor=owner.user, action="security.factor-remove")
    assert [line.target for line in lines.order_by("pk")] == [
        "authenticator app",
        "recovery codes",
    ]


def test_the_pages_show_no_secret_again_and_are_kept_nowhere(owner: Person, secret: str) -> None:
    for path in (PAGE, "/account/2fa/recovery-codes/", "/account/password/change/"):
        answer = owner.client.get(path)
        assert "no-store" in answer.headers["Cache-Control"], path
        assert secret not in answer.content.decode()


def test_sessions_are_listed_and_ended(owner: Person, nobody: Client) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    nobody.post("/account/login/", {"login": "olga", "password": PASSWORD}, HTTP_USER_AGENT=agent)
    nobody.get("/dashboard", HTTP_USER_AGENT=agent)
    page = owner.client.get(PAGE)
    assert "Firefox on Linux" in words(page)
    [path] = re.findall(rf"{PAGE}/sessions/\d+/end", page.content.decode())

    assert owner.client.post(path).status_code == 302

    assert nobody.get("/dashboard").status_code == 302
    assert owner.client.get("/dashboard").status_code == 200
    assert "Firefox" not in words(owner.client.get(PAGE))
    assert Event.objects.get(action="security.sign-out").target == "Firefox on Linux"


def test_signing_out_everywhere_else_leaves_this_browser(owner: Person) -> None:
    others = [Client(HTTP_ACCEPT="text/html") for _ in range(2)]
    for other in others:
        assert first_step(other) == "/dashboard"
        other.get("/dashboard")

    answer = owner.client.post(f"{PAGE}/sessions/others/end", follow=True)

    assert "Signed out in 2 other browsers." in words(answer)
    assert [other.get("/dashboard").status_code for other in others] == [302, 302]


def test_a_session_of_somebody_else_is_not_there(owner: Person, stranger: Person) -> None:
    stranger.client.get("/dashboard")
    page = stranger.client.get("/sven/settings/security").content.decode()
    assert "sessions/others/end" not in page
    theirs = UserSession.objects.get(user=stranger.user)

    assert owner.client.post(f"{PAGE}/sessions/{theirs.pk}/end").status_code == 404
    assert owner.client.post("/sven/settings/security/sessions/others/end").status_code == 403
    assert stranger.client.get("/dashboard").status_code == 200


def test_the_page_costs_the_same_with_many_sessions(owner: Person) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner.client.get(PAGE).status_code == 200
        return len(captured)

    queries()
    few = queries()
    for _ in range(6):
        first_step(Client(HTTP_ACCEPT="text/html"))
    assert queries() == few
    assert few <= 14


def test_a_wrong_name_and_a_wrong_password_are_answered_alike(owner: Person) -> None:
    wrong_password = first_step(Client(HTTP_ACCEPT="text/html"), "not the password")
    answer = Client(HTTP_ACCEPT="text/html").post(
        "/account/login/", {"login": "nobody-here", "password": "not the password"}
    )

    assert "That name and password do not match." in wrong_password
    assert "That name and password do not match." in words(answer)


def test_who_is_locked_out_is_told_until_when(owner: Person) -> None:
    said = [first_step(Client(HTTP_ACCEPT="text/html"), "not the password") for _ in range(6)]

    assert "Too many attempts" not in said[4]
    assert re.search(r"Too many attempts. Try again at \d\d:\d\d \(in 5 minutes\)\.", said[5])


def test_too_many_requests_are_answered_with_a_page_and_a_time(nobody: Client, db: None) -> None:
    answers = [
        nobody.post("/account/password/reset/", {"email": "x@example.org"}) for _ in range(6)
    ]

    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"] == "60"
    assert "Too many attempts" in words(answers[-1])


def test_lists_of_allauth_lead_to_the_page(owner: Person) -> None:
    for path, part in [
        ("/account/email/", "emails"),
        ("/account/2fa/", "second-factor"),
        ("/account/2fa/webauthn/", "passkeys"),
        ("/account/sessions/", "sessions"),
    ]:
        assert owner.client.get(path).headers["Location"] == f"{PAGE}#{part}"


def test_an_address_is_added_made_primary_and_removed(owner: Person, confirm: Confirm) -> None:
    confirm(owner.client)
    wrong = owner.client.post("/account/email/", {"action_add": "1", "email": "no address"})
    assert "Add an address" in words(wrong)

    first = owner.user.email
    EmailAddress.objects.create(user=owner.user, email="second@example.org", verified=True)
    owner.client.post("/account/email/", {"action_primary": "1", "email": "second@example.org"})
    assert EmailAddress.objects.get(user=owner.user, primary=True).email == "second@example.org"
    owner.client.post("/account/email/", {"action_remove": "1", "email": first})
    assert not EmailAddress.objects.filter(email=first).exists()
    assert Event.objects.filter(action="security.email-remove", target=first).exists()
