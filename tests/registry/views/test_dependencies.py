"""The pages of what a package needs and what needs it, and the walk along both."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from registry import indexing, neighbours
from registry.models import Channel, Dependency, DownloadTotal, Package, PackageFile
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers, active_parts, text_of
from tests.registry.views.test_lists import make_files

NEEDS, NEEDED_BY = "/acme/hello/dependencies", "/acme/hello/dependents"


@pytest.fixture
def needy_world(world: World) -> World:
    """hello 2.0 needs libgreet, which nobody needs to know much of; greeter and others need it."""
    owner = world.owner
    publish(owner, "acme", "main", "libgreet", "3.1", depends=["libc >=2"])
    publish(owner, "acme", "main", "hello", "2.0", depends=["libgreet >=3", "__unix", "python"])
    publish(owner, "acme", "main", "greeter", "1.0", depends=["hello >=1.0,<3"])
    publish(owner, "acme", "secret", "plotter", "1.0", depends=["hello 1.0"])
    publish(owner, "acme", "main", "hidden", "2.0", depends=["hello 2.0"])
    indexing.run_overdue()
    return world


def test_the_page_says_what_a_package_needs_and_where_it_is(
    needy_world: World, anonymous: Client
) -> None:
    page = anonymous.get(NEEDS)
    words = text_of(page)
    assert "What the files of 2.0 need" in words
    assert "libgreet >=3 acme 3.1" in words
    assert "__unix any a property of the computer" in words
    assert "python any elsewhere" in words
    assert active_parts(page) == []


def test_only_members_are_told_of_dependents_that_are_hidden(
    needy_world: World, browsers: Browsers
) -> None:
    for who, client in browsers.items():
        page = client.get(NEEDED_BY)
        walk = client.get(f"{NEEDS}?depth=3").content.decode()
        knows = who not in {"anonymous", "stranger"}
        found = set(re.findall(r'href="/acme/(\w+)">\1', page.content.decode())) - {"hello"}
        assert found == ({"greeter", "hidden", "plotter"} if knows else {"greeter"}), who
        assert ("3 packages" if knows else "1 package in this host") in text_of(page)
        nodes = set(re.findall(r'data-node="(\w+)"', walk))
        assert ("plotter" in nodes, "hidden" in nodes) == (knows, knows), who
        at = client.get(f"{NEEDS}?at=plotter").status_code
        assert at == (200 if knows else 404), who


def test_the_most_downloaded_dependents_come_first_when_asked_for(
    needy_world: World, owner: Person
) -> None:
    DownloadTotal.objects.create(file=PackageFile.objects.get(name="plotter"), count=7)
    page = owner.client.get(f"{NEEDED_BY}?sort=downloads")
    names = re.findall(r'<th scope="row"><a [^>]*>(\w+)<', page.content.decode())
    assert names == ["plotter", "greeter", "hidden"]
    assert "No dependent has “zzz” in its name" in text_of(owner.client.get(f"{NEEDED_BY}?q=zzz"))


def test_a_walk_goes_from_name_to_name(needy_world: World, anonymous: Client) -> None:
    near = anonymous.get(NEEDS).content.decode()
    assert 'data-node="hello" data-needs="__unix libgreet python"' in near
    assert 'data-node="libc"' not in near
    far = anonymous.get(f"{NEEDS}?depth=2").content.decode()
    assert 'data-node="libgreet" data-needs="libc"' in far
    moved = anonymous.get(f"{NEEDS}?at=libgreet&depth=2")
    assert 'data-node="greeter" data-needs="hello"' in moved.content.decode()
    assert "Around libgreet" in text_of(moved)
    assert "Not in this host" in text_of(anonymous.get(f"{NEEDS}?at=python"))
    assert anonymous.get(f"{NEEDS}?at=nothing-at-all").status_code == 404
    assert anonymous.get(f"{NEEDS}?depth=99&at=%00").status_code == 200


def test_nothing_needs_a_package_that_nobody_needs(needy_world: World, anonymous: Client) -> None:
    page = text_of(anonymous.get("/acme/greeter/dependents"))
    assert "No package in this host depends on greeter." in page


def many_edges(account: Account, number: int, *, name: str) -> None:
    """As many packages of the account that need the name, and that it needs."""
    main = Channel.objects.get(account=account, name="main")
    hello = Package.objects.get(account=account, name="hello")
    for i in range(number):
        package = Package.objects.create(account=account, name=f"{name}-{i:03}")
        make_files(account, package, ["1.0"], main)
        Dependency.objects.create(
            channel=main, package=package, package_name=package.name, name="hello"
        )
        Dependency.objects.create(
            channel=main, package=hello, package_name="hello", name=f"other-{i:03}"
        )


def test_lists_page_without_a_gap_and_cost_the_same(needy_world: World, anonymous: Client) -> None:
    def queries(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert anonymous.get(path).status_code == 200
        return len(captured)

    before = {path: queries(path) for path in (NEEDS, NEEDED_BY, f"{NEEDS}?depth=3")}
    many_edges(needy_world.organization.account, 110, name="needy")
    for path, number in before.items():
        assert queries(path) <= number + 1, path
        assert number <= 9, path

    seen: list[str] = []
    path = NEEDED_BY
    while path:
        page = anonymous.get(path).content.decode()
        seen += re.findall(r'<th scope="row"><a [^>]*>([\w-]+)<', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = NEEDED_BY + following[1] if following else ""
    assert seen == ["greeter", *(f"needy-{i:03}" for i in range(110))]
    walk = anonymous.get(f"{NEEDS}?depth=3")
    assert walk.content.decode().count("data-node=") == neighbours.MOST_NODES
    assert "There are more than 60 names" in text_of(walk)
