"""What is done to more files than one request may take: jobs that plan and act some at a time.

Each batch is planned anew, so what was done before a crash, or by somebody else meanwhile, is left
alone. Which files those are is kept in the job: what is uploaded later is not among them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.db.models import Q

from accounts.identity import Identity
from accounts.models import Account
from portal.errors import NotFound, Refusal
from portal.sentences import Number, ngettext
from registry import access, jobs, placement
from registry.models import Channel, Job, PackageFile
from registry.planning import Act, carry_out, plan

_AT_ONCE = 500
_DELETE = "delete"


def start_bulk(
    *,
    by: Identity,
    account: Account,
    act: Act,
    files: Collection[PackageFile],
    source: Channel | None,
    target: Channel | None,
    title: str,
) -> Job:
    """Move, copy or take out files, as far as that is still possible when it is their turn."""
    access.require_writing(by, account, {file.name for file in files})
    return jobs.start(
        by=by,
        account=account,
        kind=f"files.{act.value}",
        params={
            "files": sorted(file.pk for file in files),
            "source": source.pk if source else None,
            "target": target.pk if target else None,
        },
        title=title,
    )


def start_deletion(
    *,
    by: Identity,
    account: Account,
    files: Collection[PackageFile],
    because: Mapping[str, object],
    title: str,
) -> Job:
    access.require_writing(by, account, {file.name for file in files})
    return jobs.start(
        by=by,
        account=account,
        kind=f"files.{_DELETE}",
        params={"files": sorted(file.pk for file in files), "because": dict(because)},
        title=title,
    )


@jobs.work("files.move")
def _move(job: jobs.Running) -> None:
    _carry_out(job, Act.MOVE)


@jobs.work("files.copy")
def _copy(job: jobs.Running) -> None:
    _carry_out(job, Act.COPY)


@jobs.work("files.remove")
def _remove(job: jobs.Running) -> None:
    _carry_out(job, Act.REMOVE)


def _carry_out(job: jobs.Running, act: Act) -> None:
    ids: list[int] = job.params["files"]
    job.set_total(len(ids))
    while some := _next(ids, job.position):
        source, target = (_channel(job.params[name]) for name in ("source", "target"))
        files = _files(job.by, job.account, some)
        planned = plan(by=job.by, act=act, files=files, source=source, target=target)
        carry_out(by=job.by, planned=planned)
        for reason, count in planned.refused.items():
            said = ngettext("%(n)s file", "%(n)s files", count) % {"n": Number(count)}
            job.fail(said, reason, count=count)
        job.advance(len(some) - planned.refused.total(), position=some[-1])


@jobs.work(f"files.{_DELETE}")
def _delete(job: jobs.Running) -> None:
    ids: list[int] = job.params["files"]
    job.set_total(len(ids))
    while some := _next(ids, job.position):
        files = _files(job.by, job.account, some)
        refused: Mapping[int, Refusal] = {}
        if files:
            refused = access.undeletable(job.by, job.account, files)
        for file in files:
            if file.pk in refused:
                job.fail(f"{file.subdir}/{file.filename}", refused[file.pk].detail)
        good = [file for file in files if file.pk not in refused]
        placement.delete_files(by=job.by, files=good, because=job.params["because"])
        job.advance(len(some) - len(refused), position=some[-1])


def _next(ids: Sequence[int], position: int | str | None) -> list[int]:
    """Those whose turn it is; the keys stand in their order."""
    done = int(position) if position is not None else 0
    return [pk for pk in ids if pk > done][:_AT_ONCE]


def _files(by: Identity, account: Account, ids: Sequence[int]) -> list[PackageFile]:
    files = access.visible_files_of_account(by, account, Q(pk__in=ids))
    return list(files.defer("index", "about").order_by("pk"))


def _channel(pk: int | None) -> Channel | None:
    if pk is None:
        return None
    channel = Channel.objects.select_related("account").filter(pk=pk).first()
    if channel is None:
        raise NotFound
    return channel
