"""Channels over the REST API."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.rights import require_ability
from accounts.scopes import Ability
from registry import access
from registry.api import serializers as shapes
from registry.channels import change_channel, create_channel, delete_channel

CHANNEL_NAME = OpenApiParameter(
    "channel",
    str,
    OpenApiParameter.PATH,
    description="The name may hold slashes, sent as they are or as %2F.",
)


@extend_schema(tags=["channels"])
class Channels(Endpoint):
    ordering = "name"
    public_reads = True

    @extend_schema(operation_id="channels_list", responses=shapes.ChannelSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        found = access.find_account(account)
        return self.page(access.visible_channels(self.identity, found), shapes.ChannelSerializer)

    @extend_schema(
        operation_id="channels_create",
        request=shapes.ChannelInput,
        responses={201: shapes.ChannelSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Make an empty channel, which clients can use at once."""
        found = access.find_account(account)
        require_ability(self.identity, Ability.WRITE)
        channel = create_channel(by=self.identity, account=found, **self.sent(shapes.ChannelInput))
        return self.shown(channel, shapes.ChannelSerializer, status=201)


@extend_schema(tags=["channels"], parameters=[CHANNEL_NAME])
class OneChannel(Endpoint):
    public_reads = True

    @extend_schema(operation_id="channels_get", responses=shapes.ChannelSerializer)
    def get(self, _request: Request, account: str, channel: str) -> Response:
        found = access.find_channel(self.identity, account, channel)
        return self.shown(found, shapes.ChannelSerializer)

    @extend_schema(
        operation_id="channels_change",
        request=shapes.ChannelChangeInput,
        responses=shapes.ChannelSerializer,
    )
    def patch(self, _request: Request, account: str, channel: str) -> Response:
        """Change its settings, make it private or public, lock or unlock it."""
        found = access.find_channel(self.identity, account, channel)
        access.require_manage_channels(self.identity, found.account, found.name)
        changed = change_channel(
            by=self.identity, channel=found, **self.sent(shapes.ChannelChangeInput)
        )
        return self.shown(changed, shapes.ChannelSerializer)

    @extend_schema(operation_id="channels_delete", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, channel: str) -> Response:
        """Delete it. Its files stay with the account, in their other channels or in none."""
        found = access.find_channel(self.identity, account, channel)
        delete_channel(by=self.identity, channel=found)
        return Response(status=204)
