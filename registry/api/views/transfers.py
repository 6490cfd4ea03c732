"""Packages that are offered to another account, over the REST API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.rights import require_admin
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access, transfers
from registry.api import serializers as packages
from registry.api import transfer_serializers as shapes
from registry.models import Package, Transfer


@extend_schema(tags=["transfers"])
class PackageTransfer(Endpoint):
    def package(self, account: str, package: str) -> Package:
        found = access.find_package(self.identity, account, package)
        transfers.require_offering(self.identity, found)
        return found

    def waiting(self, account: str, package: str) -> Transfer:
        found = transfers.waiting_transfer(self.package(account, package))
        if found is None:
            raise NotFound
        return found

    @extend_schema(operation_id="transfer_get", responses=shapes.TransferSerializer)
    def get(self, _request: Request, account: str, package: str) -> Response:
        """To whom the package is offered; 404 when to nobody."""
        return self.shown(self.waiting(account, package), shapes.TransferSerializer)

    @extend_schema(
        operation_id="transfer_offer",
        request=shapes.TransferInput,
        responses={201: shapes.TransferSerializer},
    )
    def post(self, _request: Request, account: str, package: str) -> Response:
        """Offer the package to another account. Nothing changes until that one accepts."""
        found = self.package(account, package)
        given = self.sent(shapes.TransferInput)
        made = transfers.offer(
            by=self.identity,
            package=found,
            target_name=given["account"],
            keeps_collaborators=given["keeps_collaborators"],
        )
        return self.shown(made, shapes.TransferSerializer, status=201)

    @extend_schema(operation_id="transfer_withdraw", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, package: str) -> Response:
        """Take the offer back."""
        transfers.withdraw(by=self.identity, transfer=self.waiting(account, package))
        return Response(status=204)


@extend_schema(tags=["transfers"])
class Transfers(Endpoint):
    @extend_schema(operation_id="transfers_list", responses=shapes.TransferSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        """What is offered to the account, and waits for an answer."""
        found = access.find_account(account)
        require_admin(self.identity, found, Ability.READ)
        rows = Transfer.objects.waiting().filter(target=found)
        shown = rows.select_related("package", "source", "target")
        return self.page(shown, shapes.TransferSerializer)


class _Offered(Endpoint):
    def offered(self, key: str) -> Transfer:
        transfer, is_recipient = transfers.find_transfer(self.identity, key)
        if not is_recipient:
            raise NotFound
        return transfer


@extend_schema(tags=["transfers"])
class Accept(_Offered):
    @extend_schema(
        operation_id="transfer_accept", request=None, responses=packages.PackageSerializer
    )
    def post(self, _request: Request, key: str) -> Response:
        """Take the package over, with all its files."""
        taken = transfers.accept(by=self.identity, transfer=self.offered(key))
        package = Package.objects.select_related("account").get(pk=taken.pk)
        return self.shown(package, packages.PackageSerializer)


@extend_schema(tags=["transfers"])
class Decline(_Offered):
    @extend_schema(operation_id="transfer_decline", request=None, responses={204: None})
    def post(self, _request: Request, key: str) -> Response:
        """Leave the package where it is."""
        transfers.decline(by=self.identity, transfer=self.offered(key))
        return Response(status=204)
