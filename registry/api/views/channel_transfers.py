"""Channels that are offered to another account, over the REST API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.rights import require_admin
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access, channel_transfers
from registry.api import serializers as channels
from registry.api import transfer_serializers as shapes
from registry.models import Channel, ChannelTransfer, Job


@extend_schema(tags=["transfers"])
class TransferOfChannel(Endpoint):
    def channel(self, account: str, channel: str) -> Channel:
        found = access.find_channel(self.identity, account, channel)
        channel_transfers.require_offering(self.identity, found)
        return found

    def waiting(self, account: str, channel: str) -> ChannelTransfer:
        found = channel_transfers.waiting_transfer(self.channel(account, channel))
        if found is None:
            raise NotFound
        return found

    @extend_schema(operation_id="channel_transfer_get", responses=shapes.ChannelTransferSerializer)
    def get(self, _request: Request, account: str, channel: str) -> Response:
        """To whom the channel is offered; 404 when to nobody."""
        return self.shown(self.waiting(account, channel), shapes.ChannelTransferSerializer)

    @extend_schema(
        operation_id="channel_transfer_offer",
        request=shapes.ChannelTransferInput,
        responses={201: shapes.ChannelTransferSerializer},
    )
    def post(self, _request: Request, account: str, channel: str) -> Response:
        """Offer the channel to another account. Nothing changes until that one accepts."""
        found = self.channel(account, channel)
        given = self.sent(shapes.ChannelTransferInput)
        made = channel_transfers.offer(
            by=self.identity, channel=found, target_name=given["account"]
        )
        return self.shown(made, shapes.ChannelTransferSerializer, status=201)

    @extend_schema(operation_id="channel_transfer_withdraw", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, channel: str) -> Response:
        """Take the offer back."""
        waiting = self.waiting(account, channel)
        channel_transfers.withdraw(by=self.identity, transfer=waiting)
        return Response(status=204)


@extend_schema(tags=["transfers"])
class ChannelTransfers(Endpoint):
    @extend_schema(
        operation_id="channel_transfers_list",
        responses=shapes.ChannelTransferSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """The channels that are offered to the account, and wait for an answer."""
        found = access.find_account(account)
        require_admin(self.identity, found, Ability.READ)
        rows = channel_transfers.waiting_transfers().filter(target=found)
        return self.page(rows, shapes.ChannelTransferSerializer)


class _OfferedChannel(Endpoint):
    def offered(self, key: str) -> ChannelTransfer:
        transfer, is_recipient = channel_transfers.find_transfer(self.identity, key)
        if not is_recipient:
            raise NotFound
        return transfer


@extend_schema(tags=["transfers"])
class AcceptChannel(_OfferedChannel):
    @extend_schema(
        operation_id="channel_transfer_accept",
        request=None,
        responses={200: channels.ChannelSerializer, 202: shapes.StartedJobSerializer},
    )
    def post(self, _request: Request, key: str) -> Response:
        """Take the channel over, with its files; 202 with the job that does it, if it is large."""
        made = channel_transfers.accept(by=self.identity, transfer=self.offered(key))
        if isinstance(made, Job):
            return self.shown(made, shapes.StartedJobSerializer, status=202)
        taken = Channel.objects.select_related("account").get(pk=made.pk)
        return self.shown(taken, channels.ChannelSerializer)


@extend_schema(tags=["transfers"])
class DeclineChannel(_OfferedChannel):
    @extend_schema(operation_id="channel_transfer_decline", request=None, responses={204: None})
    def post(self, _request: Request, key: str) -> Response:
        """Leave the channel where it is."""
        channel_transfers.decline(by=self.identity, transfer=self.offered(key))
        return Response(status=204)
