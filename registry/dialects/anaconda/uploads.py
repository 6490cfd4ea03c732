"""Uploads in three steps: stage, a form of the bytes, commit.

The stock client makes the package and its release before the first of them, and takes those that
hold nothing away again when one of the steps fails. Its ``--skip-existing`` looks before it stages;
rattler-build goes by the 409 of the stage.
"""

from __future__ import annotations

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import re_path, reverse

from accounts.identity import Identity
from portal.errors import CredentialNeeded, InvalidInput
from registry import stages, waiting
from registry.dialects.anaconda.endpoint import endpoint, read_json, reply
from registry.dialects.anaconda.form_post import PATH, own_url, receive_form
from registry.publishing import Published
from registry.receiving import upload_slot
from registry.stages import Address

CONDA = "conda"
_STOCK_CLIENT = "Anaconda-Client/"


class _Announced(msgspec.Struct):
    """What is read of a stage: the rest is in the archive, and taken from there."""

    distribution_type: str | None = CONDA
    channels: list[str] | None = None
    sha256: str | None = None


class _Finished(msgspec.Struct):
    dist_id: str


def stage(
    request: HttpRequest, by: Identity, owner: str, package: str, version: str, basename: str
) -> HttpResponseBase:
    if by.is_anonymous:
        raise CredentialNeeded
    announced = read_json(request, _Announced)
    kind = announced.distribution_type or CONDA
    if kind != CONDA:
        raise InvalidInput(
            f"Only conda packages are hosted here, and this is announced as {kind[:40]!r}. Send a "
            ".conda or .tar.bz2 that a build tool of conda has made."
        )
    opened = stages.open_stage(
        by=by,
        address=_address(owner, package, version, basename),
        channels=announced.channels or [],
        sha256=announced.sha256,
    )
    # rattler-build gives the file no name.
    names_file = request.headers.get("User-Agent", "").startswith(_STOCK_CLIENT)
    form = stages.form_of(opened, own_url=own_url(request), names_file=names_file)
    return reply({"post_url": form.url, "form_data": form.fields, "dist_id": opened.key})


def commit(
    request: HttpRequest, by: Identity, owner: str, package: str, version: str, basename: str
) -> HttpResponseBase:
    if by.is_anonymous:
        raise CredentialNeeded
    finished = read_json(request, _Finished)
    wait_seconds = waiting.asked_seconds(request)
    with upload_slot():
        published = stages.commit(
            by=by, address=_address(owner, package, version, basename), key=finished.dist_id
        )
    return waiting.answer_when_visible(_committed(published), published, wait_seconds)


def _address(owner: str, package: str, version: str, basename: str) -> Address:
    subdir, slash, filename = basename.rpartition("/")
    if not slash:
        raise InvalidInput(
            f"The file is called {basename[:80]!r}; its subdir is wanted before it, as in "
            "noarch/hello-1.0-0.conda."
        )
    return Address(owner, package, version, subdir, filename)


def _committed(published: Published) -> HttpResponse:
    file = published.file
    page = reverse("registry:package", args=[file.account.name, file.package.name])
    return reply(
        {
            "url": f"{settings.BASE_URL}{page}",
            "full_name": f"{file.account.name}/{file.package.name}/{file.version}/{file}",
            "basename": str(file),
            "owner": file.account.name,
            "package": file.package.name,
            "version": file.version,
            "type": CONDA,
            "distribution_type": CONDA,
            "size": file.size_bytes,
            "md5": file.md5,
            "sha256": file.sha256,
        }
    )


_FILE = r"/(?P<owner>[^/]+)/(?P<package>[^/]+)/(?P<version>[^/]+)/(?P<basename>.+)\Z"

urlpatterns = [
    re_path(rf"^api/stage{_FILE}", endpoint(POST=stage), name="anaconda-stage"),
    re_path(rf"^{PATH}\Z", receive_form, name="anaconda-form"),
    re_path(rf"^api/commit{_FILE}", endpoint(POST=commit), name="anaconda-commit"),
]
