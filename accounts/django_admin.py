"""Django's admin for emergencies, behind the same proof as the pages for those who run the site."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.views.site_gate import lead_to_proof
from portal.errors import NotFound


class Site(AdminSite):
    site_header = site_title = "Condarium"
    site_url = "/-/site/"

    def admin_view(self, view: Callable[..., HttpResponseBase], cacheable: bool = False) -> Any:
        inner: Callable[..., HttpResponseBase] = super().admin_view(view, cacheable)

        @wraps(inner)
        def proven(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return lead_to_proof(request) or inner(request, *args, **kwargs)

        return proven

    def login(
        self, _request: HttpRequest, _extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # People sign in on the one page for it; this one would ask for the password alone.
        raise NotFound

    def password_change(
        self, _request: HttpRequest, _extra_context: dict[str, Any] | None = None
    ) -> Any:
        raise NotFound  # as above: that one stands in the log
