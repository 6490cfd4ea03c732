"""What those who run the site do."""

from __future__ import annotations

from allauth.mfa.models import Authenticator

from accounts import suspension, switches
from accounts.identity import OPERATOR
from registry import channel_work, jobs
from registry.models import Channel, Job
from tests.browser.acts.frame import Doing, act
from tests.browser.acts.rights import SITE_ADMINS
from tests.cast import Person
from tests.factories import make_user

_ACCOUNT = "/-/site/accounts/{account}"


def _may_sign_in(person: Person) -> bool:
    return person.client.get("/dashboard").status_code == 200


@act("registry:site-account-suspend", at=_ACCOUNT, may=SITE_ADMINS)
def suspend_an_account(do: Doing) -> None:
    person = Person(make_user(do.name))
    assert _may_sign_in(person)
    do.start(account=person.name)
    do.press(person.name, reason="A wave of spam")
    assert not _may_sign_in(person)


@act("registry:site-account-unsuspend", at=_ACCOUNT, may=SITE_ADMINS)
def end_a_suspension(do: Doing) -> None:
    user = make_user(do.name)
    suspension.suspend(by=OPERATOR, account=user.account, reason="A wave of spam")
    do.start(account=user.username)
    do.press(user.username)
    assert _may_sign_in(Person(user))


@act("registry:site-account-reset-factor", at=_ACCOUNT, may=SITE_ADMINS, account="gus")
def reset_a_second_factor(do: Doing) -> None:
    user = make_user(do.name)
    Authenticator.objects.create(user=user, type="totp", data={})
    do.start(account=user.username)
    do.press(user.username, note="Lost the phone, and asked in person")
    assert not Authenticator.objects.filter(user=user).exists()
    assert do.mail_to(user.email)


@act("registry:site-account-quota", at=_ACCOUNT, may=SITE_ADMINS)
def say_how_much_an_account_may_keep(do: Doing) -> None:
    do.start()
    do.press("acme", max_files="1")
    assert do.publish(do.name, "1.0") == 402
    do.press("acme", max_files="")
    assert do.publish(do.name, "1.0") == 201


@act("registry:site-switch-throw", at="/-/site/switches", may=SITE_ADMINS)
def close_uploads(do: Doing) -> None:
    do.start()
    do.press("uploads", message="Back at noon.")
    switches.forget()
    assert do.publish(do.name, "1.0") == 503
    switches.set_switch(by=OPERATOR, name="uploads", is_thrown=False)


@act("registry:site-switch-reset", at="/-/site/switches", may=SITE_ADMINS)
def open_uploads_again(do: Doing) -> None:
    switches.set_switch(by=OPERATOR, name="uploads", is_thrown=True)
    do.start()
    do.press("uploads")
    switches.forget()
    assert do.publish(do.name, "1.0") == 201


@act("registry:site-notices", at="/-/site/notices", may=SITE_ADMINS, sent={"message": "x"})
def tell_everybody(do: Doing) -> None:
    do.start()
    do.press(message="Moves at noon.")
    switches.forget()
    assert "Moves at noon." in do.text("/docs")
    do.press("notice", view="registry:site-switch-reset")
    switches.forget()
    assert "Moves at noon." not in do.text("/docs")


def _job_of_acme(do: Doing) -> Job:
    by, source = do.realm.olga.identity, do.realm.channel(do.name)
    dev = Channel.objects.select_related("account").get(account=do.realm.account, name="dev")
    return channel_work.start_copy_all(by=by, source=source, target=dev)


@act("registry:site-job-stop", at="/-/site/jobs/{key}", may=SITE_ADMINS, key="{job}")
def stop_a_job_of_any_account(do: Doing) -> None:
    job = _job_of_acme(do)
    do.open("/-/site/jobs")
    do.follow(f'[href$="/-/site/jobs/{job.key}"]')
    do.press(job.key)
    assert "Stopped" in do.words(f"/-/jobs/{job.key}")


@act("registry:site-job-retry", at="/-/site/jobs/{key}", may=SITE_ADMINS, key="{job}")
def begin_a_job_of_any_account_again(do: Doing) -> None:
    job = jobs.stop(by=OPERATOR, job=_job_of_acme(do))
    do.open("/-/site/jobs")
    do.follow(f'[href$="/-/site/jobs/{job.key}"]')
    do.press(job.key)
    jobs.run_due()
    assert "Done" in do.words(f"/-/jobs/{job.key}")


def _index_work(do: Doing, kind: str) -> None:
    do.realm.index()
    main = Channel.objects.get(account=do.realm.account, name="main")
    do.start()
    do.press(main.pk)
    jobs.run_due()
    made = Job.objects.filter(kind=kind, account=do.realm.account).latest("pk")
    assert "Done" in do.words(f"/-/site/jobs/{made.key}", by=do.person)


@act("registry:site-index-rebuild", at="/-/site/index", may=SITE_ADMINS, channel="{main}")
def rebuild_the_index_of_any_channel(do: Doing) -> None:
    _index_work(do, "channel.reindex")


@act("registry:site-index-verify", at="/-/site/index", may=SITE_ADMINS, channel="{main}")
def verify_the_index_of_any_channel(do: Doing) -> None:
    _index_work(do, "channel.verify")


@act("registry:site-log", at="/-/site/log", may=SITE_ADMINS)
def read_the_log_of_all_accounts(do: Doing) -> None:
    do.start()
    asking = do.page.locator("main form[role=search]")
    do.fill(asking, account="acme")
    do.send(asking)
    do.told("channel")
