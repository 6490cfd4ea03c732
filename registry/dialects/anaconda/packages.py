"""Packages and releases: looking at them, making, changing and removing them.

A release is a version of a package. It is there with its first file, or since somebody said what
it is: clients do that before they upload.
"""

from __future__ import annotations

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import re_path
from msgspec import UNSET, UnsetType

from accounts.identity import Identity
from accounts.roles import Permission
from registry import access, statistics
from registry import packages as acts
from registry.conda.description import description_fields
from registry.describing import cleaned
from registry.dialects.anaconda.attributes import Attributes
from registry.dialects.anaconda.document import files_json, write_package
from registry.dialects.anaconda.endpoint import endpoint, read_json, reply
from registry.dialects.anaconda.finding import Missing, find_package, find_package_to_write
from registry.dialects.anaconda.shapes import api_url, moment, package_json
from registry.dialects.anaconda.spool import Spool
from registry.models import Package, PackageFile, Release

_REMOVED = 201  # what the client takes for success


class _Registration(msgspec.Struct, kw_only=True):
    """``public`` and ``publish`` come with what is about to be uploaded, never with a change
    that somebody asked for."""

    public: bool | UnsetType = UNSET
    publish: bool | UnsetType = UNSET
    public_attrs: Attributes = msgspec.field(default_factory=Attributes)


class _Change(msgspec.Struct):
    public_attrs: Attributes = msgspec.field(default_factory=Attributes)


# --- Packages ----------------------------------------------------------------------------------


def package(request: HttpRequest, by: Identity, account: str, package: str) -> HttpResponseBase:
    found = find_package(by, account, package)
    spool = Spool(request)
    write_package(spool, by, found)
    return spool.answer()


def package_create(request: HttpRequest, by: Identity, account: str, package: str) -> HttpResponse:
    return _register(by, account, package, read_json(request, _Registration))


def package_change(request: HttpRequest, by: Identity, account: str, package: str) -> HttpResponse:
    """What somebody says by hand stays until they say otherwise."""
    found = find_package_to_write(by, account, package)
    sent = read_json(request, _Registration)
    if sent.public is not UNSET or sent.publish is not UNSET:
        return _register(by, account, package, sent)
    sent.public_attrs.refuse_other_types()
    changed = acts.change_package(by=by, package=found, fields=sent.public_attrs.fields())
    return reply(package_json(changed, []))


def _register(by: Identity, account: str, package: str, sent: _Registration) -> HttpResponse:
    """A package that is there stays as it is: clients register it before each upload, also of an
    old version, and none of them is to make it public. Of two at once the later is no error."""
    sent.public_attrs.refuse_other_types()
    made, _created = acts.create_package(
        by=by,
        account_name=account,
        name=package.lower(),
        is_private=sent.public is False,
        fields=sent.public_attrs.fields(),
    )
    return reply(package_json(made, []))


def package_delete(_request: HttpRequest, by: Identity, account: str, package: str) -> HttpResponse:
    found = find_package_to_write(by, account, package)
    acts.delete_package(by=by, package=found)
    return reply({}, _REMOVED)


def latest_version(_request: HttpRequest, by: Identity, account: str, package: str) -> HttpResponse:
    found = find_package(by, account, package)
    newest = statistics.latest(access.visible_files(by, found))
    if newest is None:
        raise Missing(f'A version of "{account}/{package}"')
    body = {"latest_version": newest.version, "upload_time": moment(newest.uploaded_at)}
    return reply(body)


def total_downloads(
    _request: HttpRequest, by: Identity, account: str, package: str
) -> HttpResponse:
    found = find_package(by, account, package)
    total = statistics.total_downloads(access.visible_files(by, found))
    return reply({"total_downloads": total})


# --- Releases ----------------------------------------------------------------------------------


def release(
    _request: HttpRequest, by: Identity, account: str, package: str, version: str
) -> HttpResponse:
    found = find_package_to_write(by, account, package)
    said = Release.objects.filter(package=found, version=version).first()
    files = access.visible_files(by, found).filter(version=version).order_by("pk")
    distributions = files_json(by, found, files)
    # Without a file that they may see, it is the business of those who may add one.
    if not distributions and not (said and access.may_package(by, found, Permission.WRITE)):
        raise Missing(f'The version "{version}" of "{account}/{package}"')
    return reply(_release_json(found, version, said, files.last(), distributions))


def _release_json(
    package: Package,
    version: str,
    said: Release | None,
    newest: PackageFile | None,
    distributions: list[msgspec.Raw],
) -> dict[str, object]:
    where = (package.account.name, package.name, version)
    created_at = said.created_at if said else newest.uploaded_at if newest else package.created_at
    return {
        "version": version,
        "full_name": "/".join(where),
        "url": api_url("release", *where),
        "public_attrs": _public_attributes(said, newest),
        "requirements": [],
        "announce": None,
        "created_at": moment(created_at),
        "distributions": distributions,
    }


def _public_attributes(said: Release | None, newest: PackageFile | None) -> dict[str, str | None]:
    """What was said by hand of a version, and else in its newest file."""
    about = description_fields(newest.about) if newest is not None else {}
    names = {
        "summary": "summary",
        "description": "description",
        "license": "license",
        "license_url": "license_url",
        "home_url": "home",
        "dev_url": "dev_url",
        "doc_url": "doc_url",
        "source_url": "source_git_url",
    }
    return {
        shown: (getattr(said, field) if said else "") or about.get(shown) or None
        for field, shown in names.items()
    }


def release_create(
    request: HttpRequest, by: Identity, account: str, package: str, version: str
) -> HttpResponse:
    """One that is there stays as it is, as a package does."""
    found = find_package_to_write(by, account, package)
    sent = read_json(request, Attributes)
    acts.ensure_release(by=by, package=found, version=version, fields=sent.fields())
    return _shown(found, version)


def release_change(
    request: HttpRequest, by: Identity, account: str, package: str, version: str
) -> HttpResponse:
    found = find_package_to_write(by, account, package)
    sent = read_json(request, _Change)
    # An upload with -m sends what the archive says, which nobody may have looked at.
    fields = {name: text for name, text in sent.public_attrs.fields().items() if _fits(name, text)}
    acts.change_release(by=by, package=found, version=version, fields=fields)
    return _shown(found, version)


def _fits(field: str, text: str) -> bool:
    return not text.strip() or bool(cleaned({field: text})[field])


def _shown(package: Package, version: str) -> HttpResponse:
    said = Release.objects.filter(package=package, version=version).first()
    return reply(_release_json(package, version, said, None, []))


def release_delete(
    _request: HttpRequest, by: Identity, account: str, package: str, version: str
) -> HttpResponse:
    found = find_package_to_write(by, account, package)
    acts.delete_release(by=by, package=found, version=version)
    return reply({}, _REMOVED)


_PACKAGE = r"(?P<account>[^/]+)/(?P<package>[^/]+)"
_RELEASE = rf"{_PACKAGE}/(?P<version>[^/]+)"

urlpatterns = [
    re_path(
        rf"^api/package/{_PACKAGE}\Z",
        endpoint(GET=package, POST=package_create, PATCH=package_change, DELETE=package_delete),
    ),
    re_path(rf"^api/package/{_PACKAGE}/latest-version\Z", endpoint(GET=latest_version)),
    re_path(rf"^api/package/{_PACKAGE}/total-downloads\Z", endpoint(GET=total_downloads)),
    re_path(
        rf"^api/release/{_RELEASE}\Z",
        endpoint(GET=release, POST=release_create, PATCH=release_change, DELETE=release_delete),
    ),
]
