from registry.models.blob import Blob
from registry.models.channel import Channel, ChannelFile, Removal
from registry.models.collaborator import Collaborator
from registry.models.download import Download
from registry.models.file import PackageFile
from registry.models.index import PublishedIndex, StaleMark
from registry.models.package import Package

__all__ = [
    "Blob",
    "Channel",
    "ChannelFile",
    "Collaborator",
    "Download",
    "Package",
    "PackageFile",
    "PublishedIndex",
    "Removal",
    "StaleMark",
]
