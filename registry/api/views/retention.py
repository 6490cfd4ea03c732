"""Retention rules of channels over the REST API."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.rights import require_ability
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access
from registry import retention as acts
from registry.api import storage_serializers as shapes
from registry.models import RetentionRule
from registry.models.channel import MAIN
from registry.retention import Terms

# One request should not keep everybody else waiting; whoever wants more asks again.
_AT_ONCE = 1000


class _RuleEndpoint(Endpoint):
    def rules(self, account: str, ability: Ability, channel: str = MAIN) -> QuerySet[RetentionRule]:
        """Those of the account's channels: what goes from them is for who manages them."""
        found = access.find_account(account)
        access.require_manage_channels(self.identity, found, channel, ability)
        channels = access.visible_channels(self.identity, found).order_by().values("pk")
        return RetentionRule.objects.filter(channel__in=channels).select_related("channel__account")

    def found(self, account: str, rule: int, ability: Ability = Ability.WRITE) -> RetentionRule:
        row = self.rules(account, ability).filter(pk=rule).first()
        if row is None:
            raise NotFound
        access.require_manage_channels(
            self.identity, row.channel.account, row.channel.name, ability
        )
        return row


@extend_schema(tags=["retention"])
class Rules(_RuleEndpoint):
    @extend_schema(
        operation_id="retention_list",
        parameters=[shapes.RuleQuery],
        responses=shapes.RuleSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """The retention rules of the account's channels, or of one of them."""
        asked = self.sent(shapes.RuleQuery, query=True)
        rows = self.rules(account, Ability.READ, asked.get("channel", MAIN))
        if "channel" in asked:
            rows = rows.filter(channel__name=asked["channel"])
        return self.page(rows, shapes.RuleSerializer)

    @extend_schema(
        operation_id="retention_add",
        request=shapes.RuleInput,
        responses={201: shapes.RuleSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Make a rule. Until it is switched on, it only shows what it would do."""
        found = access.find_account(account)
        require_ability(self.identity, Ability.WRITE)
        sent = self.sent(shapes.RuleInput)
        channel = access.find_channel(self.identity, found.name, sent.pop("channel"))
        is_enabled = sent.pop("is_enabled", False)
        rule = acts.add_rule(
            by=self.identity, channel=channel, terms=Terms(**sent), is_enabled=is_enabled
        )
        return self.shown(rule, shapes.RuleSerializer, status=201)


@extend_schema(tags=["retention"])
class OneRule(_RuleEndpoint):
    @extend_schema(operation_id="retention_get", responses=shapes.RuleSerializer)
    def get(self, _request: Request, account: str, rule: int) -> Response:
        return self.shown(self.found(account, rule, Ability.READ), shapes.RuleSerializer)

    @extend_schema(
        operation_id="retention_change",
        request=shapes.TermsInput,
        responses=shapes.RuleSerializer,
    )
    def patch(self, _request: Request, account: str, rule: int) -> Response:
        """Change what is given, switch it on or off."""
        row = self.found(account, rule)
        sent: dict[str, Any] = self.sent(shapes.TermsInput)
        is_enabled = sent.pop("is_enabled", None)
        changed = acts.change_rule(
            by=self.identity,
            rule=row,
            terms=replace(Terms.of(row), **sent),
            is_enabled=is_enabled,
        )
        return self.shown(changed, shapes.RuleSerializer)

    @extend_schema(operation_id="retention_delete", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, rule: int) -> Response:
        acts.delete_rule(by=self.identity, rule=self.found(account, rule))
        return Response(status=204)


@extend_schema(tags=["retention"])
class Preview(_RuleEndpoint):
    @extend_schema(
        operation_id="retention_preview",
        parameters=[shapes.PreviewQuery],
        responses=shapes.PreviewSerializer,
    )
    def get(self, _request: Request, account: str, rule: int) -> Response:
        """What the rule would take out now: how much in all, and file by file from an offset on."""
        row = self.found(account, rule, Ability.READ)
        asked = self.sent(shapes.PreviewQuery, query=True)
        found = acts.preview(row, offset=asked["offset"], limit=asked["limit"])
        shown = {
            **asdict(found.totals),
            "left_alone": found.left_alone,
            "offset": found.offset,
            "results": [asdict(file) for file in found.files],
        }
        return self.shown(shown, shapes.PreviewSerializer)


@extend_schema(tags=["retention"])
class RunNow(_RuleEndpoint):
    @extend_schema(operation_id="retention_run", request=None, responses=shapes.LastRunSerializer)
    def post(self, _request: Request, account: str, rule: int) -> Response:
        """Do what the rule says now, for 1,000 files at most; ask again until it is complete."""
        done = acts.run_rule(by=self.identity, rule=self.found(account, rule), at_most=_AT_ONCE)
        return self.shown(asdict(done), shapes.LastRunSerializer)
