"""Which page answers whom with what: 302 is to sign in first."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Event, Group, GroupMember, Membership, Organization, Token
from tests.accounts.views.pages import days_from_now
from tests.cast import Person
from tests.factories import make_group, make_invitation, make_token


@pytest.fixture
def everything(acme: Organization, owner: Person, admin: Person, reader: Person) -> None:
    """One of each that a path below names."""
    make_group(acme, "builders", members=[reader.user])
    owner.token(name="own")
    make_invitation(acme, "new@example.org", key="k" * 43, expires_at=days_from_now(3))
    make_token(acme.account, name="of acme", created_by=owner.user)


# Path, and what it answers: nobody, a stranger, a member, an admin, an owner.
PAGES = [
    ("/dashboard", (302, 200, 200, 200, 200)),
    ("/acme/settings", (302, 403, 302, 302, 302)),
    ("/acme/settings/profile", (302, 403, 403, 200, 200)),
    ("/acme/settings/access", (302, 403, 403, 200, 200)),
    ("/acme/settings/access/new", (302, 403, 403, 302, 302)),  # to confirm that it is them
    ("/acme/settings/access/<token>/revoke", (302, 403, 403, 200, 200)),
    ("/acme/settings/access/<token>", (302, 403, 403, 200, 200)),
    ("/acme/settings/access/0", (302, 403, 403, 404, 404)),
    ("/acme/settings/access/<token>/rotate", (302, 403, 403, 302, 302)),  # as access/new
    ("/acme/settings/access/0/rotate", (302, 403, 403, 404, 404)),
    ("/acme/settings/access/revoke-before", (302, 403, 403, 200, 200)),
    ("/acme/settings/access/revoke-before?before=soon", (302, 403, 403, 422, 422)),
    ("/acme/settings/access/0/revoke", (302, 403, 403, 404, 404)),
    ("/acme/settings/members", (302, 403, 403, 200, 200)),
    ("/acme/settings/members?page=99", (302, 403, 403, 200, 200)),
    ("/acme/settings/members/add", (302, 302, 302, 302, 302)),  # an act: to its page
    ("/acme/settings/members/rita/remove", (302, 403, 403, 200, 200)),
    ("/acme/settings/members/sven/remove", (302, 403, 403, 404, 404)),
    ("/acme/settings/members/unheard-of/remove", (302, 403, 403, 404, 404)),
    ("/acme/settings/log", (302, 403, 403, 200, 200)),
    ("/acme/settings/log?thing=spoon", (302, 403, 403, 422, 422)),
    ("/acme/settings/log.csv", (302, 403, 403, 200, 200)),
    ("/acme/settings/log.jsonl", (302, 403, 403, 200, 200)),
    ("/acme/settings/log.atom", (401, 403, 403, 200, 200)),
    ("/acme/settings/organizations", (302, 403, 403, 404, 404)),
    ("/acme/groups", (302, 403, 200, 200, 200)),
    ("/acme/groups/owners", (302, 403, 200, 200, 200)),
    ("/acme/groups/new", (302, 403, 403, 200, 200)),
    ("/acme/groups/builders", (302, 403, 200, 200, 200)),
    ("/acme/groups/Builders", (302, 403, 302, 302, 302)),  # to the one spelling
    ("/acme/groups/unheard-of", (302, 403, 404, 404, 404)),
    ("/acme/groups/builders/delete", (302, 403, 403, 200, 200)),
    ("/olga/settings", (302, 403, 403, 403, 302)),
    ("/olga/settings/profile", (302, 403, 403, 403, 200)),
    ("/olga/settings/access", (302, 403, 403, 403, 200)),
    ("/olga/settings/security", (302, 403, 403, 403, 200)),
    ("/acme/settings/policy", (302, 403, 403, 200, 200)),
    ("/olga/settings/policy", (302, 404, 404, 404, 404)),
    ("/acme/settings/security", (302, 403, 403, 404, 404)),
    ("/olga/settings/organizations", (302, 403, 403, 403, 200)),
    ("/olga/settings/organizations/acme/leave", (302, 403, 403, 403, 200)),
    ("/olga/settings/log", (302, 403, 403, 403, 200)),
    ("/olga/settings/members", (302, 404, 404, 404, 404)),
    ("/olga/groups", (302, 404, 404, 404, 404)),
    ("/unheard-of/settings/access", (302, 404, 404, 404, 404)),
    ("/-/organizations/new", (302, 200, 200, 200, 200)),
    ("/-/invitations/unheard-of", (404, 404, 404, 404, 404)),
    (f"/-/invitations/{'k' * 43}", (200, 200, 200, 200, 200)),
]


@pytest.mark.parametrize(("path", "expected"), PAGES)
def test_a_page_is_shown_to_who_may_see_it(
    everything: None,
    nobody: Client,
    stranger: Person,
    reader: Person,
    admin: Person,
    owner: Person,
    path: str,
    expected: tuple[int, ...],
) -> None:
    path = path.replace("<token>", str(Token.objects.get(account__name="acme").pk))
    clients = [nobody, *(person.client for person in (stranger, reader, admin, owner))]

    answers = [client.get(path) for client in clients]

    assert tuple(answer.status_code for answer in answers) == expected
    if expected[0] == 302:
        assert answers[0].headers["Location"].startswith("/account/login/?next=/")


@pytest.mark.parametrize(
    ("person", "path", "start"),
    [
        ("owner", "/acme/settings", "/acme/settings/profile"),
        ("owner", "/ACME/settings", "/acme/settings/profile"),
        ("reader", "/acme/settings", "/acme/groups"),
        ("owner", "/olga/settings", "/olga/settings/profile"),
    ],
)
def test_settings_begin_with_the_first_page_that_they_may_see(
    everything: None, request: pytest.FixtureRequest, person: str, path: str, start: str
) -> None:
    answer = request.getfixturevalue(person).client.get(path)

    assert answer.headers["Location"] == start


# Path and what is posted, by who is no admin: nothing of it may happen.
ACTS: list[tuple[str, dict[str, object]]] = [
    ("/acme/settings/profile", {"display_name": "Ours now"}),
    ("/acme/settings/access/new", {"name": "x", "scopes": ["all"], "lifetime": "90"}),
    ("/acme/settings/access/<token>/revoke", {}),
    ("/acme/settings/access/<token>/rotate", {"keep_old": "0", "lifetime": "90"}),
    ("/acme/settings/access/revoke-before", {"before": "2999-01-01"}),
    ("/acme/settings/members/add", {"user": "sven", "role": "admin"}),
    ("/acme/settings/members/invite", {"email_or_name": "a@example.org", "role": "admin"}),
    ("/acme/settings/members/rita/role", {"role": "admin"}),
    ("/acme/settings/members/olga/remove", {}),
    ("/acme/settings/members/invitations/<invitation>/withdraw", {}),
    ("/acme/groups/new", {"name": "x", "permission": "admin", "reach": "all"}),
    ("/acme/groups/builders/change", {"name": "x", "permission": "admin", "reach": "all"}),
    ("/acme/groups/builders/delete", {"typed": "builders"}),
    ("/acme/groups/builders/members/add", {"user": "olga"}),
    ("/acme/groups/builders/members/rita/remove", {}),
]


def _state() -> list[object]:
    tables = (Account, Event, Group, GroupMember, Membership, Token)
    rows = [list(table.objects.order_by("pk").values()) for table in tables]
    return [rows, list(Organization.objects.get().invitations.values())]


@pytest.mark.parametrize("who", ["reader", "maintainer", "stranger"])
@pytest.mark.parametrize(("path", "posted"), ACTS)
def test_who_is_no_admin_can_not_act_by_posting(
    everything: None,
    request: pytest.FixtureRequest,
    who: str,
    path: str,
    posted: dict[str, object],
) -> None:
    person: Person = request.getfixturevalue(who)
    before = _state()

    answer = person.client.post(_filled(path), posted)

    assert answer.status_code == 403
    assert _state() == before


@pytest.mark.parametrize(("path", "posted"), ACTS)
def test_no_act_is_done_without_the_csrf_token(
    everything: None, owner: Person, path: str, posted: dict[str, object]
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)
    before = _state()

    answer = client.post(_filled(path), posted)

    assert answer.status_code == 403
    assert _state() == before


@pytest.mark.parametrize(("path", "posted"), ACTS)
def test_who_is_not_signed_in_is_sent_to_sign_in_and_nothing_is_done(
    everything: None, nobody: Client, path: str, posted: dict[str, object]
) -> None:
    before = _state()

    answer = nobody.post(_filled(path), posted)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/account/login/")
    assert _state() == before


def _filled(path: str) -> str:
    token = Token.objects.get(account__name="acme").pk
    invitation = Organization.objects.get().invitations.get().pk
    return path.replace("<token>", str(token)).replace("<invitation>", str(invitation))


def test_the_menu_says_whose_settings_these_are_and_where_one_is(
    acme: Organization, owner: Person
) -> None:
    page = owner.client.get(reverse("accounts:access", args=["acme"])).content.decode()

    menu = page[page.index('<nav class="side-menu"') :]
    menu = menu[: menu.index("</nav>")]
    assert '<a href="/acme">acme</a>' in menu
    assert '<a href="/acme/settings/access" aria-current="page">' in menu
    for path in ("profile", "members", "channels", "log"):
        assert f'href="/acme/settings/{path}"' in menu
    assert "/account/email/" not in menu  # that is of people


def test_settings_are_not_kept_by_caches(acme: Organization, owner: Person) -> None:
    answer = owner.client.get("/acme/settings/members")

    assert "no-store" in answer.headers["Cache-Control"]


def test_a_member_is_told_who_can_give_a_right_and_a_stranger_is_not(
    everything: None, reader: Person, stranger: Person
) -> None:
    asked = {
        person.name: person.client.get("/acme/settings/members").content.decode()
        for person in (reader, stranger)
    }

    assert "Who can give the right:" in asked["rita"]
    assert 'href="/olga"' in asked["rita"]
    assert "Who can give the right:" not in asked["sven"]
    assert "olga" not in asked["sven"]
