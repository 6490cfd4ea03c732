"""Packages, collaborators and search over the REST API."""

from __future__ import annotations

import pytest

from registry.models import StaleMark
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import Caller, World, by_session, by_token, nobody, publish


def names(answer: object) -> list[str]:
    return [row["name"] for row in answer.json()["results"]]  # type: ignore[attr-defined]  # a response


def test_a_package_shows_what_its_newest_file_says(world: World) -> None:
    shown = nobody().get("/accounts/acme/packages/hello").json()
    assert set(shown) == {
        "account", "name", "is_private", "summary", "description", "license", "license_url",
        "home_url", "dev_url", "doc_url", "source_url", "pinned", "latest_version", "created_at",
        "updated_at",
    }  # fmt: skip
    assert (shown["summary"], shown["latest_version"]) == ("Says hello", "1.0")
    publish(world.owner, "acme", "main", "hello", "1.10", about={"summary": "Says it better"})
    publish(world.owner, "acme", "main", "hello", "1.9", about={"summary": "Older"})
    shown = nobody().get("/accounts/acme/packages/hello").json()
    assert (shown["summary"], shown["latest_version"]) == ("Says it better", "1.10")


def test_each_sees_the_packages_that_are_theirs_to_see(
    world: World, callers: dict[str, Caller]
) -> None:
    everything = ["buried", "hello", "hidden"]
    seen = {who: names(caller.get("/accounts/acme/packages")) for who, caller in callers.items()
            if who not in {"expired", "revoked", "unknown"}}  # fmt: skip
    assert seen == {
        "nobody": ["hello"],
        "sven": ["hello"],
        "write": ["hello"],
        "people": ["hello"],
        **dict.fromkeys(["rita", "maria", "adam", "olga", "read", "api", "all"], everything),
        **dict.fromkeys(["down", "dev", "org"], everything),
    }


def test_hiding_a_package_hides_it_at_once_and_marks_its_index(world: World, olga: Caller) -> None:
    StaleMark.objects.all().delete()
    answer = olga.call("PATCH", "/accounts/acme/packages/hello", {"is_private": True})
    assert answer.json()["is_private"] is True
    assert nobody().get("/accounts/acme/packages/hello").status_code == 404
    assert nobody().get("/accounts/acme/files").json()["results"] == []
    assert set(StaleMark.objects.values_list("channel__name", "subdir")) == {
        ("main", ""),
        ("main", "noarch"),
    }


def test_packages_are_filtered_by_name(world: World, olga: Caller) -> None:
    assert names(olga.get("/accounts/acme/packages?q=HID")) == ["hidden"]


# --- Collaborators -----------------------------------------------------------------------------

COLLABORATORS = "/accounts/acme/packages/hidden/collaborators"


def test_a_collaborator_can_do_what_they_were_given_until_it_is_taken(
    world: World, olga: Caller
) -> None:
    sven = Person(make_user("sven"))
    caller, token = by_session(sven), by_token(sven.token("all").secret)
    assert caller.get("/accounts/acme/packages/hidden").status_code == 404

    given = olga.call("PUT", f"{COLLABORATORS}/users/Sven", {"permission": "read"})
    assert given.status_code == 201
    assert given.json() | {"created_at": ""} == {
        "user": "sven", "group": None, "permission": "read", "added_by": "olga", "created_at": "",
    }  # fmt: skip
    file = "/accounts/acme/files/noarch/hidden-1.0-0.conda"
    assert caller.get("/accounts/acme/packages/hidden").status_code == 200
    assert token.get(file).status_code == 200
    assert token.call("PUT", f"{file}/channels/dev").status_code == 403

    changed = olga.call("PUT", f"{COLLABORATORS}/users/sven", {"permission": "write"})
    assert (changed.status_code, changed.json()["permission"]) == (200, "write")
    assert token.call("PUT", f"{file}/channels/dev").status_code == 201
    assert caller.get(COLLABORATORS).json()["results"] == [changed.json()]

    assert olga.call("DELETE", f"{COLLABORATORS}/users/sven").status_code == 204
    assert caller.get("/accounts/acme/packages/hidden").status_code == 404
    assert token.get(file).status_code == 404
    assert olga.call("DELETE", f"{COLLABORATORS}/users/sven").status_code == 404


def test_a_group_collaborates_as_its_members_do(world: World, olga: Caller) -> None:
    assert olga.call("PUT", f"{COLLABORATORS}/groups/Helpers", {"permission": "write"}).json() | {
        "created_at": ""
    } == {
        "user": None, "group": "helpers", "permission": "write", "added_by": "olga",
        "created_at": "",
    }  # fmt: skip


@pytest.mark.parametrize("permission", ["owner", "", None, 3, ["read"]])
def test_a_permission_is_one_of_three(permission: object, world: World, olga: Caller) -> None:
    answer = olga.call("PUT", f"{COLLABORATORS}/groups/helpers", {"permission": permission})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["permission"]


# --- Search ------------------------------------------------------------------------------------


def test_search_puts_names_before_summaries(world: World, olga: Caller) -> None:
    for name, summary in (
        ("hell", "Shorter"),
        ("othello", "A play"),
        ("play", "Better than hello"),
        ("unlike", "Nothing"),
    ):
        publish(world.owner, "acme", "main", name, about={"summary": summary})
    assert names(nobody().get("/search?q=Hello")) == ["hello", "othello", "play"]
    assert names(nobody().get("/search?q=hell")) == ["hell", "hello", "othello", "play"]


def test_search_finds_in_all_accounts_what_the_asker_may_know_of(
    world: World, other_world: World, olga: Caller
) -> None:
    def found(caller: Caller, words: str) -> list[tuple[str, str]]:
        rows = caller.get(f"/search?q={words}").json()["results"]
        return [(row["account"], row["name"]) for row in rows]

    assert found(nobody(), "hello") == [("acme", "hello"), ("globex", "hello")]
    assert found(nobody(), "hidden") == []
    assert found(olga, "hidden") == [("acme", "hidden")]


@pytest.mark.parametrize("query", ["", "?q=", "?q=%00", "?q=" + "x" * 201, "?q=%ff"])
def test_search_needs_words(query: str, db: None) -> None:
    answer = nobody().get(f"/search{query}")
    assert answer.status_code == (200 if query == "?q=%ff" else 400)
