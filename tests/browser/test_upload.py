"""Uploading in a browser: several files, each with its own answer; one is broken, one stopped."""

from __future__ import annotations

import base64

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from accounts.models import Organization
from registry.models import PackageFile
from tests.browser.going import sign_in
from tests.browser.looks import look_at
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_DROP = """files => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const target = document.querySelector("[data-drop]");
  for (const type of ["dragenter", "dragover", "drop"]) {
    const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
    target.dispatchEvent(new DragEvent(type, how));
  }
}"""


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    publish(owner, "acme", "main", "known")
    return acme


def payload(built: BuiltPackage) -> FilePayload:
    return {"name": built.filename, "mimeType": "application/octet-stream", "buffer": built.data}


def drop(page: Page, files: list[tuple[str, bytes]]) -> None:
    page.evaluate(_DROP, [[name, base64.b64encode(data).decode()] for name, data in files])


def test_a_broken_file_costs_the_others_nothing_and_the_rest_can_be_stopped(
    acme: Organization, page: Page
) -> None:
    sign_in(page, "olga")
    page.goto("/acme/upload")
    look_at(page, "upload")
    xz, zlib, known = (build_conda(name, "1.0") for name in ("xz", "zlib", "known"))
    drop(
        page,
        [
            (xz.filename, xz.data),
            ("bad-1.0-0.conda", b"no archive"),
            (known.filename, known.data),
            ("notes.txt", b"x"),
        ],
    )
    page.set_input_files("#files", [payload(zlib)])
    rows = page.locator(".upload-rows > li")
    expect(rows).to_have_count(5)
    expect(rows.nth(3)).to_contain_text("Only .conda and .tar.bz2 files can be published.")
    # Nothing moves yet, so nothing holds whoever goes away.
    assert not PackageFile.objects.filter(name="xz").exists()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("3 of 5 done · 2 failed")).to_be_visible()
    expect(rows.nth(0)).to_contain_text("Published")
    expect(rows.nth(0)).to_contain_text("xz 1.0 · 0 · noarch")
    expect(rows.nth(1)).to_have_attribute("data-state", "failed")
    expect(rows.nth(2)).to_contain_text("Already there, unchanged")
    expect(rows.nth(4)).to_contain_text("Published")
    look_at(page, "upload-done")

    page.get_by_role("button", name="Take notes.txt off the list").click()
    page.get_by_role("button", name="Take bad-1.0-0.conda off the list").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/acme/upload", hold)
    later = [build_conda("later", str(number)) for number in (1, 2)]
    page.set_input_files("#files", [payload(built) for built in later])
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("button", name="Stop the rest")).to_be_visible()
    assert page.evaluate(
        "() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    )
    look_at(page, "upload-sending")
    page.get_by_role("button", name="Stop the rest").click()
    expect(rows.nth(3)).to_contain_text("Stopped. Nothing of it was published.")
    expect(rows.nth(4)).to_contain_text("Stopped. Nothing of it was published.")
    assert page.evaluate(
        "() => window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    )
    for route in held:
        route.abort()
    page.unroute("**/acme/upload")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("5 of 5 done")).to_be_visible()
    assert PackageFile.objects.filter(name="later").count() == 2
    page.get_by_role("link", name="later-1-0.conda").click()
    page.get_by_role("link", name="Replace its bytes").click()
    expect(page.get_by_label("The new file")).to_be_visible()
    look_at(page, "replace")


def test_two_files_are_uploaded_without_script(
    acme: Organization, page_without_script: Page
) -> None:
    page = page_without_script
    sign_in(page, "olga")
    page.goto("/upload")
    page.get_by_label("Account").select_option("acme")
    page.get_by_role("button", name="Go on").click()
    page.set_input_files("#files", [payload(build_conda(name, "1.0")) for name in ("xz", "zlib")])
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("2 files stand in main.")).to_be_visible()
