from registry.models.attestation import Attestation
from registry.models.bin import Binned
from registry.models.blob import Blob
from registry.models.channel import Channel, ChannelFile, Removal
from registry.models.chore import ChoreRun
from registry.models.collaborator import Collaborator
from registry.models.dependency import Dependency
from registry.models.download import Download, DownloadTotal
from registry.models.fault import FaultCount
from registry.models.file import Announcement, PackageFile, Record
from registry.models.index import (
    ChanneldataEntry,
    CurrentFile,
    CurrentVersion,
    PublishedIndex,
    StaleMark,
)
from registry.models.job import Job
from registry.models.notice import Notice
from registry.models.package import Package, Release
from registry.models.package_invitation import PackageInvitation
from registry.models.patch import Patch, PatchChunk, PatchedRecord
from registry.models.quota import AccountQuota
from registry.models.refused_upload import RefusedUpload
from registry.models.retention import RetentionRule
from registry.models.stage import Stage
from registry.models.transfer import ChannelTransfer, MovedChannel, MovedPackage, Transfer

__all__ = [
    "AccountQuota",
    "Announcement",
    "Attestation",
    "Binned",
    "Blob",
    "Channel",
    "ChannelFile",
    "ChannelTransfer",
    "ChanneldataEntry",
    "ChoreRun",
    "Collaborator",
    "CurrentFile",
    "CurrentVersion",
    "Dependency",
    "Download",
    "DownloadTotal",
    "FaultCount",
    "Job",
    "MovedChannel",
    "MovedPackage",
    "Notice",
    "Package",
    "PackageFile",
    "PackageInvitation",
    "Patch",
    "PatchChunk",
    "PatchedRecord",
    "PublishedIndex",
    "Record",
    "RefusedUpload",
    "Release",
    "Removal",
    "RetentionRule",
    "Stage",
    "StaleMark",
    "Transfer",
]
