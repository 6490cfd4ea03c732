"""What is done to a whole channel and takes long: the jobs of it, and starting them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db.models import QuerySet

from accounts.identity import Identity
from accounts.rights import runs_the_site
from portal.errors import Conflict, NotFound, Refusal
from portal.sentences import gettext
from portal.sentences import gettext as _
from registry import access, indexing, jobs, placement, recovery, ringing
from registry.models import Channel, Job, PackageFile, PublishedIndex, StaleMark
from registry.placement import CopyMode
from registry.publishing import open_destination

log = logging.getLogger(__name__)

_FILES_AT_ONCE = 200
_WAIT_SECONDS = 0.2


# --- Its index ---------------------------------------------------------------------------------


def start_reindex(*, by: Identity, channel: Channel) -> Job:
    """Have all index files of a channel written anew from the database."""
    _require_index_work(by, channel)
    title = _("Rebuild the index of %(channel)s") % {"channel": _place(channel)}
    return _start(by, channel, "channel.reindex", title)


def start_verify(*, by: Identity, channel: Channel) -> Job:
    """Have all index files of a channel compared with what they should be."""
    _require_index_work(by, channel)
    title = _("Verify the index of %(channel)s") % {"channel": _place(channel)}
    return _start(by, channel, "channel.verify", title)


def last_verification() -> Job | None:
    """The last time that somebody had the index files of a channel compared, to the end."""
    ended = (jobs.State.DONE, jobs.State.FAILED)
    # Without a total nothing was looked at; with an error not everything.
    checks = Job.objects.filter(
        kind="channel.verify", state__in=ended, total__isnull=False, error=""
    )
    return checks.order_by("-ended_at").first()


def _start(by: Identity, channel: Channel, kind: str, title: str) -> Job:
    params = {"channel": channel.pk}
    return jobs.start(by=by, account=channel.account, kind=kind, params=params, title=title)


def _require_index_work(by: Identity, channel: Channel) -> None:
    if not runs_the_site(by):
        access.require_manage_channels(by, channel.account, channel.name)


def _place(channel: Channel) -> str:
    return f"{channel.account.name}/{channel.name}"


@jobs.work("channel.reindex")
def _reindex(job: jobs.Running) -> None:
    channel = _channel(job.params["channel"])
    _require_index_work(job.by, channel)
    indexing.mark_everything(Channel.objects.filter(pk=channel.pk))
    _publish(job, channel)


def _publish(job: jobs.Running, channel: Channel) -> None:
    """Bring every subdir up to date of which all is to be written, here or in the lanes beside."""
    waiting = _marked(channel)
    job.set_total(len(waiting))
    ringing.ring(channel.pk, waiting)
    while waiting:
        for subdir in waiting:
            if not indexing.bring_up_to_date(channel.pk, subdir):
                job.wait(_WAIT_SECONDS)  # another worker is at it
        left = _marked(channel)
        job.advance(len(waiting) - len(left))
        waiting = left


def _marked(channel: Channel) -> list[str]:
    # What somebody publishes meanwhile has a name, and is no part of this.
    marks = StaleMark.objects.filter(channel=channel, package_name="").order_by("subdir")
    return list(marks.values_list("subdir", flat=True).distinct())


@jobs.work("channel.verify")
def _verify(job: jobs.Running) -> None:
    channel = _channel(job.params["channel"])
    _require_index_work(job.by, channel)
    if settings.S3_BUCKET:
        job.note(_("Files in an S3 are checked by the S3 itself; a rebuild writes them anew."))
        return
    indexes = list(PublishedIndex.objects.filter(channel=channel).order_by("subdir", "pk"))
    job.set_total(len(indexes))
    for index in indexes:
        damaged = _check(index)
        if damaged:
            name = index.subdir or _("the channel's own files")
            job.fail(name, _("%(file)s is damaged; it is made anew.") % {"file": damaged})
        else:
            job.advance()
    ringing.ring(channel.pk, _marked(channel))


def _check(index: PublishedIndex) -> str | None:
    """As `recovery.check`, of an index that may be replaced while it is read."""
    while True:
        generation = index.generation
        damaged = recovery.check(index)
        if damaged is None:
            return None
        found = PublishedIndex.objects.filter(pk=index.pk).first()
        if found is None or found.generation == generation:
            return damaged.rpartition("/")[2]
        index = found


# --- Its files ---------------------------------------------------------------------------------


def start_copy_all(*, by: Identity, source: Channel, target: Channel) -> Job:
    """Have all files of a channel put into another one, of the same account or not.

    Each file is decided on when its turn comes; what stays out, the job tells.
    """
    if source.pk == target.pk:
        raise Conflict(
            gettext("%(source)s is both of them. Name another channel to copy to.")
            % {"source": source.name}
        )
    _require_copying(by, source, target)
    return jobs.start(
        by=by,
        account=target.account,
        kind="channel.copy_all",
        params={"source": source.pk, "target": target.pk},
        title=_("Copy all files of %(source)s to %(target)s")
        % {"source": _place(source), "target": _place(target)},
    )


def files_to_copy(*, by: Identity, source: Channel) -> QuerySet[PackageFile]:
    """What of a channel that they may read is put into another one: all that they may see."""
    return access.visible_files_of_account(by, source.account).filter(entries__channel=source)


def _require_copying(by: Identity, source: Channel, target: Channel) -> None:
    if not access.may_read_channel(by, source):
        raise NotFound
    open_destination(by, target.account.name, target.name)


@jobs.work("channel.copy_all")
def _copy_all(job: jobs.Running) -> None:
    source, target = _channel(job.params["source"]), _channel(job.params["target"])
    _require_copying(job.by, source, target)
    files = files_to_copy(by=job.by, source=source)
    if job.position is None:
        job.set_total(files.count())
    while some := list(files.filter(pk__gt=job.position or 0).order_by("pk")[:_FILES_AT_ONCE]):
        _require_copying(job.by, source, target)
        copied = _copy(job, some, target)
        job.advance(copied, position=some[-1].pk)


def _copy(job: jobs.Running, files: Sequence[PackageFile], target: Channel) -> int:
    """Copy some; how many stand there now. Where one can't, the others are copied without it."""
    try:
        published = placement.copy_files(
            by=job.by,
            files=files,
            account_name=target.account.name,
            channel_name=target.name,
            mode=CopyMode.UPDATE,
        )
    except Refusal as refusal:
        if len(files) == 1:
            job.fail(_name(files[0]), refusal.detail)
            return 0
        half = len(files) // 2
        return _copy(job, files[:half], target) + _copy(job, files[half:], target)
    there = {(one.file.subdir, one.file.filename) for one in published}
    for file in files:
        if (file.subdir, file.filename) not in there:
            reason = _("%(account)s has another file of this name.")
            job.fail(_name(file), reason % {"account": target.account.name})
    return len(there)


def _name(file: PackageFile) -> str:
    return f"{file.subdir}/{file.filename}"


def _channel(pk: int) -> Channel:
    channel = Channel.objects.select_related("account").filter(pk=pk).first()
    if channel is None:
        raise NotFound
    return channel
