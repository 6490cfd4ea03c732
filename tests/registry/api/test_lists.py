"""Lists: their pages, their cost, and what they never show."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit
from accounts.models import Account, GroupMember
from registry.models import ChannelFile
from tests.factories import add_member, make_group, make_organization, make_token, make_user
from tests.registry.api.world import API, Caller, World, by_token, nobody, publish

# Each list, with how many queries it may take for a token of olga's.
LISTS = {
    "/accounts": 3,
    "/organizations": 3,
    "/search?q=acme/": 4,
    "/accounts/acme/members": 5,  # account, role
    "/accounts/acme/invitations": 5,
    "/accounts/acme/groups": 5,
    "/accounts/acme/groups/helpers/members": 6,  # account, role, group
    "/accounts/acme/tokens": 5,
    "/accounts/acme/events": 5,
    "/accounts/acme/channels": 5,
    "/accounts/acme/packages": 4,  # account
    "/accounts/acme/packages/hello/collaborators": 7,  # package, role twice
    "/accounts/acme/files": 7,  # account, role twice, channels of the page
    "/accounts/acme/files?channel=main": 8,
    "/accounts/acme/files/noarch/hello-1.0-0.conda/channels": 7,
}


def fill(world: World) -> None:
    """More of everything, so that a query for each row would show."""
    organization, owner = world.organization, world.owner
    for number in range(6):
        user = make_user(f"extra-{number}")
        add_member(organization, user)
        GroupMember.objects.create(group=world.group, user=user, added_by=owner.user)
        make_group(organization, f"group-{number}")
        make_token(organization.account, created_by=owner.user)
        make_organization(f"own-{number}", owner=owner.user)
        organization.invitations.create(
            email=f"{number}@example.org",
            key_digest=str(number),
            invited_by=owner.user,
            expires_at=world.invitation.expires_at,
        )
        channel = organization.account.channels.create(name=f"extra-{number}")
        file = publish(owner, "acme", "main", f"extra-{number}")
        hello = organization.account.files.get(name="hello")
        ChannelFile.of(hello, channel).save()
        hello.package.collaborators.create(user=user, permission="read", added_by=owner.user)
        audit.record(by=owner.identity, account=organization.account, action="test.fill")
        assert file.entries.count() == 1


@pytest.mark.parametrize(("path", "at_most"), LISTS.items())
def test_a_list_costs_the_same_however_long_it_is(path: str, at_most: int, world: World) -> None:
    caller = by_token(world.owner.token("all").secret)
    caller.get("/user")  # notes the use of the token, which is done once a minute
    with CaptureQueriesContext(connection) as few:
        short = caller.get(path).json()["results"]
    fill(world)
    with CaptureQueriesContext(connection) as many:
        long = caller.get(path).json()["results"]
    assert len(long) >= len(short) + 5
    assert len(many) == len(few)
    assert len(many) <= at_most, [query["sql"] for query in many]


@pytest.mark.parametrize("path", LISTS)
def test_every_row_is_on_one_page(path: str, world: World, olga: Caller) -> None:
    fill(world)
    everything = olga.get(path).json()
    assert everything["next"] is None
    assert everything["previous"] is None
    rows = everything["results"]

    join = "&" if "?" in path else "?"
    url: str | None = f"{API}{path}{join}page_size=2"
    forwards, pages = [], []
    while url:
        page = olga.get(url.removeprefix("http://testserver")).json()
        assert len(page["results"]) <= 2
        pages.append(page)
        forwards += page["results"]
        url = page["next"]
    assert forwards == rows

    back = [pages[-1]["results"]]
    url = pages[-1]["previous"]
    while url:
        page = olga.get(url.removeprefix("http://testserver")).json()
        back.insert(0, page["results"])
        url = page["previous"]
    assert [row for page in back for row in page] == rows


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page_size=0", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=1000000000000000000", "page_size"),
        ("page_size=1e1", "page_size"),
        ("page_size=٣", "page_size"),
        ("page_size=", "page_size"),
        ("cursor=", "cursor"),
        ("cursor=bz0xMDAwMDA=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=W10:1abc:xyz", "cursor"),
    ],
)
def test_a_page_that_nobody_was_given_is_refused(query: str, field: str, world: World) -> None:
    answer = nobody().get(f"/accounts?{query}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert list(answer.json()["errors"]) == [field]


def test_a_cursor_is_good_for_its_own_list_only(world: World, olga: Caller) -> None:
    link = olga.get("/accounts/acme/packages?page_size=1").json()["next"]
    cursor = link.partition("cursor=")[2].partition("&")[0]
    assert olga.get(f"/accounts/acme/packages?cursor={cursor}").status_code == 200
    assert olga.get(f"/accounts/acme/files?cursor={cursor}").status_code == 400
    assert olga.get(f"/accounts/acme/packages?cursor={cursor}x").status_code == 400


def test_a_list_shows_at_most_a_hundred(db: None) -> None:
    Account.objects.bulk_create(Account(name=f"a{n}", kind="organization") for n in range(120))
    page = nobody().get("/accounts?page_size=100").json()
    assert len(page["results"]) == 100
    assert page["next"]


def test_no_list_shows_a_secret(world: World, olga: Caller) -> None:
    for path in (*LISTS, "/user"):
        text = olga.get(path).content.decode()
        assert world.secret not in text
        assert world.token.digest not in text
        assert world.invitation.key_digest not in text
        assert "password" not in text


def test_answers_are_kept_by_nobody_else(world: World, olga: Caller) -> None:
    for path in LISTS:
        answer = olga.get(path)
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= set(answer.headers["Vary"].split(", "))
