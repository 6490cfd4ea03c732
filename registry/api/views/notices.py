"""Notices of channels over the REST API."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.identity import Identity
from accounts.rights import may_administer, require_ability
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access
from registry import notices as acts
from registry.api import serializers as shapes
from registry.models import Notice
from registry.models.channel import MAIN


def _of_account(rows: QuerySet[Notice], identity: Identity, account_name: str) -> QuerySet[Notice]:
    """Those in the account's channels, as far as they may know of them."""
    channels = access.visible_channels(identity, access.find_account(account_name))
    return rows.filter(channel__in=channels.order_by().values("pk")).select_related(
        "channel__account"
    )


@extend_schema(tags=["channels"])
class Notices(Endpoint):
    public_reads = True

    @extend_schema(
        operation_id="notices_list",
        parameters=[shapes.NoticeQuery],
        responses=shapes.NoticeSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """What conda shows to those who use the account's channels, or one of them."""
        asked = self.sent(shapes.NoticeQuery, query=True)
        rows = acts.live_notices()
        if "status" in asked:
            found = access.find_account(account)
            access.require_manage_channels(
                self.identity, found, asked.get("channel", MAIN), Ability.READ
            )
            rows = Notice.objects.filter(status=asked["status"])
        rows = _of_account(rows, self.identity, account)
        if asked.get("channel"):
            rows = rows.filter(channel__name=asked["channel"])
        return self.page(rows, shapes.NoticeSerializer)

    @extend_schema(
        operation_id="notices_add",
        request=shapes.NoticeInput,
        responses={201: shapes.NoticeSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Have conda show a message to those who use a channel, until it expires."""
        found = access.find_account(account)
        require_ability(self.identity, Ability.WRITE)
        sent = self.sent(shapes.NoticeInput)
        channel = access.find_channel(self.identity, found.name, sent.pop("channel"))
        notice = acts.add_notice(by=self.identity, channel=channel, **sent)
        return self.shown(notice, shapes.NoticeSerializer, status=201)


@extend_schema(tags=["channels"])
class OneNotice(Endpoint):
    @extend_schema(
        operation_id="notices_change",
        request=shapes.NoticeChangeInput,
        responses=shapes.NoticeSerializer,
    )
    def patch(self, _request: Request, account: str, notice: int) -> Response:
        """Change it, publish a draft, or archive it. Who was shown it is not shown it again."""
        row = self._found(account, notice)
        sent = self.sent(shapes.NoticeChangeInput)
        changed = acts.change_notice(by=self.identity, notice=row, **sent)
        return self.shown(changed, shapes.NoticeSerializer)

    @extend_schema(operation_id="notices_withdraw", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, notice: int) -> Response:
        """Withdraw it. Who was shown it already was."""
        acts.withdraw_notice(by=self.identity, notice=self._found(account, notice))
        return Response(status=204)

    def _found(self, account: str, notice: int) -> Notice:
        rows = _of_account(Notice.objects.all(), self.identity, account)
        row = rows.filter(pk=notice).first()
        if row is None:
            raise NotFound
        # A draft is there for nobody else.
        if row.status == Notice.Status.DRAFT and not may_administer(
            self.identity, row.channel.account
        ):
            raise NotFound
        access.require_manage_channels(self.identity, row.channel.account, row.channel.name)
        return row
