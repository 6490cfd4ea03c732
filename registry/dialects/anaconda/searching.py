"""Search over what the one who asks may see."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import re_path

from accounts.identity import Identity
from registry import access
from registry.dialects.anaconda.endpoint import endpoint, reply
from registry.dialects.anaconda.shapes import CONDA, package_json
from registry.searching import Wanted, find, packages_of, words_of
from registry.statistics import platforms_by_name

_MAX_FOUND = 100
_MAX_LENGTH = 200


def search(request: HttpRequest, by: Identity) -> HttpResponse:
    """The best matches by name and summary; more than some hundred are of no use to anybody."""
    words = tuple(words_of(request.GET.get("name", "")[:_MAX_LENGTH]))
    if (request.GET.get("type") or CONDA) != CONDA:
        return reply([])
    channels = access.readable_channels(by)
    wanted = Wanted(words=words, platform=request.GET.get("platform", ""))
    found = packages_of(find(by, wanted).ids[:_MAX_FOUND])
    subdirs = platforms_by_name(
        channels.filter(account__in={package.account_id for package in found}),
        {package.name for package in found},
    )
    return reply(
        [
            package_json(package, subdirs.get((package.account_id, package.name), []))
            for package in found
        ]
    )


urlpatterns = [re_path(r"^api/search\Z", endpoint(GET=search))]
