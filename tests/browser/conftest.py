"""Debian's Chromium, driven through playwright, against the live host.

Every page it visits must be quiet: an error in the console or a violation of the policy fails the
test that caused it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from tests.chromium import chromium

# What is asserted there is said as in tests.
pytest.register_assert_rewrite("tests.browser.acts")

# For what comes at once, unless the machine is busy with other tests.
PATIENCE_MS = 45_000
expect.set_options(timeout=PATIENCE_MS)
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`);
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module only: while playwright runs, nothing else can run an event loop here."""
    executable = chromium()
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop counts as running in this thread, so Django takes the ORM calls of
        # tests for asynchronous ones.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(
            executable_path=str(executable),
            # One process less, which takes an eighth off what a page costs.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--in-process-gpu"],
        )
        yield browser
        browser.close()


class Faults:
    """What went wrong in a page, besides what it was asked for.

    A wrong form is answered with 422, which Chromium calls a failure: answers to navigation are
    for the test to judge.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._answered: set[str] = set()
        self._asked_by_nobody: set[str] = set()

    def watch(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))
        page.on("response", self._on_response)

    def _on_response(self, response: Response) -> None:
        if response.request.is_navigation_request():
            if response.status >= 500:
                self.found.append(f"{response.status} of {response.url}")
            self._answered.add(response.url)
        elif response.status >= 400:
            self.found.append(f"{response.status} of {response.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        url = message.location["url"]
        # Chromium asks for the icon of a page once more for its own page that stands in for it,
        # as after Back to what may not be kept; that one has no origin, and is refused.
        if url.endswith("/favicon.svg") and "from origin 'null'" in message.text:
            self._asked_by_nobody.add(url)
            return
        is_answer = message.text.startswith("Failed to load resource")
        if message.type in {"error", "warning"} and not (
            is_answer and url in self._answered | self._asked_by_nobody
        ):
            self.found.append(f"{message.type}: {message.text} ({message.location['url']})")


@pytest.fixture
def faults() -> Iterator[Faults]:
    faults = Faults()
    yield faults
    assert not faults.found, "\n".join(faults.found)


@pytest.fixture
def context(browser: Browser, live_server: LiveServer) -> Iterator[BrowserContext]:
    """A browser of their own, as for each person; paths are those of the live host."""
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=live_server.url)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, faults: Faults) -> Page:
    page = context.new_page()
    page.add_init_script(REPORT_VIOLATIONS)
    faults.watch(page)
    return page


@pytest.fixture
def page_without_script(
    browser: Browser, live_server: LiveServer, faults: Faults
) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults.watch(page)
    yield page
    context.close()
