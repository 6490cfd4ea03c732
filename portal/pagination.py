"""Pages of lists in the REST API: a cursor, so that a long list costs the same on every page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core import signing
from django.db.models import QuerySet
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from portal.errors import InvalidInput

MAX_PAGE_SIZE = 100


class CursorPages(CursorPagination):
    """``?cursor=…&page_size=…``: at most 100 at a time, newest first unless a view says else.

    A view's ``ordering`` names one field whose values differ, since that is where the next page
    begins. A cursor is signed, for one path: the position in it goes into a query as it is, so
    it has to be one that we gave.
    """

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE
    ordering = "-id"

    def get_ordering(
        self,
        request: Request,
        queryset: QuerySet[Any],
        view: APIView,
    ) -> tuple[str, ...]:
        ordering: str = getattr(view, "ordering", self.ordering)
        return (ordering,)

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        size = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
        if not 1 <= size <= MAX_PAGE_SIZE:
            reason = f"It is {given[:40]!r}; it must be a number from 1 to {MAX_PAGE_SIZE}."
            raise InvalidInput(f"The page_size is not usable. {reason}", {"page_size": [reason]})
        return size

    def decode_cursor(self, request: Request) -> Cursor | None:
        given = request.query_params.get(self.cursor_query_param)
        if given is None:
            return None
        try:
            offset, reverse, position = signing.loads(given, salt=_salt(request.path))
        except signing.BadSignature:
            reason = "This cursor was not given for this list."
            raise InvalidInput(
                f"{reason} Follow the links next and previous, or begin without a cursor.",
                {"cursor": [reason]},
            ) from None
        return Cursor(offset=offset, reverse=reverse, position=position)

    def encode_cursor(self, cursor: Cursor) -> str:
        base_url = str(self.base_url)
        encoded = signing.dumps(
            [cursor.offset, cursor.reverse, cursor.position], salt=_salt(urlsplit(base_url).path)
        )
        return replace_query_param(base_url, self.cursor_query_param, encoded)

    def get_schema_operation_parameters(
        self,
        view: APIView,
    ) -> list[dict[str, Any]]:
        return [
            {
                "name": self.cursor_query_param,
                "in": "query",
                "description": "Where to go on: the link next of the answer before has it.",
                "schema": {"type": "string"},
            },
            {
                "name": self.page_size_query_param,
                "in": "query",
                "description": "How many at a time.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_PAGE_SIZE,
                    "default": self.page_size,
                },
            },
        ]


def _salt(path: str) -> str:
    return f"cursor:{path}"
