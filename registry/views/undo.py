"""Taking back what was just done to files: an offer that outlives a reload, for an hour.

What would be done is kept in the session, and the address of the page that shows the offer names
it; so nobody else can be sent one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.identity import Identity
from accounts.models import Account
from accounts.views.frame import act_of
from portal.errors import NotFound, Refusal
from portal.templatetags.ui import thousands
from registry import access, placement
from registry.bin import restore_files
from registry.models import Channel, PackageFile
from registry.views.frame import viewer

_KEY = "undo"
_LASTS_SECONDS = 3600
_KEPT = 5


def offer(
    request: HttpRequest,
    account: Account,
    *,
    words: str,
    act: str,
    files: Sequence[int],
    added_to: str = "",
    removed_from: str = "",
    added: Sequence[int] = (),
) -> str:
    """Note how to take back what was done; what to put behind the address of the next page.

    ``files`` were deleted, or left ``removed_from``; ``added`` came into ``added_to``.
    """
    key = secrets.token_urlsafe(9)
    kept: dict[str, Any] = dict(request.session.get(_KEY, {}))
    kept[key] = {
        "account": account.name,
        "words": words,
        "act": act,
        "files": list(files),
        "added": list(added),
        "added_to": added_to,
        "removed_from": removed_from,
        "until": time.time() + _LASTS_SECONDS,
    }
    # A session is no archive: the last few are enough.
    request.session[_KEY] = dict(list(kept.items())[-_KEPT:])
    return urlencode({"done": key})


def offered(request: HttpRequest) -> dict[str, Any]:
    """What pages show of an offer that their address names; a context processor."""
    key = request.GET.get("done", "")
    found = _find(request, key) if key else None
    if found is None:
        return {}
    # What nothing can take back is still said.
    can_undo = found["files"] or found["added"]
    url = reverse("registry:files-undo", args=[found["account"], key]) if can_undo else ""
    return {"undo_offer": {"words": found["words"], "url": url}}


def _find(request: HttpRequest, key: str) -> dict[str, Any] | None:
    found = request.session.get(_KEY, {}).get(key)
    if not isinstance(found, dict) or found["until"] < time.time():
        return None
    return found


@act_of("registry:account", "key")
def files_undo(request: HttpRequest, account: str, key: str) -> HttpResponse:
    identity = viewer(request)
    found = _find(request, key)
    target = access.find_account(account)
    if found is None or found["account"] != target.name:
        words = _("It is too late to undo this here. What was deleted may still be in the bin.")
        messages.error(request, words)
        return redirect(reverse("registry:account", args=[target.name]))
    back = _way_back(request, target)
    try:
        count = _take_back(identity, target, found)
    except NotFound:
        messages.error(request, _("There is nothing to undo any more."))
        return redirect(back)
    except Refusal as refusal:
        messages.error(request, refusal.detail)
        return redirect(back)
    kept = dict(request.session[_KEY])
    del kept[key]
    request.session[_KEY] = kept
    messages.success(
        request,
        ngettext("Undone for %(count)s file.", "Undone for %(count)s files.", count)
        % {"count": thousands(count)},
    )
    return redirect(back)


def _way_back(request: HttpRequest, account: Account) -> str:
    """The page that showed the offer, without it; only of this account, whoever sent them."""
    path = request.POST.get("next", "")
    own = reverse("registry:account", args=[account.name])
    return path if path.startswith(f"{own}/") and path.isprintable() else own


def _take_back(by: Identity, account: Account, found: dict[str, Any]) -> int:
    if found["act"] == "delete":
        files = PackageFile.objects.select_related("account", "package").filter(
            account=account, pk__in=found["files"]
        )
        return len(restore_files(by=by, account=account, files=list(files)))
    done = placement.exchange_files(
        by=by,
        out_of=_channel(by, account, found["added_to"]),
        leaving=_files(by, account, found["added"]),
        into=_channel(by, account, found["removed_from"]),
        coming=_files(by, account, found["files"]),
    )
    return len(done.came | done.left)


def _channel(by: Identity, account: Account, name: str) -> Channel | None:
    return access.find_channel(by, account.name, name) if name else None


def _files(by: Identity, account: Account, ids: Sequence[int]) -> list[PackageFile]:
    return list(access.visible_files_of_account(by, account, Q(pk__in=ids)))
