"""Single files, which anaconda.org calls dists: looking at one, downloading, removing it.

In paths they are called ``<subdir>/<filename>``, or without the subdir where that is enough to
tell which is meant, or ``-/<_id>``.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import re_path

from accounts.identity import Identity
from accounts.rights import require_ability
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access, delivery, finding, placement, replacing
from registry.dialects.anaconda.document import files_json
from registry.dialects.anaconda.endpoint import endpoint, reply
from registry.dialects.anaconda.finding import Missing, find_package
from registry.dialects.anaconda.shapes import key_of
from registry.models import Blob, Channel, PackageFile
from registry.models.channel import MAIN

_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)


def _find(by: Identity, account: str, package: str, version: str, basename: str) -> PackageFile:
    found = find_package(by, account, package)
    files = access.visible_files(by, found).filter(_named(basename), version=version)
    rows = list(files.select_related("package", "account")[:2])
    if len(rows) != 1:
        raise Missing(f'The file "{account}/{package}/{version}/{basename}"')
    return rows[0]


def _named(basename: str) -> Q:
    folder, slash, name = basename.rpartition("/")
    if folder == "-" and _ID.fullmatch(name):
        return Q(pk=key_of(name))
    return Q(subdir=folder, filename=name) if slash else Q(filename=name)


def dist(
    request: HttpRequest, by: Identity, account: str, package: str, version: str, basename: str
) -> HttpResponse:
    found = _find(by, account, package, version, basename)
    if request.method == "GET":
        # With --force the client deletes next what it finds here, to upload it anew.
        replacing.announce(by, found)
    one = PackageFile.objects.filter(pk=found.pk)
    return reply(files_json(by, found.package, one)[0])


def dist_delete(
    _request: HttpRequest, by: Identity, account: str, package: str, version: str, basename: str
) -> HttpResponse:
    return _delete(by, _find(by, account, package, version, basename))


def _delete(by: Identity, file: PackageFile) -> HttpResponse:
    if not replacing.leave(by, file):
        placement.delete_file(by=by, file=file)
    return reply({"basename": f"{file.subdir}/{file.filename}"})


# --- Downloading -------------------------------------------------------------------------------


def download(
    request: HttpRequest, by: Identity, account: str, package: str, version: str, basename: str
) -> HttpResponseBase:
    """What is public is sent from its channel, where it is counted. The client follows without
    its credential, so everything else is sent from here."""
    file = _find(by, account, package, version, basename)
    # That is how the client says what it has; a browser's way is answered with the bytes.
    if request.headers.get("ETag", "").strip('"') == file.md5:
        return HttpResponse(status=304, headers={"Cache-Control": "no-store"})
    channels = access.visible_channels(by, file.account).filter(entries__file=file)
    channel = min(channels, key=_preference, default=None)
    if channel is not None and not (channel.is_private or file.package.is_private):
        return HttpResponse(
            status=302,
            headers={"Location": _channel_url(channel, file), "Cache-Control": "no-store"},
        )
    require_ability(by, Ability.DOWNLOAD)
    if channel is None:
        # Shown to those who may write it, so that they can put it somewhere.
        allowed = access.within_package_limit(by, file.name)
    else:
        allowed = access.may_download(by, file, channel)
    if not allowed:
        raise NotFound
    damage = Blob.objects.values_list("damage", flat=True).get(files=file)
    stored = finding.stored_package(file, damage, is_private=True)
    return delivery.deliver_package(request, file, stored)


def _preference(channel: Channel) -> tuple[bool, bool, str]:
    return (channel.is_private, channel.name != MAIN, channel.name)


def _channel_url(channel: Channel, file: PackageFile) -> str:
    label = "" if channel.name == MAIN else f"/label/{quote(channel.name, safe='/:')}"
    place = f"/conda/{quote(channel.account.name)}{label}"
    return f"{settings.BASE_URL}{place}/{quote(file.subdir)}/{quote(file.filename)}"


_RELEASE = r"(?P<account>[^/]+)/(?P<package>[^/]+)/(?P<version>[^/]+)"
_BASENAME = r"(?P<basename>[\s\S]+)"

urlpatterns = [
    re_path(rf"^api/dist/{_RELEASE}/{_BASENAME}\Z", endpoint(GET=dist, DELETE=dist_delete)),
    re_path(rf"^api/download/{_RELEASE}/{_BASENAME}\Z", endpoint(GET=download)),
]
