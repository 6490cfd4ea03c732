"""What is kept, by whom, and what of it is damaged."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.views.site_gate import site_page
from registry import channel_work, checking, storage
from registry.models import Blob, PackageFile
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
    total, free = storage.disk_space()
    context = frame("site-storage", _("Storage"), _("The accounts that keep most.")) | {
        "largest": list(largest),
        "of_all": of_all["size"],
        "unneeded": unneeded,
        "stored": stored,
        "total": total,
        "free": free,
        "kept_days": settings.UNREFERENCED_BYTES_KEPT.days,
        "checked": channel_work.last_verification(),
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
