"""Parts of this app's pages that other apps know what to put into.

They are named in the settings, for this app knows none of them.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string


def part(name: str, **about: Any) -> dict[str, Any]:
    """What another app puts on the page ``name``: context for its template."""
    found: dict[str, Any] = import_string(settings.PAGE_PARTS[name])(**about)
    return found
