"""All files of an account, to be taken along before it is deleted: as a list, and as a script."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from accounts.models import Account
from accounts.scopes import Ability
from accounts.views.frame import administered
from portal import spreadsheets
from registry.models import Channel, ChannelFile, PackageFile
from registry.views.install import download_url

_HEADER = ["subdir", "filename", "bytes", "sha256", "address"]


def _files(account: Account) -> Iterator[tuple[str, str, int, str, str]]:
    """Each with the address of one channel it stands in; read as they are written out."""
    somewhere = ChannelFile.objects.filter(file=OuterRef("pk")).order_by("channel__name")
    rows = (
        PackageFile.objects.present()
        .filter(account=account)
        .annotate(channel_name=Subquery(somewhere.values("channel__name")[:1]))
        .order_by("subdir", "filename")
        .values_list("subdir", "filename", "size_bytes", "sha256", "channel_name")
    )
    for subdir, filename, size, sha256, channel in rows.iterator():
        place = Channel(account=account, name=channel or "")
        address = f"{settings.BASE_URL}{download_url(place, subdir, filename)}"
        yield subdir, filename, size, sha256, address if channel else ""


@login_required
@require_safe
def files_csv(request: HttpRequest, account: str) -> HttpResponseBase:
    _identity, found = administered(request, account, Ability.ADMINISTER)
    lines = spreadsheets.csv_lines(_HEADER, _files(found))
    return spreadsheets.download(lines, filename=f"{found.name}-files.csv", content_type="text/csv")


@login_required
@require_safe
def files_script(request: HttpRequest, account: str) -> HttpResponseBase:
    _identity, found = administered(request, account, Ability.ADMINISTER)
    name = f"{found.name}-files.sh"
    return spreadsheets.download(_script(found), filename=name, content_type="text/x-shellscript")


def _script(account: Account) -> Iterator[str]:
    yield (
        "#!/bin/sh\n"
        "# Put a token that may download into CONDARIUM_TOKEN. Begun again, it goes on.\n"
        "set -eu\n"
        ': "${CONDARIUM_TOKEN:?}"\n'
        "fetch() {\n"
        '  [ -e "$1" ] && return\n'
        '  curl -fsSL --create-dirs -H "Authorization: Bearer $CONDARIUM_TOKEN"'
        ' -o "$1.part" "$2"\n'
        '  echo "$3  $1.part" | sha256sum -c --quiet\n'
        '  mv "$1.part" "$1"\n'
        "}\n"
    )
    for subdir, filename, _size, sha256, address in _files(account):
        target = shlex.quote(f"{account.name}/{subdir}/{filename}")
        if address:
            yield f"fetch {target} {shlex.quote(address)} {sha256}\n"
        else:
            yield f"echo {target} stands in no channel: put it into one first. >&2\n"
