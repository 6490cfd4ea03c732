"""How a page looks: in both themes, on a phone and on a desk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Page

Theme = Literal["light", "dark"]
PHONE, DESK = 360, 1280
_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
    "preload": False,  # would fetch all styles anew, for a rule that is off
}
# What was found to be right is much, and stays in the browser.
_RUN = "rules => axe.run(rules).then(({violations}) => ({violations}))"
_STICKING = """how => document.querySelectorAll(".bulk-bar").forEach((bar) => {
  bar.style.position = how;
})"""
# A folder for screenshots of every page that is looked at; none are made without it.
_SCREENSHOTS = os.environ.get("CONDARIUM_SCREENSHOTS", "")


# Each width and each theme once; for pictures all of them.
_LOOKS: tuple[tuple[int, Theme], ...] = ((PHONE, "dark"), (DESK, "light"))
if _SCREENSHOTS:
    _LOOKS += ((PHONE, "light"), (DESK, "dark"))


def look_at(page: Page, name: str, *, looks: Iterable[tuple[int, Theme]] = _LOOKS) -> None:
    """Fail on anything that keeps people from reading or reaching it; ``name`` is the picture's."""
    page.wait_for_load_state()
    before = page.viewport_size
    for width, theme in looks:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        if _SCREENSHOTS:
            folder = Path(_SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{name} is {overflow} px too wide at {width} px"
        found = _violations(page)
        assert found.violations_count == 0, f"{name}, {width} px, {theme}\n" + (
            found.generate_report()
        )
    if before is not None:
        page.set_viewport_size(before)
    page.emulate_media(color_scheme=None)


def _violations(page: Page) -> AxeResults:
    if not page.evaluate("'axe' in window"):  # once for all looks at a page
        page.evaluate(AXE_SCRIPT)
    # Of the row that a sticking bar lies on, axe would find that half of it can't be touched.
    page.evaluate(_STICKING, "static")
    found = AxeResults(page.evaluate(_RUN, _RULES))
    page.evaluate(_STICKING, "")
    return found
