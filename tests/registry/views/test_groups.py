"""The packages of a group, ticked on its page."""

from __future__ import annotations

import re

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Event, Group
from accounts.roles import Permission
from registry.models import Collaborator, Package
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.factories import make_group
from tests.registry.api.world import World

GROUP = "/acme/groups/builders"


@pytest.fixture
def builders(world: World, reader: Person) -> Group:
    reader.token()
    return make_group(
        world.organization, "builders", permission=Permission.WRITE, members=[reader.user]
    )


def held_by(group: Group) -> dict[str, str]:
    rows = Collaborator.objects.filter(group=group).values_list("package__name", "permission")
    return dict(rows)


def test_packages_are_ticked_and_unticked(world: World, owner: Person, builders: Group) -> None:
    Collaborator.objects.create(
        group=builders,
        package=Package.objects.get(name="buried"),
        permission=Permission.READ,
    )
    page = owner.client.get(GROUP).content.decode()
    assert re.findall(r'name="chosen" value="([^"]+)"( checked)?', page) == [
        ("buried", " checked"),
        ("hello", ""),
        ("hidden", ""),
    ]

    answer = owner.client.post(
        f"{GROUP}/packages",
        {"shown": ["buried", "hello", "hidden"], "chosen": ["buried", "hello"]},
        follow=True,
    )

    assert "1 package added. 0 packages removed." in words(answer)
    # What was held already stays as it was.
    assert held_by(builders) == {"buried": "read", "hello": "write"}
    event = Event.objects.latest("id")
    assert (event.action, event.target) == ("collaborator.add", "hello: group builders")

    owner.client.post(f"{GROUP}/packages?q=hel", {"shown": ["hello", "hidden"]})
    # What was not shown is not touched.
    assert held_by(builders) == {"buried": "read"}


def test_the_list_is_filtered_and_says_whose_tokens_use_the_group(
    world: World, owner: Person, builders: Group
) -> None:
    text = words(owner.client.get(f"{GROUP}?q=HID"))

    assert "hidden" in text
    assert "hello" not in text
    assert "Its members have 1 token that works." in text
    nothing = words(owner.client.get(f"{GROUP}?q=nmupy"))
    assert "No package has “nmupy” in its name." in nothing


def test_only_admins_choose(world: World, reader: Person, builders: Group) -> None:
    answer = reader.client.post(f"{GROUP}/packages", {"shown": ["hello"], "chosen": ["hello"]})

    assert answer.status_code == 403
    assert not held_by(builders)
    assert 'name="chosen"' not in reader.client.get(GROUP).content.decode()


def test_too_many_at_once_and_names_of_others_change_nothing(
    world: World, owner: Person, builders: Group
) -> None:
    many = [f"n{number}" for number in range(501)]

    assert owner.client.post(f"{GROUP}/packages", {"chosen": many}).status_code == 400
    owner.client.post(f"{GROUP}/packages", {"chosen": ["unheard-of"]})

    assert not held_by(builders)


def test_thousands_of_packages_are_a_page_at_a_time(
    world: World,
    owner: Person,
    builders: Group,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    account = world.organization.account
    Package.objects.bulk_create(
        Package(account=account, name=f"package-{number:04}") for number in range(2000)
    )
    owner.client.get(GROUP)

    with django_assert_max_num_queries(12):
        first = owner.client.get(GROUP)

    page = first.content.decode()
    assert page.count('name="chosen"') == 50
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following is not None
    assert "package-0096" in owner.client.get(GROUP + following[1]).content.decode()
