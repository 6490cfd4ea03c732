"""Everything that can be wrong with a package.

Each message is a sentence for the uploader: what we got, what we wanted, what to do.
Text that came with the upload appears in it only through ``quote``.
"""

_QUOTED_LENGTH = 80


def quote(value: object) -> str:
    """Show something an uploader sent: escaped, and short whatever its length."""
    if isinstance(value, str | bytes):
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
        return repr(value) if -(2**64) < value < 2**64 else "a huge number"
    return "an object" if isinstance(value, dict) else "a list"


class PackageError(ValueError):
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
    """No channel name (CEP 26). ``quoted`` is what was given, ``rule`` what it is held against."""

    slug = "invalid-channel-name"

    def __init__(self, message: str, *, quoted: str, rule: str) -> None:
        super().__init__(message)
        self.quoted = quoted
        self.rule = rule


class FilenameMismatchError(PackageError):
    """The archive was built as another package than its metadata says."""

    slug = "filename-mismatch"


class SubdirMismatchError(PackageError):
    """The package belongs to another subdir than it was sent to."""

    slug = "subdir-mismatch"
