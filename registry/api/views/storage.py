"""What an account keeps, over the REST API. How much it may keep is for those who run the site."""

from __future__ import annotations

from django.db.models import CharField, F, Sum, Value
from django.db.models.functions import Cast, Concat, LPad
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.models import Account
from accounts.rights import require_admin
from accounts.scopes import Ability
from registry import access, quotas
from registry.api import serializers as shapes
from registry.api import storage_serializers as storage_shapes
from registry.api.views.files import shown_files
from registry.quotas import Usage


class _Administered(Endpoint):
    def administered(self, account: str) -> Account:
        found = access.find_account(account)
        require_admin(self.identity, found, Ability.READ)
        return found


@extend_schema(tags=["storage"])
class Storage(_Administered):
    @extend_schema(operation_id="storage_get", responses=storage_shapes.StorageSerializer)
    def get(self, _request: Request, account: str) -> Response:
        """How much the account keeps and may keep, and in which channels that stands."""
        found = self.administered(account)
        places = quotas.usage_by_place(found)
        shown = {
            "account": found.name,
            **_counted(places.used),
            "max_bytes": places.limits.max_bytes,
            "max_files": places.limits.max_files,
            "channels": [
                {"channel": channel.name, **_counted(kept)} for channel, kept in places.channels
            ],
            "unlisted": _counted(places.unlisted),
        }
        return self.shown(shown, storage_shapes.StorageSerializer)


def _counted(used: Usage) -> dict[str, int]:
    return {"used_bytes": used.used_bytes, "used_files": used.used_files}


@extend_schema(tags=["storage"])
class StoredPackages(_Administered):
    ordering = "-place"

    @extend_schema(
        operation_id="storage_packages",
        responses=storage_shapes.StoredPackageSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """How much each package keeps; the largest come first."""
        rows = quotas.usage_by_package(self.administered(account))
        # One value that differs for each package, as a cursor needs it.
        size = LPad(Cast(Sum("size_bytes"), CharField()), 20, Value("0"))
        place = Concat(size, Value(" "), F("package__name"), output_field=CharField())
        named = rows.annotate(name=F("package__name"), place=place)
        return self.page(named, storage_shapes.StoredPackageSerializer)


@extend_schema(tags=["storage"])
class UnlistedFiles(_Administered):
    @extend_schema(operation_id="storage_unlisted", responses=shapes.FileSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        """Files that stand in no channel, newest first: nobody installs them."""
        found = self.administered(account)
        rows = shown_files(self.identity, found, quotas.unlisted_files(found))
        return self.page(rows, shapes.FileSerializer)
