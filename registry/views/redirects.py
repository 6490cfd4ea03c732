"""Addresses that lead to others: long forms whose short form is free, and old links."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.utils.http import urlencode
from django.views.decorators.common import no_append_slash
from django.views.decorators.http import require_safe

from registry.views.frame import to


def _with_query(request: HttpRequest, path: str) -> HttpResponse:
    query = f"?{urlencode(request.GET.lists(), doseq=True)}" if request.GET else ""
    return redirect(path + query)


@require_safe
def account(_request: HttpRequest, account: str) -> HttpResponse:
    return to("account", account)


@require_safe
def account_channel(_request: HttpRequest, account: str, channel: str = "") -> HttpResponse:
    """A label of anaconda.org is a channel here."""
    return to("channel", account, channel) if channel else to("channels", account)


@require_safe
def package_channels(_request: HttpRequest, account: str, package: str) -> HttpResponse:
    return to("package-channels", account, package)


@require_safe
def short_package(request: HttpRequest, account: str, package: str, rest: str = "") -> HttpResponse:
    return _with_query(request, f"/{account}/{package}{f'/{rest}' if rest else ''}")


@require_safe
def short_version(_request: HttpRequest, account: str, package: str, version: str) -> HttpResponse:
    return to("version", account, package, version)


@require_safe
def old_download(
    _request: HttpRequest, account: str, package: str, version: str, subdir: str, filename: str
) -> HttpResponse:
    """anaconda.org's link to the bytes: the page of the file says where they are."""
    del version
    return to("file", account, package, subdir, filename)


# Without this, an address that isn't there would be sent here, and from here back.
@no_append_slash
@require_safe
def without_slash(request: HttpRequest, account: str, rest: str = "") -> HttpResponse:
    path = f"/{account}/{rest}".rstrip("/")
    try:
        resolve(path)
    except Resolver404:
        raise Http404 from None
    return _with_query(request, path)
