"""What the registry puts on the dashboard."""

from __future__ import annotations

from pytest_django import DjangoAssertNumQueries

from accounts.roles import Permission
from registry.collaboration import set_collaborator
from registry.models import AccountQuota, Package
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.factories import make_token
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


def test_the_dashboard_asks_little(
    world: World, owner: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    AccountQuota.objects.create(account=world.organization.account, max_files=3)
    for _ in range(20):
        make_token(world.organization.account)
    owner.client.get("/dashboard")

    with django_assert_max_num_queries(12):
        owner.client.get("/dashboard")
