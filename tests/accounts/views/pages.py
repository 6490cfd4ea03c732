"""What tests of pages look for in them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.http import HttpResponse
from django.utils import timezone
from django.utils.html import strip_tags


def days_from_now(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def words(answer: HttpResponse) -> str:
    """What the page says, in one line."""
    page = answer.content.decode()
    text = strip_tags(page[page.index("<main") : page.index("</main>")].replace("<d", " <d"))
    return re.sub(r"\s+", " ", text.replace("&#x27;", "'").replace("&amp;", "&"))


def hidden_value(answer: HttpResponse, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', _page(answer))
    assert found is not None
    return found[1]


def _page(answer: HttpResponse) -> str:
    return answer.content.decode()
