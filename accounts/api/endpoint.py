"""What all endpoints of the REST API have in common.

A view parses, asks `rights` or `access` for what there is to see, calls one act, and shapes the
answer. It holds no rule of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.db.models import Model, QuerySet
from django.utils.cache import patch_vary_headers
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.identity import Identity
from portal.errors import NotFound
from portal.pagination import CursorPages


# What may be sent. A field that is not asked for is an error, never passed over: who mistypes
# ``visibility`` must not believe that it was set. (No docstring: the document would repeat it.)
class Input(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [str(name) for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(self.fields) or "none"
                raise serializers.ValidationError(
                    {
                        name[:100]: [f"There is no such field here; there are: {known}."]
                        for name in unknown[:20]
                    }
                )
        return super().to_internal_value(data)


class Endpoint(APIView):
    """One path; ``ordering`` is the field that a list is in order of, unique in it."""

    pagination_class = CursorPages
    metadata_class = None  # what can be sent stands in the OpenAPI document
    ordering = "-id"
    # Whether nobody in particular may read here: for the OpenAPI document, it decides nothing.
    public_reads = False

    @property
    def identity(self) -> Identity:
        return cast(Identity, self.request.auth)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if any("\0" in value for value in kwargs.values() if isinstance(value, str)):
            raise NotFound  # nothing is called so, and PostgreSQL takes no such text

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        # What is answered depends on who asks, so nobody but them may keep it.
        answer.headers.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(answer, ["Authorization", "Cookie"])
        return answer

    def sent(self, serializer: type[Input], *, query: bool = False) -> dict[str, Any]:
        """What was sent, checked against ``serializer``."""
        data: Any
        if query:
            # Others may be there: the cursor of the list, and what proxies append.
            fields: Mapping[str, Any] = serializer().fields
            given = self.request.query_params
            data = {name: given[name] for name in fields if name in given}
        else:
            data = self.request.data
        checked = serializer(data=data)
        checked.is_valid(raise_exception=True)
        values: dict[str, Any] = dict(checked.validated_data)
        return values

    def page(
        self, rows: QuerySet[Any, Any], serializer: type[serializers.BaseSerializer[Any]]
    ) -> Response:
        """One page of ``rows``, with links to the pages beside it."""
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(rows, self.request, view=self)
        shown = serializer(page, many=True, context={"identity": self.identity})
        return paginator.get_paginated_response(shown.data)

    def shown(
        self,
        row: Model | Mapping[str, Any],
        serializer: type[serializers.BaseSerializer[Any]],
        *,
        status: int = 200,
    ) -> Response:
        data = serializer(row, context={"identity": self.identity}).data
        return Response(data, status=status)
