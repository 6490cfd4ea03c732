"""A walk around accounts, channels and dependencies, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization
from registry import indexing
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """Packages that need each other, some of them elsewhere, one with a long name."""
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    about = {"summary": "Compression library and tools"}
    publish(owner, "acme", "main", "xz-libs", "5.6.3", subdir="linux-64", depends=["libgcc >=13"])
    for version in ("5.6.2", "5.6.3"):
        publish(
            owner, "acme", "main", "xz", version, subdir="linux-64", about=about,
            depends=["libgcc >=13", f"xz-libs {version}", "__glibc >=2.17,<3.0.a0"],
        )  # fmt: skip
    for name in ("tar", "python", "rpm-tools", _LONG):
        publish(owner, "acme", "main", name, "1.0", depends=["xz >=5.2,<6.0a0", "xz-libs"])
    publish(owner, "acme", "main", "numpy", "2.3", depends=["python >=3.11"])
    publish(owner, "acme", "internal/rc:1", "tables", "1.0", depends=["numpy", "xz"])
    indexing.run_overdue()
    return acme


def test_one_walks_along_dependencies_in_a_drawing(acme: Organization, page: Page) -> None:
    page.goto("/acme/xz/dependencies")
    drawing = page.locator("figure.graph")
    expect(drawing.locator("a.graph-node")).to_have_count(8)
    look_at(page, "dependencies")

    page.get_by_role("link", name="3 steps").click()
    expect(drawing.locator("a.graph-node", has_text="numpy")).to_be_visible()
    look_at(page, "dependencies-3-steps")
    drawing.locator("a.graph-node", has_text="python").click()
    expect(page.get_by_role("heading", name="Around python")).to_be_visible()
    expect(drawing.locator(".graph-node.here")).to_have_text(re.compile("python"))

    page.goto("/acme/xz/dependents")
    look_at(page, "dependents")
    page.goto(f"/acme/{_LONG}/dependents")
    look_at(page, "dependents-none")


def test_channels_and_activity_look_right(acme: Organization, page: Page) -> None:
    for name, path in {
        "channel": "/acme/channels/main",
        "channel-other": "/acme/channels/internal/rc:1",
        "channels": "/acme/channels",
        "activity": "/acme/activity",
        "activity-none": "/olga/activity",
    }.items():
        page.goto(path)
        look_at(page, f"graph-{name}")
