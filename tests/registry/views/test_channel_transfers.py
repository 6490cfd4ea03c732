"""Channels that go to another account: offered, looked at, accepted; and what clients read."""

from __future__ import annotations

import pytest
from django.core import mail
from django.test import Client

from accounts.models import Account, Event
from registry import channel_transfers, jobs, placement
from registry.channels import change_channel, create_channel
from registry.models import Channel, ChannelTransfer, Package, PackageFile
from registry.placement import copy_file
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import PASSWORD, make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

DEV = ChannelAddress("acme", "dev")


@pytest.fixture
def confirmed(world: World, owner: Person) -> Person:
    answer = owner.client.post("/account/reauthenticate/?next=/dashboard", {"password": PASSWORD})
    assert answer.status_code == 302
    return owner


@pytest.fixture
def gus(db: None) -> Person:
    return Person(make_user("gus"))


def filled(owner: Person) -> Channel:
    """dev: hello, which also stands in main, and lonely, which stands nowhere else."""
    hello = PackageFile.objects.get(filename="hello-1.0-0.conda")
    channel = Channel.objects.get(account__name="acme", name="dev")
    placement.add_to_channel(by=owner.identity, file=hello, channel=channel)
    assert owner.upload(build_conda("lonely", "2.0"), to=DEV).status_code == 201
    run_pending_tasks()
    return channel


def offered(by: Person, channel: str = "dev") -> str:
    form = {"target": "gus", "typed": channel}
    answer = by.client.post(f"/acme/settings/channels/transfer/{channel}", form)
    assert answer.status_code == 302, text_of(answer)
    return str(answer.headers["Location"])


def names_in(account: str, channel: str, token: Person) -> list[str]:
    return sorted(token.repodata(ChannelAddress(account, channel), "noarch")["packages.conda"])


def test_an_accepted_channel_is_read_at_both_addresses_and_keeps_what_it_lists(
    confirmed: Person, gus: Person, anonymous: Client
) -> None:
    filled(confirmed)
    shown = text_of(confirmed.client.get("/acme/settings/channels/transfer/dev?target=gus"))
    assert "Clients read it at its old address, too" in shown
    mail.outbox.clear()
    address = offered(confirmed)
    assert "acme offers the channel dev to gus" in text_of(gus.client.get("/dashboard"))
    page = text_of(gus.client.get(address))
    assert "Packages that come as a whole (1): lonely" in page
    assert "1 file stays with acme as well" in page

    answer = gus.client.post(f"{address}/accept")
    assert answer.headers["Location"] == "/gus/channels/dev"

    both = ["hello-1.0-0.conda", "lonely-2.0-0.conda"]
    for _ in range(2):  # before its index is written anew, and after
        for account in ("gus", "acme"):
            assert names_in(account, "dev", gus) == both
            for filename in both:
                path = f"/conda/{account}/label/dev/noarch/{filename}"
                assert get(path).status_code == 200, path
        run_pending_tasks()
    lonely = Package.objects.get(name="lonely", deleted_at=None)
    assert lonely.account.name == "gus"
    assert sorted(
        PackageFile.objects.filter(filename="hello-1.0-0.conda").values_list(
            "account__name", flat=True
        )
    ) == ["acme", "gus"]
    assert "hello-1.0-0.conda" in names_in("acme", "main", confirmed)
    assert anonymous.get("/acme/channels/dev").headers["Location"] == "/gus/channels/dev"
    assert anonymous.get("/acme/lonely").headers["Location"] == "/gus/lonely"
    assert gus.upload(build_conda("newer", "1.0"), to=ChannelAddress("gus", "dev")).status_code
    run_pending_tasks()
    assert "newer-1.0-0.conda" in names_in("acme", "dev", gus)
    acts = Event.objects.filter(action="transfer.accept").values_list("account__name", "target")
    assert sorted(acts) == [("acme", "acme/dev"), ("gus", "acme/dev")]


def test_uploads_to_the_old_address_are_told_the_new_one_until_there_is_a_new_channel(
    confirmed: Person, gus: Person
) -> None:
    filled(confirmed)
    gus.client.post(f"{offered(confirmed)}/accept")
    refused = confirmed.upload(build_conda("more", "1.0"), to=DEV)
    assert refused.status_code == 409
    assert "dev of acme is a channel of gus now" in refused.json()["detail"]

    create_channel(by=confirmed.identity, account=Account.objects.get(name="acme"), name="dev")
    assert confirmed.upload(build_conda("more", "1.0"), to=DEV).status_code == 201
    run_pending_tasks()
    assert names_in("acme", "dev", confirmed) == ["more-1.0-0.conda"]
    assert "lonely-2.0-0.conda" in names_in("gus", "dev", gus)


def test_what_is_private_stays_so(
    confirmed: Person, gus: Person, stranger: Person, anonymous: Client
) -> None:
    address = offered(confirmed, "secret")
    for act in ("", "/accept", "/decline", "/withdraw"):
        answer = stranger.client.post(f"{address}{act}") if act else stranger.client.get(address)
        assert answer.status_code == 404
    gus.client.post(f"{address}/accept")
    run_pending_tasks()
    for account in ("acme", "gus"):
        assert get(f"/conda/{account}/label/secret/noarch/repodata.json").status_code == 404
        assert names_in(account, "secret", gus) == ["buried-1.0-0.conda"]
    assert anonymous.get("/acme/channels/secret").status_code == 404
    assert confirmed.client.get("/acme/channels/secret").status_code == 404


def test_what_is_in_the_way_is_told_to_who_would_accept(
    confirmed: Person, gus: Person, reader: Person
) -> None:
    channel = filled(confirmed)
    address = offered(confirmed)
    account = gus.user.account
    create_channel(by=gus.identity, account=account, name="main")
    other = build_conda("lonely", "2.0", files={"else.txt": b"else"})
    gus.upload(other, to=ChannelAddress("gus"))
    create_channel(by=gus.identity, account=account, name="dev")
    change_channel(by=confirmed.identity, channel=channel, is_locked=True)

    answer = gus.client.post(f"{address}/accept")
    assert answer.status_code == 409
    for words in ("dev of acme is locked", "gus has a channel dev", "another file of the name"):
        assert words in text_of(answer)
    assert Channel.objects.filter(pk=channel.pk, account__name="acme").exists()

    assert "main can't be transferred" in text_of(
        confirmed.client.get(f"/acme/settings/channels/transfer/main?target={reader.name}")
    )
    assert confirmed.client.post(f"{address}/withdraw").status_code == 302
    assert not ChannelTransfer.objects.filter(state="waiting").exists()


def test_a_large_channel_is_taken_over_by_a_job_that_may_begin_twice(
    confirmed: Person, gus: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = filled(confirmed)
    hello = PackageFile.objects.get(filename="hello-1.0-0.conda")
    copy_file(by=gus.identity, file=hello, account_name="gus")  # they have the same one
    monkeypatch.setattr(channel_transfers, "AT_ONCE", 1)
    address = offered(confirmed)

    answer = gus.client.post(f"{address}/accept")
    assert answer.headers["Location"].startswith("/-/jobs/")
    again = gus.client.post(f"{address}/accept")
    assert again.headers["Location"].startswith("/-/jobs/")
    jobs.run_due()
    channel.refresh_from_db()
    assert channel.account.name == "gus"
    run_pending_tasks()
    assert names_in("acme", "dev", gus) == ["hello-1.0-0.conda", "lonely-2.0-0.conda"]
