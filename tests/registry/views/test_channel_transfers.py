"""Channels that go to another account: offered, looked at, accepted; and what clients read."""

from __future__ import annotations

import tracemalloc

import pytest
from django.core import mail
from django.test import Client

from accounts.models import Account, Event
from registry import channel_transfers, jobs, placement
from registry.channels import change_channel, create_channel
from registry.models import Channel, ChannelFile, ChannelTransfer, Job, Package, PackageFile
from registry.placement import copy_file
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import PASSWORD, make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of
from tests.registry.views.test_lists import make_files

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

    for query in ("", f"?target={reader.name}"):
        page = text_of(confirmed.client.get(f"/acme/settings/channels/transfer/main{query}"))
        assert "main can't be transferred" in page
        assert "See what it means" not in page
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
    assert not Job.objects.exclude(state=Job.State.DONE).exists()
    assert 'href="/gus/channels/dev"' in gus.client.get(address).content.decode()
    run_pending_tasks()
    assert names_in("acme", "dev", gus) == ["hello-1.0-0.conda", "lonely-2.0-0.conda"]


def test_a_job_for_an_offer_that_was_withdrawn_says_so(
    confirmed: Person, gus: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = filled(confirmed)
    monkeypatch.setattr(channel_transfers, "AT_ONCE", 1)
    address = offered(confirmed)
    started = gus.client.post(f"{address}/accept")
    confirmed.client.post(f"{address}/withdraw")

    jobs.run_due()

    told = text_of(gus.client.get(started.headers["Location"]))
    assert "This transfer doesn't wait any more." in told
    channel.refresh_from_db()
    assert channel.account.name == "acme"


def of_each_kind(owner: Person, gus: Person) -> None:
    """A channel dev with what goes as a whole, what goes alone, and what stays for either reason;
    gus has one of the files, and what is left of another."""
    hello = filled_with_two(owner)
    account = hello.account
    copy_file(by=gus.identity, file=hello, account_name="gus")
    mixed = {n: build_conda("mixed", n) for n in ("1.0", "2.0", "3.0")}
    for built in mixed.values():
        owner.upload(built, to=DEV)
    promise = create_channel(by=owner.identity, account=account, name="promise")
    for version in ("1.0", "2.0"):
        file = PackageFile.objects.get(account=account, name="mixed", version=version)
        placement.add_to_channel(by=owner.identity, file=file, channel=promise)
    placement.remove_from_channel(by=owner.identity, file=file, channel=promise)
    change_channel(by=owner.identity, channel=promise, is_immutable=True)
    buried = build_conda("mixed", "3.0", files={"else.txt": b"else"})
    assert gus.upload(buried, to=ChannelAddress("gus")).status_code == 201
    gone = PackageFile.objects.get(account=gus.user.account, name="mixed")
    placement.delete_files(by=gus.identity, files=[gone])


def filled_with_two(owner: Person) -> PackageFile:
    filled(owner)
    assert owner.upload(build_conda("second", "1.0"), to=DEV).status_code == 201
    return PackageFile.objects.get(account__name="acme", filename="hello-1.0-0.conda")


@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_what_goes_and_what_stays_is_the_same_however_much_is_done_at_once(
    confirmed: Person, gus: Person, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    of_each_kind(confirmed, gus)
    address = offered(confirmed)
    page = text_of(gus.client.get(address))
    assert "Packages that come as a whole (2): lonely, second" in page
    assert "1 file comes, and its package stays with acme." in page
    assert "3 files stay with acme as well" in page

    monkeypatch.setattr(channel_transfers, "AT_ONCE", at_once)
    gus.client.post(f"{address}/accept")
    jobs.run_due()
    run_pending_tasks()

    files = PackageFile.objects.present().order_by("filename")
    stand = {
        name: list(files.filter(account__name=name).values_list("filename", flat=True))
        for name in ("acme", "gus")
    }
    here = ["hello-1.0-0.conda", "lonely-2.0-0.conda"]
    mixed = [f"mixed-{n}.0-0.conda" for n in (1, 2, 3)]
    assert stand["gus"] == [*here, *mixed, "second-1.0-0.conda"]
    assert {"hello-1.0-0.conda", *mixed[:2]} <= set(stand["acme"])
    assert not {"lonely-2.0-0.conda", mixed[2], "second-1.0-0.conda"} & set(stand["acme"])
    assert names_in("gus", "dev", gus) == stand["gus"]
    assert names_in("acme", "promise", confirmed) == mixed[:1]
    for package in Package.objects.filter(account__name="gus", deleted_at=None):
        assert package.latest_version, package.name
        assert not package.files.exclude(account=package.account).exists()


def test_no_more_than_some_files_of_a_large_channel_are_held_at_once(
    confirmed: Person, gus: Person
) -> None:
    channel = filled(confirmed)
    main = Channel.objects.get(account=channel.account, name="main")
    lonely = Package.objects.get(account=channel.account, name="lonely")
    make_files(lonely.account, lonely, [f"3.{n}" for n in range(1500)], channel)
    made = PackageFile.objects.filter(package=lonely, subdir="noarch")
    ChannelFile.objects.bulk_create(ChannelFile.of(file, main) for file in made)
    address = offered(confirmed)
    assert "1,502 files stay with acme" in text_of(gus.client.get(address))

    tracemalloc.start()
    try:
        answer = gus.client.post(f"{address}/accept")
        jobs.run_due()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answer.headers["Location"].startswith("/-/jobs/")
    channel.refresh_from_db()
    assert channel.account.name == "gus"
    assert PackageFile.objects.filter(account=channel.account).count() == 3002
    assert peak_bytes < 6_000_000
