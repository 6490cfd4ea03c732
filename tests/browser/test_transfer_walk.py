"""A package is archived, offered to another account and taken over, by clicking."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from registry import indexing
from registry.channels import create_channel
from registry.models import Channel, ChannelTransfer, Package, Transfer
from registry.placement import add_to_channel
from tests.browser.going import arrived_at, sign_in
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"


def test_a_package_goes_to_another_account(page: Page) -> None:
    olga, gus = Person(make_user("olga")), Person(make_user("gus"))
    acme = make_organization("acme", owner=olga.user)
    file = publish(olga, "acme", "main", _LONG, "1.0", about={"summary": "Says hello"})
    secret = create_channel(
        by=olga.identity,
        account=acme.account,
        name="a-private-channel-with-a-long-name/and-a-part-below",
        visibility=Channel.Visibility.PRIVATE,
    )
    add_to_channel(by=olga.identity, file=file, channel=secret)
    indexing.run_overdue()

    home = f"/acme/{_LONG}"
    sign_in(page, "olga")
    page.goto(f"{home}/settings")
    page.get_by_role("link", name="Archive, transfer, delete").click()
    page.get_by_label("Note").fill("Use another one instead, which has a name that is as long.")
    page.get_by_role("button", name=f"Archive {_LONG}").click()
    expect(page.get_by_text("is archived.")).to_be_visible()
    look_at(page, "package-admin-archived")
    page.goto(home)
    look_at(page, "package-archived")

    page.goto(f"{home}/settings/lock")
    page.get_by_label("Why").fill("Release freeze")
    page.get_by_role("button", name=f"Lock {_LONG}").click()
    expect(page.get_by_text("is locked.", exact=False).first).to_be_visible()
    look_at(page, "package-locked")
    page.get_by_role("button", name=f"Unlock {_LONG}").click()
    expect(page.get_by_text("can be changed again")).to_be_visible()

    page.goto(f"/acme/settings/channels/transfer/{secret.name}?target=gus")
    look_at(page, "channel-transfer-summary")
    page.get_by_label("Type").fill(secret.name)
    page.get_by_role("button", name="Offer it to gus").click()
    arrived_at(page, f"acme offers the channel {secret.name} to gus")

    page.goto(f"{home}/settings/admin")
    page.get_by_role("link", name=f"Transfer {_LONG}").click()
    page.get_by_label("To account").fill("nobody-here")
    look_at(page, "transfer-to")
    page.get_by_role("button", name="See what it means").click()
    expect(page.get_by_text("There is no account nobody-here.").first).to_be_visible()
    page.get_by_label("To account").fill("gus")
    page.get_by_role("button", name="See what it means").click()
    expect(page.get_by_role("heading", name=f"Offer {_LONG} to gus?")).to_be_visible()
    look_at(page, "transfer-summary")
    page.get_by_label("Type").fill(_LONG)
    page.get_by_role("button", name="Offer it to gus").click()
    arrived_at(page, f"acme offers {_LONG} to gus")
    look_at(page, "transfer-waiting")

    page.context.clear_cookies()
    sign_in(page, "gus")
    look_at(page, "dashboard-offered")
    page.goto("/gus/settings/refused-uploads")
    look_at(page, "refused-uploads")
    channels = ChannelTransfer.objects.get()
    page.goto(f"/-/channel-transfers/{channels.key}")
    look_at(page, "channel-transfer-offered")
    page.goto(f"/-/transfers/{Transfer.objects.get().key}")
    arrived_at(page, f"acme offers {_LONG} to gus")
    look_at(page, "transfer-offered")
    page.get_by_role("button", name=f"Accept {_LONG}").click()
    arrived_at(page, _LONG)
    expect(page).to_have_url(page.url.replace("/acme/", "/gus/"))
    assert Package.objects.get(name=_LONG, deleted_at=None).account.name == "gus"
    page.goto(home)
    expect(page).to_have_url(page.url.replace("/acme/", "/gus/"))
    assert gus.user.account.name in page.url
