"""Records to ``repodata.json`` and its compressed twins (CEP 36).

The same records give the same bytes, so an index that was built twice compares equal and
keeps its ETag.
"""

import bz2
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from registry.conda.fragments import BLOCK_BYTES, FragmentWriter

REPODATA_VERSION = 1


@dataclass(frozen=True, slots=True)
class RepodataLayout:
    """Where the parts of a written ``repodata.json`` lie.

    The bytes before ``removed_offset`` end in ``"removed":``. What follows them is the list
    of removed files and the rest of the document; ``forgejo_tail()`` may stand in its place.
    """

    removed_offset: int
    size_bytes: int


def write_repodata(
    out: BinaryIO,
    *,
    info: Mapping[str, object],
    packages: Iterable[bytes],
    conda_packages: Iterable[bytes],
    removed: Iterable[str],
) -> RepodataLayout:
    """Write a small ``repodata.json`` of one subdir in flat memory; ``registry.conda.document``
    writes large ones.

    ``packages`` (``.tar.bz2``) and ``conda_packages`` (``.conda``) yield ``"filename":{…}``,
    sorted by filename; ``removed`` comes in any order.
    """
    document = FragmentWriter(out)
    document.raw(b'{"info":')
    document.value(info)
    document.raw(b',"packages":')
    document.members(packages)
    document.raw(b',"packages.conda":')
    document.members(conda_packages)
    document.raw(b',"removed":')
    removed_offset = document.offset
    document.value(sorted(removed))
    document.raw(b"," + _VERSION_MEMBER + b"}")
    document.flush()
    return RepodataLayout(removed_offset=removed_offset, size_bytes=document.offset)


def forgejo_tail() -> bytes:
    """The end of the document for clients of Forgejo's registry, from ``removed_offset`` on.

    Forgejo and Gitea write ``removed`` as an object, always empty, and their clients' tests
    hold on to it; CEP 36 wants a list. All else of the two documents is the same bytes.
    """
    return b"{}," + _VERSION_MEMBER + b"}"


def compress_bz2(
    src: BinaryIO, out: BinaryIO, *, stop: int | None = None, tail: bytes = b""
) -> None:
    """Compress for clients that know nothing newer; CEP 36 calls this twin deprecated.

    With ``stop``, only that many bytes, and ``tail`` after them.
    """
    compressor = bz2.BZ2Compressor()
    left = stop
    while block := src.read(BLOCK_BYTES if left is None else min(left, BLOCK_BYTES)):
        out.write(compressor.compress(block))
        left = None if left is None else left - len(block)
    out.write(compressor.compress(tail) + compressor.flush())


_VERSION_MEMBER = b'"repodata_version":%d' % REPODATA_VERSION
