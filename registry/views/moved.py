"""Pages of packages and channels that another account has now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.utils.encoding import iri_to_uri

from accounts.identity import Identity
from accounts.models import Account
from portal.problems import wants_problem
from registry import access
from registry.transfers import moved_to
from registry.views.frame import viewer


class MovedPackages:
    """Leads pages to where their package or channel went, for who may see it there.

    Clients are not led: of a package they would install from a channel that nobody chose, and a
    channel they are given at its old address. Nobody else pays for
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
        now_of = _owner_now(viewer(request), {key: str(value) for key, value in named.items()})
        if now_of is None:
            return response
        rest = request.path.lstrip("/").partition("/")[2]
        query = request.META.get("QUERY_STRING", "")
        goal = iri_to_uri(f"/{now_of.name}/{rest}") + (f"?{query}" if query else "")
        return HttpResponsePermanentRedirect(goal, preserve_request=True)


def _owner_now(by: Identity, named: Mapping[str, str]) -> Account | None:
    """Whose the package or the channel is that an address names."""
    account = named.get("account", "")
    if account and "package" in named:
        package = moved_to(by, account, named["package"])
        return package.account if package is not None else None
    if account and "channel" in named:
        channel = access.moved_channel(account, named["channel"])
        if channel is not None and access.may_read_channel(by, channel):
            return channel.account
    return None
