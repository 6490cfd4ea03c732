"""Whether somebody proved a short while ago that it is them."""

from __future__ import annotations

import time

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.http import HttpRequest


def has_fresh_proof(request: HttpRequest) -> bool:
    """By signing in, or by confirming it since. allauth alone would count only the second."""
    records = get_authentication_records(request, request.user)
    oldest = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return any(record["at"] > oldest for record in records[-1:])
