from django.urls import path

from registry.api.views import (
    attestations,
    channel_transfers,
    channels,
    files,
    notices,
    packages,
    patches,
    retention,
    storage,
    transfers,
)
from registry.api.views import bin as bins

app_name = "registry-api"

_account = "accounts/<str:account>"
_package = f"{_account}/packages/<str:package>"
_rule = f"{_account}/retention/<int:rule>"
_binned = f"{_account}/bin/<str:subdir>/<str:filename>"
_file = f"{_account}/files/<str:subdir>/<str:filename>"

urlpatterns = [
    path("search", packages.Search.as_view(), name="search"),
    path(f"{_account}/channels", channels.Channels.as_view(), name="channels"),
    # Names of channels may hold slashes, so they come last.
    path(f"{_account}/channels/<path:channel>", channels.OneChannel.as_view(), name="channel"),
    path(f"{_account}/notices", notices.Notices.as_view(), name="notices"),
    path(f"{_account}/notices/<int:notice>", notices.OneNotice.as_view(), name="notice"),
    path(f"{_account}/patches", patches.Patches.as_view(), name="patches"),
    path(f"{_account}/patches/<int:patch>", patches.OnePatch.as_view(), name="patch"),
    path(f"{_account}/patches/<int:patch>/undo", patches.Undo.as_view(), name="patch-undo"),
    path(f"{_account}/retention", retention.Rules.as_view(), name="retention-rules"),
    path(_rule, retention.OneRule.as_view(), name="retention-rule"),
    path(f"{_rule}/preview", retention.Preview.as_view(), name="retention-preview"),
    path(f"{_rule}/run", retention.RunNow.as_view(), name="retention-run"),
    path(f"{_account}/bin", bins.Bin.as_view(), name="bin"),
    path(_binned, bins.OneBinned.as_view(), name="binned"),
    path(f"{_binned}/restore", bins.Restore.as_view(), name="bin-restore"),
    path(f"{_account}/storage", storage.Storage.as_view(), name="storage"),
    path(f"{_account}/storage/packages", storage.StoredPackages.as_view(), name="stored-packages"),
    path(f"{_account}/storage/unlisted", storage.UnlistedFiles.as_view(), name="unlisted-files"),
    path(f"{_account}/packages", packages.Packages.as_view(), name="packages"),
    path(_package, packages.OnePackage.as_view(), name="package"),
    path(f"{_package}/transfer", transfers.PackageTransfer.as_view(), name="package-transfer"),
    path(f"{_account}/transfers", transfers.Transfers.as_view(), name="transfers"),
    path("transfers/<str:key>/accept", transfers.Accept.as_view(), name="transfer-accept"),
    path("transfers/<str:key>/decline", transfers.Decline.as_view(), name="transfer-decline"),
    path(
        f"{_account}/transfer-of-channel/<path:channel>",
        channel_transfers.TransferOfChannel.as_view(),
        name="channel-transfer",
    ),
    path(
        f"{_account}/channel-transfers",
        channel_transfers.ChannelTransfers.as_view(),
        name="channel-transfers",
    ),
    path(
        "channel-transfers/<str:key>/accept",
        channel_transfers.AcceptChannel.as_view(),
        name="channel-transfer-accept",
    ),
    path(
        "channel-transfers/<str:key>/decline",
        channel_transfers.DeclineChannel.as_view(),
        name="channel-transfer-decline",
    ),
    path(f"{_package}/latest-version", packages.LatestVersion.as_view(), name="latest-version"),
    path(f"{_package}/total-downloads", packages.TotalDownloads.as_view(), name="total-downloads"),
    path(f"{_package}/collaborators", packages.Collaborators.as_view(), name="collaborators"),
    path(
        f"{_package}/collaborators/users/<str:user>",
        packages.UserCollaborator.as_view(),
        name="user-collaborator",
    ),
    path(
        f"{_package}/collaborators/groups/<str:group>",
        packages.GroupCollaborator.as_view(),
        name="group-collaborator",
    ),
    path(f"{_account}/files", files.Files.as_view(), name="files"),
    path(_file, files.OneFile.as_view(), name="file"),
    path(f"{_file}/attestations", attestations.Attestations.as_view(), name="attestations"),
    path(f"{_file}/copies", files.Copies.as_view(), name="copies"),
    path(f"{_file}/channels", files.Entries.as_view(), name="entries"),
    path(f"{_file}/channels/<path:channel>", files.OneEntry.as_view(), name="entry"),
]
