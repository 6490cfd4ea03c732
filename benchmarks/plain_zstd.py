"""One plain zstd frame of what a ``.zst`` holds: ``FILE LEVEL``, answered in JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import zstandard


def main(source: Path, level: int) -> None:
    with tempfile.TemporaryFile(dir=source.parent) as text, source.open("rb") as packed:
        _, size_bytes = zstandard.ZstdDecompressor().copy_stream(packed, text)
        text.seek(0)
        with tempfile.TemporaryFile(dir=source.parent) as frame:
            started = time.process_time()
            compressor = zstandard.ZstdCompressor(level=level)
            _, frame_bytes = compressor.copy_stream(text, frame, size=size_bytes)
            cpu_seconds = time.process_time() - started
    answer = {"text": size_bytes, "frame": frame_bytes, "cpu_seconds": cpu_seconds}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
