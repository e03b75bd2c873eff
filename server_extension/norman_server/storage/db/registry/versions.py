"""Queries on versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from norman_protocol.declaration import Declaration
from norman_protocol.decoding import decode, encode
from norman_protocol.errors import VersionNotFound
from norman_protocol.identifiers import new_id
from norman_protocol.messages import VersionState
from norman_protocol.references import ACTIVE, name_key
from norman_protocol.rest import ErrorBody, Origin, TrustRecord
from norman_protocol.signature import Signature
from norman_server.domain.records import (
    ActivationRequest,
    ModelOverview,
    ModelRecord,
    Publication,
    VersionOutline,
    VersionRecord,
    VersionTarget,
)
from norman_server.domain.states import check_version_move, version_sources
from norman_server.storage.db.registry.tables import (
    aliases,
    blobs,
    deleted_versions,
    models,
    version_blobs,
    versions,
)

__all__ = ["VersionRows"]

_T = TypeVar("_T")

_ROWS: Final = 1000
"""Rows of one statement: each costs memory until it is done."""

_HIGHEST_NUMBER: Final = 2**31 - 1

_ACTIVE = (aliases.c.version_id.is_not(None)).label("active")
_FROM = versions.join(models, models.c.id == versions.c.model_id).outerjoin(
    aliases, and_(aliases.c.version_id == versions.c.id, aliases.c.alias == ACTIVE)
)
_OUTLINE: Final = (
    versions.c.id,
    models.c.name,
    versions.c.number,
    versions.c.state,
    versions.c.label,
    versions.c.description,
    versions.c.tags,
    versions.c.runtime,
    versions.c.size_bytes,
    versions.c.created_at,
    versions.c.created_by,
    _ACTIVE,
)


class VersionRows:
    """Queries within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self, model_id: str, publication: Publication, *, number: int, activation: int | None
    ) -> str:
        """Add a version that is loading, and return its id. Its blobs are stored already."""
        version_id = new_id()
        self._connection.execute(
            insert(versions).values(
                id=version_id,
                model_id=model_id,
                number=number,
                state="loading",
                identity=publication.identity,
                bundle_digest=publication.bundle_digest,
                label=publication.label,
                description=publication.description,
                long_description=publication.long_description,
                tags=list(publication.tags),
                search_text=_search_text(
                    publication.label,
                    publication.description,
                    publication.long_description,
                    publication.tags,
                ),
                runtime=publication.runtime,
                entry=publication.entry,
                interpreter=publication.interpreter,
                declaration=encode(publication.declaration),
                manifest=publication.manifest,
                size_bytes=publication.size_bytes,
                created_at=publication.published_at,
                created_by=publication.user,
                origin=encode(publication.origin),
                trust=encode(publication.trust),
                activation=activation,
                activated_by=publication.user,
            )
        )
        digests = sorted({entry.digest for entry in publication.manifest.files})
        for start in range(0, len(digests), _ROWS):
            some = digests[start : start + _ROWS]
            self._connection.execute(
                insert(version_blobs),
                [{"version_id": version_id, "digest": digest} for digest in some],
            )
        return version_id

    def get(self, version_id: str) -> VersionRecord:
        """Return a version by its id.

        Raises
        ------
        VersionNotFound
            There is none.
        """
        record = self._find(versions.c.id == version_id)
        if record is None:
            raise VersionNotFound(f"There is no version with the id {version_id[:64]!r}.")
        return record

    def by_identity(self, model_id: str, identity: str) -> VersionRecord | None:
        """Return the version with the same bundle and settings."""
        return self._find(versions.c.model_id == model_id, versions.c.identity == identity)

    def by_number(self, model_id: str, number: int) -> VersionRecord | None:
        """Return the version with that number."""
        return self._find(versions.c.model_id == model_id, versions.c.number == number)

    def by_state(self, state: VersionState) -> list[VersionRecord]:
        """Return every version in a state, oldest first."""
        query = _records().where(versions.c.state == state).order_by(versions.c.id)
        return [_record(row) for row in self._connection.execute(query)]

    def delete(self, version: VersionRecord, *, now: datetime, user: str) -> None:
        """Remove a version that no alias names; that it was there is noted."""
        row = self._connection.execute(
            select(versions.c.model_id).where(versions.c.id == version.id)
        ).one()
        self._connection.execute(
            insert(deleted_versions).values(
                model_id=row.model_id,
                number=version.number,
                version_id=version.id,
                deleted_at=now,
                deleted_by=user,
            )
        )
        self._connection.execute(
            delete(version_blobs).where(version_blobs.c.version_id == version.id)
        )
        self._connection.execute(delete(versions).where(versions.c.id == version.id))

    def deletion(self, model_id: str, number: int) -> tuple[datetime, str] | None:
        """Return when and by whom a version was deleted, None where it wasn't."""
        if number > _HIGHEST_NUMBER:
            return None  # more than the database can compare with
        query = select(deleted_versions.c.deleted_at, deleted_versions.c.deleted_by).where(
            deleted_versions.c.model_id == model_id, deleted_versions.c.number == number
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else (row.deleted_at, row.deleted_by)

    def unshared_bytes(self, version_id: str) -> int:
        """Return the size of the blobs that no other version has."""
        own = version_blobs.alias()
        others = (
            select(version_blobs.c.digest)
            .where(version_blobs.c.digest == own.c.digest, version_blobs.c.version_id != version_id)
            .exists()
        )
        query = (
            select(func.coalesce(func.sum(blobs.c.size_bytes), 0))
            .join(own, own.c.digest == blobs.c.digest)
            .where(own.c.version_id == version_id, ~others)
        )
        return int(self._connection.execute(query).scalar_one())

    def ids(self) -> set[str]:
        """Return the id of every version."""
        return set(self._connection.execute(select(versions.c.id)).scalars())

    def usage(self, name: str | None) -> list[tuple[str, str, int, int]]:
        """Return (id, reference, bytes of blobs, of these shared) of versions.

        Parameters
        ----------
        name
            Only those of this model.
        """
        counted = (
            select(version_blobs.c.digest, func.count().label("owners"))
            .group_by(version_blobs.c.digest)
            .subquery()
        )
        shared = case((counted.c.owners > 1, blobs.c.size_bytes), else_=0)
        query = (
            select(
                versions.c.id,
                models.c.name,
                versions.c.number,
                func.sum(blobs.c.size_bytes).label("size_bytes"),
                func.sum(shared).label("shared_bytes"),
            )
            .join_from(versions, models, models.c.id == versions.c.model_id)
            .join(version_blobs, version_blobs.c.version_id == versions.c.id)
            .join(blobs, blobs.c.digest == version_blobs.c.digest)
            .join(counted, counted.c.digest == blobs.c.digest)
            .group_by(versions.c.id, models.c.name, versions.c.number)
        )
        if name is not None:
            query = query.where(models.c.name_key == name_key(name))
        return [
            (row.id, f"{row.name}@{row.number}", row.size_bytes, row.shared_bytes)
            for row in self._connection.execute(query)
        ]

    def owners(self, digest: str) -> list[str]:
        """Return the references of the versions that have a blob."""
        query = (
            select(models.c.name, versions.c.number)
            .join_from(versions, models, models.c.id == versions.c.model_id)
            .join(version_blobs, version_blobs.c.version_id == versions.c.id)
            .where(version_blobs.c.digest == digest)
            .order_by(models.c.name_key, versions.c.number)
        )
        return [f"{row.name}@{row.number}" for row in self._connection.execute(query)]

    def damaged(self) -> list[tuple[str, int]]:
        """Return (reference, how many) of versions that lack blobs that were found damaged."""
        query = (
            select(models.c.name, versions.c.number, func.count().label("lost"))
            .join_from(versions, models, models.c.id == versions.c.model_id)
            .join(version_blobs, version_blobs.c.version_id == versions.c.id)
            .join(blobs, blobs.c.digest == version_blobs.c.digest)
            .where(blobs.c.quarantined_at.is_not(None))
            .group_by(models.c.name, versions.c.number)
            .order_by(models.c.name, versions.c.number)
        )
        return [(f"{row.name}@{row.number}", row.lost) for row in self._connection.execute(query)]

    def numbers(self, model_id: str) -> list[int]:
        """Return the numbers of a model's versions, ascending."""
        query = (
            select(versions.c.number)
            .where(versions.c.model_id == model_id)
            .order_by(versions.c.number)
        )
        return list(self._connection.execute(query).scalars())

    def move(self, version_id: str, target: VersionState, **values: Any) -> None:
        """Change the state, and other columns with it, where the state may move there.

        Raises
        ------
        VersionNotFound
            There is no such version.
        Conflict
            Its state is another one meanwhile.
        """
        changed = self._connection.execute(
            update(versions)
            .where(versions.c.id == version_id, versions.c.state.in_(version_sources(target)))
            .values(state=target, **values)
        ).rowcount
        if not changed:
            record = self.get(version_id)
            check_version_move(record.reference, record.state, target)

    def describe(self, version_id: str, **values: Any) -> None:
        """Change label, description, long description or tags, and what a search finds by them."""
        if not values:
            return
        self.change(version_id, **values)
        texts = select(
            versions.c.label,
            versions.c.description,
            versions.c.long_description,
            versions.c.tags,
        ).where(versions.c.id == version_id)
        row = self._connection.execute(texts).one()
        self.change(version_id, search_text=_search_text(*row))

    def change(self, version_id: str, **values: Any) -> None:
        """Change columns that no rule binds, such as the request to activate it."""
        if values:
            self._connection.execute(
                update(versions).where(versions.c.id == version_id).values(**values)
            )

    def activation(self, version_id: str) -> ActivationRequest | None:
        """Return the request to activate a version, None where nobody asked."""
        row = self._connection.execute(
            select(
                versions.c.model_id,
                versions.c.number,
                versions.c.activation,
                versions.c.activated_by,
                versions.c.created_by,
            ).where(versions.c.id == version_id)
        ).one()
        if row.activation is None:
            return None
        return ActivationRequest(
            model_id=row.model_id,
            version_id=version_id,
            number=row.number,
            order=row.activation,
            user=row.activated_by or row.created_by,
        )

    def withdraw_activations(self, model_id: str) -> None:
        """Forget that versions of a model that are loading asked to become active."""
        self._connection.execute(
            update(versions)
            .where(versions.c.model_id == model_id, versions.c.state == "loading")
            .values(activation=None, activated_by=None)
        )

    def outlines(
        self, model_id: str, limit: int, *, before: int | None = None
    ) -> list[VersionOutline]:
        """Return a model's versions, newest first; with ``before`` only those of lower numbers."""
        query = (
            select(*_OUTLINE)
            .select_from(_FROM)
            .where(versions.c.model_id == model_id)
            .order_by(versions.c.number.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(versions.c.number < before)
        found = [_outline(row) for row in self._connection.execute(query)]
        named = self._aliases([outline.id for outline in found])
        return [replace(outline, aliases=named.get(outline.id, ())) for outline in found]

    def overviews(self, page: Sequence[ModelRecord]) -> list[ModelOverview]:
        """Return the models of a page with their versions in short, in the order given."""
        ids = [model.id for model in page]
        counted = {
            row.model_id: row
            for row in self._connection.execute(
                select(
                    versions.c.model_id,
                    func.count().label("version_count"),
                    func.max(versions.c.number).label("latest"),
                )
                .where(versions.c.model_id.in_(ids))
                .group_by(versions.c.model_id)
            )
        }
        shown = self._shown(ids)
        return [
            ModelOverview(
                model=model,
                active=shown[model.id].number if shown[model.id].active else None,
                latest=counted[model.id].latest,
                version_count=counted[model.id].version_count,
                shown=shown[model.id],
            )
            for model in page
        ]

    def targets(self, model_id: str) -> dict[int, tuple[str, VersionState]]:
        """Return number → (version id, state) of a model."""
        query = (
            select(versions.c.number, versions.c.id, versions.c.state)
            .where(versions.c.model_id == model_id)
            .order_by(versions.c.number)
        )
        return {row.number: (row.id, row.state) for row in self._connection.execute(query)}

    def all_targets(self) -> list[VersionTarget]:
        """Return every version of every model, by name and number."""
        query = (
            select(
                models.c.id,
                models.c.name,
                versions.c.number,
                versions.c.id.label("version_id"),
                versions.c.state,
            )
            .join_from(versions, models)
            .order_by(models.c.name_key, versions.c.number)
        )
        return [
            VersionTarget(
                model_id=row.id,
                name=row.name,
                number=row.number,
                version_id=row.version_id,
                state=row.state,
            )
            for row in self._connection.execute(query)
        ]

    def _shown(self, model_ids: Sequence[str]) -> dict[str, VersionOutline]:
        others = versions.alias()
        latest = (
            select(func.max(others.c.number))
            .where(others.c.model_id == models.c.id)
            .scalar_subquery()
        )
        query = (
            select(versions.c.model_id, *_OUTLINE)
            .select_from(_FROM)
            .where(
                versions.c.model_id.in_(model_ids),
                aliases.c.version_id.is_not(None) | (versions.c.number == latest),
            )
        )
        found: dict[str, VersionOutline] = {}
        for row in self._connection.execute(query):
            if row.active or row.model_id not in found:
                found[row.model_id] = _outline(row)
        return found

    def _find(self, *where: ColumnElement[bool]) -> VersionRecord | None:
        row = self._connection.execute(_records().where(*where)).one_or_none()
        if row is None:
            return None
        return replace(
            _record(row),
            aliases=self._aliases([row.id]).get(row.id, ()),
            missing_blobs=self._missing_blobs(row.id),
        )

    def _missing_blobs(self, version_id: str) -> tuple[str, ...]:
        query = (
            select(blobs.c.digest)
            .join(version_blobs, version_blobs.c.digest == blobs.c.digest)
            .where(version_blobs.c.version_id == version_id, blobs.c.quarantined_at.is_not(None))
            .order_by(blobs.c.digest)
        )
        return tuple(self._connection.execute(query).scalars())

    def _aliases(self, version_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        query = (
            select(aliases.c.version_id, aliases.c.alias)
            .where(aliases.c.version_id.in_(version_ids))
            .order_by(aliases.c.alias)
        )
        found: dict[str, tuple[str, ...]] = {}
        for row in self._connection.execute(query):
            found[row.version_id] = (*found.get(row.version_id, ()), row.alias)
        return found


def _records() -> Select[tuple[Any, ...]]:
    return select(versions, models.c.name, _ACTIVE).select_from(_FROM)


def _outline(row: Any) -> VersionOutline:
    return VersionOutline(
        id=row.id,
        name=row.name,
        number=row.number,
        state=row.state,
        label=row.label,
        description=row.description,
        tags=tuple(row.tags),
        runtime=row.runtime,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        created_by=row.created_by,
        active=bool(row.active),
    )


def _record(row: Any) -> VersionRecord:
    return VersionRecord(
        id=row.id,
        name=row.name,
        number=row.number,
        state=row.state,
        label=row.label,
        description=row.description,
        tags=tuple(row.tags),
        runtime=row.runtime,
        entry=row.entry,
        interpreter=row.interpreter,
        signature=_decoded(Signature, row.signature),
        declaration=_decoded(Declaration, row.declaration),
        manifest=row.manifest,
        bundle_digest=row.bundle_digest,
        size_bytes=row.size_bytes,
        load_s=row.load_s,
        created_at=row.created_at,
        created_by=row.created_by,
        origin=decode(Origin, row.origin, tolerant=True),
        trust=_decoded(TrustRecord, row.trust),
        error=_decoded(ErrorBody, row.error),
        activate=row.activation is not None,
        active=bool(row.active),
        long_description=row.long_description,
    )


def _search_text(
    label: str | None,
    description: str | None,
    long_description: str | None,
    tags: Sequence[str],
) -> str:
    parts = (label, description, long_description, *tags)
    return name_key("\n".join(part for part in parts if part))


def _decoded(cls: type[_T], value: Any) -> _T | None:
    return None if value is None else decode(cls, value, tolerant=True)
