"""The queries of ``norman.db``, together."""

from __future__ import annotations

from sqlalchemy import Connection

from norman_server.storage.db.registry.aliases import AliasRows
from norman_server.storage.db.registry.blobs import BlobRows
from norman_server.storage.db.registry.models import ModelRows
from norman_server.storage.db.registry.versions import VersionRows

__all__ = ["RegistryRows"]


class RegistryRows:
    """Everything that one transaction on the registry may ask and change."""

    def __init__(self, connection: Connection) -> None:
        self.models = ModelRows(connection)
        self.versions = VersionRows(connection)
        self.aliases = AliasRows(connection)
        self.blobs = BlobRows(connection)
