"""rattler's indexer on a folder, with the files that Condarium writes, too: ``FOLDER``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from rattler.index import index_fs


async def main(folder: Path) -> None:
    await index_fs(folder, write_zst=True, write_shards=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
    sys.stdout.flush()
    # On some versions of Python it crashes at the exit of the interpreter, its work done.
    os._exit(0)
