"""The list of versions, and the page of one: marks, filters, builds, what is new."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registry.conda.version import is_prerelease
from registry.models import Channel, Download, DownloadTotal, Package, PackageFile
from registry.views.releases import newest_of_lines, release_line
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers, text_of
from tests.registry.views.test_lists import make_files

_TOOL = "/acme/tool"


def test_versions_tell_what_they_are() -> None:
    stable = ["1.0", "2024.1.1", "1.0.post1", "1!2.0", "9e", "3.0_4", "1.1.1w"]
    early = ["1.0a1", "1.0rc2", "2.0.dev0", "1.0b", "5.7.0.dev1", "1.0_beta3", "1.0.alpha"]

    assert [version for version in stable if is_prerelease(version)] == []
    assert [version for version in early if not is_prerelease(version)] == []
    assert [release_line(v) for v in ("5.6.3", "2.1", "7", "1!3.4.5", "x", "1.1.1w")] == [
        "5.6", "2", "7", "3.4", "", "1.1",
    ]  # fmt: skip
    assert newest_of_lines(["2.1.0rc1", "2.0.1", "2.0.0", "1.9.3", "1.9.2"]) == {
        "2.0.1": "2.0",
        "1.9.3": "1.9",
    }
    assert newest_of_lines(["2.0.1rc1", "2.0.0"]) == {} or newest_of_lines(
        ["2.0.1rc1", "2.0.0"]
    ) == {"2.0.0": "2.0"}


@pytest.fixture
def tool(world: World, owner: Person) -> None:
    for version, channel in (("1.0.0", "main"), ("1.0.1", "main"), ("2.0.0rc1", "dev")):
        publish(
            owner, "acme", channel, "tool", version, subdir="linux-64", build="py313_0",
            depends=["python >=3.13,<3.14.0a0", f"zlib >={version}"],
        )  # fmt: skip
    publish(owner, "acme", "main", "tool", "1.0.1", subdir="osx-arm64", build="py312_0")
    publish(owner, "acme", "secret", "tool", "3.0.0", subdir="linux-64")


def _shown(browser: Client, **query: str) -> list[str]:
    page = browser.get(f"{_TOOL}/versions", query).content.decode()
    return re.findall(r'<th scope="row"><a class="mono" href="/acme/tool/([^"]+)"', page)


def test_versions_are_filtered_and_ordered(tool: None, browsers: Browsers) -> None:
    anonymous = browsers["anonymous"]

    assert _shown(anonymous) == ["2.0.0rc1", "1.0.1", "1.0.0"]
    assert _shown(browsers["reader"])[0] == "3.0.0"
    assert _shown(anonymous, stable="on") == ["1.0.1", "1.0.0"]
    assert _shown(anonymous, channel="dev") == ["2.0.0rc1"]
    assert _shown(anonymous, channel="secret") == _shown(anonymous)
    assert _shown(anonymous, order="date") == ["2.0.0rc1", "1.0.1", "1.0.0"]
    for odd in ("x~1.0", "2026-13-99T00:00:00~1", "2026-01-01T00:00:00~1", "%00"):
        answer = anonymous.get(f"{_TOOL}/versions", {"order": "date", "after": odd})
        assert answer.status_code == 200


def test_a_row_says_who_published_it_and_what_it_is(tool: None, anonymous: Client) -> None:
    file = PackageFile.objects.get(filename="tool-1.0.1-py313_0.conda")
    DownloadTotal.objects.create(file=file, count=1234)

    words = text_of(anonymous.get(f"{_TOOL}/versions"))

    assert "2.0.0rc1 Latest Pre-release" in words
    assert "1.0.1 Newest 1.0.x" in words
    assert "olga" in words
    assert "1,234" in words


def test_versions_by_date_go_on_where_the_page_ended(world: World, anonymous: Client) -> None:
    account = world.organization.account
    hello = Package.objects.get(account=account, name="hello")
    main = Channel.objects.get(account=account, name="main")
    make_files(account, hello, [f"2.{number}" for number in range(70)], main)

    first = anonymous.get("/acme/hello/versions?order=date").content.decode()
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = anonymous.get(
        "/acme/hello/versions" + following[1].replace("&amp;", "&")
    ).content.decode()

    pattern = r'<th scope="row"><a class="mono" href="/acme/hello/([^"]+)"'
    shown = re.findall(pattern, first) + re.findall(pattern, second)
    assert len(shown) == len(set(shown)) == 71


def test_a_version_shows_its_builds_and_what_one_of_them_needs(
    tool: None, anonymous: Client
) -> None:
    page = anonymous.get(f"{_TOOL}/1.0.1")
    words = text_of(page)

    assert "py313_0 python 3.13" in words
    assert "Of this build: linux-64/tool-1.0.1-py313_0.conda" in words
    assert "Since 1.0.0: 1 dependency tightened" in words
    assert "is newer" not in words  # than 1.0.1 there only is a candidate
    assert "1.0.1 is newer." in text_of(anonymous.get(f"{_TOOL}/1.0.0"))
    other = text_of(anonymous.get(f"{_TOOL}/1.0.1?build=osx-arm64/tool-1.0.1-py312_0.conda"))
    assert "Of this build: osx-arm64/tool-1.0.1-py312_0.conda" in other
    assert "It depends on nothing." in other
    hidden = text_of(anonymous.get(f"{_TOOL}/1.0.1?build=linux-64/tool-3.0.0-0.conda"))
    assert "3.0.0" not in hidden


def test_a_version_of_many_builds_asks_few_questions(world: World, anonymous: Client) -> None:
    account = world.organization.account
    hello = Package.objects.get(account=account, name="hello")
    main = Channel.objects.get(account=account, name="main")
    make_files(account, hello, ["7.0"], main)
    Download.objects.bulk_create(
        Download(file=file, day="2026-01-01", count=1)
        for file in PackageFile.objects.filter(package=hello)
    )

    with CaptureQueriesContext(connection) as queries:
        assert anonymous.get("/acme/hello/7.0").status_code == 200
    assert len(queries) <= 12, [query["sql"][:120] for query in queries]
