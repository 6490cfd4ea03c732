import io
import weakref

import zstandard

from registry.conda.limits import DEFAULT_LIMITS
from registry.conda.streams import Section, ZstdFrame


def test_a_frame_that_nobody_reads_any_more_gives_its_window_back() -> None:
    """The garbage collector sees no zstd objects: a circle through one would stay for good."""
    packed = zstandard.compress(b"hello" * 1000)
    section = Section(io.BytesIO(packed), start=0, size_bytes=len(packed), name="x", crc32=None)
    frame = ZstdFrame(section, DEFAULT_LIMITS)
    buffer = memoryview(bytearray(8192))
    assert frame.readinto(buffer) == 5000
    assert frame.readinto(buffer) == 0
    watched = weakref.ref(frame)

    del frame

    assert watched() is None
