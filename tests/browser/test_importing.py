"""An import that a command does is followed in a browser, and stopped there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, REPORT_VIOLATIONS, Faults
from tests.browser.going import follow, sign_in
from tests.browser.looks import look_at
from tests.registry.importing_host import (
    COMMITTED,
    SLOW,
    give_out_more,
    importing,
    publish_more,
)
from tests.registry.sources import Site, serving
from tests.servers import LiveServer, PreparedData

pytestmark = [pytest.mark.browser, pytest.mark.long]

TOTAL = 2 * COMMITTED + SLOW


@pytest.fixture
def host(tmp_path: Path, prepared_data: PreparedData) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "host", data=prepared_data) as server:
        yield server


@pytest.fixture
def page_of_maria(browser: Browser, host: LiveServer, faults: Faults) -> Iterator[Page]:
    context = browser.new_context(
        base_url=host.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.add_init_script(REPORT_VIOLATIONS)
    faults.watch(page)
    sign_in(page, "maria")
    yield page
    context.close()


def test_an_import_moves_on_its_page_outlives_a_reload_and_is_stopped_there(
    host: LiveServer, page_of_maria: Page, tmp_path: Path
) -> None:
    page = page_of_maria
    with serving(Site(tmp_path / "site")) as site:
        site.folder.mkdir()
        publish_more(site, "browsed")
        with importing(host, site.url, "maria/browsed") as command:
            title = f"Import {site.url} into maria/browsed"
            page.goto("/-/jobs")
            link = page.get_by_role("link", name=title)
            while not link.count():  # the command is starting
                page.wait_for_timeout(100)
                page.reload()
            look_at(page, "import-among-jobs")
            follow(link)

            # Without a reload.
            first = f"{COMMITTED} of {TOTAL}, 49 %"
            expect(page.locator("main").get_by_text(first).first).to_be_visible()
            look_at(page, "import-running")
            give_out_more(site)
            second = f"{2 * COMMITTED} of {TOTAL}, 99 %"
            expect(page.locator("main").get_by_text(second).first).to_be_visible()
            expect(page.locator("#status")).to_have_text("90 % done")

            page.reload()
            expect(page.locator("main").get_by_text(second).first).to_be_visible()
            follow(page.get_by_role("button", name="Stop"))
            again = "Run the command again: it goes on where it stopped."
            expect(page.get_by_text(again)).to_be_visible()
            expect(page.get_by_text("Stopped by", exact=True)).to_be_visible()
            expect(page.get_by_role("button", name="Begin again")).to_have_count(0)
            look_at(page, "import-stopped")
            assert command.end()[0] == 3
