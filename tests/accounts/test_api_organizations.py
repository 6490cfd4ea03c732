"""Organizations, their people, groups, invitations and log over the REST API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import Account, Event, Group, Invitation, Membership, Organization
from tests.cast import Person
from tests.factories import make_user

# A response of Django's with what its test client adds to it, which has no public name.
Answer = Any


def call(person: Person, method: str, path: str, body: object = None) -> Answer:
    client = Client()
    client.force_login(person.user)
    data = "" if body is None else json.dumps(body)
    return client.generic(method, f"/api/v1{path}", data, content_type="application/json")


def test_who_founds_an_organization_owns_it(owner: Person) -> None:
    made = call(owner, "POST", "/organizations", {"name": "Initech", "display_name": "Initech Inc"})
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "name": "initech",
        "kind": "organization",
        "display_name": "Initech Inc",
        "description": "",
        "website": "",
        "created_at": "",
    }
    mine = call(owner, "GET", "/organizations").json()["results"]
    assert mine == [{"account": made.json(), "role": "owner"}]


@pytest.mark.parametrize(
    ("name", "status"), [("acme", 409), ("ACME", 409), ("api", 400), ("-x", 400), ("", 400)]
)
def test_a_name_that_is_not_free_or_no_name_is_refused(
    name: str, status: int, owner: Person, acme: Organization
) -> None:
    answer = call(owner, "POST", "/organizations", {"name": name})
    assert answer.status_code == status
    assert Organization.objects.count() == 1


def test_a_profile_is_changed_field_by_field(owner: Person, acme: Organization) -> None:
    call(owner, "PATCH", "/accounts/acme", {"description": "We build", "website": ""})
    changed = call(owner, "PATCH", "/accounts/ACME", {"website": "https://acme.example.org"})
    assert changed.status_code == 200
    shown = Client().get("/api/v1/accounts/acme").json()
    assert shown == changed.json()
    assert (shown["description"], shown["website"]) == ("We build", "https://acme.example.org")
    events = Event.objects.filter(action="account.change", account=acme.account)
    assert [event.detail for event in events] == [
        {"website": ["", "https://acme.example.org"]},
        {"description": ["", "We build"]},
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("website", "javascript:alert(1)"),
        ("website", "ftp://example.org"),
        ("website", "https://" + "x" * 300),
        ("display_name", "a\u202eb"),
        ("display_name", "x" * 129),
        ("description", "x" * 2001),
        ("description", "\0"),
        ("description", "\ud800"),
        ("description", {"a": 1}),
    ],
)
def test_a_profile_that_could_do_harm_is_refused(
    field: str, value: object, owner: Person, acme: Organization
) -> None:
    answer = call(owner, "PATCH", "/accounts/acme", {field: value})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not Event.objects.filter(action="account.change").exists()


def test_accounts_are_listed_by_name_and_kind(
    owner: Person, acme: Organization, stranger: Person
) -> None:
    def names(query: str) -> list[str]:
        rows = Client().get(f"/api/v1/accounts{query}").json()["results"]
        return [row["name"] for row in rows]

    assert names("") == ["acme", "olga", "sven"]
    assert names("?kind=organization") == ["acme"]
    assert names("?q=O") == ["olga"]
    Account.objects.filter(name="sven").update(suspended_at="2027-01-01T00:00:00Z")
    assert names("?kind=user") == ["olga"]
    assert Client().get("/api/v1/accounts?kind=robot").status_code == 400


# --- Members -----------------------------------------------------------------------------------


def test_a_member_comes_rises_and_goes(owner: Person, acme: Organization, stranger: Person) -> None:
    added = call(owner, "POST", "/accounts/acme/members", {"user": "Sven", "role": "member"})
    assert added.status_code == 201
    assert added.json() | {"created_at": ""} == {
        "user": "sven", "role": "member", "added_by": "olga", "created_at": "",
    }  # fmt: skip
    raised = call(owner, "PATCH", "/accounts/acme/members/sven", {"role": "admin"})
    assert (raised.status_code, raised.json()["role"]) == (200, "admin")
    assert call(stranger, "GET", "/accounts/acme/events").status_code == 200
    assert call(owner, "DELETE", "/accounts/acme/members/sven").status_code == 204
    assert call(stranger, "GET", "/accounts/acme/events").status_code == 403
    assert call(owner, "DELETE", "/accounts/acme/members/sven").status_code == 404


def test_a_member_may_leave_but_not_the_last_owner(
    owner: Person, acme: Organization, reader: Person
) -> None:
    assert call(reader, "DELETE", "/accounts/acme/members/rita").status_code == 204
    answer = call(owner, "DELETE", "/accounts/acme/members/olga")
    assert answer.status_code == 409
    assert "only owner" in answer.json()["detail"]


def test_an_admin_makes_no_owner_and_touches_none(
    admin: Person, reader: Person, acme: Organization
) -> None:
    for path, body in (
        ("/accounts/acme/members/rita", {"role": "owner"}),
        ("/accounts/acme/members/adam", {"role": "owner"}),
        ("/accounts/acme/members/olga", {"role": "member"}),
    ):
        assert call(admin, "PATCH", path, body).status_code == 403
    assert call(admin, "DELETE", "/accounts/acme/members/olga").status_code == 403
    assert Membership.objects.get(role="owner").user.username == "olga"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user": "nobody-here"}, "user"),
        ({"user": ""}, "user"),
        ({}, "user"),
        ({"user": "sven", "role": "king"}, "role"),
        ({"user": ["sven"]}, "user"),
        ([], "input"),
        ("sven", "input"),
    ],
)
def test_a_member_that_nobody_is_or_no_role_is_refused(
    body: object, field: str, owner: Person, acme: Organization, stranger: Person
) -> None:
    answer = call(owner, "POST", "/accounts/acme/members", body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


# --- Invitations -------------------------------------------------------------------------------


def test_an_invitation_is_mailed_listed_and_withdrawn(
    owner: Person,
    acme: Organization,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = call(
            owner,
            "POST",
            "/accounts/acme/invitations",
            {"email_or_name": "guest@example.org", "role": "admin"},
        )
    assert made.status_code == 201
    assert set(made.json()) == {
        "id", "addressee", "role", "invited_by", "created_at", "expires_at",
    }  # fmt: skip
    key = str(mail.outbox[0].body).partition("/-/invitations/")[2].split()[0]
    assert key not in made.content.decode()
    listed = call(owner, "GET", "/accounts/acme/invitations").json()["results"]
    assert listed == [made.json()]
    path = f"/accounts/acme/invitations/{made.json()['id']}"
    assert call(owner, "DELETE", path).status_code == 204
    assert call(owner, "GET", "/accounts/acme/invitations").json()["results"] == []
    assert call(owner, "DELETE", path).status_code == 409


def test_the_address_of_somebody_invited_by_name_is_not_told(
    owner: Person, acme: Organization, stranger: Person
) -> None:
    made = call(owner, "POST", "/accounts/acme/invitations", {"email_or_name": "sven"})
    assert made.json()["addressee"] == "sven"
    listed = call(owner, "GET", "/accounts/acme/invitations")
    assert Invitation.objects.get().email not in listed.content.decode()


# --- Groups ------------------------------------------------------------------------------------


def test_a_group_is_made_filled_changed_and_deleted(
    owner: Person, acme: Organization, reader: Person
) -> None:
    made = call(
        owner, "POST", "/accounts/acme/groups", {"name": "Release team", "permission": "write"}
    )
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "name": "Release team", "description": "", "permission": "write", "all_packages": False,
        "created_at": "",
    }  # fmt: skip
    path = "/accounts/acme/groups/release team"
    assert call(owner, "GET", path).json() == made.json()
    added = call(owner, "POST", f"{path}/members", {"user": "rita"})
    assert added.status_code == 201
    assert call(owner, "POST", f"{path}/members", {"user": "rita"}).status_code == 409
    assert call(reader, "GET", f"{path}/members").json()["results"] == [added.json()]
    changed = call(owner, "PATCH", path, {"permission": "admin", "all_packages": True})
    assert changed.json()["permission"] == "admin"
    assert changed.json()["all_packages"] is True
    assert call(owner, "DELETE", f"{path}/members/rita").status_code == 204
    assert call(owner, "DELETE", f"{path}/members/rita").status_code == 404
    assert call(owner, "DELETE", path).status_code == 204
    assert call(owner, "GET", path).status_code == 404


def test_only_members_can_be_in_a_group(
    owner: Person, maintainers: Group, stranger: Person
) -> None:
    answer = call(owner, "POST", "/accounts/acme/groups/maintainers/members", {"user": "sven"})
    assert answer.status_code == 400
    assert "not a member" in answer.json()["detail"]


# --- The log -----------------------------------------------------------------------------------


def test_the_log_says_who_did_what_with_which_token(owner: Person, acme: Organization) -> None:
    made = owner.token("all", name="robot")
    Client().patch(
        "/api/v1/accounts/acme",
        {"description": "x"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {made.secret}", "User-Agent": "tests/1"},
    )
    make_user("unrelated")
    rows = call(owner, "GET", "/accounts/acme/events?action=account.change").json()["results"]
    assert [row | {"id": 0, "at": ""} for row in rows] == [
        {
            "id": 0,
            "at": "",
            "action": "account.change",
            "target": "acme",
            "detail": {"description": ["", "x"]},
            "actor": "olga",
            "token": "robot",
            "ip_address": "127.0.0.1",
            "user_agent": "tests/1",
        }
    ]
    assert call(owner, "GET", "/accounts/acme/events?action=nothing").json()["results"] == []
