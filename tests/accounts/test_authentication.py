from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from accounts.authentication import identify, identify_session
from accounts.identity import Identity
from accounts.middleware import TokenInPath
from accounts.models import Organization, Token, User
from portal.errors import InvalidCredential, Refusal, TooManyRequests
from tests.cast import Person
from tests.factories import PASSWORD, make_token, make_user


def request_with(path: str = "/conda/acme/noarch/repodata.json", **meta: Any) -> HttpRequest:
    request = RequestFactory(**meta).get(path)
    request.user = AnonymousUser()
    request.session = SessionStore()
    return request


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def who_sends(header: str) -> Identity:
    return identify(request_with(HTTP_AUTHORIZATION=header))


def refusal_of(header: str) -> str:
    with pytest.raises(InvalidCredential) as refused:
        who_sends(header)
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"].startswith("Basic ")
    return refused.value.detail


def test_without_a_credential_nobody_is_known(db: None) -> None:
    identity = identify(request_with(HTTP_USER_AGENT="conda/26.1"))

    assert identity.is_anonymous
    assert identity.name == "anonymous"
    assert (identity.ip_address, identity.user_agent) == ("127.0.0.1", "conda/26.1")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer {token}",
        "bearer   {token}",
        "token {token}",
        "Token {token}",
    ],
)
def test_a_token_is_read_from_each_form_of_the_header(owner: Person, header: str) -> None:
    made = owner.token("api:read")

    identity = who_sends(header.format(token=made.secret))

    assert identity.user == owner.user
    assert identity.token == made.token


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("olga", "{token}"),
        ("anything at all", "{token}"),
        ("", "{token}"),
        ("{token}", ""),
        ("{token}", "x-oauth-basic"),
    ],
)
def test_a_token_is_read_from_basic_authentication(owner: Person, name: str, password: str) -> None:
    secret = owner.token("conda:download").secret

    identity = who_sends(basic(name.format(token=secret), password.format(token=secret)))

    assert identity.user == owner.user
    assert identity.token is not None


def test_a_token_is_read_from_x_api_key(owner: Person) -> None:
    made = owner.token()

    assert identify(request_with(HTTP_X_API_KEY=made.secret)).token == made.token


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/conda/t/{token}/acme/noarch/repodata.json", "/conda/acme/noarch/repodata.json"),
        ("/t/{token}/conda/acme/noarch/repodata.json", "/conda/acme/noarch/repodata.json"),
        ("/t/{token}/conda/acme/label/dev/linux-64/x", "/conda/acme/label/dev/linux-64/x"),
        ("/t/{token}/api/packages/acme/conda/noarch/x", "/api/packages/acme/conda/noarch/x"),
    ],
)
def test_a_token_is_taken_out_of_the_path(owner: Person, path: str, rest: str) -> None:
    made = owner.token("conda:download")
    seen: list[tuple[str, Identity]] = []

    def view(request: HttpRequest) -> HttpResponse:
        assert made.secret not in repr(request.META | {"condarium.path_token": ""})
        assert request.path == request.path_info == request.META["PATH_INFO"]
        seen.append((request.get_full_path(), identify(request)))
        return HttpResponse()

    raw = path.format(token=made.secret)
    TokenInPath(view)(request_with(raw, REQUEST_URI=raw, RAW_URI=raw))

    [(path_seen, identity)] = seen
    assert path_seen == rest
    assert identity.token == made.token


@pytest.mark.parametrize(
    "path", ["/conda/acme/t/noarch/repodata.json", "/t/x", "/conda/t/", "/other/t/x/conda/y"]
)
def test_other_paths_hold_no_token(path: str) -> None:
    request = request_with(path)

    TokenInPath(lambda _: HttpResponse())(request)

    assert request.path == path
    assert "condarium.path_token" not in request.META


def test_a_wrong_token_in_the_path_is_refused_on_public_routes_too(db: None) -> None:
    with pytest.raises(InvalidCredential, match="not known here"):
        TokenInPath(lambda request: HttpResponse(identify(request).name))(
            request_with("/conda/t/mistyped/acme/noarch/repodata.json")
        )


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("Bearer nonsense", "not known here"),
        ("Bearer cph-u" + "0" * 49, "not known here"),
        ("Bearer", "not understood"),
        ("Digest username=olga", "not understood"),
        ("Basic !!!", "RFC 7617"),
        ("Basic " + base64.b64encode(b"no colon").decode(), "name:password"),
        ("Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "RFC 7617"),
        ("Basic " + base64.b64encode(b"a\0b:x").decode(), "name:password"),
        (basic("olga", "cph-u" + "0" * 49), "not known here"),
        (basic("olga", "wrong"), "do not match"),
        (basic("nobody", PASSWORD), "do not match"),
    ],
)
def test_a_wrong_credential_is_401_and_says_what_is_wrong(
    owner: Person, header: str, sentence: str
) -> None:
    assert sentence in refusal_of(header)


def test_a_revoked_token_opens_nothing_from_the_next_request_on(owner: Person) -> None:
    made = owner.token()
    assert who_sends(f"Bearer {made.secret}").user == owner.user

    Token.objects.filter(pk=made.token.pk).update(revoked_at=timezone.now())

    assert "revoked" in refusal_of(f"Bearer {made.secret}")


def test_an_expired_token_opens_nothing(owner: Person) -> None:
    made = owner.token(expires_at=timezone.now() - timedelta(seconds=1))

    assert "expired" in refusal_of(f"Bearer {made.secret}")
    assert "expired" in refusal_of(basic("olga", made.secret))


def test_an_organizations_token_stands_for_no_person(acme: Organization) -> None:
    made = make_token(acme.account, "api:write")

    identity = who_sends(f"Bearer {made.secret}")

    assert identity.user is None
    assert identity.account == acme.account
    assert identity.name == "acme"


def test_nothing_of_a_suspended_account_opens_anything(owner: Person, acme: Organization) -> None:
    of_user, of_organization = owner.token(), make_token(acme.account)
    for account in (owner.user.account, acme.account):
        account.suspended_at = timezone.now()
        account.save()
    request = request_with()
    request.user = owner.user
    owner.user.refresh_from_db()

    assert "suspended" in refusal_of(f"Bearer {of_user.secret}")
    assert "suspended" in refusal_of(f"Bearer {of_organization.secret}")
    assert "suspended" in refusal_of(basic("olga", PASSWORD))
    with pytest.raises(InvalidCredential, match="suspended"):
        identify_session(request)


def test_a_token_of_a_deactivated_user_opens_nothing(owner: Person) -> None:
    made = owner.token()
    owner.user.is_active = False
    owner.user.save()

    assert "suspended" in refusal_of(f"Bearer {made.secret}")
    assert "do not match" in refusal_of(basic("olga", PASSWORD))


@pytest.mark.parametrize("name", ["olga", "OLGA", "olga@example.org"])
def test_a_password_opens_what_has_no_second_factor(owner: Person, name: str) -> None:
    identity = who_sends(basic(name, PASSWORD))

    assert identity.user == owner.user
    assert identity.token is None


def test_a_password_may_hold_colons_and_letters_of_any_script(db: None) -> None:
    user = make_user("zoe", password="pässwörd: 密码")

    assert who_sends(basic("zoe", "pässwörd: 密码")).user == user


def test_a_password_is_not_enough_with_a_second_factor(owner: Person) -> None:
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={})

    assert "second factor" in refusal_of(basic("olga", PASSWORD))
    assert who_sends(f"Bearer {owner.token().secret}").user == owner.user


def test_a_password_is_not_enough_before_the_address_is_verified(db: None) -> None:
    make_user("uma", verified=False)

    assert "not verified" in refusal_of(basic("uma", PASSWORD))


def test_guessing_passwords_is_stopped_per_name_and_address(owner: Person) -> None:
    for number in range(10):
        refusal_of(basic("olga", f"wrong-{number}"))

    with pytest.raises(TooManyRequests) as refused:
        who_sends(basic("olga", PASSWORD))
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"] == "300"

    # Neither another name from there nor the same name from elsewhere is held up, nor tokens.
    refusal_of(basic("maria", "wrong"))
    elsewhere = request_with(HTTP_AUTHORIZATION=basic("olga", PASSWORD), REMOTE_ADDR="198.51.100.3")
    assert identify(elsewhere).user == owner.user
    assert who_sends(basic("olga", owner.token().secret)).user == owner.user


def test_the_same_wrong_password_with_each_file_of_a_channel_is_one_guess(owner: Person) -> None:
    for _ in range(30):
        assert "do not match" in refusal_of(basic("olga", "mistyped"))

    assert who_sends(basic("olga", PASSWORD)).user == owner.user


def test_a_password_is_hashed_once_for_the_many_requests_of_a_client(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = 0

    def count(user: User, password: str) -> bool:
        nonlocal checks
        checks += 1
        return check_password(password, user.password)

    monkeypatch.setattr(User, "check_password", count)
    for _ in range(5):
        assert who_sends(basic("Olga", PASSWORD)).user == owner.user

    assert checks == 1


def test_a_changed_password_opens_at_once_and_the_former_one_nothing(owner: Person) -> None:
    assert who_sends(basic("olga", PASSWORD)).user == owner.user
    refusal_of(basic("olga", "the next password"))

    owner.user.set_password("the next password")
    owner.user.save()

    assert who_sends(basic("olga", "the next password")).user == owner.user
    refusal_of(basic("olga", PASSWORD))


def test_a_user_who_was_just_suspended_is_refused_with_the_password_used_before(
    owner: Person,
) -> None:
    assert who_sends(basic("olga", PASSWORD)).user == owner.user

    owner.user.is_active = False
    owner.user.save()

    refusal_of(basic("olga", PASSWORD))


def test_guessing_over_many_names_is_stopped_per_address(owner: Person) -> None:
    for number in range(100):
        refusal_of(basic(f"name-{number}", "wrong"))

    with pytest.raises(TooManyRequests):
        who_sends(basic("olga", PASSWORD))


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        (2, "10.0.0.1, 203.0.113.9, 198.51.100.1", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "nonsense", None),
    ],
)
def test_a_forwarded_address_is_believed_only_from_trusted_proxies(
    settings: Settings, db: None, trusted: int, forwarded: str, address: str | None
) -> None:
    settings.TRUSTED_PROXIES = trusted

    identity = identify(request_with(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded))

    assert identity.ip_address == address


def test_a_session_counts_only_where_it_is_asked_for(owner: Person) -> None:
    request = request_with()
    request.user = owner.user

    assert identify(request).is_anonymous
    assert identify(request, session=True).user == owner.user
    assert identify_session(request).user == owner.user


def test_a_header_is_never_taken_for_a_session(owner: Person) -> None:
    request = request_with(HTTP_AUTHORIZATION=f"Bearer {owner.token().secret}")

    assert identify_session(request).is_anonymous


def test_no_refusal_repeats_the_credential(owner: Person) -> None:
    for header in ("Bearer s3cr3t-token", basic("olga", "s3cr3t-password")):
        with pytest.raises(Refusal) as refused:
            who_sends(header)
        assert "s3cr3t" not in refused.value.detail


@pytest.mark.parametrize("path", ["/conda/t//acme/noarch/repodata.json", "/t//conda/acme/x"])
def test_an_address_whose_token_is_empty_is_told_so(path: str, client: Client) -> None:
    answer = client.get(path)

    assert answer.status_code == 401
    assert "Is its variable set?" in answer.json()["detail"]
