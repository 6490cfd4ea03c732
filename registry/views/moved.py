"""Pages of packages that another account has now."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.utils.encoding import iri_to_uri

from portal.problems import wants_problem
from registry.transfers import moved_to
from registry.views.frame import viewer


class MovedPackages:
    """Leads pages to where their package went, for who may see it there.

    Clients are not led: they would install from a channel that nobody chose. Nobody else pays for
    it: only what was not found is looked at.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if (
            response.status_code != HTTPStatus.NOT_FOUND
            or request.method not in {"GET", "HEAD"}
            or request.path.startswith(("/conda/", "/-/"))
            or wants_problem(request)
            or request.resolver_match is None
        ):
            return response
        named = request.resolver_match.kwargs
        account, package = str(named.get("account", "")), str(named.get("package", ""))
        if not (account and package):
            return response
        moved = moved_to(viewer(request), account, package)
        if moved is None:
            return response
        rest = request.path.lstrip("/").partition("/")[2]
        query = request.META.get("QUERY_STRING", "")
        goal = iri_to_uri(f"/{moved.account.name}/{rest}") + (f"?{query}" if query else "")
        return HttpResponsePermanentRedirect(goal, preserve_request=True)
