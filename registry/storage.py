"""Where bytes lie: the layout of keys, receiving, storing, reading, signed addresses.

Two stores behind one face: a folder, and any S3 through django-storages. Keys are ours alone
(digests, numbers and fixed names), so nothing a client sends becomes part of a path.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import storages
from django.utils.translation import gettext_noop

from portal import processes
from portal.errors import Refusal, Unavailable
from portal.sentences import gettext
from registry import post_forms
from registry.conda.facts import Digests
from registry.post_forms import SignedForm

BLOCK_BYTES = 1024 * 1024
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UPLOADS_AT_ONCE = 8


class UploadTooLarge(Refusal):
    slug = "upload-too-large"
    title = gettext_noop("The file is too large")
    status = 413


class StorageFull(Refusal):
    slug = "storage-full"
    title = gettext_noop("The storage is full")
    status = 507


class Readable(Protocol):
    """A stream of bytes that fills buffers; 0 means its true end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


@dataclass(slots=True)
class Incoming:
    """A file as it was received: whole, hashed, and not yet stored anywhere."""

    path: Path
    file: BinaryIO
    size_bytes: int
    sha256: str
    md5: str


def _incoming_folder() -> Path:
    folder = Path(settings.INCOMING_FOLDER)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _owned_prefix(prefix: str) -> str:
    """How names begin that tell which process they belong to: what a killed one left behind is
    swept soon."""
    return f"{prefix}{processes.HOST}_{os.getpid()}_"


@contextmanager
def temporary_file(prefix: str) -> Iterator[tuple[BinaryIO, Path]]:
    """A file beside where uploads are received, so that it can be kept by a link; then gone."""
    name = f"{settings.INCOMING_FOLDER}/{_owned_prefix(prefix)}{secrets.token_hex(8)}"
    with _full_disk_refused():
        try:
            descriptor = os.open(name, _NEW_FILE, 0o600)
        except FileNotFoundError:
            _incoming_folder()
            descriptor = os.open(name, _NEW_FILE, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file, Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108 - by its text: a shard is made in little more time


@contextmanager
def _second_name(path: Path) -> Iterator[Path]:
    """Another name for a file, for the time of the block: it stays though the first one goes."""
    name = _incoming_folder() / f"{_owned_prefix('upload-')}{secrets.token_hex(8)}"
    os.link(path, name)
    try:
        os.utime(name)  # sweeping what is abandoned goes by the time of the file
        yield name
    finally:
        with suppress(FileNotFoundError):
            name.unlink()


@contextmanager
def receive(body: Readable, *, limit_bytes: int) -> Iterator[Incoming]:
    """Take a stream into a temporary file, hashing on the way, in flat memory.

    The file is gone when the block ends, unless it was stored. What the stream raises (a body
    cut short) passes through.
    """
    with temporary_file("upload-") as (file, path):
        size_bytes, sha256, md5 = _copy_hashing(body, file, limit_bytes)
        yield Incoming(path, file, size_bytes, sha256, md5)


def _copy_hashing(body: Readable, file: BinaryIO, limit_bytes: int) -> tuple[int, str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    buffer = memoryview(bytearray(BLOCK_BYTES))
    descriptor, size_bytes = file.fileno(), 0
    while count := body.readinto(buffer):
        size_bytes += count
        if size_bytes > limit_bytes:
            raise UploadTooLarge(
                gettext("The file is larger than %(limit_bytes)s bytes, the most this host takes.")
                % {"limit_bytes": f"{limit_bytes:,}"}
            )
        block = buffer[:count]
        sha256.update(block)
        md5.update(block)
        with _full_disk_refused():
            written = os.write(descriptor, block)
            while written < count:
                written += os.write(descriptor, block[written:])
    return size_bytes, sha256.hexdigest(), md5.hexdigest()


@contextmanager
def _full_disk_refused() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull(
                gettext("The host has no room for this file. Nothing was stored; try again later.")
            ) from error
        raise


# --- Keys --------------------------------------------------------------------------------------


def blob_key(sha256: str) -> str:
    # One level of folders: each new folder costs an upload two more fsyncs.
    return f"blobs/{sha256[:2]}/{sha256}"


STAGED = "staged"


def staged_key(stage: str) -> str:
    """Where the bytes of an announced upload wait for its commit."""
    return f"{STAGED}/{stage}"


def index_folder(channel_id: int, subdir: str) -> str:
    """Where the index files of a subdir lie; those of the channel itself under ``_``."""
    return f"index/{channel_id}/{subdir or '_'}"


def generation_folder(
    channel_id: int, subdir: str, *, generation: int, members_only: bool = False
) -> str:
    audience = "members" if members_only else "public"
    return f"{index_folder(channel_id, subdir)}/{audience}-{generation}"


def shard_key(channel_id: int, subdir: str, filename: str) -> str:
    return f"{index_folder(channel_id, subdir)}/shards/{filename}"


# --- Stores ------------------------------------------------------------------------------------


class Store(Protocol):
    """Bytes by key. Writing is atomic: a key holds all of its bytes or does not exist."""

    replaced_kept_seconds: float
    """For how long after a file was replaced somebody may still open it."""

    def keep(
        self,
        file: BinaryIO,
        path: Path,
        key: str,
        *,
        is_durable: bool = True,
        replaces: bool = False,
    ) -> None:
        """Make a file of the incoming folder durable under ``key``; a key that is there stays.

        ``file`` is ``path``, open. Afterwards the path may be removed. With ``replaces`` it takes
        the place of what lies under the key, in one step: at no moment is nothing there. What can
        be made again need not be durable: it is stored without waiting for the disk, and takes the
        place of other bytes, which the last loss of power may have left there.
        """

    def keep_all(self, files: Mapping[str, str], *, replacing: Collection[str] = ()) -> None:
        """`keep` for many files of the incoming folder, by their keys, which costs the wait for
        the disk once. Afterwards they are gone from there. Those keys of ``replacing`` are
        replaced; of the others it makes no difference, since who stores them stores the same."""

    def reopen(
        self, key: str, *, digests: Digests | None, limit_bytes: int
    ) -> AbstractContextManager[Incoming]:
        """What lies under the key, as `receive` gives it; FileNotFoundError for no such key.

        It stays whole for the time of the block, whoever deletes the key meanwhile. ``digests``
        are those that it was kept with, None when others wrote it.
        """

    def signed_form(
        self, key: str, *, limit_bytes: int, seconds: int, names_file: bool
    ) -> SignedForm | None:
        """A form that stores ``key`` without passing through here, where the store can.

        ``names_file`` is whether its sender gives the file a name, as HTML's forms do.
        """

    def size(self, key: str) -> int | None:
        """How many bytes lie under the key, None for no such key."""

    def open_local(self, key: str) -> BinaryIO | None:
        """The open file where bytes lie in a folder, else None."""

    def blocks(self, key: str, *, start: int, length: int) -> Iterator[bytes]:
        """The bytes from ``start`` on, ``length`` of them; FileNotFoundError for no such key."""

    def signed_url(self, key: str, *, method: str, headers: dict[str, str]) -> str | None:
        """An address that serves ``key`` for a short while, where the store can."""

    def delete(self, key: str) -> None: ...

    def keys(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Every key under ``prefix`` with the time (Unix seconds) it was written."""


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(path: Path, target: Path) -> None:
    """Link a file that can be made again to where it belongs."""
    try:
        os.link(path, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        _place(path, target)
    except FileExistsError:
        if not filecmp.cmp(path, target, shallow=False):
            path.replace(target)


def _sync_everything(root: Path, paths: Iterable[str]) -> None:
    """Make these files or folders durable: at once with all else that waits in the file system,
    where it can be asked for that, or one by one."""
    if _syncfs is None:
        for path in paths:
            _fsync(Path(path))
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(descriptor)


# Linux has it, and Python doesn't offer it.
_syncfs: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def _move(path: str, target: str) -> None:
    """Move a durable file to its key. By their texts: for thousands of files, taking paths apart
    costs more than moving them."""
    try:
        # Where the same bytes are already, whoever stored them loses nothing: both are durable.
        os.rename(path, target)  # noqa: PTH104 - see above
    except FileNotFoundError:
        # The folder, most likely; another may make it at this moment.
        Path(target).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        os.rename(path, target)  # noqa: PTH104 - see above


class FolderStore:
    """Keys are paths below one folder. Renames are durable: file, then rename, then folder."""

    replaced_kept_seconds = 10.0

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        return self.root / key

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o755)
        _fsync(folder.parent)

    def keep(
        self,
        file: BinaryIO,
        path: Path,
        key: str,
        *,
        is_durable: bool = True,
        replaces: bool = False,
    ) -> None:
        target = self._path(key)
        with _full_disk_refused():
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            if not is_durable:
                _place(path, target)
                return
            os.fsync(file.fileno())
            self._make_folder(target.parent)
            if replaces:
                with _second_name(path) as name:
                    name.replace(target)
            else:
                # A link, not a rename: it never replaces what other readers may have open.
                with suppress(FileExistsError):
                    os.link(path, target)
            _fsync(target.parent)

    def keep_all(self, files: Mapping[str, str], *, replacing: Collection[str] = ()) -> None:
        with _full_disk_refused():
            # First the bytes, then their names: no key is ever seen with less than all of them.
            _sync_everything(self.root, files.values())
            for key, path in files.items():
                _move(path, f"{self.root}/{key}")
            folders = {key.rpartition("/")[0] for key in files}
            _sync_everything(self.root, [f"{self.root}/{folder}" for folder in folders])

    @contextmanager
    def reopen(self, key: str, *, digests: Digests | None, limit_bytes: int) -> Iterator[Incoming]:
        if digests is None:  # nobody else writes here
            raise FileNotFoundError(key)
        with _second_name(self._path(key)) as path, path.open("rb") as file:
            yield Incoming(path, file, digests.size_bytes, digests.sha256, digests.md5)

    def signed_form(
        self, key: str, *, limit_bytes: int, seconds: int, names_file: bool
    ) -> SignedForm | None:
        return None

    def size(self, key: str) -> int | None:
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None

    def open_local(self, key: str) -> BinaryIO | None:
        return self._path(key).open("rb")

    def blocks(self, key: str, *, start: int, length: int) -> Iterator[bytes]:
        with self._path(key).open("rb") as file:
            file.seek(start)
            while length > 0 and (block := file.read(min(length, BLOCK_BYTES))):
                length -= len(block)
                yield block

    def signed_url(self, key: str, *, method: str, headers: dict[str, str]) -> str | None:
        return None

    def delete(self, key: str) -> None:
        path = self._path(key)
        with suppress(FileNotFoundError):
            path.unlink()
        # The folder of a generation is never written to again; others may be, at any moment.
        if "-" in path.parent.name:
            with suppress(OSError):  # not empty yet, or gone already
                path.parent.rmdir()

    def keys(self, prefix: str) -> Iterator[tuple[str, float]]:
        for folder, _, names in os.walk(self.root / prefix):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    yield path.relative_to(self.root).as_posix(), path.stat().st_mtime


class S3Store:
    """Keys are objects of one bucket. A PUT is atomic and durable when it is answered."""

    def __init__(self) -> None:
        # An address that was signed a moment ago is still good.
        self.replaced_kept_seconds = settings.SIGNED_URL_SECONDS + 30.0
        # django-storages knows the settings.
        self._storage = cast(Any, storages["default"])
        self._bucket: str = self._storage.bucket_name
        self._kind_of_forms: post_forms.Kind | None = None  # found out when one is asked for

    @cached_property
    def _client(self) -> Any:
        # One for all threads, which clients allow: each takes some 15 MiB.
        return self._storage.connection.meta.client

    def keep(
        self,
        file: BinaryIO,
        path: Path,
        key: str,
        *,
        is_durable: bool = True,
        replaces: bool = False,
    ) -> None:
        if not replaces and self.size(key) is not None:
            return
        file.flush()
        file.seek(0)
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - slow, and only S3 needs it

        # Threads of its own would triple the memory of an upload.
        config = TransferConfig(use_threads=False, multipart_chunksize=8 * BLOCK_BYTES)
        with _s3_failures():
            # The transfer closes what it is given.
            self._client.upload_fileobj(_Unclosable(file), self._bucket, key, Config=config)

    def keep_all(self, files: Mapping[str, str], *, replacing: Collection[str] = ()) -> None:
        def keep(item: tuple[str, str]) -> None:
            key, path = item
            with Path(path).open("rb") as file:
                self.keep(file, Path(path), key, replaces=key in replacing)
            Path(path).unlink()

        with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as threads:
            for _ in threads.map(keep, files.items()):
                pass

    @contextmanager
    def reopen(self, key: str, *, digests: Digests | None, limit_bytes: int) -> Iterator[Incoming]:
        # Who may write the key could write it again at any moment: what counts is what is read
        # here, once, and kept from here.
        with closing(self._get(key)) as body, receive(_Object(body), limit_bytes=limit_bytes) as it:
            yield it

    def signed_form(
        self, key: str, *, limit_bytes: int, seconds: int, names_file: bool
    ) -> SignedForm | None:
        if settings.ACCEL_PREFIX:  # clients don't see the S3
            return None
        if self._kind_of_forms is None:
            with _s3_failures():
                self._kind_of_forms = post_forms.kind_of_s3(self._client, self._bucket, STAGED)
        return post_forms.sign_for_s3(
            _signing_client(),
            self._bucket,
            key,
            kind=self._kind_of_forms,
            limit_bytes=limit_bytes,
            seconds=seconds,
            names_file=names_file,
        )

    def size(self, key: str) -> int | None:
        with _s3_failures():
            try:
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        return int(answer["ContentLength"])

    def open_local(self, key: str) -> BinaryIO | None:
        return None

    def blocks(self, key: str, *, start: int, length: int) -> Iterator[bytes]:
        wanted = {"Range": f"bytes={start}-{start + length - 1}"} if length > 0 else {}
        return cast(Iterator[bytes], self._get(key, **wanted).iter_chunks(BLOCK_BYTES))

    def _get(self, key: str, **wanted: str) -> Any:
        with _s3_failures():
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key, **wanted)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    raise FileNotFoundError(key) from None
                raise
        return answer["Body"]

    def signed_url(self, key: str, *, method: str, headers: dict[str, str]) -> str | None:
        operation = "head_object" if method == "HEAD" else "get_object"
        parameters = {"Bucket": self._bucket, "Key": key}
        if "Content-Type" in headers:
            parameters["ResponseContentType"] = headers["Content-Type"]
        if "Content-Disposition" in headers:
            parameters["ResponseContentDisposition"] = headers["Content-Disposition"]
        url: str = _signing_client().generate_presigned_url(
            operation, Params=parameters, ExpiresIn=settings.SIGNED_URL_SECONDS
        )
        return url

    def delete(self, key: str) -> None:
        with _s3_failures():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def keys(self, prefix: str) -> Iterator[tuple[str, float]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix.rstrip("/") + "/"):
            for item in page.get("Contents", ()):
                yield item["Key"], item["LastModified"].timestamp()


@contextmanager
def _s3_failures() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Unavailable(
            gettext(
                "The object storage does not answer as it should. Nothing was changed; try again."
            )
        ) from error


@cache
def _signing_client() -> Any:
    """The client that signs for the address under which clients reach the bucket."""
    import boto3  # noqa: PLC0415 - slow, and only S3 needs it

    options = settings.S3_OPTIONS
    return boto3.client(
        "s3",
        endpoint_url=settings.S3_PUBLIC_ENDPOINT or options["endpoint_url"],
        region_name=options["region_name"],
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
        config=options["client_config"],
    )


class _Object:
    """The bytes of an object as they come."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readinto(self, buffer: memoryview, /) -> int:
        with _s3_failures():
            return int(self._body.readinto(buffer))


class _Unclosable:
    """A file that stays open when a library is done with it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """The file is ours: it is gone when its block ends."""


def store() -> Store:
    return _store(settings.S3_BUCKET, str(settings.FILES_FOLDER))


@cache
def _store(bucket: str, folder: str) -> Store:
    return S3Store() if bucket else FolderStore(Path(folder))


def disk_space() -> tuple[int, int]:
    """How many bytes the disk of the data has, and how many of them are free; of an S3 nobody
    knows, and both are 0."""
    if settings.S3_BUCKET:
        return 0, 0
    folder = Path(settings.FILES_FOLDER)
    while not folder.exists():
        folder = folder.parent
    used = shutil.disk_usage(folder)
    return used.total, used.free
