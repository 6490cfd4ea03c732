"""What was told to nobody at the time is told in the language of whoever looks, and to programs in
English: warnings about a file, why a job and an upload failed, what a rule left alone."""

from __future__ import annotations

import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Event
from registry import jobs, placement
from registry.models import Channel, Job, PackageFile, RetentionRule
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, put
from tests.registry.api.world import World, by_session
from tests.registry.views.browsers import text_of
from tests.registry.views.test_lists import make_files


@pytest.fixture
def german(owner: Person) -> Client:
    """A second browser of theirs, which speaks German."""
    client = Client(HTTP_ACCEPT="text/html", HTTP_ACCEPT_LANGUAGE="de")
    client.force_login(owner.user)
    return client


def publish(world: World, owner: Person, data: bytes, filename: str) -> int:
    url = ChannelAddress("acme").url(f"noarch/{filename}")
    status: int = put(url, data, token=owner.token("all").secret).status_code
    return status


def test_what_is_worth_a_look_in_a_file(world: World, owner: Person, german: Client) -> None:
    files = {f"{name}/aux.py": "" for name in "abcdefg"} | {"A/x": "1", "a/X": "2"}
    built = build_conda("odd", "1.0", files=files, timestamp=int(time.time() + 7200) * 1000)
    assert publish(world, owner, built.data, built.filename) == 201

    url = f"/acme/odd/files/noarch/{built.filename}"
    in_english, in_german = text_of(owner.client.get(url)), text_of(german.get(url))

    assert "Where case does not count, these are one file: 'A/x' = 'a/X'." in in_english
    assert "'e/aux.py', and more." in in_english
    assert "The build time in its metadata lies in the future." in in_english
    assert "zählt, sind das eine Datei: 'A/x' = 'a/X'." in in_german
    assert "'e/aux.py' und weitere." in in_german
    assert "Die Bauzeit in seinen Metadaten liegt in der Zukunft." in in_german
    assert "future" not in in_german
    # Whatever a later version makes of its words, those that were kept can be said.
    PackageFile.objects.filter(name="odd").update(
        findings=[{"template": "It was %(n)s once.", "values": {"n": 3}}, "As it was."]
    )
    for page in (text_of(german.get(url)), text_of(owner.client.get(url))):
        assert "It was 3 once." in page
        assert "As it was." in page


@pytest.mark.parametrize("started_in_german", [True, False])
def test_why_a_job_did_not_do_all_of_it(
    world: World, owner: Person, german: Client, *, started_in_german: bool
) -> None:
    account = world.organization.account
    target = Channel.objects.get(account=account, name="dev")
    main = Channel.objects.get(account=account, name="main")
    starter = german if started_in_german else owner.client
    started = starter.post(
        f"/acme/settings/channels/copy/{main.name}", {"account": "acme", "channel": "dev"}
    )
    assert started.status_code == 302, text_of(started)
    url = started.headers["Location"]
    Channel.objects.filter(pk=target.pk).update(is_locked=True, lock_note="release day")

    jobs.run_due()

    in_english, in_german = text_of(owner.client.get(url)), text_of(german.get(url))
    assert "Copy all files of acme/main to acme/dev" in in_english
    assert "Alle Dateien von acme/main nach acme/dev kopieren" in in_german
    assert "dev is locked: “release day”. Use another channel" in in_english
    assert "dev ist gesperrt: “release day”." in in_german
    assert "Use another channel" not in in_german
    lists = [text_of(client.get("/-/jobs")) for client in (owner.client, german)]
    assert "Copy all files" in lists[0]
    assert "Alle Dateien von" in lists[1]
    # The log is one for all readers; only its page has a language.
    assert Event.objects.get(action="job.start").target.startswith("Copy all files of")
    exported = german.get("/acme/settings/log.jsonl").getvalue().decode()
    assert '"target": "Copy all files of acme/main' in exported
    assert "Auftrag gestartet: Alle Dateien von" in text_of(german.get("/acme/settings/log"))


def test_why_files_of_a_job_were_left_out_and_why_it_broke(
    world: World, owner: Person, german: Client
) -> None:
    @jobs.work("test.kept")
    def _break(job: jobs.Running) -> None:
        raise LookupError("a bug")

    account = world.organization.account
    job = jobs.start(by=owner.identity, account=account, kind="test.kept", params={}, title="Own")
    try:
        for _ in range(4):
            jobs.run_due()
            Job.objects.update(not_before=None)
    finally:
        del jobs._works["test.kept"]

    url = f"/-/jobs/{job.key}"
    assert f"Hier ist etwas fehlgeschlagen. Nenne {job.key}" in text_of(german.get(url))
    assert f"Something went wrong here. Quote {job.key}" in text_of(owner.client.get(url))


@pytest.mark.parametrize("sent_in_german", [True, False])
def test_why_an_upload_was_refused(
    world: World, owner: Person, german: Client, *, sent_in_german: bool
) -> None:
    if sent_in_german:
        bad = SimpleUploadedFile("bad-1.0-0.conda", b"no archive")
        assert "Die Datei beginnt mit" in text_of(german.post("/acme/upload", {"files": [bad]}))
    else:
        assert publish(world, owner, b"no archive", "bad-1.0-0.conda") == 422

    for path in ("/acme/settings/refused-uploads", "/dashboard"):
        assert "The file begins with 'no a'." in text_of(owner.client.get(path))
        in_german = text_of(german.get(path))
        assert "Die Datei beginnt mit 'no a'." in in_german
        assert "It must be" not in in_german


def test_what_a_rule_left_alone(world: World, owner: Person, german: Client) -> None:
    channel = Channel.objects.get(account=world.organization.account, name="main")
    rule = RetentionRule.objects.create(channel=channel, keep_newest=1)
    Channel.objects.filter(pk=channel.pk).update(is_immutable=True)

    german.post(f"/acme/settings/channels/run-rule/{rule.pk}/main")

    url = f"/acme/settings/channels/retention-rule/{rule.pk}/main"
    assert "main is immutable, so nothing is taken out" in text_of(owner.client.get(url))
    assert "main ist unveränderlich" in text_of(german.get(url))
    told = by_session(owner).get(f"/accounts/acme/retention/{rule.pk}").json()
    assert told["last_run"]["note"].startswith("main is immutable, so nothing is taken out")


def test_how_many_files_an_act_was_about(world: World, owner: Person, german: Client) -> None:
    hello = PackageFile.objects.filter(name="hello").first()
    assert hello is not None
    main = Channel.objects.get(account=hello.account, name="main")
    make_files(hello.account, hello.package, [f"2.{n}" for n in range(60)], main)
    many = list(PackageFile.objects.filter(name="hello"))
    dev = Channel.objects.get(account=hello.account, name="dev")
    assert len(placement.add_files(by=owner.identity, files=many, channel=dev)) == len(many) > 100

    page = "/acme/settings/log?action=file.add"
    assert f"{len(many)} files" in text_of(owner.client.get(page))
    assert f"{len(many)} Dateien" in text_of(german.get(page))
