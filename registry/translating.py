"""What is wrong by the format, said in the language of whoever reads it.

The format's errors are English, and for programs they stay so: these are answered in English,
and so are workers, who don't know who will read.
"""

from __future__ import annotations

from django.utils.translation import gettext

from portal.templatetags.ui import thousands
from registry.conda.errors import Count, FormatError, Phrase


def translated(said: FormatError | Phrase) -> str:
    template = gettext(said.template)
    if not said.values:
        return template
    return template % {name: _shown(value) for name, value in said.values.items()}


def _shown(value: object) -> object:
    if isinstance(value, FormatError | Phrase):
        return translated(value)
    return thousands(value) if isinstance(value, Count) else value
