"""Reading the bodies of the REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from portal.body import BodyTooLarge
from portal.errors import InvalidInput


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class BoundedJSONParser(BaseParser):
    """JSON in UTF-8, of a bounded size.

    The framework's own parser reads a body of any size, decodes it as whatever the sender says,
    compressions among it, and lets a body of a thousand brackets exhaust the stack.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(limit)
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except ValueError as error:
            where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise InvalidInput(f"The body is not JSON in UTF-8{where}.") from None
        except RecursionError:
            raise InvalidInput("The body is nested too deeply.") from None
