"""The bin of an account over the REST API: deleted files, until they come back or go for good."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.models import Account
from accounts.rights import require_admin
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access
from registry import bin as bins
from registry.api import bin_serializers as shapes
from registry.models import PackageFile


class _Administered(Endpoint):
    def administered(self, account: str, ability: Ability) -> Account:
        found = access.find_account(account)
        require_admin(self.identity, found, ability)
        return found

    def binned(self, account: Account, subdir: str, filename: str) -> PackageFile:
        row = bins.binned_files(account).filter(file__subdir=subdir, file__filename=filename)
        found = row.first()
        if found is None:
            raise NotFound
        return found.file


@extend_schema(tags=["bin"])
class Bin(_Administered):
    ordering = "-file_id"

    @extend_schema(operation_id="bin_list", responses=shapes.BinnedSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        """Deleted files that can come back, with who deleted them, and until when."""
        rows = bins.binned_files(self.administered(account, Ability.READ))
        return self.page(rows, shapes.BinnedSerializer)


@extend_schema(tags=["bin"])
class OneBinned(_Administered):
    @extend_schema(operation_id="bin_delete", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """Delete it for good, before its time in the bin is over."""
        found = self.administered(account, Ability.WRITE)
        file = self.binned(found, subdir, filename)
        bins.purge_files(by=self.identity, account=found, files=[file])
        return Response(status=204)


@extend_schema(tags=["bin"])
class Restore(_Administered):
    @extend_schema(operation_id="bin_restore", request=None, responses=shapes.RestoredSerializer)
    def post(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """Let it be there again, in the channels it stood in that are there and take it."""
        found = self.administered(account, Ability.WRITE)
        file = self.binned(found, subdir, filename)
        [restored] = bins.restore_files(by=self.identity, account=found, files=[file])
        shown = {
            "subdir": subdir,
            "filename": filename,
            "channels": list(restored.channels),
            "left_out": list(restored.left_out),
        }
        return self.shown(shown, shapes.RestoredSerializer)
