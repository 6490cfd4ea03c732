"""What describes a package, on the page of its settings."""

from __future__ import annotations

import pytest
from django.test import Client

from registry.models import Package
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO

PAGE = f"{HELLO}/settings/description"


def hello() -> Package:
    return Package.objects.get(account__name="acme", name="hello")


def form_of(package: Package, **changes: str) -> dict[str, str]:
    """The form as the page fills it in, and what somebody writes into it."""
    fields = (
        "summary", "description", "license", "license_url", "home_url", "dev_url", "doc_url",
        "source_url",
    )  # fmt: skip
    return {field: getattr(package, field) for field in fields} | changes


def test_what_is_changed_is_pinned_until_it_follows_the_uploads_again(
    world: World, maintainer: Person
) -> None:
    saved = maintainer.client.post(PAGE, form_of(hello(), summary="By hand"), follow=True)

    assert "The description is saved." in words(saved)
    assert "Pinned by hand Summary Follow the uploads again" in words(saved)
    assert hello().pinned == ["summary"]
    publish(world.owner, "acme", "main", "hello", "2.0", about={"summary": "From the file"})
    assert "By hand" in words(maintainer.client.get(HELLO))

    followed = maintainer.client.post(f"{PAGE}/follow/summary", follow=True)

    assert "Summary follows the uploads again." in words(followed)
    assert "Pinned by hand" not in words(followed)
    assert "From the file" in words(maintainer.client.get(HELLO))


def test_nothing_is_pinned_that_was_left_as_it_was(world: World, maintainer: Person) -> None:
    saved = maintainer.client.post(PAGE, form_of(hello()), follow=True)

    assert "It is as it was." in words(saved)
    assert hello().pinned == []


@pytest.mark.parametrize("address", ["javascript:alert(1)", "no address", "ftp://example.org/x"])
def test_a_link_is_an_address_of_the_web(address: str, world: World, maintainer: Person) -> None:
    answer = maintainer.client.post(PAGE, form_of(hello(), home_url=address))

    assert answer.status_code == 422
    assert "Error: this was not saved." in words(answer)
    assert hello().home_url == ""


def test_writers_see_this_page_of_the_settings_and_no_other(
    world: World, maintainer: Person, owner: Person
) -> None:
    assert "Settings" in words(maintainer.client.get(HELLO))
    page = words(maintainer.client.get(PAGE))
    assert "Collaborators" not in page
    assert "Collaborators" in words(owner.client.get(PAGE))


@pytest.mark.parametrize(
    ("who", "status"),
    [("anonymous", 302), ("stranger", 403), ("reader", 403), ("maintainer", 200), ("admin", 200)],
)
def test_who_may_not_write_a_package_does_not_see_its_settings(
    who: str, status: int, world: World, browsers: dict[str, Client]
) -> None:
    assert browsers[who].get(PAGE).status_code == status
    if status != 200:
        assert browsers[who].post(f"{PAGE}/follow/summary").status_code == status


def test_there_are_no_other_fields(world: World, maintainer: Person) -> None:
    assert maintainer.client.post(f"{PAGE}/follow/is_private").status_code == 404
