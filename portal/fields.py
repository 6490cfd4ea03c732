"""Columns of more than one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import models

from portal.sentences import kept, shown

if TYPE_CHECKING:
    _JSON: TypeAlias = models.JSONField[str, str]
else:
    _JSON = models.JSONField


# For names of the format and of accounts, which then sort alike in every database. PostgreSQL
# sorts text by the rules of a language, as its cluster was made: one puts `_libgcc` before `Zlib`
# and `ab` behind `a.c`, the next does not. SQLite calls this BINARY, see `portal.sqlite`, and sorts
# all text so. An index by bytes also finds what begins with something.
BY_BYTES = "C"


class SentenceField(_JSON):
    """A sentence as `portal.sentences` keeps it; who reads a row has it in the language of now."""

    def __init__(self, *args: Any, most: int, **kwargs: Any) -> None:
        self.most = most
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "most": self.most}

    def get_prep_value(self, value: Any) -> Any:
        return kept(value, self.most) if isinstance(value, str) else super().get_prep_value(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        return found if found is None else shown(found)
