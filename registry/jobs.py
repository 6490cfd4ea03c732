"""Work that takes longer than a request may: it shows how far it is, and can be stopped.

A job stands in the database, so it survives whatever runs it. One worker at a time holds it by a
lease; of a worker that was killed another takes it over and begins the work again. So work must
be such that what was done already does no harm. What a command does is a job as well, which is
that command's own (`begin_here`).

The rooms above this one register what they can do, and start it::

    @jobs.work("channel.copy_all")
    def _copy_all(job: jobs.Running) -> None: ...

Whoever started a job may have lost the right to it meanwhile: the acts that it calls ask again,
with `Running.by`, which is who that is now.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec
from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts import audit, switches
from accounts.authentication import identify_again
from accounts.identity import OPERATOR, Identity
from accounts.models import Account
from accounts.rights import manageable_accounts, runs_the_site
from portal import failpoints, processes
from portal.errors import Conflict, Forbidden, InvalidInput, NotFound, Refusal
from portal.sentences import Kept, english, gettext, kept
from registry import leases
from registry.models import Job
from registry.models.job import Failure

log = logging.getLogger(__name__)

State = Job.State
OPEN: Final = (State.WAITING, State.RUNNING)
MOST_OPEN_PER_ACCOUNT: Final = 20
MOST_FAILURES: Final = 200
MOST_LINES: Final = 200
_MOST_PARAMS_BYTES = 2 * 2**20
_LONGEST_WORDS = 500
_LATELY = timedelta(days=7)
_TRIES = 3
_SECONDS_BETWEEN_TRIES = 10
# How often what was counted is written, and who it is for is asked again.
_WRITE_SECONDS = 0.5
_ASK_AGAIN_SECONDS = 2.0
_LOOK_SECONDS = 1.0


class TooManyJobs(Conflict):
    slug = "too-many-jobs"
    title = gettext_noop("Too many jobs wait already")


class Stopped(Exception):
    """Somebody pressed Stop. Work need not catch it; what it did so far stays."""


class _Lost(Exception):
    """Another worker has the job now."""


Work = Callable[["Running"], None]
_works: dict[str, Work] = {}


def work(kind: str) -> Callable[[Work], Work]:
    """Register what a job of this kind does; the module is loaded when the app is ready."""

    def register(function: Work) -> Work:
        _works[kind] = function
        return function

    return register


# --- Acts --------------------------------------------------------------------------------------


@transaction.atomic
def start(
    *, by: Identity, account: Account, kind: str, params: Mapping[str, Any], title: str
) -> Job:
    """Have work done as soon as a worker is free; the caller has authorized it."""
    if kind not in _works:
        raise LookupError(f"no work is registered as {kind!r}")
    if len(msgspec.json.encode(params)) > _MOST_PARAMS_BYTES:
        raise InvalidInput(
            gettext("These are too many things for one job. Do a part of them first.")
        )
    Account.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
    if Job.objects.filter(account=account, state__in=OPEN).count() >= MOST_OPEN_PER_ACCOUNT:
        raise TooManyJobs(
            gettext(
                "%(most_open_per_account)s jobs of %(account)s wait or run already. Wait for "
                "one to end, or stop one."
            )
            % {"most_open_per_account": MOST_OPEN_PER_ACCOUNT, "account": account.name}
        )
    job = Job.objects.create(
        kind=kind, title=title, params=dict(params), account=account, **_started_by(by)
    )
    _record(by, job, "job.start")
    return job


def _started_by(by: Identity) -> dict[str, Any]:
    return {
        "user": by.user,
        "token": by.token,
        "is_operators": by is OPERATOR,
        "by_name": "" if by.is_anonymous else by.name,
        "ip_address": by.ip_address,
        "user_agent": by.user_agent[:200],
    }


@transaction.atomic
def stop(*, by: Identity, job: Job) -> Job:
    """Ask a job to end: one that waits ends at once, another when it has noticed."""
    _require_stopping(by, job)
    held = _held(job)
    if held.is_over or held.stop_requested_at is not None:
        return held
    held.stop_requested_at = timezone.now()
    held.stopped_by = "" if by.is_anonymous else by.name
    if held.state == State.WAITING:
        held.state, held.ended_at = State.STOPPED, held.stop_requested_at
    held.save(update_fields=["stop_requested_at", "stopped_by", "state", "ended_at"])
    _record(by, held, "job.stop")
    return held


@transaction.atomic
def retry(*, by: Identity, job: Job) -> Job:
    """Begin a job again that failed or was stopped; it is done for whoever started it."""
    if job.is_commands:
        raise Conflict(gettext("A command does this. Run it again: it goes on where it stopped."))
    if not may_retry(by, job):
        raise Forbidden(gettext("Only whoever started a job may begin it again."))
    held = _held(job)
    if held.state not in {State.FAILED, State.STOPPED}:
        return held
    fresh: dict[str, object] = {
        "state": State.WAITING,
        "ended_at": None,
        "stop_requested_at": None,
        "stopped_by": "",
        "attempts": 0,
        "not_before": None,
        "started_at": None,
        "error": "",
    }
    _change(held, **fresh)
    _record(by, held, "job.retry")
    return held


def _held(job: Job) -> Job:
    held = Job.objects.select_for_update().select_related("account").filter(pk=job.pk).first()
    if held is None:
        raise NotFound
    return held


def _change(job: Job, **values: object) -> None:
    for name, value in values.items():
        setattr(job, name, value)
    job.save(update_fields=list(values))


def _record(by: Identity, job: Job, action: str) -> None:
    audit.record(
        by=by,
        account=job.account,
        action=action,
        target=english(job.title),
        detail={"job": job.key, "kind": job.kind, "title": kept(job.title, _LONGEST_WORDS)},
    )


# --- Who may -----------------------------------------------------------------------------------


def visible_jobs(identity: Identity) -> QuerySet[Job]:
    """Those that they started, and those of accounts that they administer."""
    if identity.is_anonymous:
        return Job.objects.none()
    mine = Q(account__in=manageable_accounts(identity).order_by().values("pk"))
    if identity.user is not None:
        mine |= Q(user=identity.user)
    return Job.objects.filter(mine).select_related("account", "token")


def find_job(identity: Identity, key: str) -> Job:
    job = visible_jobs(identity).filter(key=key).first()
    if job is None:
        raise NotFound
    return job


def _require_stopping(by: Identity, job: Job) -> None:
    if runs_the_site(by) or _started(by, job):
        return
    if not manageable_accounts(by).filter(pk=job.account_id).exists():
        raise Forbidden(
            gettext("Only admins of %(account)s may stop the jobs of others.")
            % {"account": job.account.name}
        )


def may_retry(by: Identity, job: Job) -> bool:
    return not job.is_commands and (runs_the_site(by) or _started(by, job))


def _started(by: Identity, job: Job) -> bool:
    return by.user is not None and by.token is None and job.user_id == by.user.pk


# --- Of all accounts -----------------------------------------------------------------------------


def open_and_failed() -> tuple[int, int]:
    """How many jobs wait or run, and how many failed in 7 days."""
    is_open = Q(state__in=OPEN)
    has_failed = Q(state=State.FAILED, ended_at__gte=timezone.now() - _LATELY)
    counted = Job.objects.filter(is_open | has_failed).aggregate(
        open=Count("pk", filter=is_open), failed=Count("pk", filter=has_failed)
    )
    return counted["open"], counted["failed"]


def ended_by_kind() -> QuerySet[Job, dict[str, Any]]:
    """Of each ``kind`` of job that is kept: when one ended ``last`` and when that one ``began``,
    how many ``ended`` in 7 days, and how many of those ``failed``."""
    since = timezone.now() - _LATELY
    ended = Job.objects.filter(ended_at__isnull=False)
    last = ended.filter(kind=OuterRef("kind")).order_by("-ended_at")
    rows = (
        ended.order_by()
        .values("kind")
        .annotate(
            last=Max("ended_at"),
            began=Subquery(last.values("started_at")[:1]),
            ended=Count("pk", filter=Q(ended_at__gte=since)),
            failed=Count("pk", filter=Q(ended_at__gte=since, state=State.FAILED)),
        )
    )
    return cast("QuerySet[Job, dict[str, Any]]", rows.order_by("kind"))


# --- What a job's work has at hand ---------------------------------------------------------------


class Running:
    """A job that is being done, for its work: for whom, with what, and how far it is.

    What was counted and said is written now and then, not each time.
    """

    def __init__(self, job: Job, holder: str) -> None:
        self.account = job.account
        self.params: dict[str, Any] = dict(job.params)
        self.position: Any = job.position
        """What the work gave to `advance` last, before it was cut; None at the beginning."""
        self.key = job.key
        self._job = job
        self._holder = holder
        self._by: Identity | None = None
        self._asked_at = 0.0
        self._written_at = 0.0
        self._dirty = False

    @property
    def by(self) -> Identity:
        """Who started it, as they are now; raises a `Refusal` when they may not even sign in."""
        if self._by is None or time.monotonic() - self._asked_at > _ASK_AGAIN_SECONDS:
            job = self._job
            started_by = Identity(
                user=job.user,
                token=job.token,
                ip_address=job.ip_address,
                user_agent=job.user_agent,
            )
            self._by = OPERATOR if job.is_operators else identify_again(started_by)
            self._asked_at = time.monotonic()
        return self._by

    def set_total(self, total: int) -> None:
        """How many things there are to do in all."""
        self._job.total = total
        self._write()

    def advance(self, count: int = 1, *, position: int | str | None = None) -> None:
        """So many things are done. Raises `Stopped` once somebody pressed Stop.

        With a ``position``, another worker that has to begin again is given it, and counts on
        from here. Within a transaction it is written with it, or not at all.
        """
        self._job.done += count
        self._dirty = True
        if position is not None:
            if position != self.position:
                self._job.attempts = 0
            self.position = self._job.position = position
            self._write(counted=True)
        elif time.monotonic() - self._written_at >= _WRITE_SECONDS:
            self._write()
        failpoints.reach("job-advanced")

    def fail(self, item: str, reason: str, *, count: int = 1) -> None:
        """One thing was not done, or ``count`` for the same reason; they count as handled, and the
        work goes on. None at all is said of something beside the things that are counted."""
        self._job.failed += count
        if len(self._job.failures) < MOST_FAILURES:
            line = Failure(item=kept(item, _LONGEST_WORDS), reason=kept(reason, _LONGEST_WORDS))
            if count != 1:
                line["count"] = count
            self._job.failures.append(line)
        self.advance(0)

    def note(self, line: str) -> None:
        """A line for the log that people see."""
        self._job.lines = _with_line(self._job, line)
        self.advance(0)

    def wait(self, seconds: float) -> None:
        """Let somebody else work; raises `Stopped` as `advance` does."""
        time.sleep(seconds)
        self.advance(0)

    def end(self, state: str, error: str = "") -> None:
        self._dirty = True
        self._update(
            state=state,
            error=error,
            ended_at=timezone.now(),
            lease_holder="",
            lease_until=None,
        )

    def rest(self, seconds: float) -> None:
        """Give the job back, to be begun again after so long."""
        self._dirty = True
        self._update(
            state=State.WAITING,
            not_before=timezone.now() + timedelta(seconds=seconds),
            lease_holder="",
            lease_until=None,
        )

    def renew(self) -> None:
        """Keep the lease, from another thread."""
        self._rows().update(lease_until=_lease_end())

    def look(self) -> None:
        """Raise if the work is not to go on."""
        found = list(self._rows().values_list("stop_requested_at", flat=True)[:1])
        if not found:
            raise _Lost
        if found[0] is not None:
            raise Stopped

    def _write(self, *, counted: bool = False) -> None:
        self._written_at = time.monotonic()
        self.look()
        # What was counted since the last position would be counted again from there. And within
        # a transaction the row would stay locked as long as that lasts.
        if counted or (self.position is None and not connection.in_atomic_block):
            self._update()

    def _update(self, **values: object) -> None:
        job = self._job
        if self._dirty:
            values |= {
                "done": job.done,
                "failed": job.failed,
                "failures": job.failures,
                "lines": job.lines,
                "position": job.position,
                "attempts": job.attempts,
            }
            self._dirty = False
        if not self._rows().update(total=job.total, **values):
            raise _Lost

    def _rows(self) -> QuerySet[Job]:
        return Job.objects.filter(pk=self._job.pk, lease_holder=self._holder)


# --- What a command does itself ------------------------------------------------------------------


def begin_here(
    *, by: Identity, account: Account, kind: str, params: Mapping[str, Any], title: str
) -> RunningHere:
    """Show what this process is about to do as a job, until `RunningHere.end`.

    It is followed and stopped like others. No worker takes it over, and it keeps no other job of
    the account waiting. The log is told by what is done, not of the job.
    """
    for job in _running():
        if job.is_commands and _is_lost(job):
            _close(job)
    holder = processes.new_holder()
    job = Job.objects.create(
        kind=kind,
        title=title,
        params=dict(params),
        account=account,
        **_started_by(by),
        is_commands=True,
        state=State.RUNNING,
        started_at=timezone.now(),
        lease_holder=holder,
        lease_until=_lease_end(),
    )
    return RunningHere(job, holder)


class RunningHere(Running):
    """A job that this process does itself."""

    _is_interrupted = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to tell how far it is."""
        return time.monotonic() - self._written_at >= _WRITE_SECONDS

    def count(self, *, total: int, done: int, failed: int) -> None:
        """So many there are in all, are done and are not. Raises `Stopped` as `advance` does."""
        self._job.total, self._job.done, self._job.failed = total, done, failed
        self.advance(0)

    def beside(self) -> list[dict[str, Any]]:
        """With what other commands do the same for this account at this moment."""
        same = Job.objects.filter(account=self.account, kind=self._job.kind, is_commands=True)
        others = same.filter(state=State.RUNNING).exclude(pk=self._job.pk)
        return list(others.values_list("params", flat=True))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep the job while the work can't tell how far it is; Stop then comes as Ctrl-C does.

        It takes a thread, and a process that has one can't be copied: not for what starts some.
        """
        if connection.in_atomic_block:  # nobody else would see it
            yield
            return
        with leases.renewed(self._watch, every_seconds=_LOOK_SECONDS, of=f"job {self.key}"):
            yield

    def _watch(self) -> None:
        if time.monotonic() - self._written_at >= settings.JOB_LEASE_SECONDS / 4:
            self._written_at = time.monotonic()
            self.renew()
        try:
            self.look()
        except Stopped:
            if not self._is_interrupted:  # a second time it would cut the tidying
                self._is_interrupted = True
                # To that thread itself, which may wait for a server.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def end_as_stopped(self) -> str | None:
        """It was told to end: on a page by somebody, whose name is given back, or here."""
        asked = self._rows().filter(stop_requested_at__isnull=False)
        name = asked.values_list("stopped_by", flat=True).first()
        if name is None:
            self._rows().update(stop_requested_at=timezone.now())
        self.end(State.STOPPED)
        return name

    def renew(self) -> None:
        self._rows().update(**self._alive())

    def look(self) -> None:
        # Of a deleted account the row is gone. The work itself will hear of that.
        with suppress(_Lost):
            super().look()

    def _update(self, **values: object) -> None:
        with suppress(_Lost):
            super()._update(**self._alive() | values)

    def _alive(self) -> dict[str, object]:
        # All of it: a worker that heard nothing for too long, since the machine slept, has said
        # that this ended.
        return {
            "state": State.RUNNING,
            "error": "",
            "ended_at": None,
            "lease_until": _lease_end(),
        }


def _close(job: Job) -> None:
    """Say of what a command did that it ended: it was killed, or its machine."""
    same = Job.objects.filter(pk=job.pk, state=State.RUNNING, lease_until=job.lease_until)
    same.update(
        state=State.STOPPED if job.stop_requested_at else State.FAILED,
        error="" if job.stop_requested_at else gettext("The command ended in the middle of it."),
        ended_at=timezone.now(),
    )


# --- Doing it ----------------------------------------------------------------------------------


def run_next() -> bool:
    """Do the job that is due next; False when none is."""
    holder = processes.new_holder()
    job = _claim(holder)
    if job is None:
        return False
    running = Running(job, holder)
    try:
        with _renewed_lease(running):
            _run(job, running)
    except _Lost:
        log.warning("another worker has the job now", extra={"job": job.key})
    return True


def run_due() -> int:
    """Do all jobs that are due; how many were done."""
    count = 0
    while run_next():
        count += 1
    return count


def _run(job: Job, running: Running) -> None:
    try:
        running.look()
        _works[job.kind](running)
    except Stopped:
        running.end(State.STOPPED)
    except Refusal as refusal:
        running.end(State.FAILED, refusal.detail)
    except _Lost:
        raise
    except Exception:  # one job's trouble must not end the worker
        log.exception("a job failed", extra={"job": job.key, "kind": job.kind})
        if not connection.in_atomic_block:
            close_old_connections()
        if job.attempts < _TRIES:
            running.rest(_SECONDS_BETWEEN_TRIES * max(1, job.attempts))
        else:
            why = gettext("Something went wrong here. Quote %(key)s to ask why.")
            running.end(State.FAILED, why % {"key": job.key})
    else:
        running.end(State.DONE)


def _claim(holder: str) -> Job | None:
    """Take a job that waits, or one whose worker has ended; of each account one at a time."""
    now = timezone.now()
    running = _running()
    lost = [job for job in running if _is_lost(job)]
    for job in lost:
        if job.is_commands:
            _close(job)
    running, lost = ([job for job in some if not job.is_commands] for some in (running, lost))
    busy = {job.account_id for job in running} - {job.account_id for job in lost}
    waiting = (
        Job.objects.filter(Q(not_before=None) | Q(not_before__lte=now), state=State.WAITING)
        .exclude(account__in=busy)
        .order_by("pk")[:5]
    )
    for job in (*lost, *waiting):
        if job.kind not in _works:
            continue  # a worker of the next version knows it
        taken = Job.objects.filter(
            pk=job.pk, state=job.state, lease_holder=job.lease_holder
        ).update(**_claim_of(job, holder))
        if taken:
            found = Job.objects.select_related("account", "user__account", "token__account")
            claimed = found.get(pk=job.pk)
            if not claimed.is_over:
                return claimed
    return None


def _running() -> list[Job]:
    return list(Job.objects.filter(state=State.RUNNING).order_by("pk"))


def _is_lost(job: Job) -> bool:
    if job.lease_until is None or job.lease_until < timezone.now():
        return True
    return processes.holder_has_ended(job.lease_holder)


def _claim_of(job: Job, holder: str) -> dict[str, object]:
    """What to write to take a job: it counts anew, unless its work told how far it came."""
    now = timezone.now()
    was_cut = job.state == State.RUNNING
    if was_cut and job.attempts >= _TRIES:
        error = gettext("Its worker ended in the middle of it, again and again.")
        over = {"state": State.FAILED, "error": error, "ended_at": now}
        return {**over, "lease_holder": "", "lease_until": None}
    values: dict[str, object] = {
        "state": State.RUNNING,
        "lease_holder": holder,
        "lease_until": _lease_end(),
        "attempts": job.attempts + 1,
        "started_at": job.started_at or now,
    }
    if job.position is None:
        values |= {"done": 0, "failed": 0, "failures": [], "total": None}
    if was_cut:
        values["lines"] = _with_line(job, gettext("Its worker ended; it goes on."))
    return values


def _with_line(job: Job, line: str) -> list[dict[str, Kept]]:
    at = timezone.now().isoformat(timespec="seconds")
    return [*job.lines, {"at": at, "line": kept(line, _LONGEST_WORDS)}][-MOST_LINES:]


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)


@contextmanager
def _renewed_lease(running: Running) -> Iterator[None]:
    """Keep the lease while the work takes longer than it lasts."""
    if connection.in_atomic_block:  # nobody else would see it
        yield
        return
    every_seconds = settings.JOB_LEASE_SECONDS / 4
    with leases.renewed(running.renew, every_seconds=every_seconds, of=f"job {running.key}"):
        yield


class Lanes:
    """Threads of a worker that do jobs, beside those that index: a long one holds up only the
    jobs of its own account."""

    def __init__(self, count: int) -> None:
        for number in range(count):
            threading.Thread(target=self._run, name=f"jobs-{number}", daemon=True).start()

    def _run(self) -> None:
        while not processes.is_ending():
            try:
                found = not switches.is_thrown(switches.Name.READ_ONLY) and run_next()
            except Exception:  # what it is about may go well the next time
                log.exception("looking for jobs failed")
                found = False
            close_old_connections()
            if not found:
                time.sleep(_LOOK_SECONDS)


def let_go() -> None:
    """Give back what this process holds, which is about to end as it was told to: that is no fault
    of the jobs."""
    processes.note_ending()
    held = f"{processes.HOST}/{os.getpid()}/"
    Job.objects.filter(state=State.RUNNING, lease_holder__startswith=held, attempts__gt=0).update(
        lease_until=timezone.now(), attempts=F("attempts") - 1
    )


def sweep() -> int:
    """Forget jobs that ended long ago."""
    old = list(
        Job.objects.filter(ended_at__lt=timezone.now() - settings.JOBS_KEPT)
        .order_by("ended_at")
        .values_list("pk", flat=True)[:5000]
    )
    return Job.objects.filter(pk__in=old).delete()[0]
