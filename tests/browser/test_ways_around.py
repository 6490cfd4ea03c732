"""Getting around: keys, focus, going back, typing in the search, the theme before the paint."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from accounts.models import Organization
from registry.models import Channel, ChannelFile
from tests.browser.going import sign_in
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# How much the ring stands out from what it is drawn on, as WCAG counts.
_RING = """() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (color) => {
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = Array.from(pen.getImageData(0, 0, 1, 1).data).slice(0, 3)
      .map((part) => part / 255)
      .map((part) => (part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(document.activeElement);
  const name = document.activeElement.outerHTML.slice(0, 80);
  if (outlineStyle === "none" || parseFloat(outlineWidth) < 2) return `no ring: ${name}`;
  const surface = getComputedStyle(document.body).backgroundColor;
  const [one, other] = [light(surface), light(outlineColor)];
  const contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
  return contrast < 3 ? `a ring of ${contrast}: ${name}` : "";
}"""
_COVERED = """() => {
  const box = document.activeElement.getBoundingClientRect();
  const bar = document.querySelector(".bulk-bar");
  if (!bar || bar.contains(document.activeElement)) return "";
  const edge = bar.getBoundingClientRect();
  return box.top >= edge.top && box.bottom <= edge.bottom ? document.activeElement.outerHTML : "";
}"""

# What live regions say from now on, a change at a time.
_LISTEN = """() => {
  window.spoken = [];
  const regions = "[role=status], [role=alert], [aria-live]";
  new MutationObserver((changes) => {
    const heard = new Set(changes.map(({ target }) =>
      (target.closest ? target : target.parentElement).closest(regions)).filter(Boolean));
    for (const { addedNodes } of changes) for (const node of addedNodes) {
      if (node.matches?.(regions)) heard.add(node);
      node.querySelectorAll?.(regions).forEach((region) => heard.add(region));
    }
    for (const region of heard) {
      const words = region.innerText.trim();
      if (words) window.spoken.push(words);
    }
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """Many packages called zlib-something, and a file that stands in 41 channels."""
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    file = publish(owner, "acme", "main", "xz", about={"summary": "Compression"})
    for number in range(40):
        channel = Channel.objects.create(account=acme.account, name=f"nightly/{number:02}")
        ChannelFile.of(file, channel).save()
    for number in range(30):
        publish(owner, "acme", "main", f"zlib-{number:02}")
    return acme


def test_keys_lead_where_they_should(acme: Organization, page: Page) -> None:
    sign_in(page, "olga", goal="/acme/xz/files")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()

    page.get_by_role("heading", level=1).click()
    page.keyboard.press("/")
    search = page.locator("#site-search")
    expect(search).to_be_focused()
    page.keyboard.type("a/b")
    expect(search).to_have_value("a/b")

    menu = page.locator(".site-nav details.menu")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(menu.locator("summary")).to_be_focused()

    for theme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.goto("/acme/xz/files")
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement === document.body"):
                break
            assert page.evaluate(_RING) == ""
            assert page.evaluate(_COVERED) == ""

    page.goto("/acme/xz/files")
    row = page.locator("tbody tr").first
    row.get_by_text("+ 3").click()
    expect(row.get_by_role("link", name="nightly/39")).to_be_visible()


def test_going_back_finds_the_filters_and_the_place(acme: Organization, page: Page) -> None:
    page.goto("/search?q=zlib&sort=name")
    page.evaluate("window.scrollTo(0, 400)")
    before = page.evaluate("window.scrollY")
    assert before > 0
    page.get_by_role("main").get_by_role("link", name="acme/zlib-15", exact=True).click()
    expect(page.get_by_role("heading", name="zlib-15", level=1)).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Name or words")).to_have_value("zlib")
    assert page.url.endswith("q=zlib&sort=name")
    page.wait_for_function("window.scrollY > 100")

    page.set_viewport_size({"width": 1280, "height": 300})
    page.goto("/acme/xz/files?platform=noarch&sort=size")
    page.evaluate("window.scrollTo(0, 200)")
    page.get_by_role("rowheader").get_by_role("link", name="xz-1.0-0.conda").click()
    expect(page.get_by_role("heading", name="xz-1.0-0.conda", level=1)).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Platform")).to_have_value("noarch")
    assert page.url.endswith("platform=noarch&sort=size")
    page.wait_for_function("window.scrollY > 100")


def test_live_regions_speak_once_per_act(acme: Organization, page: Page) -> None:
    def spoken(words: str) -> list[str]:
        page.wait_for_function(
            "words => window.spoken.some((one) => one.includes(words))", arg=words
        )
        said: list[str] = page.evaluate("window.spoken.splice(0)")
        return said

    page.goto("/search")
    page.evaluate(_LISTEN)
    page.get_by_label("Name or words").press_sequentially("zlib", delay=20)
    assert spoken("packages") == ["30 packages"]
    page.get_by_label("Name or words").fill("zlib-07")
    expect(page.locator("#results .row-title")).to_have_count(1)
    assert len(spoken("package")) == 1

    sign_in(page, "olga", goal="/acme/settings/access/new?template=upload")
    page.evaluate(_LISTEN)
    page.get_by_label("nightly/07").check()
    assert len(spoken("nightly/07 of acme")) == 1
    page.get_by_label("Name", exact=True).fill("ci")
    page.goto("/acme/xz")
    page.evaluate(_LISTEN)
    page.get_by_role("button", name="Copy").first.click()
    assert spoken("Copied") == ["Copied to the clipboard."]


def test_a_late_answer_does_not_overwrite_a_newer_one(acme: Organization, page: Page) -> None:
    page.goto("/search")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/search?q=xz&*part=results", hold)
    field = page.get_by_label("Name or words")
    field.fill("xz")
    page.wait_for_timeout(400)
    assert held
    field.fill("zlib-07")
    results = page.locator("#results")
    expect(results.get_by_role("link", name="acme/zlib-07", exact=True)).to_be_visible()
    for route in held:
        route.fulfill(status=200, body="<p>late</p>")
    page.wait_for_timeout(200)

    expect(results).not_to_contain_text("late")
    expect(results.get_by_role("link", name="acme/zlib-07", exact=True)).to_be_visible()


def test_search_with_filters_needs_no_script(acme: Organization, page_without_script: Page) -> None:
    page = page_without_script
    page.goto("/search")
    page.get_by_label("Name or words").fill("zlib")
    page.get_by_label("Account").fill("acme")
    page.get_by_role("main").get_by_role("button", name="Search").click()

    expect(page.get_by_role("link", name="acme/zlib-07", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="acme/xz", exact=True)).to_have_count(0)


def test_the_first_paint_has_the_chosen_theme(acme: Organization, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/docs")
    page.context.add_cookies([{"name": "theme", "value": "dark", "url": page.url}])

    answer = page.goto("/acme")

    assert answer is not None
    assert 'data-theme="dark"' in answer.text().partition("<head>")[0]
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == "rgb(19, 23, 20)"
