"""The packages of ``condarium demo``: small, real, in both formats, made on the spot."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import zstandard

# Fixed, so that the same call gives the same bytes: a second try is no other package.
_BUILT_AT_MS = 1_767_225_600_000
_LICENSE = "BSD-3-Clause"


@dataclass(frozen=True, slots=True)
class DemoPackage:
    """One package file to be, and the channels that it stands in."""

    name: str
    version: str
    summary: str
    subdir: str = "noarch"
    build: str = "0"
    format: str = "conda"
    channels: tuple[str, ...] = ("main",)
    depends: tuple[str, ...] = ()
    run_exports: Mapping[str, list[str]] = field(default_factory=dict)
    description: str = ""

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def filename(self) -> str:
        return f"{self.stem}.{self.format}"

    def data(self) -> bytes:
        """The archive (CEP 35)."""
        payload = {f"share/{self.name}/README.md": self._readme().encode()}
        info = self._info(payload)
        if self.format == "tar.bz2":
            return bz2.compress(_tar({**info, **payload}))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            # The metadata last, where clients find it with one request for the file's end.
            for member, data in (
                ("metadata.json", json.dumps({"conda_pkg_format_version": 2}).encode()),
                (f"pkg-{self.stem}.tar.zst", _zstd(_tar(payload))),
                (f"info-{self.stem}.tar.zst", _zstd(_tar(info))),
            ):
                archive.writestr(zipfile.ZipInfo(member), data)
        return buffer.getvalue()

    def _readme(self) -> str:
        return f"# {self.name} {self.version}\n\n{self.summary}.\n\n{self.description}\n"

    def _info(self, payload: Mapping[str, bytes]) -> dict[str, bytes]:
        """The folder ``info/`` (CEP 34)."""
        index: dict[str, object] = {
            "schema_version": 2,
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": int(self.build.rpartition("_")[2]),
            "subdir": self.subdir,
            "depends": list(self.depends),
            "license": _LICENSE,
            "timestamp": _BUILT_AT_MS,
        }
        if self.subdir == "noarch":
            index["noarch"] = "generic"
        paths = [
            {
                "_path": path,
                "path_type": "hardlink",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_in_bytes": len(data),
            }
            for path, data in payload.items()
        ]
        about = {
            "summary": self.summary,
            "description": self.description or self._readme(),
            "license": _LICENSE,
            "home": f"https://neutrons.example.org/{self.name}",
            "dev_url": f"https://git.example.org/neutrons/{self.name}",
        }
        documents: dict[str, object] = {
            "index": index,
            "paths": {"paths_version": 1, "paths": paths},
            "about": about,
        }
        if self.run_exports:
            documents["run_exports"] = dict(self.run_exports)
        return {
            f"info/{name}.json": json.dumps(document, indent=1, sort_keys=True).encode()
            for name, document in documents.items()
        }


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(data), _BUILT_AT_MS // 1000
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=19).compress(data)


_PLATFORMS = (("linux-64", "conda"), ("osx-arm64", "conda"), ("win-64", "tar.bz2"))
# Deep enough to show a tree of dependencies, and installable from this channel alone.
_LIBRARY = "libneutron >=2.3,<3.0a0"


def demo_packages() -> Iterator[DemoPackage]:
    """Every package file of the demo, in an order in which dependencies come first."""
    for version, format_ in (("1.0.0", "tar.bz2"), ("1.1.0", "conda")):
        yield DemoPackage(
            "tof-units", version, "Units and constants for time-of-flight data", format=format_
        )
    for subdir, format_ in _PLATFORMS:
        yield DemoPackage(
            "libneutron",
            "2.3.0",
            "Reads and writes event data",
            subdir=subdir,
            format=format_,
            build="h5e1f_0",
            run_exports={"weak": [_LIBRARY]},
        )
        yield DemoPackage(
            "diffraction",
            "3.1.0",
            "Reduces powder diffraction data",
            subdir=subdir,
            format=format_,
            build="h77c2_0",
            depends=(_LIBRARY, "tof-units >=1.0"),
            description="From **events** to a diffraction pattern:\n\n"
            "- masks and monitors\n- focusing by detector bank\n- normalization to vanadium",
        )
    yield DemoPackage(
        "instrument-view",
        "0.9.0",
        "Draws where the detectors are",
        depends=("tof-units >=1.1",),
        channels=("main", "dev"),
    )
    yield DemoPackage(
        "reflectometry",
        "1.2.0",
        "Reduces reflectometry data",
        subdir="linux-64",
        format="tar.bz2",
        build="h91ab_1",
        depends=(_LIBRARY,),
    )
    yield DemoPackage(
        "diffraction",
        "3.2.0.dev4",
        "Reduces powder diffraction data",
        subdir="linux-64",
        build="h0d51_0",
        depends=(_LIBRARY, "tof-units >=1.1"),
        channels=("dev",),
    )
    yield DemoPackage(
        "detector-calibration",
        "2026.3",
        "Calibration tables of the last cycle",
        channels=("internal",),
    )


# Published by nobody: for the reader to try an upload with.
TO_UPLOAD = DemoPackage("hello-neutrons", "1.0.0", "Says hello", depends=("tof-units",))
