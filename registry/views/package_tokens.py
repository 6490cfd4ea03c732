"""All tokens that can touch a package, of whomever."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.rights import manageable_accounts
from accounts.roles import Permission
from accounts.token_words import scopes_in_words
from accounts.views.frame import page
from registry import access, collaboration
from registry.views.frame import package_settings_context, viewer

_SHOWN = 200


@page
def tokens(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_collaborators(identity, found)
    reaching = collaboration.reaching_tokens(found, at_most=_SHOWN + 1)
    theirs = set(manageable_accounts(identity).values_list("pk", flat=True))
    rows = [
        {
            "token": token,
            "scopes": scopes_in_words(token),
            "is_theirs": token.account_id in theirs,
        }
        for token in reaching[:_SHOWN]
    ]
    context = {
        **package_settings_context(identity, found, "package-tokens", held=Permission.ADMIN),
        "rows": rows,
        "shown": _SHOWN if len(reaching) > _SHOWN else 0,
    }
    return render(request, "registry/package_tokens.html", context)
