"""Reading package files in processes of their own.

Those know nothing of the database: they are told of a file, copy it beside the store, and say
what is to be kept of it. Messages are msgpack, so that nothing but what stands here crosses.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import hashlib
import io
import multiprocessing
import os
import queue
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, TypeAlias

import msgspec

from registry.conda.archive import PackageContents, read_package
from registry.conda.errors import PackageError
from registry.conda.facts import Digests, FileFacts, file_facts
from registry.conda.names import ArchiveFormat

_BLOCK_BYTES = 1024 * 1024
_SMALL_BYTES = 256 * 1024
_UNPACKED_BYTES = 4 * 1024 * 1024
_FICLONE = 0x40049409  # two files share their blocks until one is written to (XFS, btrfs)
_PIPE_BYTES = 1024 * 1024
_FILES_PER_MESSAGE = 32
_QUESTIONS_AHEAD = 2


class Task(msgspec.Struct, frozen=True):
    """A file to be read; every claim made of it is held against what it is."""

    number: int
    path: str
    keep_as: str
    """Where the copy goes that will be stored; where the file itself lies if that is ours."""
    link: bool
    filename: str
    limit_bytes: int
    subdir: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    known: tuple[str, ...] = ()
    """The sha256 of bytes that need not be read again."""


class Read(msgspec.Struct, frozen=True, tag="read"):
    number: int
    facts: FileFacts


class Known(msgspec.Struct, frozen=True, tag="known"):
    number: int
    sha256: str


class Bad(msgspec.Struct, frozen=True, tag="bad"):
    number: int
    reason: str


Result: TypeAlias = Read | Known | Bad


class ReaderEnded(Exception):
    """A process that reads was killed, most likely for its memory."""


# --- In the process --------------------------------------------------------------------------


def serve(asked: Connection, answers: Connection, *not_mine: Connection) -> None:
    """Read what is asked for until nobody asks any more.

    ``not_mine`` are the other ends, which a copy has too: it would keep itself waiting.
    """
    for end in not_mine:
        end.close()
    # Ctrl-C is for the one who started us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # who enters what was read goes first: or much is left to enter when all is read
    os.umask(0o022)  # what is stored others may read: it says so once, not for each file
    gc.set_threshold(50_000)  # reading makes many small objects, and next to no circles
    decoder = msgspec.msgpack.Decoder(list[Task])
    reader = _Reader()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            tasks = decoder.decode(asked.recv_bytes())
            answers.send_bytes(msgspec.msgpack.encode(reader.read(tasks)))


class _Small(NamedTuple):
    """A file that was read at once."""

    task: Task
    digests: Digests
    data: bytes


class _Reader:
    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_BLOCK_BYTES))

    def read(self, tasks: Sequence[Task]) -> list[Result]:
        """Read files, in any order. Small ones step by step, each step for all of them: it then
        finds all that it needs in the caches of the processor, which saves a quarter."""
        seen = [self._look_at(task) for task in tasks]
        small = [one for one in seen if isinstance(one, _Small)]
        read = _read_all(small)
        return [
            *(one for one in seen if not isinstance(one, _Small)),
            *(
                _kept(one, result) if isinstance(result, Read) else result
                for one, result in zip(small, read, strict=True)
            ),
        ]

    def _look_at(self, task: Task) -> _Small | Result:
        # By its text and its number: taking paths apart, and asking twice what a file is, costs
        # more than hashing what is in it.
        try:
            file = os.open(task.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return self._look_into(task, file)
            finally:
                os.close(file)
        except OSError as error:
            return _failed(task, error)

    def _look_into(self, task: Task, file: int) -> _Small | Result:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return Bad(task.number, "It is no plain file.")
        if status.st_size > task.limit_bytes:
            return Bad(
                task.number,
                f"The file is larger than {task.limit_bytes:,} bytes, the most this host takes.",
            )
        if status.st_size > _SMALL_BYTES:
            with io.FileIO(file, closefd=False) as large:
                return self._read_large(task, large)
        data = os.read(file, status.st_size)
        digests = Digests(
            hashlib.sha256(data).hexdigest(),
            hashlib.md5(data, usedforsecurity=False).hexdigest(),
            len(data),
        )
        return _settled(task, digests) or _Small(task, digests, data)

    def _read_large(self, task: Task, file: io.FileIO) -> Result:
        """What is read is the copy: the source may change while we look."""
        if task.known:
            known = self._digests(file)
            if result := _settled(task, known):
                return result
            file.seek(0)
        if task.keep_as == task.path:
            return self._read_kept(task)
        copied = self._copy(task, file)
        result = self._read_kept(task, copied)
        if not isinstance(result, Read):
            os.unlink(task.keep_as)  # noqa: PTH108 - see above
        return result

    def _read_kept(self, task: Task, copied: Digests | None = None) -> Result:
        with open(task.keep_as, "rb", buffering=0) as kept:  # noqa: PTH123 - see above
            digests = copied or self._digests(kept)
            if result := _settled(task, digests):
                return result
            contents = _contents(task, digests.size_bytes, io.BufferedReader(kept))
            return _facts(task, digests, contents)

    def _copy(self, task: Task, file: io.FileIO) -> Digests | None:
        """Have the file where it is kept; what was copied, where its bytes passed by."""
        if task.link:
            os.link(task.path, task.keep_as)
            return None
        copy = _new_file(task.keep_as)
        try:
            with suppress(OSError):  # only some file systems can
                fcntl.ioctl(copy, _FICLONE, file.fileno())
                return None
            return self._digests(file, copy_to=copy)
        finally:
            os.close(copy)

    def _digests(self, file: io.FileIO, *, copy_to: int | None = None) -> Digests:
        sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        while count := file.readinto(self._buffer):
            block = self._buffer[:count]
            sha256.update(block)
            md5.update(block)
            size_bytes += count
            if copy_to is not None:
                _write(copy_to, block)
        return Digests(sha256.hexdigest(), md5.hexdigest(), size_bytes)


def _read_all(files: Sequence[_Small]) -> list[Result]:
    """What is to be kept of each."""
    results: list[Result] = []
    opened: list[PackageContents | Bad] = []
    unpacked_bytes = 0
    for number, (task, _, data) in enumerate(files, start=1):
        contents = _contents(task, len(data), io.BytesIO(data))
        opened.append(contents)
        unpacked_bytes += 0 if isinstance(contents, Bad) else contents.unpacked_bytes
        # What is made to be large may be some hundred times as large as it was packed.
        if number == len(files) or unpacked_bytes > _UNPACKED_BYTES:
            results += [
                _facts(one.task, one.digests, contents)
                for one, contents in zip(files[len(results) :], opened, strict=False)
            ]
            opened.clear()
            unpacked_bytes = 0
    return results


def _kept(one: _Small, result: Read) -> Result:
    """Have the file where it is kept."""
    task = one.task
    try:
        if task.link and task.keep_as != task.path:
            os.link(task.path, task.keep_as)
        elif task.keep_as != task.path:
            copy = _new_file(task.keep_as)
            try:
                _write(copy, memoryview(one.data))
            finally:
                os.close(copy)
    except OSError as error:
        return _failed(task, error)
    return result


def _failed(task: Task, error: OSError) -> Bad:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Bad(task.number, "The host has no room for this file.")
    return Bad(task.number, f"It can't be read: {error.strerror}.")


def _settled(task: Task, digests: Digests) -> Result | None:
    """What can be said of a file before it is opened as an archive."""
    if mismatch := digests.mismatch(sha256=task.sha256, md5=task.md5):
        return Bad(task.number, str(mismatch))
    if task.size_bytes not in (None, digests.size_bytes):
        return Bad(
            task.number,
            f"{digests.size_bytes} bytes arrived, but {task.size_bytes} were announced.",
        )
    if digests.sha256 in task.known:
        return Known(task.number, digests.sha256)
    return None


def _contents(task: Task, size_bytes: int, file: BinaryIO) -> PackageContents | Bad:
    extension = ArchiveFormat.CONDA if task.filename.endswith(".conda") else ArchiveFormat.TAR_BZ2
    try:
        return read_package(file, size_bytes=size_bytes, format=extension)
    except PackageError as error:
        return Bad(task.number, str(error))


def _facts(task: Task, digests: Digests, contents: PackageContents | Bad) -> Result:
    if isinstance(contents, Bad):
        return contents
    try:
        facts = file_facts(
            contents,
            digests,
            now_ms=time.time_ns() // 1_000_000,
            subdir=task.subdir,
            filename=task.filename,
        )
    except PackageError as error:
        return Bad(task.number, str(error))
    return Read(task.number, facts)


def _new_file(path: str) -> int:
    """Its descriptor, which is to be closed: a context manager would cost as much as the call."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)


def _write(descriptor: int, block: memoryview) -> None:
    written = os.write(descriptor, block)
    while written < len(block):
        written += os.write(descriptor, block[written:])


# --- Beside it -------------------------------------------------------------------------------


class Pending:
    """Files that are being read in so many pieces; results come in any order."""

    def __init__(self, count: int, pieces: int) -> None:
        self._left = count
        self._pieces = pieces
        self._results: queue.SimpleQueue[list[Result] | BaseException] = queue.SimpleQueue()

    @property
    def is_read(self) -> bool:
        """Whether results, of which none was taken yet, are all there."""
        return self._results.qsize() >= self._pieces

    def put(self, results: list[Result] | BaseException) -> None:
        self._results.put(results)

    def results(self, tick: Callable[[], None]) -> Iterator[Result]:
        """Wait for all of them, and let ``tick`` be called every now and then."""
        while self._left:
            try:
                results = self._results.get(timeout=0.5)
            except queue.Empty:
                tick()
                continue
            if isinstance(results, BaseException):
                raise results
            self._left -= len(results)
            yield from results
            tick()


class _Process:
    """One process, which is asked by two threads: while one of them takes an answer, the next
    question is there already, and nobody waits for anybody."""

    _decoder = msgspec.msgpack.Decoder(list[Result])

    def __init__(self, context: ForkContext | SpawnContext) -> None:
        asked, self._questions = context.Pipe(duplex=False)
        self._answers, answers = context.Pipe(duplex=False)
        with suppress(AttributeError, OSError):
            # Room for a whole answer, so that the process goes on while nobody takes it.
            fcntl.fcntl(answers.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        is_copy = context.get_start_method() == "fork"
        others = (self._questions, self._answers) if is_copy else ()
        self.process: BaseProcess = context.Process(
            target=serve, args=(asked, answers, *others), name="reader", daemon=True
        )
        self.process.start()
        asked.close()
        answers.close()
        self._asking = threading.Lock()
        self._answering = threading.Lock()

    def ask(self, tasks: Sequence[Task]) -> list[Result]:
        try:
            with self._asking:
                self._questions.send_bytes(msgspec.msgpack.encode(tasks))
                self._answering.acquire()  # before the next one asks: answers come in this order
            try:
                answer = self._answers.recv_bytes()
            finally:
                self._answering.release()
            return self._decoder.decode(answer)
        except (EOFError, OSError) as error:
            raise ReaderEnded from error

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self._questions.close()
        self._answers.close()


Fetch: TypeAlias = Callable[[Task], Bad | None]


class Readers:
    """Threads that fetch files where that is needed, and have processes read them.

    Those are started anew, unless ``context`` says that this one can be copied.
    """

    def __init__(
        self,
        count: int,
        *,
        context: ForkContext | None = None,
        fetch: Fetch | None = None,
        fetches: int = 0,
    ) -> None:
        self._fetch = fetch
        self._threads = max(_QUESTIONS_AHEAD * count, fetches)
        self._chunks: queue.SimpleQueue[tuple[list[Task], Pending] | None] = queue.SimpleQueue()
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        start = context or multiprocessing.get_context("spawn")
        self._processes = [_Process(start) for _ in range(count)]
        for process in self._processes * _QUESTIONS_AHEAD:
            self._idle.put(process)
        for _ in range(self._threads):
            # Daemons: nobody waits for a slow server at the end.
            threading.Thread(target=self._work, name="import", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _ in range(self._threads):
            self._chunks.put(None)
        for process in self._processes:
            process.end()

    def read(self, tasks: Sequence[Task]) -> Pending:
        """Begin to read files; returns at once."""
        size = 1 if self._fetch else _FILES_PER_MESSAGE
        pieces = [list(tasks[start : start + size]) for start in range(0, len(tasks), size)]
        pending = Pending(len(tasks), len(pieces))
        for piece in pieces:
            self._chunks.put((piece, pending))
        return pending

    def _work(self) -> None:
        while chunk := self._chunks.get():
            tasks, pending = chunk
            try:
                pending.put(self._results(tasks))
            except Exception as error:  # noqa: BLE001 - it is raised where the results are taken
                pending.put(error)

    def _results(self, tasks: list[Task]) -> list[Result]:
        failed: list[Result] = []
        if self._fetch:
            failed = [bad for task in tasks if (bad := self._fetch(task))]
            missing = {bad.number for bad in failed}
            tasks = [task for task in tasks if task.number not in missing]
        if not tasks:
            return failed
        process = self._idle.get()
        try:
            return failed + process.ask(tasks)
        finally:
            self._idle.put(process)
