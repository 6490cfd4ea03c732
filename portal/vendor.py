"""``make vendor``: fetch the scripts of others that pages use, as ``vendor.json`` lists them.

For maintainers, with npm; who contributes builds nothing. The list says from which package and
file of it a script comes. Its sha256 is that of what lies here: for a version that is listed
already, other bytes are refused. To take another version, change it and empty the sha256.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TypedDict

_FOLDER = Path(__file__).resolve().parent.parent / "static" / "vendor"
_LIST = _FOLDER / "vendor.json"
# It names a file that isn't here.
_SOURCE_MAP = re.compile(rb"\s*//# sourceMappingURL=\S+\s*$")


class Script(TypedDict):
    name: str
    package: str
    version: str
    source: str
    licence: str
    file: str
    sha256: str


def main() -> int:
    scripts: list[Script] = json.loads(_LIST.read_text())
    for script in scripts:
        _refresh(script)
    _LIST.write_text(json.dumps(scripts, indent=2) + "\n")
    known = {name for script in scripts for name in (script["file"], _licence_file(script))}
    for path in _FOLDER.iterdir():
        if path.name not in known | {_LIST.name}:
            path.unlink()
    return 0


def _refresh(script: Script) -> None:
    data, licence = _fetch(script)
    data = _SOURCE_MAP.sub(b"\n", data)
    digest = hashlib.sha256(data).hexdigest()
    if script["sha256"] and script["sha256"] != digest:
        raise SystemExit(
            f"{script['package']} {script['version']} is not what is listed: {digest}. Look why "
            "before you change the list."
        )
    ending = ".min.js" if not script["source"].endswith(".css") else ".min.css"
    script["sha256"] = digest
    script["file"] = f"{script['name']}-{script['version']}.{digest[:8]}{ending}"
    (_FOLDER / script["file"]).write_bytes(data)
    (_FOLDER / _licence_file(script)).write_bytes(licence)
    sys.stdout.write(f"{script['file']}: {len(data)} bytes\n")


def _licence_file(script: Script) -> str:
    return f"{script['name']}-LICENSE.txt"


def _fetch(script: Script) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{script['package']}@{script['version']}"]
        packed = subprocess.run(  # noqa: S603 - a list of ours, for maintainers
            command, cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder, packed.stdout.split()[-1])) as archive:
            return _read(archive, script["source"]), _read(archive, script["licence"])


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(f"package/{name}")
    if found is None:
        raise SystemExit(f"The package has no file {name}.")
    with found:
        return found.read()


if __name__ == "__main__":
    sys.exit(main())
