"""The filter of what `portal.sentences` keeps."""

from __future__ import annotations

from django import template

from portal.sentences import shown

register = template.Library()


@register.filter
def said(kept: object) -> str:
    """What was kept of a sentence, in the language of the page."""
    return shown(kept)
