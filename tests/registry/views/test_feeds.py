"""Activity and Atom feeds: what happened, for those who may know of it."""

from __future__ import annotations

import base64
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registry import channels, placement
from registry.models import Channel, PackageFile
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers, active_parts, text_of

ATOM = "{http://www.w3.org/2005/Atom}"
ACCOUNT, MAIN = "/acme/activity/feed.atom", "/acme/activity/feed.atom/main"
SECRET, PACKAGE = "/acme/activity/feed.atom/secret", "/acme/hello/feed.atom"
MEMBERS = {"reader", "maintainer", "admin", "owner"}


def titles(answer: Any) -> list[str]:
    feed = ET.fromstring(answer.content)
    assert feed.tag == f"{ATOM}feed"
    for needed in ("id", "title", "updated"):
        assert feed.findtext(f"{ATOM}{needed}")
    entries = feed.findall(f"{ATOM}entry")
    assert all(
        entry.findtext(f"{ATOM}id") and entry.findtext(f"{ATOM}updated") for entry in entries
    )
    return [entry.findtext(f"{ATOM}title") or "" for entry in entries]


@pytest.fixture
def busy_world(world: World) -> World:
    """Things that happened in public, and others that only members may know of."""
    owner, account = world.owner, world.organization.account
    publish(owner, "acme", "main", "hello", "2.0")
    publish(owner, "acme", "secret", "hello", "3.0")
    publish(owner, "acme", "main", "hidden", "2.0")
    main, dev, secret = (
        Channel.objects.get(account=account, name=n) for n in ("main", "dev", "secret")
    )
    hello = PackageFile.objects.select_related("account", "package").filter(name="hello")
    placement.add_to_channel(by=owner.identity, file=hello.get(version="2.0"), channel=dev)
    placement.remove_from_channel(by=owner.identity, file=hello.get(version="2.0"), channel=main)
    placement.delete_file(by=owner.identity, file=hello.get(version="2.0"))
    placement.delete_file(by=owner.identity, file=hello.get(version="3.0"))
    channels.change_channel(by=owner.identity, channel=dev, is_locked=True)
    channels.change_channel(by=owner.identity, channel=secret, is_locked=True)
    return world


def test_strangers_are_told_of_what_they_could_see(busy_world: World, browsers: Browsers) -> None:
    for who, client in browsers.items():
        told = titles(client.get(ACCOUNT))
        in_public = [
            "Locked the channel dev",
            "Deleted hello-2.0-0.conda",
            "Removed hello-2.0-0.conda from main",
            "Put hello-2.0-0.conda into dev",
            "Published hello-2.0-0.conda to main",
            "Made the channel dev",
            "Published hello-1.0-0.conda to main",
            "Made the channel main",
        ]
        if who in MEMBERS:
            assert [line for line in told if line in in_public] == in_public, who
            assert "Published hello-3.0-0.conda to secret" in told
            assert "Published hidden-2.0-0.conda to main" in told
            assert "Locked the channel secret" in told
        else:
            assert told == in_public, who
        page = client.get("/acme/activity")
        assert ("hidden" in text_of(page)) == (who in MEMBERS), who
        assert active_parts(page) == []


def test_a_channel_tells_of_itself_only(busy_world: World, browsers: Browsers) -> None:
    for who, client in browsers.items():
        told = titles(client.get(MAIN))
        assert "Deleted hello-2.0-0.conda" in told
        assert not [line for line in told if "dev" in line or "3.0" in line]
        assert ("Published hidden-2.0-0.conda to main" in told) == (who in MEMBERS), who
        assert client.get(SECRET).status_code == (200 if who in MEMBERS else 404), who


def test_a_package_tells_of_its_versions(busy_world: World, browsers: Browsers) -> None:
    for who, client in browsers.items():
        assert titles(client.get(PACKAGE)) == ["hello 1.0"], who
        hidden = client.get("/acme/hidden/feed.atom")
        assert hidden.status_code == (200 if who in MEMBERS else 404), who


def test_public_feeds_are_cached_and_asked_for_again(busy_world: World, anonymous: Client) -> None:
    first = anonymous.get(ACCOUNT)
    assert first["Content-Type"].startswith("application/atom+xml")
    assert first["Cache-Control"] == "public, max-age=300"
    again = anonymous.get(ACCOUNT, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_feed_reader_comes_with_a_token(busy_world: World, reader: Person) -> None:
    secret = reader.token("conda:download").secret
    basic = base64.b64encode(f"{reader.name}:{secret}".encode()).decode()
    for credential in (f"Bearer {secret}", f"Basic {basic}"):
        answer = Client().get(SECRET, headers={"Authorization": credential})
        assert "Published buried-1.0-0.conda to secret" in titles(answer)
        assert answer["Cache-Control"] == "private, no-cache"
    limited = reader.token("conda:download", channels=["main"]).secret
    answer = Client().get(SECRET, headers={"Authorization": f"Bearer {limited}"})
    assert answer.status_code == 404
    upload_only = reader.token("api:write").secret
    answer = Client().get(ACCOUNT, headers={"Authorization": f"Bearer {upload_only}"})
    assert answer.status_code == 404


def test_activity_costs_the_same_however_much_happened(
    busy_world: World, anonymous: Client
) -> None:
    for number in range(60):
        publish(busy_world.owner, "acme", "main", f"many-{number}")
    with CaptureQueriesContext(connection) as captured:
        page = anonymous.get("/acme/activity")
    assert len(captured) <= 12
    assert text_of(page).count("Published many-") == 50
    older = anonymous.get(f"/acme/activity{page.context['older_url']}")
    assert text_of(older).count("Published many-") == 10
    assert anonymous.get("/acme/activity?before=nonsense").status_code == 200
