from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import connection
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.first_account import first_account_link, make_first_account
from accounts.models import Event, User
from portal.errors import Conflict, InvalidInput, NotFound
from tests.factories import PASSWORD, make_organization, make_user

ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}


def link_path() -> str:
    link = first_account_link()
    assert link is not None
    assert link.startswith("http://127.0.0.1:8080/-/first-account/")
    return link.removeprefix("http://127.0.0.1:8080")


def fresh_key() -> str:
    return link_path().rpartition("/")[2]


def kept_file() -> Path:
    return settings.DATA_FOLDER / "first-account"


def browser() -> Client:
    return Client(HTTP_ACCEPT="text/html")


def test_a_host_without_users_gives_a_link_and_keeps_a_hash(db: None) -> None:
    key = fresh_key()

    assert key not in kept_file().read_text()
    assert stat.S_IMODE(kept_file().stat().st_mode) == 0o600
    assert [path.name for path in settings.DATA_FOLDER.iterdir()] == ["first-account"]


def test_a_host_with_a_user_gives_none(db: None) -> None:
    key = fresh_key()
    make_user()

    assert first_account_link() is None
    assert not kept_file().exists()
    with pytest.raises(NotFound):
        make_first_account(key=key, **ADA)


def test_each_start_prints_another_link_and_only_the_last_works(db: None) -> None:
    first, second = fresh_key(), fresh_key()

    with pytest.raises(NotFound):
        make_first_account(key=first, **ADA)
    make_first_account(key=second, **ADA)


def test_the_page_makes_the_site_admin_and_signs_in(
    db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    path, client = link_path(), browser()
    page = client.get(path)
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]

    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(path, {**ADA, "username": "Ada"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/dashboard")
    user = User.objects.get()
    assert user.username == user.account.name == "ada"
    assert user.is_superuser
    assert user.is_staff
    assert user.check_password(PASSWORD)
    assert EmailAddress.objects.filter(user=user, verified=True, primary=True).exists()
    assert client.session["_auth_user_id"] == str(user.pk)
    assert not kept_file().exists()
    assert Event.objects.get().action == "user.create"
    # The link is used up, also for who has it open still.
    assert browser().get(path).status_code == 404
    assert browser().post(path, {**ADA, "username": "eve"}).status_code == 404
    assert User.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_wrong_key_is_not_found(db: None, method: str) -> None:
    link_path()

    answer = getattr(browser(), method)("/-/first-account/wrong", ADA)

    assert answer.status_code == 404
    assert "There is no page here" in answer.content.decode()
    assert not User.objects.exists()


def test_without_a_printed_link_there_is_no_page(db: None) -> None:
    assert browser().get("/-/first-account/x").status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("username", "", "required"),
        ("username", "admin", "The name admin is reserved"),
        ("username", "acme", "The name acme is taken"),
        ("username", "a b", "small letters"),
        ("email", "nowhere", "valid email"),
        ("password", "short", "too short"),
        ("password", "password123", "too common"),
        ("password", "ada@example.org", "too similar"),
    ],
)
def test_a_wrong_form_is_shown_again_with_the_reason(
    db: None, field: str, value: str, sentence: str
) -> None:
    make_organization("acme")
    path, client = link_path(), browser()

    answer = client.post(path, {**ADA, field: value})

    assert answer.status_code == 422
    page = answer.content.decode()
    assert sentence in page
    assert PASSWORD not in page
    assert not User.objects.exists()
    assert client.post(path, ADA).status_code == 302


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("username", "..", InvalidInput),
        ("email", "nowhere", InvalidInput),
        ("password", "1234567890", InvalidInput),
        ("username", "acme", Conflict),
    ],
)
def test_a_refused_account_leaves_the_key_for_another_try(
    db: None, field: str, value: str, refusal: type[Exception]
) -> None:
    make_organization("acme")
    key = fresh_key()

    with pytest.raises(refusal):
        make_first_account(key=key, **{**ADA, field: value})

    assert make_first_account(key=key, **ADA).is_superuser


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_makes_the_account() -> None:
    key = fresh_key()
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def go(name: str) -> None:
        start.wait(timeout=10)
        try:
            make_first_account(
                key=key, username=name, email=f"{name}@example.org", password=PASSWORD
            )
            outcomes.append("made")
        except NotFound:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(name,)) for name in ("ada", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(outcomes) == ["made", "refused"]
    assert User.objects.count() == 1
