"""Package files over the REST API: what there is, and in which channels it stands.

Files come in through the upload routes, which read raw bodies; nothing here takes bytes.
"""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import require_ability
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access
from registry.api import patch_serializers as patch_shapes
from registry.api import serializers as shapes
from registry.api.views.channels import CHANNEL_NAME
from registry.models import Channel, ChannelFile, PackageFile
from registry.models.file import DETAILS
from registry.patching import edit_record
from registry.placement import add_to_channel, copy_file, delete_file, remove_from_channel
from registry.publishing import Outcome


def _entries(identity: Identity, account: Account) -> QuerySet[ChannelFile]:
    channels = access.visible_channels(identity, account)
    return ChannelFile.objects.filter(channel__in=channels.values("pk")).select_related("channel")


def shown_files(
    identity: Identity, account: Account, files: QuerySet[PackageFile]
) -> QuerySet[PackageFile]:
    """``files`` with the channels that the viewer may know of, in one more query."""
    return (
        files.select_related("account", "package", "uploaded_by")
        .prefetch_related(
            Prefetch("entries", queryset=_entries(identity, account), to_attr="visible_entries")
        )
        .defer("version_key")
    )


@extend_schema(tags=["files"])
class Files(Endpoint):
    ordering = "-place"
    public_reads = True

    @extend_schema(
        operation_id="files_list",
        parameters=[shapes.FileQuery],
        responses=shapes.FileSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """Files of the account, newest first; with a channel, those that stand in it."""
        found = access.find_account(account)
        wanted = self.sent(shapes.FileQuery, query=True)
        files = access.listed_files(self.identity, found, **wanted)
        rows = shown_files(self.identity, found, files).defer("version_key", *DETAILS)
        return self.page(rows, shapes.FileSerializer)


class _FileEndpoint(Endpoint):
    def found(self, account: str, subdir: str, filename: str) -> PackageFile:
        return access.find_file(self.identity, account, subdir, filename)

    def answer(self, file: PackageFile, *, status: int = 200) -> Response:
        rows = PackageFile.objects.filter(pk=file.pk)
        row = shown_files(self.identity, file.account, rows).get()
        return self.shown(row, shapes.FileDetailSerializer, status=status)


@extend_schema(tags=["files"])
class OneFile(_FileEndpoint):
    public_reads = True

    @extend_schema(operation_id="files_get", responses=shapes.FileDetailSerializer)
    def get(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        return self.answer(self.found(account, subdir, filename))

    @extend_schema(operation_id="files_delete", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """Take the file out of all channels and give its bytes up.

        Its name is free again, unless it ever stood in an immutable channel.
        """
        delete_file(by=self.identity, file=self.found(account, subdir, filename))
        return Response(status=204)


@extend_schema(tags=["files"])
class Copies(_FileEndpoint):
    @extend_schema(
        operation_id="files_copy",
        request=shapes.CopyInput,
        responses={200: shapes.FileDetailSerializer, 201: shapes.FileDetailSerializer},
    )
    def post(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """Give another account, or another channel, the same file. No byte moves.

        201 when the account had no such file, 200 when it did.
        """
        file = self.found(account, subdir, filename)
        require_ability(self.identity, Ability.WRITE)
        wanted = self.sent(shapes.CopyInput)
        copied = copy_file(
            by=self.identity,
            file=file,
            account_name=wanted["account"],
            channel_name=wanted["channel"],
        )
        return self.answer(copied.file, status=201 if copied.outcome == Outcome.CREATED else 200)


@extend_schema(tags=["files"])
class Entries(_FileEndpoint):
    ordering = "id"
    public_reads = True

    @extend_schema(operation_id="entries_list", responses=shapes.EntrySerializer(many=True))
    def get(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """The channels that the file stands in, as far as you may know of them."""
        file = self.found(account, subdir, filename)
        rows = _entries(self.identity, file.account).filter(file=file)
        return self.page(rows, shapes.EntrySerializer)


@extend_schema(tags=["files"], parameters=[CHANNEL_NAME])
class OneEntry(_FileEndpoint):
    public_reads = True

    @extend_schema(operation_id="entries_get", responses=patch_shapes.EntryRecordSerializer)
    def get(
        self, _request: Request, account: str, subdir: str, filename: str, channel: str
    ) -> Response:
        """What the channel says of the file, and what the file says of itself."""
        file = self.found(account, subdir, filename)
        return self.answer_entry(file, access.find_channel(self.identity, account, channel))

    @extend_schema(
        operation_id="entries_edit",
        request=patch_shapes.RecordInput,
        responses=patch_shapes.EntryRecordSerializer,
    )
    def patch(
        self, _request: Request, account: str, subdir: str, filename: str, channel: str
    ) -> Response:
        """Have the channel say that the file depends on, or constrains, something else.

        It is a patch, which can be undone; the file stays as it is.
        """
        file = self.found(account, subdir, filename)
        target = access.find_channel(self.identity, account, channel)
        access.require_patching(self.identity, target)
        sent = self.sent(patch_shapes.RecordInput)
        edit_record(by=self.identity, channel=target, file=file, **sent)
        return self.answer_entry(file, target)

    def answer_entry(self, file: PackageFile, channel: Channel) -> Response:
        entry = (
            ChannelFile.objects.select_related("channel", "file", "patched")
            .filter(channel=channel, file=file)
            .first()
        )
        if entry is None:
            raise NotFound
        return self.shown(entry, patch_shapes.EntryRecordSerializer)

    @extend_schema(
        operation_id="entries_put",
        request=None,
        responses={200: shapes.FileDetailSerializer, 201: shapes.FileDetailSerializer},
    )
    def put(
        self, _request: Request, account: str, subdir: str, filename: str, channel: str
    ) -> Response:
        """Put the file into a channel; 200 when it stood there already."""
        file = self.found(account, subdir, filename)
        target = access.find_channel(self.identity, account, channel)
        added = add_to_channel(by=self.identity, file=file, channel=target)
        return self.answer(file, status=201 if added else 200)

    @extend_schema(operation_id="entries_remove", request=None, responses={204: None})
    def delete(
        self, _request: Request, account: str, subdir: str, filename: str, channel: str
    ) -> Response:
        """Take the file out of the channel. The file stays, and so do its other channels."""
        file = self.found(account, subdir, filename)
        target = access.find_channel(self.identity, account, channel)
        remove_from_channel(by=self.identity, file=file, channel=target)
        return Response(status=204)
