"""Who belongs to an organization: known to its members, and to all where one wants it known."""

from __future__ import annotations

from accounts.models import Event, Membership
from tests.cast import Person
from tests.registry.api.world import World
from tests.registry.views.browsers import Browsers, text_of

PAGE = "/acme/members"


def test_members_see_each_other_and_strangers_those_who_show_it(
    world: World, browsers: Browsers, reader: Person
) -> None:
    for who in ("anonymous", "stranger"):
        page = browsers[who].get(PAGE)
        assert "Nobody shows that they belong to acme." in text_of(page)
        assert "/members/show" not in page.content.decode()
    assert browsers["reader"].post(f"{PAGE}/show").status_code == 302
    for who, client in browsers.items():
        words = text_of(client.get(PAGE))
        assert reader.name in words, who
        assert ("olga" in words) == (who not in {"anonymous", "stranger"}), who
        assert ("Role" in words) == (who not in {"anonymous", "stranger"}), who
    browsers["reader"].post(f"{PAGE}/hide")
    assert reader.name not in text_of(browsers["anonymous"].get(PAGE))
    said = Event.objects.filter(action__in=["member.show", "member.hide"])
    assert [event.target for event in said] == [reader.name, reader.name]


def test_nobody_shows_a_membership_that_they_do_not_have(world: World, browsers: Browsers) -> None:
    assert browsers["stranger"].post(f"{PAGE}/show").status_code == 403
    assert browsers["anonymous"].post(f"{PAGE}/show").status_code == 302
    assert not Membership.objects.filter(is_public=True).exists()


def test_a_user_has_no_members(world: World, browsers: Browsers) -> None:
    assert browsers["owner"].get("/olga/members").status_code == 404
    assert browsers["owner"].post("/olga/members/show").status_code == 404
    assert "Members" not in text_of(browsers["owner"].get("/olga"))
