"""What the registry puts on the dashboard."""

from __future__ import annotations

import re

from pytest_django import DjangoAssertNumQueries

from accounts.roles import Permission, Role
from registry import channel_transfers, package_invitations, transfers
from registry.collaboration import set_collaborator
from registry.models import AccountQuota, Channel, Package, RefusedUpload
from tests.accounts.views.pages import days_from_now, words
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, put
from tests.factories import make_invitation, make_organization, make_token, make_user
from tests.registry.api.world import World


def test_what_is_theirs_stands_on_it(world: World, owner: Person) -> None:
    text = words(owner.client.get("/dashboard"))

    for part in (
        "Your packages acme/buried",
        "acme/hidden Private",
        "What happened lately",
        "olga published noarch/buried-1.0-0.conda",
        "acme",
        "3 files",
        "0 downloads",
    ):
        assert part in text


def test_a_collaborator_sees_the_package_and_no_log(
    world: World, owner: Person, stranger: Person
) -> None:
    set_collaborator(
        by=owner.identity,
        package=Package.objects.get(name="hello"),
        user=stranger.user,
        permission=Permission.WRITE,
    )

    text = words(stranger.client.get("/dashboard"))

    assert "acme/hello" in text
    assert "hidden" not in text
    assert "What happened lately" not in text
    assert "First steps" not in text


def test_an_account_that_is_nearly_full_needs_them(world: World, owner: Person) -> None:
    AccountQuota.objects.create(account=world.organization.account, max_files=3)

    assert "acme has little room left" in words(owner.client.get("/dashboard"))
    in_german = words(owner.client.get("/dashboard", headers={"accept-language": "de"}))
    assert "acme hat kaum noch Platz" in in_german
    assert "von 3 Dateien" in in_german


def bell(person: Person, path: str = "/") -> int:
    head = person.client.get(path).content.decode().partition('class="count accent">')[2]
    return int(head.partition("<")[0]) if head else 0


def needs(person: Person) -> int:
    """How many the dashboard lists."""
    page = person.client.get("/dashboard").content.decode()
    return page.partition("Needs you</h2>")[2].partition("</section>")[0].count("<li>")


def test_the_bell_of_each_page_says_how_many_the_dashboard_lists(
    world: World,
    owner: Person,
    stranger: Person,
    reader: Person,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    globex = make_organization("globex", owner=stranger.user)
    hello = Package.objects.get(name="hello")
    assert (bell(stranger), needs(stranger)) == (0, 0)

    # To them, to their organization, and to both by an address.
    transfers.offer(by=owner.identity, package=hello, target_name="sven")
    secret = Channel.objects.get(name="secret")
    channel_transfers.offer(by=owner.identity, channel=secret, target_name="globex")
    package_invitations.invite(
        by=owner.identity, package=hello, email="sven@example.org", permission=Permission.READ
    )
    make_invitation(
        world.organization,
        "sven@example.org",
        key="k",
        expires_at=days_from_now(3),
        role=Role.ADMIN,
    )
    make_token(globex.account, name="soon", expires_at=days_from_now(3))
    stranger.token(name="mine", expires_at=days_from_now(4))

    assert bell(stranger) == bell(stranger, "/acme") == bell(stranger, "/dashboard") == 6
    assert needs(stranger) == 6
    with django_assert_max_num_queries(12):
        stranger.client.get("/dashboard")
    assert bell(reader) == needs(reader) == 0

    # What was declined is gone from both, and so is what came to an end by itself.
    [offered] = re.findall(
        r"/-/transfers/[\w-]+", stranger.client.get("/dashboard").content.decode()
    )
    stranger.client.post(f"{offered}/decline")
    hello.invitations.update(expires_at=days_from_now(-1))
    assert bell(stranger) == needs(stranger) == 4


def test_what_nobody_can_answer_is_worth_a_look_and_does_not_ring(
    world: World, owner: Person
) -> None:
    AccountQuota.objects.create(account=world.organization.account, max_files=3)
    other = build_conda("hello", "1.0", files={"else.txt": b"else"})
    token = owner.token("all", name="ci")
    address = ChannelAddress("acme").url(f"noarch/{other.filename}")
    assert put(address, other.data, token=token.secret).status_code == 409
    assert RefusedUpload.objects.exists()

    shown = words(owner.client.get("/dashboard"))

    needed, _, seen = shown.partition("Worth a look")
    assert "refused" not in needed
    assert "room left" not in needed
    assert "acme has little room left" in seen
    assert "An upload of olga to acme/main was refused" in seen
    assert bell(owner) == needs(owner) == 1  # the world's token, which ends soon


def test_what_the_list_has_no_room_for_is_counted_below_it(
    world: World, stranger: Person, owner: Person
) -> None:
    for number in range(55):
        organization = make_organization(f"org{number}", owner=make_user(f"omar{number}"))
        make_invitation(
            organization, "sven@example.org", key=f"k{number}", expires_at=days_from_now(3)
        )

    assert bell(stranger) == bell(stranger, "/dashboard") == 55
    assert needs(stranger) == 50
    assert "and 5 more" in words(stranger.client.get("/dashboard"))


def test_the_dashboard_asks_little(
    world: World, owner: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    AccountQuota.objects.create(account=world.organization.account, max_files=3)
    for _ in range(20):
        make_token(world.organization.account)
    owner.client.get("/dashboard")

    with django_assert_max_num_queries(12):
        owner.client.get("/dashboard")
