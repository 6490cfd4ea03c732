"""The pages about packages and channels, in a browser: how they look, and what clicking does."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization
from registry import indexing
from registry.models import Collaborator
from tests.browser.going import follow, sign_in
from tests.browser.looks import look_at
from tests.builders import build_conda
from tests.cast import Person
from tests.factories import add_member, make_group, make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_README = """
Compression library and *tools*. [Home](https://tukaani.org) ![logo](https://tukaani.org/logo.png)

# Building

    ./configure && make --with-many-options-so-that-this-line-is-longer-than-any-phone-is-wide

| Option | Meaning |
| ------ | ------: |
| `-9`   | slow    |
"""
_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """With packages of several versions and platforms, one that is private, and long names."""
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    maria = make_user("maria")
    add_member(acme, maria)
    make_group(acme, "builders", all_packages=True, members=[maria])
    about = {
        "summary": "Compression library and tools",
        "description": _README,
        "license": "BSD-2-Clause",
        "home": "https://tukaani.org/xz/",
        "dev_url": "https://example.org/a/very/long/address/of/a/repository/with/many/parts/xz",
    }
    for version in ("5.4.0", "5.4.1", "5.6.1", "5.6.2", "5.6.3", "5.6.4"):
        for subdir in ("linux-64", "osx-arm64", "win-64")[: 2 if version == "5.6.4" else 3]:
            publish(
                owner, "acme", "main", "xz", version, subdir=subdir, build="hb9d3cd8_1",
                build_number=1, about=about, depends=["libgcc >=13", "xz-libs 5.6.3"],
                constrains=["xz-static <0"],
            )  # fmt: skip
    publish(owner, "acme", "dev", "xz", "5.7.0.dev1", subdir="linux-64", about=about)
    publish(owner, "acme", "dev", _LONG, "1.0." + ".".join("1" * 30), build="h" + "0123456789" * 6)
    publish(owner, "acme", "internal/rc:1", "tables", "1.0")
    indexing.run_overdue()
    return acme


def test_visitors_pages_look_right_and_hold_nothing_that_is_refused(
    acme: Organization, page: Page
) -> None:
    file = "/acme/xz/files/linux-64/xz-5.6.3-hb9d3cd8_1.conda"
    for name, path in {
        "home": "/",
        "search": "/search?q=xz",
        "search-nothing": "/search?q=nmupy",
        "account": "/acme",
        "account-filtered-empty": "/acme?q=nothing",
        "channels": "/acme/channels",
        "channel": "/acme/channels/main",
        "channel-long": "/acme/channels/internal/rc:1",
        "package": "/acme/xz",
        "package-long": f"/acme/{_LONG}",
        "versions": "/acme/xz/versions",
        "version": "/acme/xz/5.6.2",
        "files": "/acme/xz/files",
        "files-filtered": "/acme/xz/files?platform=linux-64&channel=main",
        "file": file,
        "package-channels": "/acme/xz/channels",
        "docs": "/docs",
        "docs-page": "/docs/moving-from-forgejo",
    }.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        look_at(page, name)


def test_the_pages_of_an_owner_look_right(acme: Organization, page: Page) -> None:
    sign_in(page, "olga")
    for name, path in {
        "owner-account": "/acme",
        "owner-package": "/acme/xz",
        "owner-file": "/acme/xz/files/linux-64/xz-5.6.3-hb9d3cd8_1.conda",
        "owner-channel": "/acme/channels/dev",
        "file-delete": "/acme/xz/files/linux-64/xz-5.6.3-hb9d3cd8_1.conda/delete",
        "collaborators": "/acme/xz/settings/collaborators",
        "visibility": "/acme/xz/settings/visibility",
        "channel-list": "/acme/settings/channels",
        "channel-new": "/acme/settings/channels/new",
        "channel-change": "/acme/settings/channels/general/dev",
        "channel-delete": "/acme/settings/channels/delete/dev",
        "upload-start": "/upload",
        "upload": "/acme/upload?channel=dev",
        "own-empty": "/olga",
    }.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        look_at(page, name)


def test_an_install_command_is_copied(acme: Organization, page: Page) -> None:
    page.goto("/acme/xz")
    page.get_by_role("radio", name="mamba").check()
    command = page.locator(".install-panel:visible").first  # badges have panels of the same kind
    command.get_by_role("button", name="Copy").click()

    expect(command.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("mamba install -c http")
    # The channel of the newest version that is no pre-release: dev has 5.7.0.dev1.
    assert copied.endswith("/conda/acme xz")


def test_a_collaborator_is_added_changed_and_removed_by_clicking(
    acme: Organization, page: Page
) -> None:
    make_user("sven")
    sign_in(page, "olga")
    page.goto("/acme/xz")
    page.get_by_role("main").get_by_role("link", name="Settings").click()
    page.get_by_label("Name or e-mail").fill("nobody")
    page.get_by_role("button", name="Add person").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no user 'nobody'.")
    look_at(page, "collaborators-wrong")

    page.get_by_label("Name or e-mail").fill("sven")
    page.get_by_role("button", name="Add person").click()
    expect(page.get_by_text("sven may now write xz.")).to_be_visible()
    page.get_by_label("Permission of sven").select_option("read")
    page.get_by_role("button", name="Save the permission of sven").click()
    expect(page.get_by_text("sven may now read xz.")).to_be_visible()
    assert Collaborator.objects.get().permission == "read"
    look_at(page, "collaborators-one")

    follow(page.get_by_role("link", name="Remove sven"))
    look_at(page, "collaborator-remove")
    page.get_by_role("button", name="Remove sven").click()
    expect(page.get_by_text("sven is no longer a collaborator of xz.")).to_be_visible()
    assert not Collaborator.objects.exists()


def test_files_are_uploaded_and_moved_without_a_script(
    acme: Organization, page_without_script: Page, tmp_path: Path
) -> None:
    page = page_without_script
    good = build_conda("zlib", "1.3.1", subdir="linux-64")
    (tmp_path / good.filename).write_bytes(good.data)
    (tmp_path / "bad-1.0-0.conda").write_bytes(b"no archive")
    sign_in(page, "olga")

    page.goto("/acme/upload?channel=dev")
    page.get_by_label("Choose .conda or .tar.bz2 files").set_input_files(
        [tmp_path / good.filename, tmp_path / "bad-1.0-0.conda"]
    )
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("1 done, 1 not taken.")).to_be_visible()

    page.get_by_role("link", name=good.filename).click()
    page.get_by_label("Into another channel").select_option("main")
    page.get_by_role("button", name="Put", exact=True).click()
    expect(page.get_by_text(f"{good.filename} stands in main now.")).to_be_visible()
    page.get_by_role("button", name="Remove from dev").click()
    expect(page.get_by_text(f"{good.filename} is out of dev.")).to_be_visible()
