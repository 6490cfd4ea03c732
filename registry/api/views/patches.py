"""Patches of channels over the REST API."""

from __future__ import annotations

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.scopes import Ability
from portal.body import open_body
from portal.errors import NotFound
from registry import access, patching
from registry.api import patch_serializers as shapes
from registry.conda.patches import MAX_INSTRUCTIONS_BYTES
from registry.models import Channel, Patch
from registry.receiving import upload_slot
from registry.storage import Readable

_INSTRUCTIONS = {
    "application/json": {
        "type": "object",
        "additionalProperties": {},
        "description": (
            "Patch instructions as conda-index and conda-forge have them, in version 1 or 2."
        ),
    }
}


def _rows() -> QuerySet[Patch]:
    return Patch.objects.select_related("channel__account", "applied_by", "undone_by")


@extend_schema(tags=["patches"])
class Patches(Endpoint):
    def _channel(self, account: str, name: str, ability: Ability) -> Channel:
        found = access.find_channel(self.identity, account, name)
        access.require_patching(self.identity, found, ability)
        return found

    @extend_schema(
        operation_id="patches_list",
        parameters=[shapes.PatchesQuery],
        responses=shapes.PatchSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """What a channel's index says against the files' own words, newest first; also what was
        undone."""
        access.find_account(account)
        asked = self.sent(shapes.PatchesQuery, query=True)
        channel = self._channel(account, asked["channel"], Ability.READ)
        return self.page(_rows().filter(channel=channel), shapes.PatchSerializer)

    @extend_schema(
        operation_id="patches_apply",
        parameters=[shapes.InstructionsQuery],
        request=_INSTRUCTIONS,
        responses={200: shapes.AppliedSerializer, 201: shapes.AppliedSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Have the index of a subdir say what a set of patch instructions says.

        The set takes the place of the one before. With `dry_run` nothing is changed, and the
        answer is 200.
        """
        access.find_account(account)
        asked = self.sent(shapes.InstructionsQuery, query=True)
        channel = self._channel(account, asked["channel"], Ability.WRITE)
        what = {"by": self.identity, "channel": channel, "subdir": asked["subdir"]}
        with upload_slot():
            body = self._json_body()
            if asked["dry_run"]:
                effect = patching.preview_instructions(**what, body=body)
                return self.shown({"patch": None, "effect": effect}, shapes.AppliedSerializer)
            applied = patching.upload_instructions(**what, body=body, note=asked.get("note", ""))
        shown = {"patch": applied.patch, "effect": applied.effect}
        return self.shown(shown, shapes.AppliedSerializer, status=201)

    def _json_body(self) -> Readable:
        """The body as a stream: a set may be larger than what a process should hold."""
        kind = self.request.content_type or ""
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType(kind)
        return cast(Readable, open_body(self.request.META, limit_bytes=MAX_INSTRUCTIONS_BYTES))


class _PatchEndpoint(Endpoint):
    def found(self, account: str, number: int, ability: Ability) -> Patch:
        channels = access.visible_channels(self.identity, access.find_account(account))
        patch = _rows().filter(channel__in=channels.order_by().values("pk"), pk=number).first()
        if patch is None:
            raise NotFound
        access.require_patching(self.identity, patch.channel, ability)
        return patch


@extend_schema(tags=["patches"])
class OnePatch(_PatchEndpoint):
    @extend_schema(operation_id="patches_get", responses=shapes.PatchSerializer)
    def get(self, _request: Request, account: str, patch: int) -> Response:
        return self.shown(self.found(account, patch, Ability.READ), shapes.PatchSerializer)


@extend_schema(tags=["patches"])
class Undo(_PatchEndpoint):
    @extend_schema(
        operation_id="patches_undo", request=None, responses={200: shapes.AppliedSerializer}
    )
    def post(self, _request: Request, account: str, patch: int) -> Response:
        """Have the index speak as if the patch had never been. The set before it counts again."""
        found = self.found(account, patch, Ability.WRITE)
        undone = patching.undo_patch(by=self.identity, patch=found)
        shown = {"patch": _rows().get(pk=undone.patch.pk), "effect": undone.effect}
        return self.shown(shown, shapes.AppliedSerializer)
