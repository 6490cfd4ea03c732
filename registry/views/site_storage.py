"""What is kept, by whom, and what of it is damaged."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.views.site_gate import site_page
from registry import checking
from registry.models import Blob, Job, PackageFile
from registry.views.site_frame import frame

_MOST_DAMAGED = 100


@site_page
def site_storage(request: HttpRequest) -> HttpResponse:
    """The accounts that keep most, and what no file needs any more."""
    present = PackageFile.objects.present().order_by()
    files = present.values("account__name", "account__deleted_at")
    largest = files.annotate(size=Sum("size_bytes"), count=Count("pk")).order_by("-size")[:50]
    unneeded = Blob.objects.filter(files=None).aggregate(size=Sum("size_bytes"), count=Count("pk"))
    stored = Blob.objects.aggregate(size=Sum("size_bytes"), count=Count("pk"))
    # More than is stored where the same bytes lie in several accounts, or in one twice.
    of_all = PackageFile.objects.present().aggregate(size=Sum("size_bytes"))
    total, free = disk_space()
    context = frame("site-storage", _("Storage"), _("The accounts that keep most.")) | {
        "largest": list(largest),
        "of_all": of_all["size"],
        "unneeded": unneeded,
        "stored": stored,
        "total": total,
        "free": free,
        "kept_days": settings.UNREFERENCED_BYTES_KEPT.days,
        "checked": _last_check(),
        "longest_unread": Blob.objects.aggregate(first=Min("checked_at"))["first"],
        "check_days": settings.CHECK_EVERY.days,
        "damaged": _damaged(),
    }
    return render(request, "registry/site_storage.html", context)


def _damaged() -> list[dict[str, Any]]:
    """The stored packages that are known to be damaged, with the files that need them."""
    blobs = list(Blob.objects.damaged().order_by("checked_at")[:_MOST_DAMAGED])
    files = defaultdict[int | None, list[PackageFile]](list)
    for file in checking.files_of([blob.pk for blob in blobs])[: 5 * _MOST_DAMAGED]:
        files[file.blob_id].append(file)
    return [{"blob": blob, "files": files[blob.pk]} for blob in blobs]


def _last_check() -> Job | None:
    """The last time that somebody had the stored index files of a channel compared with their
    hashes, to the end."""
    ended = (Job.State.DONE, Job.State.FAILED)
    # Without a total nothing was looked at; with an error not everything.
    checks = Job.objects.filter(
        kind="channel.verify", state__in=ended, total__isnull=False, error=""
    )
    return checks.order_by("-ended_at").first()


def disk_space() -> tuple[int, int]:
    """How large the disk of the data is, and how much of it is free; of an S3 nobody knows."""
    if settings.S3_BUCKET:
        return 0, 0
    folder = Path(settings.FILES_FOLDER)
    while not folder.exists():
        folder = folder.parent
    used = shutil.disk_usage(folder)
    return used.total, used.free
