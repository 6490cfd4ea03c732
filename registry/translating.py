"""What is wrong by the format, said in the language of whoever reads it.

The format's errors are English, and for programs they stay so: these are answered in English,
and so are workers, who don't know who will read.
"""

from __future__ import annotations

from portal.sentences import Number, Sentence, gettext
from registry.conda.errors import Count, FormatError, Phrase


def translated(said: FormatError | Phrase) -> Sentence:
    template = gettext(said.template)
    if not said.values:
        return template
    return template % {name: _shown(value) for name, value in said.values.items()}


def _shown(value: object) -> object:
    if isinstance(value, FormatError | Phrase):
        return translated(value)
    return Number(value) if isinstance(value, Count) else value
