"""Everything that can be wrong with a package.

Each message is a sentence for the uploader: what we got, what we wanted, what to do.
Text that came with the upload appears in it only through ``quote``. A message is English, and
keeps what it was made of, so that whoever shows it can say it in another language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Self

_QUOTED_LENGTH = 80


def gettext_noop(template: str) -> str:
    """Mark a template for translators, whose tools look for this name; Django's is not for us."""
    return template


class Phrase(str):
    """A part of a message that is words itself, and is to be translated by itself."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        phrase = super().__new__(cls, template % values if values else template)
        phrase.template = template
        phrase.values = values
        return phrase


def kept(said: Phrase) -> dict[str, object]:
    """What to store of it, in the shape of `portal.sentences`, which says it again."""
    values = {
        name: kept(value) if isinstance(value, Phrase) else value
        for name, value in said.values.items()
    }
    return {"template": said.template, "values": values}


def joined(parts: Iterable[str]) -> str:
    """All of them, with "and" in between."""
    return reduce(
        lambda one, other: Phrase(gettext_noop("%(one)s and %(other)s"), one=one, other=other),
        parts,
    )


class Count(int):
    """A number that is written with separators."""

    def __str__(self) -> str:
        return f"{int(self):,}"


def quote(value: object) -> str:
    """Show something an uploader sent: escaped, and short whatever its length.

    Bytes are shown as the text they are, else in hexadecimal: no word of any language.
    """
    if isinstance(value, bytes):
        value = value[:_QUOTED_LENGTH]
        if not (value.isascii() and value.decode("ascii").isprintable()):
            shown = value.hex(" ")
            return shown if len(shown) <= _QUOTED_LENGTH else shown[: _QUOTED_LENGTH - 1] + "…"
        value = value.decode("ascii")
    if isinstance(value, str):
        if len(value) <= _QUOTED_LENGTH - 2:
            shown = repr(value)
        else:
            shown = repr(value[: _QUOTED_LENGTH - 3]) + "…"
        # Escapes make text longer: one control character is shown as four.
        return shown if len(shown) <= _QUOTED_LENGTH else shown[: _QUOTED_LENGTH - 1] + "…"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        # Never str() of a huge int: that is slow, and refused above 4300 digits.
        return repr(value) if -(2**64) < value < 2**64 else Phrase(gettext_noop("a huge number"))
    is_object = isinstance(value, dict)
    return Phrase(gettext_noop("an object")) if is_object else Phrase(gettext_noop("a list"))


class FormatError(ValueError):
    """What contradicts the format, as a template with named places and what stands in them."""

    def __init__(self, template: str, /, **values: object) -> None:
        super().__init__(template % values if values else template)
        self.template = template
        self.values: Mapping[str, object] = values


class PackageError(FormatError):
    """A package, or a name for one, that cannot be taken."""

    slug = "invalid-package"


class NotAPackageError(PackageError):
    """The bytes are no conda package of any kind."""

    slug = "not-a-package"


class WrongFormatError(PackageError):
    """A package, but in another archive format than was said."""

    slug = "wrong-format"


class TruncatedError(PackageError):
    """The archive ends before it should."""

    slug = "truncated"


class TrailingDataError(PackageError):
    """Bytes stand where no reader looks for any."""

    slug = "trailing-data"


class CorruptArchiveError(PackageError):
    """The archive contradicts itself or its format."""

    slug = "corrupt-archive"


class UnsupportedArchiveError(PackageError):
    """A feature of ZIP, zstd or tar that conda packages do not use."""

    slug = "unsupported-archive"


class LargeWindowError(UnsupportedArchiveError):
    """Unpacking needs more memory than the limits allow."""


class ArchiveBombError(PackageError):
    """The archive unpacks to far more than its size lets expect."""

    slug = "archive-bomb"


class TooLargeError(PackageError):
    """One part of the package is beyond its limit."""

    slug = "too-large"


class UnsafePathError(PackageError):
    """A file name that would be written outside the environment, or cannot be written."""

    slug = "unsafe-path"


class UnsafeLinkError(PackageError):
    """A link that leads out of the environment, in a circle, or to nothing."""

    slug = "unsafe-link"


class SpecialFileError(PackageError):
    """Something else than a file, a folder or a link."""

    slug = "special-file"


class DuplicateMemberError(PackageError):
    """Two members of one name: readers disagree on which counts."""

    slug = "duplicate-member"


class MisplacedMemberError(PackageError):
    """A member that conda packages do not have, or not there."""

    slug = "misplaced-member"


class UnsafeEntryPointError(PackageError):
    """An entry point that would write or run something else on the client."""

    slug = "unsafe-entry-point"


class InvalidMetadataError(PackageError):
    """A metadata file whose content cannot be taken."""

    slug = "invalid-metadata"


class UnsupportedSchemaError(InvalidMetadataError):
    """Metadata of a schema newer than we know."""

    slug = "unsupported-schema"


class InvalidNameError(PackageError):
    """No package name (CEP 26)."""

    slug = "invalid-name"


class InvalidVersionError(PackageError):
    """No version (CEP 26, CEP 33)."""

    slug = "invalid-version"


class InvalidBuildError(PackageError):
    """No build string (CEP 26)."""

    slug = "invalid-build"


class InvalidFilenameError(PackageError):
    """No name of a package file (CEP 26)."""

    slug = "invalid-filename"


class InvalidSubdirError(PackageError):
    """No subdir (CEP 26)."""

    slug = "invalid-subdir"


class InvalidChannelNameError(PackageError):
    """No channel name (CEP 26)."""

    slug = "invalid-channel-name"


class FilenameMismatchError(PackageError):
    """The archive was built as another package than its metadata says."""

    slug = "filename-mismatch"


class SubdirMismatchError(PackageError):
    """The package belongs to another subdir than it was sent to."""

    slug = "subdir-mismatch"
