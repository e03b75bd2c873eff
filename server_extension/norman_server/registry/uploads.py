"""Blobs on their way in, and the checks of a bundle made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from norman_bundle.formats import Format, detect_format
from norman_protocol.declaration import Declaration
from norman_protocol.errors import BundleInvalid
from norman_protocol.frames import Buffer
from norman_protocol.rest import Manifest
from norman_server.storage.blobs.base import BlobStore, BlobWriter
from norman_server.storage.blobs.claims import Claims

if TYPE_CHECKING:
    from norman_server.storage.db.database import Database
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["RecordedWriter", "check_blobs", "find_format"]

_SHOWN: Final = 5
_LISTED: Final = 1000


class RecordedWriter(BlobWriter):
    """Writes a blob, and notes it in the registry once its bytes are durable: never before."""

    def __init__(
        self, digest: str, writer: BlobWriter, claims: Claims, registry: Database[RegistryRows]
    ) -> None:
        self._digest = digest
        self._writer = writer
        self._claims = claims
        self._registry = registry

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes; see the base class."""
        self._writer.write(chunk)

    def commit(self) -> int:
        """Make the blob durable, then note it; see the base class."""
        with self._claims.hold([self._digest]):
            size_bytes = self._writer.commit()
            now = datetime.now(UTC)
            self._registry.write_now(lambda rows: rows.blobs.add(self._digest, size_bytes, now))
        return size_bytes

    def abort(self) -> None:
        """Forget what was written; see the base class."""
        self._writer.abort()

    def suspend(self) -> None:
        """Keep what was written; see the base class."""
        self._writer.suspend()

    @property
    def offset(self) -> int:
        """Bytes taken so far; see the base class."""
        return self._writer.offset


def check_blobs(manifest: Manifest, stored: Mapping[str, int]) -> None:
    """Check that every blob of a bundle is stored, with the size that the manifest claims.

    Parameters
    ----------
    stored
        Digest → size in bytes, of those that are.

    Raises
    ------
    BundleInvalid
        Blobs are missing (``digests`` names them), or a size is wrong (``path`` names the file).
    """
    missing = [entry for entry in manifest.files if entry.digest not in stored]
    if missing:
        shown = ", ".join(entry.path for entry in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise BundleInvalid(
            f"The content of {shown}{more} was not sent. Send the blobs first, then publish.",
            path=missing[0].path,
            digests=sorted({entry.digest for entry in missing})[:_LISTED],
        )
    for entry in manifest.files:
        if stored[entry.digest] != entry.size_bytes:
            raise BundleInvalid(
                f"The manifest says that {entry.path!r} has {entry.size_bytes} bytes; its content "
                f"has {stored[entry.digest]}.",
                path=entry.path,
                digests=[entry.digest],
            )


def find_format(
    manifest: Manifest, blobs: BlobStore, declaration: Declaration | None = None
) -> Format:
    """Find the format of a bundle whose blobs are stored.

    Raises
    ------
    BundleInvalid
        It has none that is known.
    ConfigurationInvalid
        The declaration names a runtime or an entry that there isn't.
    """
    digests = {entry.path: entry.digest for entry in manifest.files}
    paths: Sequence[str] = tuple(digests)
    return detect_format(
        paths, lambda path, limit_bytes: blobs.read_head(digests[path], limit_bytes), declaration
    )
