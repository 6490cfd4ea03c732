"""Channels that do not exist, in the shape of one that does.

How many records a name has, how dependencies repeat and drift, and how much of a record is digests
that nothing packs any smaller decides what an index costs and weighs. All of it is made after the
figures that conda-forge's linux-64 is known by: about 540 bytes a record, 100 of them left by
zstd at level 3, 4,000 names at 100,000 records and 14,500 at 600,000, the largest name with
thousands of builds. The same seed gives the same channel; nothing in it is copied from anywhere.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import msgspec

SUBDIR = "linux-64"
_NAMES_EXPONENT = 0.72
_SPREAD = 1.45  # of the logarithm of a name's builds
_PYTHONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
_FIRST_MS, _LAST_MS = 1_480_000_000_000, 1_790_000_000_000
_DOT_CONDA_SINCE_MS = 1_650_000_000_000
_CONSONANTS, _VOWELS = "bcdfghklmnprstvwxz", "aeiou"

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One package file: what repodata says of it, and what it exports to those built with it."""

    filename: str
    record: Json
    run_exports: dict[str, list[str]] | None

    @property
    def name(self) -> str:
        return str(self.record["name"])


@dataclass(frozen=True, slots=True)
class Recipe:
    """What packages of one kind need. ``{py}`` and ``{next}`` stand for the python it is built
    for and the one after it, ``{gcc}`` for the compiler of the time."""

    depends: tuple[str, ...]
    constrains: tuple[str, ...] = ()
    license: str = "MIT"
    family: str = "MIT"

    @property
    def has_python(self) -> bool:
        return any(spec.startswith("python ") for spec in self.depends)


_PYTHON = ("python >={py},<{next}.0a0", "python_abi {py}.* *_cp{tag}")
_C = ("__glibc >=2.17,<3.0.a0", "libgcc >={gcc}")
_CXX = (*_C, "libstdcxx >={gcc}")
_BLAS = ("libblas >=3.9.0,<4.0a0", "libcblas >=3.9.0,<4.0a0", "liblapack >=3.9.0,<4.0a0")
_CUDA = ("__cuda", "cuda-version >=12.4,<13", "cuda-cudart >=12.4.127,<13.0a0")
_RECIPES = (
    Recipe(_C, license="Zlib", family="Other"),
    Recipe(_C, license="BSD-3-Clause", family="BSD"),
    Recipe((*_C, "libzlib >=1.3.1,<2.0a0"), license="BSD-2-Clause", family="BSD"),
    Recipe((*_C, "openssl >=3.4.0,<4.0a0", "ca-certificates"), license="Apache-2.0"),
    Recipe((*_C, "ncurses >=6.5,<7.0a0", "readline >=8.2,<9.0a0"), (), "GPL-3.0-or-later", "GPL"),
    Recipe((*_CXX, "libboost >=1.86.0,<1.87.0a0"), license="BSL-1.0", family="OTHER"),
    Recipe((*_CXX, "icu >=75.1,<76.0a0", "libxml2 >=2.13.5,<2.14.0a0"), license="LGPL-2.1-only"),
    Recipe((*_CXX, "libabseil * cxx17*", "libprotobuf >=5.28.3,<5.28.4.0a0"), license="Apache-2.0"),
    Recipe((*_CXX, "hdf5 >=1.14.4,<1.14.5.0a0", "libnetcdf >=4.9.2,<4.9.3.0a0")),
    Recipe((*_CXX, "qt6-main >=6.8.1,<6.9.0a0", "libgl >=1.7.0,<2.0a0", "libegl >=1.7.0,<2.0a0")),
    Recipe((*_CXX, *_BLAS, "fftw >=3.3.10,<4.0a0", "libgfortran"), (), "GPL-2.0-or-later", "GPL"),
    Recipe((*_CXX, *_CUDA, "libcublas >=12.4.5.8,<13.0a0", "nccl >=2.23.4.1,<3.0a0"),
           ("cudnn >=9.3.0.75,<10.0a0",), "LicenseRef-Proprietary", "Proprietary"),
    Recipe((*_C, *_PYTHON), license="BSD-3-Clause", family="BSD"),
    Recipe((*_CXX, *_PYTHON), license="Apache-2.0", family="Apache"),
    Recipe((*_C, *_PYTHON, "cffi >=1.17", "typing_extensions >=4.1"), license="MIT"),
    Recipe((*_CXX, *_PYTHON, *_BLAS), ("numpy-base <0a0",), "BSD-3-Clause", "BSD"),
    Recipe((*_CXX, *_PYTHON, "numpy >=1.19,<3", "scipy >=1.6"), license="BSD-3-Clause"),
    Recipe((*_CXX, *_PYTHON, "numpy >=1.22.4,<3", "pandas >=1.5.0", "pyarrow >=10.0.1"),
           ("bottleneck >=1.3.6", "numexpr >=2.8.4", "xarray >=2022.12.0"), "BSD-3-Clause", "BSD"),
    Recipe((*_CXX, *_PYTHON, *_CUDA, "numpy >=1.19,<3", "sympy >=1.13.1", "filelock", "jinja2"),
           ("pytorch-cpu <0.0a0", "pytorch-gpu <0.0a0"), "BSD-3-Clause", "BSD"),
    Recipe((*_C, *_PYTHON, "aiohappyeyeballs >=2.3.0", "attrs >=17.3.0", "yarl >=1.17.0,<2.0")),
    Recipe((*_PYTHON, "setuptools", "click >=8.0,<9", "rich >=10.11.0", "tomli >=1.1.0")),
    Recipe((*_PYTHON, "requests >=2.31.0,<3.0.0", "pydantic >=2.7,<3", "pyyaml >=6.0.1"),
           license="Apache-2.0", family="Apache"),
    Recipe((*_C, *_PYTHON, "libsqlite >=3.47.0,<4.0a0", "cryptography >=41.0.5,<44"),
           license="Apache-2.0 AND BSD-3-Clause"),
    Recipe(("python >=3.8",), license="MIT"),
    Recipe(("python >=3.9", "importlib-metadata >=4.6", "packaging >=19.1"), (), "Apache-2.0"),
    Recipe(("r-base >=4.4,<4.5.0a0", "r-rlang >=1.1.0", "r-cli >=3.6.1"), (), "MIT"),
    Recipe((*_CXX, "r-base >=4.4,<4.5.0a0", "r-rcpp >=1.0.11"), (), "GPL-2.0-or-later", "GPL3"),
    Recipe((*_C, "perl >=5.32.1,<5.33.0a0 *_perl5"), (), "GPL-1.0-or-later OR Artistic-1.0-Perl"),
    Recipe((*_CXX, "gst-plugins-base >=1.24.10,<1.25.0a0", "glib >=2.82.2,<3.0a0"),
           (), "LGPL-2.0-or-later", "LGPL"),
    Recipe((*_C, "xorg-libx11 >=1.8.10,<2.0a0", "xorg-libxext >=1.3.6,<2.0a0"), license="MIT"),
    Recipe((*_CXX, "aws-c-common >=0.10.5,<0.10.6.0a0", "s2n >=1.5.9,<1.5.10.0a0"), (),
           "Apache-2.0", "Apache"),
    Recipe(("libarrow 18.1.0 h44a453e_6_cpu", "libparquet 18.1.0 h081d1f1_6_cpu"), (),
           "Apache-2.0", "APACHE"),
)  # fmt: skip


class Channel:
    """One subdir of a channel of so many records."""

    def __init__(self, records: int, *, seed: int = 1) -> None:
        self.records = records
        self._seed = seed
        rng = random.Random(f"{seed} names")
        names = round(records**_NAMES_EXPONENT)
        self.counts = dict(zip(_names(rng, names), _counts(rng, names, records), strict=True))
        # A dash comes before the digits of a version, and those before the letters of a name.
        self.names = sorted(self.counts, key=lambda name: name + "-0")

    def entries(self) -> Iterator[Entry]:
        """All records in the order of repodata, but for the two formats it keeps apart."""
        for name in self.names:
            yield from sorted(self.builds(name), key=lambda entry: entry.filename)

    def builds(self, name: str, *, first: int = 0, count: int = 0) -> Iterator[Entry]:
        """``count`` builds of a name from number ``first`` on: those it has, if none is given.

        What comes behind these are its next releases.
        """
        rng = random.Random(f"{self._seed} {name}")
        has = self.counts[name]
        history = _History(name, has, rng, self.names)
        for number, entry in enumerate(history.entries()):
            if number >= (first + count if count else has):
                return
            if number >= first:
                yield entry

    def names_of_uploads(self, count: int, *, seed: int = 1) -> list[str]:
        """Names that are published to, those with many builds more often than others."""
        rng = random.Random(f"{self._seed} uploads {seed}")
        return [self._name_at(rng.randrange(self.records)) for _ in range(count)]

    def _name_at(self, number: int) -> str:
        return self.names[bisect(self._firsts, number)]

    @cached_property
    def _firsts(self) -> list[int]:
        return list(accumulate(self.counts[name] for name in self.names))


class _History:
    """The releases of one name, from its first on."""

    def __init__(self, name: str, count: int, rng: random.Random, names: list[str]) -> None:
        self._name = name
        self._rng = rng
        self._recipe = rng.choice(_RECIPES)
        self._version = [rng.randint(0, 4), rng.randint(0, 20), rng.randint(0, 5)]
        self._pins = [_pin(rng, rng.choice(names)) for _ in range(rng.randint(1, 7))]
        self._stamp_ms = _FIRST_MS + rng.randrange((_LAST_MS - _FIRST_MS) // 2)
        self._pause_ms = max(1, (_LAST_MS - self._stamp_ms) // count)
        self._exports = rng.random() < 0.3 and not self._recipe.has_python

    def entries(self) -> Iterator[Entry]:
        rng = self._rng
        while True:
            self._release()
            era = min(6, (self._stamp_ms - _FIRST_MS) * 7 // (_LAST_MS - _FIRST_MS))
            pythons = _PYTHONS[max(0, era - 2) : era + 2] if self._recipe.has_python else ("",)
            for number in range(rng.choices((1, 2, 3, 4), (55, 25, 12, 8))[0]):
                for python in pythons:
                    yield self._build(number, python, era)

    def _release(self) -> None:
        rng = self._rng
        at = rng.choices((0, 1, 2), (1, 3, 9))[0]
        self._version[at] += 1
        self._version[at + 1 :] = [0] * (2 - at)
        if rng.random() < 0.15:
            which = rng.randrange(len(self._pins))
            self._pins[which] = _pin(rng, self._pins[which].partition(" ")[0])

    def _build(self, number: int, python: str, era: int) -> Entry:
        rng, recipe = self._rng, self._recipe
        version = ".".join(map(str, self._version))
        tag = python.replace(".", "")
        build = f"{f'py{tag}' if python else ''}h{_hex(rng, 7)}_{number}"
        self._stamp_ms += rng.randrange(self._pause_ms) * 2
        record: Json = {
            "build": build,
            "build_number": number,
            **({"constrains": list(recipe.constrains)} if recipe.constrains else {}),
            "depends": sorted([*_specs(recipe, python, era), *self._pins]),
            "license": recipe.license,
            "license_family": recipe.family,
            "md5": _hex(rng, 32),
            "name": self._name,
            "sha256": _hex(rng, 64),
            "size": int(math.exp(rng.gauss(12.3, 2))) + 900,
            "subdir": SUBDIR,
            "timestamp": self._stamp_ms,
            "version": version,
        }
        exports = {"weak": [f"{self._name} >={version},<{self._version[0] + 1}.0a0"]}
        extension = ".conda" if self._stamp_ms >= _DOT_CONDA_SINCE_MS else ".tar.bz2"
        filename = f"{self._name}-{version}-{build}{extension}"
        return Entry(filename, record, exports if self._exports else None)


def write_repodata(path: Path, channel: Channel) -> None:
    """The channel as one document, in memory of one name."""
    with path.open("wb") as out:
        out.write(b'{"info":{"subdir":"%s"},"packages":{' % SUBDIR.encode())
        _write_members(out, channel, ".tar.bz2")
        out.write(b'},"packages.conda":{')
        _write_members(out, channel, ".conda")
        out.write(b'},"removed":[],"repodata_version":1}')


def _write_members(out: BinaryIO, channel: Channel, extension: str) -> None:
    separator = b""
    for entry in channel.entries():
        if entry.filename.endswith(extension):
            out.write(separator + msgspec.json.encode(entry.filename) + b":")
            out.write(msgspec.json.encode(entry.record))
            separator = b","


def _specs(recipe: Recipe, python: str, era: int) -> list[str]:
    minor = int(python.partition(".")[2] or 0)
    words = {"py": python, "next": f"3.{minor + 1}", "tag": f"3{minor}", "gcc": str(7 + era)}
    return [spec.format(**words) if "{" in spec else spec for spec in recipe.depends]


def _names(rng: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        syllables = rng.randint(2, 4)
        word = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(syllables))
        prefix = rng.choices(("", "lib", "r-", "py", "pytest-", "perl-"), (60, 8, 14, 9, 3, 6))[0]
        suffix = rng.choices(("", f"-{word[:3]}", "-cpp", "2", "_tools"), (70, 14, 5, 6, 5))[0]
        found[prefix + word + suffix] = None
    return list(found)


def _counts(rng: random.Random, names: int, records: int) -> list[int]:
    """How many builds each name has: most few, some thousands; at least one, so many together."""
    weights = [rng.lognormvariate(0, _SPREAD) for _ in range(names)]
    scale = (records - names) / (sum(weights) or 1)
    counts = [1 + int(weight * scale) for weight in weights]
    for number in range(records - sum(counts)):
        counts[number % names] += 1
    return counts


def _pin(rng: random.Random, name: str) -> str:
    upper = rng.choice(("", ",<2", ",<7.0a0"))
    return f"{name} >={rng.randint(0, 5)}.{rng.randint(0, 30)}{upper}"


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"
