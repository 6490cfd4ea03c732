"""What changed between two versions, two files, two channels."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registry import contents
from registry.channels import create_channel
from tests.cast import Person
from tests.factories import make_organization
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, Browsers, active_parts, text_of

_COMPARE = "/acme/tool/compare"


@pytest.fixture
def tool(world: World, owner: Person) -> None:
    contents.forget()
    common = {"bin/tool": "a", "share/<b>.txt": "same"}
    publish(
        owner, "acme", "main", "tool", "1.0", subdir="linux-64", depends=["zlib >=1.2", "old"],
        files={**common, "lib/libtool.so.1": "library"},
    )  # fmt: skip
    publish(
        owner, "acme", "main", "tool", "1.1", subdir="linux-64", depends=["zlib >=1.3", "new"],
        files={**common, "lib/libtool.so.2": "library", "share/more.txt": "x" * 5_000},
        about={"summary": "Another <script>alert(1)</script>"},
    )  # fmt: skip
    publish(
        owner, "acme", "main", "tool", "1.1", subdir="linux-64", depends=["zlib >=1.3", "new"],
        build="1", build_number=1,
        files={**common, "lib/libtool.so.2": "library", "share/more.txt": "x" * 5_000},
        about={"summary": "Another <script>alert(1)</script>"},
    )  # fmt: skip
    publish(owner, "acme", "secret", "tool", "9.0", subdir="linux-64")


def test_the_newest_version_is_compared_with_the_one_before(tool: None, anonymous: Client) -> None:
    answer = anonymous.get(_COMPARE)
    words = text_of(answer)

    assert "1 dependency added, 1 dependency dropped, 1 dependency tightened, " in words
    assert "1 file added, 1 file renamed, " in words
    assert "renamed from lib/libtool.so.1" in words
    assert "tool-1.1-1.conda" in words
    assert active_parts(answer) == []
    swapped = text_of(anonymous.get(_COMPARE, {"from": "1.1", "to": "1.0"}))
    assert "1 dependency loosened" in swapped


def test_builds_that_differ_in_their_number_only_are_said_to_be_the_same(
    tool: None, anonymous: Client
) -> None:
    files = {
        "from_file": "linux-64/tool-1.1-0.conda",
        "to_file": "linux-64/tool-1.1-1.conda",
    }

    assert "These two builds hold the same files and metadata" in text_of(
        anonymous.get(_COMPARE, files)
    )
    assert anonymous.get(_COMPARE, files | {"to_file": "linux-64/x"}).status_code == 404


def test_what_is_hidden_is_not_compared(tool: None, browsers: Browsers) -> None:
    for who in ("anonymous", "stranger"):
        page = text_of(browsers[who].get(_COMPARE, {"from": "1.0", "to": "9.0"}))
        assert "9.0" not in page
        hidden = {
            "from_file": "linux-64/tool-1.1-0.conda",
            "to_file": "linux-64/tool-9.0-0.conda",
        }
        assert browsers[who].get(_COMPARE, hidden).status_code == 404
        assert browsers[who].get("/acme/hidden/compare").status_code == 404
        channels = text_of(browsers[who].get("/acme/compare?from=main&to=secret"))
        assert "secret" not in channels
    assert "9.0" in text_of(browsers["reader"].get(_COMPARE))


def test_one_version_is_compared_with_nothing(world: World, anonymous: Client) -> None:
    for query in ("", "?from=1.0&to=1.0", "?from=x&to=%00&platform=zz", "?from_file=a"):
        answer = anonymous.get(f"{HELLO}/compare{query}")
        assert answer.status_code == 200
        assert "no two versions to compare" in text_of(answer)


def test_channels_are_compared_package_by_package(
    tool: None, owner: Person, anonymous: Client
) -> None:
    publish(owner, "acme", "dev", "tool", "2.0", subdir="linux-64")
    publish(owner, "acme", "dev", "hello", "1.0", about={"summary": "Says hello"})

    with CaptureQueriesContext(connection) as queries:
        answer = anonymous.get("/acme/compare", {"from": "dev", "to": "main"})
    words = text_of(answer)

    assert len(queries) <= 12
    assert "1 file stands only in dev, 3 only in main." in words
    assert "tool" in words
    assert "hidden" not in words
    assert "main and dev hold the same files" not in words
    assert "Choose two channels." in text_of(anonymous.get("/acme/compare"))


def test_where_there_are_no_two_channels_nothing_is_chosen(
    owner: Person, anonymous: Client
) -> None:
    account = make_organization("young", owner=owner.user).account
    for browser in (owner.client, anonymous):
        none = browser.get("/young/compare")
        assert "young has no channels that you may see" in text_of(none)
        assert "<select" not in none.content.decode()

    create_channel(by=owner.identity, account=account, name="main")
    create_channel(by=owner.identity, account=account, name="dev", visibility="private")

    assert "young has one channel that you may see" in text_of(anonymous.get("/young/compare"))
    assert "Choose two channels." in text_of(owner.client.get("/young/compare"))
