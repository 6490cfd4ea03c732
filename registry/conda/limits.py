"""How much a package may hold before it is refused."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what reading one package may cost.

    Sizes are counted on unpacked bytes while they stream by: what a directory or
    a header announces is no protection against an archive that lies.
    """

    metadata_bytes: int = MEBIBYTE
    """Each of index.json, about.json, run_exports.json and link.json."""
    paths_json_bytes: int = 64 * MEBIBYTE
    info_bytes: int = 64 * MEBIBYTE
    """The info part of a .conda, unpacked."""
    payload_ratio: int = 50
    payload_floor_bytes: int = 64 * MEBIBYTE
    """Everything else may unpack to ``payload_ratio`` times the file plus this."""
    members: int = 200_000
    name_bytes: int = 1024
    """A path in the archive, or the target of a link."""
    all_names_bytes: int = 32 * MEBIBYTE
    """All paths together: they are what reading has to keep in memory."""
    pax_header_bytes: int = MEBIBYTE
    zstd_window_bytes: int = 128 * MEBIBYTE
    """conda-build packs with this window, and clients allow no more."""
    bzip2_streams: int = 10_000
    """pbzip2 writes one stream for each 900 kB."""
    crc_checked_bytes: int = 64 * MEBIBYTE
    """ZIP checksums are verified for parts up to this size; beyond, they would cost as much
    as everything else, and the whole file is hashed on arrival anyway."""
    json_depth: int = 32

    def payload_bytes(self, size_bytes: int) -> int:
        return self.payload_ratio * size_bytes + self.payload_floor_bytes


DEFAULT_LIMITS = Limits()
