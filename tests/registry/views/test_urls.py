"""The table of routes: names that look like the site's own words, long forms, old links."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from registry.views.converters import RESERVED_PACKAGES, RESERVED_VERSIONS
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import text_of

_PAGES_OF_PACKAGES = ["", "/versions", "/files", "/channels", "/settings/collaborators"]


def test_a_package_called_like_a_page_has_its_long_address(world: World, owner: Person) -> None:
    for name in sorted(RESERVED_PACKAGES):
        publish(owner, "acme", "main", name)
    listed = owner.client.get("/acme").content.decode()

    for name in sorted(RESERVED_PACKAGES):
        base = reverse("registry:package", args=["acme", name])
        assert base == f"/acme/packages/{name}"
        assert f'href="{base}"' in listed
        for page in _PAGES_OF_PACKAGES:
            answer = owner.client.get(base + page)
            assert answer.status_code == 200, page
            assert f">{name}</h1>" in answer.content.decode()
        assert owner.client.get(f"{base}/files/noarch/{name}-1.0-0.conda").status_code == 200


def test_a_package_called_like_a_page_takes_no_page_away(world: World, owner: Person) -> None:
    def visit(name: str) -> tuple[int, str]:
        answer = owner.client.get(f"/acme/{name}", follow=True)
        return answer.status_code, answer.request["PATH_INFO"]

    before = {name: visit(name) for name in RESERVED_PACKAGES}
    for name in RESERVED_PACKAGES:
        publish(owner, "acme", "main", name)

    assert {name: visit(name) for name in RESERVED_PACKAGES} == before


def test_a_version_called_like_a_page_has_its_long_address(world: World, owner: Person) -> None:
    versions = sorted(RESERVED_VERSIONS)
    for version in versions:
        publish(owner, "acme", "main", "hello", version)
    listed = owner.client.get("/acme/hello/versions").content.decode()

    for version in versions:
        address = reverse("registry:version", args=["acme", "hello", version])
        answer = owner.client.get(address)
        assert address == f"/acme/hello/versions/{version}"
        assert f'href="{address}"' in listed
        assert answer.status_code == 200
        assert f">hello {version}</h1>" in answer.content.decode()


REDIRECTS = {
    "/acme/packages": "/acme",
    "/acme/packages/hello": "/acme/hello",
    "/acme/packages/hello/files?platform=noarch": "/acme/hello/files?platform=noarch",
    "/acme/packages/hello/versions/1.0": "/acme/hello/versions/1.0",
    "/acme/hello/versions/1.0": "/acme/hello/1.0",
    "/acme/labels": "/acme/channels",
    "/acme/labels/dev": "/acme/channels/dev",
    "/acme/hello/labels": "/acme/hello/channels",
    "/acme/repo": "/acme",
    "/acme/hello/1.0/download/noarch/hello-1.0-0.conda": (
        "/acme/hello/files/noarch/hello-1.0-0.conda"
    ),
    "/acme/": "/acme",
    "/acme/hello/": "/acme/hello",
    "/acme/hello/files/?q=h": "/acme/hello/files?q=h",
}


def test_old_and_long_addresses_lead_to_the_short_one(world: World, anonymous: Client) -> None:
    answers = {path: anonymous.get(path) for path in REDIRECTS}

    assert {answer.status_code for answer in answers.values()} == {302}
    assert {path: answer["Location"] for path, answer in answers.items()} == REDIRECTS


def test_an_address_that_leads_nowhere_is_not_sent_around(world: World, anonymous: Client) -> None:
    for path in (
        "/acme/hello/no/page/of/ours",
        "/acme/hello/no/page/of/ours/",
        "/acme//hello",
        "/%00",
        "/acme/hello/files/noarch/%00",
        "/acme/channels/%00",
    ):
        assert anonymous.get(path).status_code == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/accounts/%00",
        "/api/v1/accounts/acme/packages/%00",
        "/conda/%00/noarch/repodata.json",
        "/conda/acme/label/%00/noarch/repodata.json",
        "/-/transfers/%00",
        "/-/channel-transfers/%00",
        "/-/package-invitations/%00",
        "/-/invitations/%00",
    ],
)
def test_nothing_is_called_by_a_nul(world: World, owner: Person, path: str) -> None:
    assert owner.client.get(path, headers={"Accept": "*/*"}).status_code == 404


def test_names_of_accounts_and_packages_are_found_in_any_case(
    world: World, anonymous: Client
) -> None:
    assert anonymous.get("/ACME").status_code == 200
    assert anonymous.get("/Acme/Hello").status_code == 200


@pytest.mark.parametrize("name", ["rc/2026:1", "a.b_c-d", "x/new"])
def test_a_channel_may_hold_any_character_that_channels_may(
    world: World, owner: Person, name: str
) -> None:
    publish(owner, "acme", name, "hello", "2.0")

    channel = owner.client.get(reverse("registry:channel", args=["acme", name]))
    settings = owner.client.get(reverse("registry:channel-change", args=["acme", name]))

    assert f"label/{name}" in text_of(channel)
    assert settings.status_code == 200
