"""A package, its versions, its files and what lies in them, in a browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Organization
from registry import indexing, placement
from registry.models import Channel, Download, Package, PackageFile
from tests.browser.going import sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish
from tests.registry.views.test_lists import make_files

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"
_LONG_VERSION = "1.0." + ".".join("1" * 30)
_ABOUT = {
    "summary": "Compression library and tools",
    "license": "BSD-2-Clause",
    "home": "https://tukaani.org/xz/",
    "conda_build_version": "24.11.0",
    "extra": {
        "remote_url": "https://github.com/acme/xz-feedstock",
        "sha": "50a4e2d4203f05082fcbb93e14541180de3aa8ac",
        "flow_run_id": "github_4411",
    },
}
_PYTHON = "import lzma  # a comment\n\n\ndef unpack(path: str) -> bytes:\n    return b'x' * 10\n"


@pytest.fixture
def owner(transactional_db: None) -> Person:
    return Person(make_user("olga"))


@pytest.fixture
def acme(owner: Person) -> Organization:
    """xz in four versions with something in it, a package of thousands of rows and long names,
    and one that was emptied."""
    acme = make_organization("acme", owner=owner.user)
    for version, channel in (("5.4.9", "main"), ("5.6.2", "main"), ("5.6.3", "main")):
        for subdir, python in (("linux-64", "3.12"), ("linux-64", "3.13"), ("osx-arm64", "3.13")):
            tag = f"py{python.replace('.', '')}h0_1"
            publish(
                owner, "acme", channel, "xz", version, subdir=subdir, build=tag, build_number=1,
                about=_ABOUT, run_exports={"weak": [f"xz >={version}"]},
                depends=[
                    f"libgcc >=1{version[-1]}", f"python >={python},<{python}9", "xz-libs 5.*",
                ],
                constrains=["xz-static <0"],
                files={
                    f"lib/python{python}/site-packages/xz/__init__.py": _PYTHON,
                    f"lib/liblzma.so.{version}": "\x00" * 70,
                    "share/xz/readme.txt": f"xz {version}\n",
                    "info/licenses/COPYING": "Do as you like.\n",
                    "info/recipe/meta.yaml": "package:\n  name: xz  # its name\n",
                },
            )  # fmt: skip
    publish(owner, "acme", "dev", "xz", "5.7.0rc1", subdir="linux-64", about=_ABOUT)
    publish(owner, "acme", "main", _LONG, _LONG_VERSION, build="h" + "0123456789" * 6)
    emptied = publish(owner, "acme", "main", "emptied")
    placement.delete_file(by=owner.identity, file=emptied)
    indexing.run_overdue()
    today = timezone.now().date()
    file = PackageFile.objects.get(filename="xz-5.6.3-py313h0_1.conda", subdir="linux-64")
    Download.objects.bulk_create(
        Download(file=file, day=today - timedelta(days=number), count=number * 7 % 100)
        for number in range(90)
    )
    return acme


_FILE = "/acme/xz/files/linux-64/xz-5.6.3-py313h0_1.conda"


def test_the_pages_of_a_package_look_right_empty_normal_and_overfull(
    acme: Organization, page: Page
) -> None:
    many = Package.objects.create(account=acme.account, name="many", latest_version="9.0")
    main = Channel.objects.get(account=acme.account, name="main")
    make_files(acme.account, many, [f"{n // 10}.{n % 10}" for n in range(400)], main)
    paths = {
        "pages-package": "/acme/xz",
        "pages-versions": "/acme/xz/versions",
        "pages-versions-none": "/acme/xz/versions?channel=dev&stable=on",
        "pages-versions-many": "/acme/many/versions",
        "pages-version": "/acme/xz/5.6.3",
        "pages-version-long": f"/acme/{_LONG}/{_LONG_VERSION}",
        "pages-file": _FILE,
        "pages-contents": f"{_FILE}/contents",
        "pages-text": f"{_FILE}/contents?path=lib/python3.13/site-packages/xz/__init__.py",
        "pages-metadata": f"{_FILE}/metadata",
        "pages-recipe": f"{_FILE}/metadata?path=info/recipe/meta.yaml",
        "pages-compare": "/acme/xz/compare?from=5.4.9&to=5.6.3",
        "pages-compare-none": f"/acme/{_LONG}/compare",
        "pages-compare-channels": "/acme/compare?from=dev&to=main",
        "pages-badges": "/acme/xz/badges",
    }
    for name, path in paths.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        look_at(page, name)
    sign_in(page, "olga")
    for name, path in {
        "pages-owner-versions": "/acme/xz/versions",
        "pages-owner-version": "/acme/xz/5.6.3",
        "pages-emptied": "/acme/emptied",
    }.items():
        page.goto(path)
        look_at(page, name)


_DEEP = "\n".join(f"{'  ' * depth}* item {depth}" for depth in range(8))
_LEVELS = "\n\n".join(f"{'#' * level} level {level}" for level in range(1, 7))


def test_a_description_of_many_levels_stays_readable_on_a_phone(owner: Person, page: Page) -> None:
    make_organization("acme", owner=owner.user)
    publish(owner, "acme", "main", "deep", about={"description": f"{_LEVELS}\n\n{_DEEP}"})
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto("/acme/deep")

    last = page.locator(".prose li").last.bounding_box()
    assert last is not None
    assert last["width"] > 180
    sizes = page.locator(".prose > :is(h3, h4, h5, h6)").evaluate_all(
        "headings => headings.map(each => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert len(sizes) == 6
    assert sizes == sorted(sizes, reverse=True)


def test_a_table_of_paths_shows_both_its_columns_on_a_phone(
    transactional_db: None, page: Page
) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    for path in ("/docs/anaconda", "/docs/tokens"):
        page.goto(path)
        hidden = page.locator(".prose table").evaluate_all(
            "tables => tables.map(each => each.scrollWidth - each.clientWidth)"
        )
        assert hidden, path
        assert max(hidden) <= 0, path


def test_a_table_of_long_heads_shows_all_its_columns(transactional_db: None, page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/docs/deploying")
    hidden = page.locator(".prose table").evaluate_all(
        "tables => tables.map(each => each.scrollWidth - each.clientWidth)"
    )
    assert hidden
    assert max(hidden) <= 0


def test_the_moment_of_an_upload_stands_in_one_line(acme: Organization, page: Page) -> None:
    page.goto(_FILE)
    moment = page.locator(".lead > time")
    for width in range(320, 520, 8):
        page.set_viewport_size({"width": width, "height": 900})
        assert moment.evaluate("each => each.getClientRects().length") == 1, width


def test_contents_and_comparing_work_without_a_script(
    acme: Organization, page_without_script: Page
) -> None:
    page = page_without_script
    page.goto(_FILE)
    page.get_by_role("link", name="Contents").click()
    page.get_by_role("link", name="lib/", exact=True).click()
    page.get_by_role("link", name="python3.13/site-packages/xz/").click()
    page.get_by_role("link", name="__init__.py").click()
    expect(page.get_by_text("def unpack(path: str)")).to_be_visible()
    page.get_by_role("link", name="All files").click()
    page.get_by_role("searchbox", name="Path").fill("READ")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("link", name="share/xz/readme.txt")).to_be_visible()
    page.get_by_role("link", name="Metadata").click()
    page.get_by_role("link", name="COPYING").click()
    expect(page.get_by_text("Do as you like.")).to_be_visible()

    page.goto("/acme/xz/versions")
    page.get_by_label("Compare from 5.4.9").check()
    page.get_by_label("Compare to 5.6.3").check()
    page.get_by_role("button", name="Compare these two").click()
    expect(page.get_by_text("1 file renamed")).to_be_visible()
    page.get_by_role("link", name="Swap").click()
    expect(page.get_by_label("From")).to_have_value("5.6.3")


def test_a_long_name_of_a_channel_pushes_nothing_else_of_its_row_down(
    acme: Organization, owner: Person, page: Page
) -> None:
    channel = "a/channel:of/" + "as-many-characters-as-there-may-be/" * 3 + "x" * 10
    publish(owner, "acme", channel, "many", build="h1_0")
    page.goto("/acme/many/files")
    row = page.locator("tbody tr", has=page.locator(".chip"))
    expect(row).to_have_count(1)
    chip, name = row.locator(".chip").bounding_box(), row.locator("th a").bounding_box()
    assert chip is not None
    assert name is not None
    assert chip["height"] > 100  # it wraps
    assert abs(name["y"] - chip["y"]) < 15
