from __future__ import annotations

import pytest

from accounts.models import Account, Event, Organization
from tests.accounts.views.pages import words
from tests.cast import Person


def test_an_admin_changes_what_the_organization_says_of_itself(
    acme: Organization, admin: Person
) -> None:
    answer = admin.client.post(
        "/acme/settings/profile",
        {
            "display_name": "Acme Inc.",
            "description": "Anvils.",
            "website": "https://acme.example.org",
        },
        follow=True,
    )

    assert "The profile of acme is saved." in words(answer)
    account = Account.objects.get(name="acme")
    assert (account.display_name, account.description, account.website) == (
        "Acme Inc.",
        "Anvils.",
        "https://acme.example.org",
    )
    assert Event.objects.get().action == "account.change"


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("website", "javascript:alert(1)", "is not an address that begins with https://"),
        ("website", "acme.example.org", "is not an address that begins with https://"),
        ("display_name", "x" * 129, "at most 128 characters"),
        ("description", "x" * 2001, "at most 2000 characters"),
    ],
)
def test_what_can_not_be_kept_is_said_beside_its_field(
    owner: Person, field: str, text: str, sentence: str
) -> None:
    answer = owner.client.post("/olga/settings/profile", {field: text})

    assert answer.status_code == 422
    assert sentence in words(answer)
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert getattr(Account.objects.get(name="olga"), field) == ""


def test_people_are_round_and_organizations_square(acme: Organization, owner: Person) -> None:
    for account, mark in (("acme", "avatar"), ("olga", "avatar round")):
        answer = owner.client.get(f"/{account}/settings/profile")

        assert f'<span class="{mark}" aria-hidden="true">' in answer.content.decode()
