"""Uploads of an account that were refused lately, and why."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.scopes import Ability
from accounts.views.frame import administered, page, settings_frame
from registry.refused_uploads import KEPT, refused_uploads

_SHOWN = 200


@page
def refused(request: HttpRequest, account: str) -> HttpResponse:
    _identity, found = administered(request, account, Ability.READ)
    context = {
        **settings_frame(request, found, "refused-uploads"),
        "rows": list(refused_uploads(found)[:_SHOWN]),
        "days": KEPT.days,
    }
    return render(request, "registry/refused_uploads.html", context)
