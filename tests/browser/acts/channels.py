"""What is done to channels: their settings, notices, patches, rules, jobs, and their end."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.identity import OPERATOR
from registry import channel_transfers, channel_work, jobs, notices, patching, quotas
from registry.models import Channel, ChannelFile, Job, RetentionRule
from tests.accounts.views.pages import days_from_now
from tests.browser.acts.frame import Doing, act
from tests.browser.acts.rights import SIGNED_IN, SITE_ADMINS, by_api, by_page
from tests.registry.api.test_who_may import CHANNEL_TRANSFER, KEEP, LOUD, NOTICE, RULE, TEXT
from tests.registry.api.world import publish

_SETTINGS = "/{account}/settings/channels"
_GENERAL = f"{_SETTINGS}/general/{{channel}}"
_RULE = f"{_SETTINGS}/retention-rule/{{rule}}/{{channel}}"
_PATCHES = f"{_SETTINGS}/patches/{{channel}}"
_MAY_MANAGE = by_api("PATCH", "/channels/main", TEXT)
_MAY_TELL = by_api("POST", "/notices", NOTICE)
_MAY_TELL_OTHERWISE = by_api("PATCH", "/notices/{notice}", LOUD)
_MAY_RULE = by_api("POST", "/retention", RULE)
_MAY_PATCH = by_api("POST", "/patches?channel=main&subdir=noarch", {})


def _channel(do: Doing) -> str:
    return do.realm.channel(do.name).name


def _row(do: Doing) -> Channel:
    return Channel.objects.select_related("account").get(account=do.realm.account, name=do.name)


def _said(do: Doing) -> dict[str, object]:
    said: dict[str, object] = do.api(f"/accounts/acme/channels/{do.name}")
    return said


# --- The channel itself ------------------------------------------------------------------------


@act("registry:channel-new", at=_SETTINGS, may=by_api("POST", "/channels", {"name": "rc/1"}))
def make_a_channel(do: Doing) -> None:
    do.start()
    do.press("acme", name=do.name, visibility="private")
    assert _said(do)["visibility"] == "private"


@act("registry:channel-change", at=_GENERAL, may=_MAY_MANAGE)
def change_a_channel(do: Doing) -> None:
    do.start(channel=_channel(do))
    do.press("acme", do.name, description="For testers")
    assert _said(do)["description"] == "For testers"


@act("registry:channel-lock", at=_GENERAL, may=_MAY_MANAGE)
def lock_a_channel(do: Doing) -> None:
    do.start(channel=_channel(do))
    do.press("acme", do.name, lock_note="Release freeze")
    assert do.publish("hello", "3.0", channel=do.name) == 403


@act("registry:channel-unlock", at=_GENERAL, may=_MAY_MANAGE)
def unlock_a_channel(do: Doing) -> None:
    Channel.objects.filter(name=_channel(do)).update(is_locked=True)
    do.start(channel=do.name)
    do.press("acme", do.name)
    assert do.publish("hello", "3.1", channel=do.name) == 201


@act(
    "registry:channel-delete",
    at=_GENERAL,
    may=by_api("DELETE", "/channels/dev"),
    channel="dev",
)
def delete_a_channel(do: Doing) -> None:
    do.start(channel=_channel(do))
    do.press("acme", do.name, typed=do.name)
    assert do.status(f"/acme/channels/{do.name}") == 404


@act(
    "registry:channel-rebuild",
    at="/{account}/channels/{channel}",
    may=_MAY_MANAGE,
    elsewhere=SITE_ADMINS,
)
def rebuild_the_index_of_a_channel(do: Doing) -> None:
    do.start(channel=_channel(do))
    do.press("acme", do.name)
    assert Job.objects.filter(kind="channel.reindex", user=do.person.user).exists()
    do.told(f"Rebuild the index of acme/{do.name}")


# Everybody has an account of their own to copy to.
@act("registry:channel-copy", at="/{account}/channels/{channel}", may=SIGNED_IN, shown=True)
def copy_all_of_a_channel(do: Doing) -> None:
    publish(do.person, do.me, "copies", "seed")
    do.start(channel="main")
    do.press("acme", "main", account=do.me, channel="copies")
    jobs.run_due()
    assert do.status(f"/{do.me}/hello") == 200


# --- To another account ------------------------------------------------------------------------


_MAY_TRANSFER = by_api("POST", "/transfer-of-channel/dev", CHANNEL_TRANSFER)


@act("registry:channel-transfer-offer", at=_GENERAL, may=_MAY_TRANSFER, channel="dev")
def offer_a_channel_to_another_account(do: Doing) -> None:
    do.start(channel=_channel(do))
    do.follow(f'[href$="/transfer/{do.name}"]')
    asking = do.page.locator("main form:not([method=post])")
    do.fill(asking, target="gus")
    do.send(asking)
    do.press("acme", do.name, typed=do.name)
    assert do.name in do.words("/dashboard", by=do.realm.gus)


@act(
    "registry:channel-transfer-withdraw",
    at="/-/channel-transfers/{channel_transfer}",
    may=_MAY_TRANSFER,
    key="{channel_transfer}",
)
def withdraw_the_offer_of_a_channel(do: Doing) -> None:
    _channel(do)
    key = channel_transfers.offer(
        by=do.realm.olga.identity, channel=_row(do), target_name="gus"
    ).key
    do.open(f"/-/channel-transfers/{key}")
    do.press(key)
    assert "withdrew it" in do.words(f"/-/channel-transfers/{key}", by=do.realm.gus)


# --- Notices -----------------------------------------------------------------------------------


def _notice(do: Doing, status: str) -> int:
    _channel(do)
    made = notices.add_notice(
        by=do.realm.olga.identity, channel=_row(do), message=f"About {do.name}",
        expires_at=timezone.now() + timedelta(days=3), status=status,
    )  # fmt: skip
    do.start(channel=do.name)
    return made.pk


def _is_told(do: Doing) -> bool:
    """Whether conda would print it."""
    return f"About {do.name}" in do.text(f"/conda/acme/label/{do.name}/notices.json")


@act("registry:notice-add", at=_GENERAL, may=_MAY_TELL)
def tell_those_who_use_a_channel(do: Doing) -> None:
    do.start(channel=_channel(do))
    do.press("acme", do.name, message=f"About {do.name}", expires_at=f"{days_from_now(5):%Y-%m-%d}")
    assert _is_told(do)


@act("registry:notice-publish", at=_GENERAL, may=_MAY_TELL_OTHERWISE)
def publish_a_draft_of_a_notice(do: Doing) -> None:
    do.press("acme", _notice(do, "draft"), do.name)
    assert _is_told(do)


@act("registry:notice-archive", at=_GENERAL, may=_MAY_TELL_OTHERWISE)
def archive_a_notice(do: Doing) -> None:
    do.press("acme", _notice(do, "published"), do.name)
    assert not _is_told(do)


@act("registry:notice-withdraw", at=_GENERAL, may=by_api("DELETE", "/notices/{notice}"))
def withdraw_a_notice(do: Doing) -> None:
    do.press("acme", _notice(do, "published"), do.name)
    assert not _is_told(do)
    assert f"About {do.name}" not in do.words(f"/acme/settings/channels/general/{do.name}")


# --- Patches -----------------------------------------------------------------------------------


def _depends(do: Doing) -> object:
    do.realm.index(do.name)
    records = do.realm.olga.repodata(do.address(do.name), "noarch")["packages.conda"]
    [record] = records.values()
    return record["depends"]


@act("registry:patches-apply", at=_PATCHES, may=_MAY_PATCH)
def upload_a_set_of_patches(do: Doing) -> None:
    file = do.realm.package(do.name, channel=do.name)
    words = b'{"patch_instructions_version": 1, "packages.conda": {"%s": {"depends": ["xz"]}}}'
    do.start(channel=do.name)
    do.press(
        "acme", do.name, subdir="noarch", dry_run=False,
        document={"name": "patch_instructions.json", "mimeType": "application/json",
                  "buffer": words % file.filename.encode()},
    )  # fmt: skip
    assert _depends(do) == ["xz"]


@act("registry:patch-undo", at=_PATCHES, may=by_api("POST", "/patches/{patch}/undo"))
def take_back_a_patch(do: Doing) -> None:
    file = do.realm.package(do.name, channel=do.name)
    patching.edit_record(by=do.realm.olga.identity, channel=_row(do), file=file, depends=["xz"])
    [made] = _row(do).patches.all()
    do.start(channel=do.name)
    do.press("acme", made.pk, do.name)
    assert _depends(do) == []


# --- Retention ---------------------------------------------------------------------------------


def _rule(do: Doing, *, is_enabled: bool = False) -> int:
    """A rule that keeps one of two versions."""
    for version in ("1.0", "2.0"):
        do.realm.package(do.name, channel=do.name, version=version)
    ChannelFile.objects.update(added_at=days_from_now(-40))
    made = RetentionRule.objects.create(channel=_row(do), keep_newest=1, is_enabled=is_enabled)
    do.start(channel=do.name, rule=made.pk)
    return made.pk


@act("registry:retention", at=f"{_SETTINGS}/retention/{{channel}}", may=_MAY_RULE)
def make_a_rule_and_see_what_would_go(do: Doing) -> None:
    do.realm.package(do.name, channel=do.name)
    ChannelFile.objects.update(added_at=days_from_now(-40))
    do.start(channel=do.name)
    do.press("acme", do.name, remove_pattern=f"{do.name}/1.0", keep_newest="")
    do.told(f"noarch/{do.name}-1.0-0.conda")
    assert do.name in str(do.api("/accounts/acme/retention"))


_MAY_CHANGE_RULES = by_api("PATCH", "/retention/{rule}", KEEP)


@act("registry:retention-rule", at=_RULE, may=_MAY_CHANGE_RULES)
def change_a_rule(do: Doing) -> None:
    rule = _rule(do)
    do.press("acme", rule, do.name, keep_newest="7")
    assert do.api(f"/accounts/acme/retention/{rule}")["keep_newest"] == 7


@act("registry:rule-switch-on", at=_RULE, may=_MAY_CHANGE_RULES)
def switch_a_rule_on(do: Doing) -> None:
    rule = _rule(do)
    do.press("acme", rule, do.name)
    assert do.api(f"/accounts/acme/retention/{rule}")["is_enabled"] is True


@act("registry:rule-switch-off", at=_RULE, may=_MAY_CHANGE_RULES)
def switch_a_rule_off(do: Doing) -> None:
    rule = _rule(do, is_enabled=True)
    do.press("acme", rule, do.name)
    assert do.api(f"/accounts/acme/retention/{rule}")["is_enabled"] is False


@act("registry:rule-run", at=_RULE, may=by_api("POST", "/retention/{rule}/run"))
def run_a_rule(do: Doing) -> None:
    rule = _rule(do)
    do.press("acme", rule, do.name)
    assert do.status(f"/acme/{do.name}/files/noarch/{do.name}-1.0-0.conda") == 404
    assert do.status(f"/acme/{do.name}/files/noarch/{do.name}-2.0-0.conda") == 200


@act("registry:rule-delete", at=_RULE, may=by_api("DELETE", "/retention/{rule}"))
def delete_a_rule(do: Doing) -> None:
    rule = _rule(do)
    do.press("acme", rule, do.name)
    assert do.status(f"/acme/settings/channels/retention-rule/{rule}/{do.name}") == 404


# --- Room and jobs -----------------------------------------------------------------------------


@act("registry:storage", at="/{account}/settings/storage", may=by_api("GET", "/storage"))
def see_how_much_room_is_left(do: Doing) -> None:
    quotas.set_quota(by=OPERATOR, account=do.realm.account, max_bytes=10**9, max_files=1000)
    do.start()
    do.told("1,000")
    quotas.set_quota(by=OPERATOR, account=do.realm.account, max_bytes=None, max_files=None)


def _job(do: Doing) -> Job:
    dev = Channel.objects.select_related("account").get(account=do.realm.account, name="dev")
    _channel(do)
    return channel_work.start_copy_all(by=do.realm.olga.identity, source=_row(do), target=dev)


@act("registry:job-stop", at="/-/jobs/{key}", may=by_page("/acme/settings/channels"), key="{job}")
def stop_a_job_of_somebody_else(do: Doing) -> None:
    job = _job(do)
    do.open("/-/jobs")
    do.follow(f'[href$="/-/jobs/{job.key}"]')
    do.press(job.key)
    assert "Stopped" in do.words(f"/-/jobs/{job.key}")


def _stopped_job(do: Doing) -> Job:
    """A job that the one who does it started, and stopped."""
    publish(do.person, do.me, "again", "seed")
    by, main = do.person.identity, "main"
    source, target = (
        Channel.objects.select_related("account").get(account__name=account, name=name)
        for account, name in (("acme", main), (do.me, "again"))
    )
    return jobs.stop(by=by, job=channel_work.start_copy_all(by=by, source=source, target=target))


@act("registry:job-retry", at="/-/jobs/{key}", may=SIGNED_IN, own=True, key="{job_of_gus}")
def begin_a_job_of_ones_own_again(do: Doing) -> None:
    job = _stopped_job(do)
    do.open("/-/jobs")
    do.follow(f'[href$="/-/jobs/{job.key}"]')
    do.press(job.key)
    jobs.run_due()
    assert "Done" in do.words(f"/-/jobs/{job.key}", by=do.person)
