from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import Account, Event, Organization
from tests.cast import Person, proven
from tests.factories import make_token, make_user


@pytest.fixture
def site_admin(db: None) -> Client:
    return proven(Person(make_user("root-of-all", is_superuser=True)))


@pytest.mark.parametrize("model", ["account", "user", "organization", "token", "event"])
def test_the_site_admin_looks_at_everything_and_adds_nothing(
    site_admin: Client, acme: Organization, model: str
) -> None:
    make_token(acme.account)
    Event.objects.create(account=acme.account, action="thing.do")

    rows = site_admin.get(f"/-/django-admin/accounts/{model}/")

    assert rows.status_code == 200
    assert site_admin.get(f"/-/django-admin/accounts/{model}/add/").status_code == 403


def test_a_tokens_digest_is_shown_nowhere(site_admin: Client, acme: Organization) -> None:
    token = make_token(acme.account).token

    page = site_admin.get(f"/-/django-admin/accounts/token/{token.pk}/change/").content.decode()

    assert token.name in page
    assert token.digest not in page


def test_the_log_is_never_changed(site_admin: Client, acme: Organization) -> None:
    event = Event.objects.create(account=acme.account, action="thing.do")
    url = f"/-/django-admin/accounts/event/{event.pk}"

    assert site_admin.post(f"{url}/change/", {"action": "thing.other"}).status_code == 403
    assert site_admin.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    event.refresh_from_db()
    assert event.action == "thing.do"


def test_an_account_is_only_looked_at(site_admin: Client, acme: Organization) -> None:
    answer = site_admin.post(
        f"/-/django-admin/accounts/account/{acme.account.pk}/change/",
        {"suspended_at_0": "2026-01-02", "suspended_at_1": "03:04:05", "name": "renamed"},
    )

    assert answer.status_code == 403
    account = Account.objects.get(pk=acme.account.pk)
    assert (account.suspended_at, account.name) == (None, "acme")


def test_a_site_admins_right_is_given_in_the_log(site_admin: Client, stranger: Person) -> None:
    site_admin.post(
        f"/-/django-admin/accounts/user/{stranger.user.pk}/change/",
        {"is_active": "on", "is_superuser": "on"},
    )

    stranger.user.refresh_from_db()
    assert stranger.user.is_superuser
    assert Event.objects.get().detail == {"is_superuser": "True"}


def test_for_others_it_is_not_there(owner: Person, site_admin: Client) -> None:
    root = Person(make_user("another-root", is_superuser=True))
    for path in ("", "accounts/account/", "login/", "password_change/"):
        assert owner.client.get(f"/-/django-admin/{path}").status_code == 404
        assert Client().get(f"/-/django-admin/{path}").status_code == 404
    assert root.client.get("/-/django-admin/").headers["Location"] == "/account/2fa/"
    assert site_admin.get("/-/django-admin/").status_code == 200
    assert site_admin.get("/-/django-admin/login/").status_code == 404
