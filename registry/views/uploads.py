"""Uploading from a browser: choose where to, choose files, see what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts.identity import Identity
from accounts.models import Account
from accounts.views.frame import page
from portal.errors import Forbidden, NotFound, Refusal
from portal.upload_check import stop_here_if_asked
from registry import access, publishing, storage
from registry.access import Destination
from registry.forms import DestinationForm
from registry.models import PackageFile
from registry.models.channel import MAIN
from registry.publishing import Claims, Outcome
from registry.receiving import upload_slot
from registry.refusing import FileExists
from registry.storage import Readable, UploadTooLarge
from registry.views.frame import viewer

FILE_FIELD = "files"
REPLACE_FIELD = "replace"
_ACCOUNTS_OFFERED = 200
_CHANNELS_OFFERED = 200


def _accounts(identity: Identity) -> list[str]:
    accounts = access.publishable_accounts(identity).order_by("name")
    return list(accounts.values_list("name", flat=True)[:_ACCOUNTS_OFFERED])


def _url(account: str, channel: str) -> str:
    """The page that takes the files: who may is decided by its address, before they come."""
    query = "" if channel == MAIN else f"?{urlencode({'channel': channel})}"
    return reverse("registry:upload", args=[account]) + query


@page
def upload_start(request: HttpRequest) -> HttpResponse:
    """Ask where to; with only one account there is nothing to ask."""
    accounts = _accounts(viewer(request))
    form = DestinationForm(request.GET or None, accounts=accounts)
    if request.GET and form.is_valid():
        return redirect(_url(form.cleaned_data["account"], form.cleaned_data["channel"]))
    if len(accounts) == 1 and not request.GET:
        return redirect(_url(accounts[0], MAIN))
    return render(request, "registry/upload_start.html", {"form": form, "accounts": accounts})


# --- Receiving ---------------------------------------------------------------------------------


class _IncomingFiles(FileUploadHandler):
    """Writes each file of a form where uploads are received, and gives up beyond the limit."""

    def __init__(self, request: HttpRequest, stack: ExitStack) -> None:
        super().__init__(request)
        self._stack = stack
        self._file: Any = None
        self._received_bytes = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._file, _ = self._stack.enter_context(storage.temporary_file("form-"))
        self._received_bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._received_bytes += len(raw_data)
        if self._received_bytes > settings.MAX_UPLOAD_BYTES:
            raise UploadTooLarge(
                gettext(
                    "A file is larger than %(max_upload_bytes)s bytes, the most this host takes. "
                    "Nothing of this form was published."
                )
                % {"max_upload_bytes": f"{settings.MAX_UPLOAD_BYTES:,}"}
            )
        self._file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile[Any]:
        self._file.seek(0)
        return UploadedFile(
            file=self._file, name=self.file_name, content_type=self.content_type, size=file_size
        )


@contextmanager
def receiving(request: HttpRequest) -> Iterator[None]:
    with upload_slot(), ExitStack() as stack:
        request.upload_handlers = [_IncomingFiles(request, stack)]
        yield


# The outer view decides who may before the form is read, for the check against forged requests
# reads the whole form; the inner one makes that check.
@csrf_exempt
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, account: str) -> HttpResponse:
    identity = viewer(request)
    channel = request.GET.get("channel") or MAIN
    found = access.find_account(account)
    if request.method != "POST":
        _require_publishing(identity, found)
        return _form(request, identity, found, channel)
    destination = publishing.open_destination(identity, found.name, channel)
    stop_here_if_asked(request.META)
    with receiving(request):
        return _publish(request, identity, destination)


def _require_publishing(identity: Identity, account: Account) -> None:
    if not access.publishable_accounts(identity).filter(pk=account.pk).exists():
        raise Forbidden(
            gettext(
                "%(identity)s may not publish to %(account)s. Ask an admin of %(account)s "
                "for the permission to write."
            )
            % {"identity": identity.name, "account": account.name}
        )


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one file."""

    name: str
    file: PackageFile | None = None
    outcome: str = ""
    reason: str = ""


@csrf_protect
def _publish(request: HttpRequest, identity: Identity, destination: Destination) -> HttpResponse:
    uploads = request.FILES.getlist(FILE_FIELD)
    account, channel = destination.account, destination.channel_name
    if not uploads:
        reason = _("No file was chosen. Choose one or several.")
        return _form(request, identity, account, channel, reason=reason)
    replaces = REPLACE_FIELD in request.POST
    results = [_publish_one(identity, destination, each, replaces=replaces) for each in uploads]
    if request.accepts("application/json") and not request.accepts("text/html"):
        rows = [_row(account, channel, result) for result in results]
        return JsonResponse({"results": rows}, headers={"Cache-Control": "no-store"})
    failed = sum(1 for result in results if result.reason)
    context = {
        "account": account,
        "channel": channel,
        "results": results,
        "failed": failed,
        "done": len(results) - failed,
        "again_url": _url(account.name, channel),
        "crumbs": _crumbs(account, _("Uploaded")),
    }
    return render(request, "registry/uploaded.html", context, status=422 if failed else 200)


def _publish_one(
    identity: Identity, destination: Destination, sent: UploadedFile[Any], *, replaces: bool
) -> _Result:
    # A browser's name for a file proves nothing: "xz (1).conda" is as good as any.
    name = sent.name or gettext("a file without a name")
    try:
        published = publishing.publish_to(
            by=identity,
            destination=destination,
            body=cast(Readable, sent.file),
            claims=Claims(),
            replaces=replaces,
        )
    except FileExists as refusal:
        hint = "" if replaces else " " + _("Here that is “Replace files of the same name”.")
        return _Result(name, reason=refusal.detail + hint)
    except Refusal as refusal:
        return _Result(name, reason=refusal.detail)
    return _Result(name, published.file, _WORDS[published.outcome])


_WORDS = {
    Outcome.CREATED: "published",
    Outcome.ADDED: "added",
    Outcome.UNCHANGED: "unchanged",
    Outcome.REPLACED: "replaced",
}


def _row(account: Account, channel: str, result: _Result) -> dict[str, str]:
    """What the script of the page shows of one file, in words."""
    if result.file is None:
        return {"name": result.name, "state": "failed", "words": result.reason}
    file = result.file
    words = {
        "published": _("Published"),
        "added": _("It was here already, and now also stands in %(channel)s"),
        "unchanged": _("Already there, unchanged"),
        "replaced": _("In place of the file that had its name"),
    }
    where = [account.name, file.name, file.subdir, file.filename]
    return {
        "name": file.filename,
        "state": "unchanged" if result.outcome == "unchanged" else "done",
        "words": words[result.outcome] % {"channel": channel},
        "facts": f"{file.name} {file.version} · {file.build} · {file.subdir}",
        "url": reverse("registry:file", args=where),
    }


def _crumbs(account: Account, *further: str) -> list[dict[str, str]]:
    return [
        {"label": account.name, "url": reverse("registry:account", args=[account.name])},
        *({"label": label} for label in further),
    ]


def _form(
    request: HttpRequest,
    identity: Identity,
    account: Account,
    channel: str,
    *,
    reason: str = "",
) -> HttpResponse:
    channels = access.visible_channels(identity, account).order_by("name")
    names = list(channels.values_list("name", flat=True)[:_CHANNELS_OFFERED])
    if not channel.isprintable() or len(channel) > 128:
        raise NotFound
    context = {
        "account": account,
        "channel": channel,
        "is_new": channel not in names,
        "channels": names,
        "upload_url": _url(account.name, channel),
        "accounts": _accounts(identity),
        "reason": reason,
        "crumbs": _crumbs(account, _("Upload")),
        "base_command": (
            'curl --fail-with-body --header "Authorization: Bearer $CONDARIUM_TOKEN" \\\n'
            f"  --form file=@xz-5.6.3-h1_0.conda {settings.BASE_URL}/api/v1/upload/"
            f"{account.name}/{channel}"
        ),
    }
    return render(request, "registry/upload.html", context, status=422 if reason else 200)
