"""anaconda.org's API at ``/api``; no path ends in a slash, and none is redirected.

What Forgejo and our own API have below ``/api`` stands before it in the map.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from portal.errors import NotFound
from registry.dialects.anaconda import (
    dists,
    labels,
    notices,
    packages,
    people,
    searching,
    teams,
    tokens,
    uploads,
)
from registry.dialects.anaconda.endpoint import reply, word


def root(request: HttpRequest) -> HttpResponse:
    """Clients look whether an API is there before anything else.

    With a wrong token too: a HEAD has no body to say why, the next request has one.
    """
    return reply({"ok": 1})


@csrf_exempt  # it reads no session, and a page about a forged form would be no answer
def nothing(request: HttpRequest, **_: str) -> HttpResponse:
    return word(NotFound())


urlpatterns = [
    re_path(r"^api\Z", root, name="anaconda-root"),
    *uploads.urlpatterns,
    *dists.urlpatterns,
    *packages.urlpatterns,
    *labels.urlpatterns,
    *people.urlpatterns,
    *teams.urlpatterns,
    *tokens.urlpatterns,
    *searching.urlpatterns,
    *notices.urlpatterns,
    # So that the client has a sentence to show whatever it asks for.
    re_path(r"^api/(?!v1(?:/|\Z))(?:[\s\S]*)\Z", nothing, name="anaconda-nothing"),
]
