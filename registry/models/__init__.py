from registry.models.blob import Blob
from registry.models.channel import Channel, ChannelFile, Removal
from registry.models.collaborator import Collaborator
from registry.models.download import Download
from registry.models.file import PackageFile, Record
from registry.models.index import (
    ChanneldataEntry,
    CurrentFile,
    CurrentVersion,
    PublishedIndex,
    StaleMark,
)
from registry.models.notice import Notice
from registry.models.package import Package
from registry.models.patch import Patch, PatchChunk, PatchedRecord

__all__ = [
    "Blob",
    "Channel",
    "ChannelFile",
    "ChanneldataEntry",
    "Collaborator",
    "CurrentFile",
    "CurrentVersion",
    "Download",
    "Notice",
    "Package",
    "PackageFile",
    "Patch",
    "PatchChunk",
    "PatchedRecord",
    "PublishedIndex",
    "Record",
    "Removal",
    "StaleMark",
]
