"""Pictures that tell of a package, for READMEs elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from registry import downloads
from registry.models import DownloadTotal, Package, PackageFile
from registry.views import badges
from registry.views.converters import RESERVED_PACKAGES
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Answer, text_of
from tests.registry.views.test_hostile_words import PAYLOADS

NAMES = (
    "version", "latest_release_date", "latest_release_relative_date", "platforms", "license",
    "downloads",
)  # fmt: skip
_SVG = "{http://www.w3.org/2000/svg}"


def told(answer: Answer) -> tuple[str, str]:
    """What stands on both sides of a badge, after a look at the picture itself."""
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/svg+xml"
    root = ET.fromstring(answer.content)
    left, right = (text.text or "" for text in root.iter(f"{_SVG}text"))
    title = root.find(f"{_SVG}title")
    assert title is not None
    assert title.text == root.get("aria-label") == f"{left}: {right}"
    widths = [int(rect.get("width", "")) for rect in root.iter(f"{_SVG}rect")]
    assert widths[0] == widths[1] + widths[2] == int(root.get("width", ""))
    assert {element.tag.removeprefix(_SVG) for element in root.iter()} == {
        "svg", "title", "clipPath", "rect", "g", "text",
    }  # fmt: skip
    return left, right


def badge(client: Client, name: str, package: str = "hello") -> tuple[str, str]:
    return told(client.get(f"/acme/{package}/badges/{name}.svg"))


def test_each_badge_tells_one_thing(world: World, owner: Person, anonymous: Client) -> None:
    publish(
        owner, "acme", "main", "hello", "1.10", subdir="linux-64",
        about={"license": "BSD-3-Clause"},
    )  # fmt: skip
    publish(owner, "acme", "main", "hello", "1.9", subdir="osx-arm64")
    when = datetime(2024, 2, 29, 12, tzinfo=UTC)
    PackageFile.objects.filter(version="1.10").update(uploaded_at=when)
    file = PackageFile.objects.get(version="1.9")
    for _ in range(3):
        downloads.count(file.pk)
    downloads.flush()

    assert {name: badge(anonymous, name) for name in NAMES if "relative" not in name} == {
        "version": ("conda", "1.10"),
        "latest_release_date": ("released", "29 February 2024"),
        "platforms": ("platforms", "linux-64, osx-arm64, noarch"),
        "license": ("license", "BSD-3-Clause"),
        "downloads": ("downloads", "3 total"),
    }
    PackageFile.objects.filter(version="1.10").update(uploaded_at=timezone.now() - timedelta(70))
    assert badge(anonymous, "latest_release_relative_date") == ("released", "2 months ago")


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"), (999, "999"), (1000, "1k"), (1234, "1.2k"), (12_345, "12k"), (999_499, "999k"),
        (999_500, "1M"), (2_500_000, "2.5M"), (7_000_000_000, "7G"), (12 * 10**12, "12000G"),
    ],
)  # fmt: skip
def test_large_counts_are_short(world: World, anonymous: Client, count: int, shown: str) -> None:
    DownloadTotal.objects.create(file=PackageFile.objects.get(name="hello"), count=count)

    assert badge(anonymous, "downloads") == ("downloads", f"{shown} total")


def test_many_platforms_are_counted(world: World, owner: Person, anonymous: Client) -> None:
    for subdir in ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"):
        publish(owner, "acme", "main", "hello", "1.0", subdir=subdir)

    side = badge(anonymous, "platforms")[1]

    assert side.count(", ") == 3
    assert side.endswith(" +2")


def test_a_license_that_nobody_told_is_not_made_up(world: World, anonymous: Client) -> None:
    Package.objects.filter(name="hello").update(license="")

    assert badge(anonymous, "license") == ("license", "not said")


def test_badges_leave_out_what_is_hidden(world: World, owner: Person) -> None:
    publish(owner, "acme", "secret", "hello", "2.0", subdir="win-64")

    # The one who looks may be signed in; whoever looks at their README is not.
    assert badge(owner.client, "version") == ("conda", "1.0")
    assert badge(owner.client, "platforms") == ("platforms", "noarch")


def test_what_is_private_has_no_badges_and_looks_missing(
    world: World, owner: Person, anonymous: Client
) -> None:
    def asked(client: Client, package: str, name: str) -> bytes:
        answer = client.get(f"/acme/{package}/badges/{name}.svg")
        assert answer.status_code == 404
        content: bytes = answer.content
        return content.replace(f"/acme/{package}/".encode(), b"?")

    for client in (anonymous, owner.client):
        for name in NAMES:
            missing = asked(client, "missing", name)
            assert asked(client, "hidden", name) == missing
            assert asked(client, "buried", name) == missing


@pytest.mark.parametrize(
    "path",
    [
        "/acme/hello/badges/stars.svg",
        "/acme/hello/badges/version.png",
        "/acme/hello/badges/version",
        "/acme/hello/badges/Version.svg",
        "/acme/hello/badges/.svg",
        "/missing/hello/badges/version.svg",
    ],
)
def test_there_are_six_badges_and_no_others(world: World, anonymous: Client, path: str) -> None:
    assert anonymous.get(path).status_code == 404


def test_a_package_without_public_files_has_no_badges(
    world: World, owner: Person, anonymous: Client
) -> None:
    PackageFile.objects.get(name="hello").entries.all().delete()

    for name in NAMES:
        assert anonymous.get(f"/acme/hello/badges/{name}.svg").status_code == 404


def test_badges_are_kept_for_minutes_by_anybody(world: World, anonymous: Client) -> None:
    address = "/acme/hello/badges/version.svg"
    first = anonymous.get(address)

    again = anonymous.get(address, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert "Cookie" not in first.headers.get("Vary", "")
    assert not first.cookies
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Cache-Control"] == "public, max-age=300"
    head = anonymous.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert anonymous.post(address).status_code == 405


def test_whatever_a_package_says_of_itself_stays_text(world: World, anonymous: Client) -> None:
    for payload in [*PAYLOADS, "]]>&amp;", "\x00\x1b[31m\ufffe\u202e", "x" * 300, "名前" * 40]:
        Package.objects.filter(name="hello").update(license=payload[:255].replace("\0", ""))

        side = badge(anonymous, "license")[1]

        assert len(side) <= 60
        assert side.isprintable()


def test_words_are_as_wide_as_their_letters() -> None:
    assert badges._width("") == 0
    # 16 digits of 6.99 pixels.
    assert badges._width("0" * 16) == 112
    assert badges._width("iiii") < badges._width("mmmm") < badges._width("名名名名")


# --- Where they are ----------------------------------------------------------------------------


def snippets(answer: Answer) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = re.findall(r"\[!\[\w+\]\((\S+?)\)\]\((\S+?)\)", text_of(answer))
    return found


def test_the_page_of_a_package_has_them_to_copy(
    settings: Settings, world: World, anonymous: Client
) -> None:
    settings.BASE_URL = "https://conda.example.org"

    found = snippets(anonymous.get("/acme/hello/badges"))

    page = "https://conda.example.org/acme/hello"
    assert found == [(f"{page}/badges/{name}.svg", page) for name in NAMES]


def test_the_page_of_a_package_without_badges_offers_none(world: World, owner: Person) -> None:
    for package in ("hidden", "buried"):
        assert snippets(owner.client.get(f"/acme/{package}/badges")) == []


@pytest.mark.parametrize("package", ["badges", *sorted(RESERVED_PACKAGES)])
def test_a_package_called_like_a_page_has_badges_too(
    settings: Settings, world: World, owner: Person, anonymous: Client, package: str
) -> None:
    settings.BASE_URL = ""
    publish(owner, "acme", "main", package, "3.1")
    where = f"/acme/{package}" if package == "badges" else f"/acme/packages/{package}"

    found = snippets(anonymous.get(f"{where}/badges"))

    assert len(found) == 6
    assert told(anonymous.get(found[0][0])) == ("conda", "3.1")
    assert found[0] == (f"{where}/badges/version.svg", where)
    if package == "badges":
        # Its versions stay where they are.
        assert anonymous.get("/acme/badges/3.1").status_code == 200
        assert anonymous.get("/acme/badges/version.svg").status_code == 404
