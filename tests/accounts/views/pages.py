"""What tests of pages look for in them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Protocol

from django.utils import timezone
from django.utils.html import strip_tags


class Page(Protocol):
    """An answer of the test client, of which only the bytes matter here."""

    @property
    def content(self) -> bytes: ...


def days_from_now(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def words(answer: Page) -> str:
    """What the page says, in one line."""
    page = answer.content.decode()
    text = strip_tags(page[page.index("<main") : page.index("</main>")].replace("<d", " <d"))
    return re.sub(r"\s+", " ", text.replace("&#x27;", "'").replace("&amp;", "&"))


def hidden_value(answer: Page, name: str) -> str:
    page = answer.content.decode()
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]
