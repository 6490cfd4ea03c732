"""The registry in Django's admin."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import Event, Organization
from registry import quotas
from registry.models import AccountQuota
from tests.cast import Person, proven
from tests.factories import make_user

URL = "/-/django-admin/registry/accountquota/"


@pytest.fixture
def site_admin(db: None) -> Client:
    return proven(Person(make_user("root-user", is_superuser=True)))


def test_limits_are_set_changed_and_taken_back(site_admin: Client, acme: Organization) -> None:
    form = {"account": acme.account.pk, "max_bytes": "3000", "max_files": ""}

    too_much = site_admin.post(f"{URL}add/", {**form, "max_bytes": str(2**62)})
    assert "largest limit" in too_much.content.decode()
    assert not AccountQuota.objects.exists()
    assert site_admin.post(f"{URL}add/", form).status_code == 302
    assert quotas.limits_of(acme.account) == quotas.Limits(3000, None)
    one = f"{URL}{acme.account.pk}"
    changed = site_admin.post(f"{one}/change/", {"max_bytes": "", "max_files": "7"})
    assert changed.status_code == 302
    assert quotas.limits_of(acme.account) == quotas.Limits(None, 7)
    assert "acme" in site_admin.get(URL).content.decode()
    assert site_admin.post(f"{one}/delete/", {"post": "yes"}).status_code == 302
    assert not AccountQuota.objects.exists()
    assert Event.objects.filter(action="quota.set", actor_name="root-user").count() == 3


@pytest.mark.parametrize("act", ["change", "history", "delete"])
def test_a_number_that_no_row_can_have_is_none_that_is_there(site_admin: Client, act: str) -> None:
    missing = site_admin.get(f"{URL}1/{act}/", follow=True)
    for number in (10**18, -(10**18), 10**30):
        page = site_admin.get(f"{URL}{number}/{act}/", follow=True)
        assert (page.redirect_chain, page.status_code) == (missing.redirect_chain, 200)


def test_nobody_else_gets_there(owner: Person, acme: Organization) -> None:
    assert owner.client.get(URL).status_code == 404
    assert owner.client.post(f"{URL}add/", {"account": acme.account.pk}).status_code == 404
    assert not AccountQuota.objects.exists()
