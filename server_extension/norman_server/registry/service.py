"""The registry: what models and versions there are. Asynchronous; storage runs in threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from norman_bundle.manifest import bundle_digest, check_manifest, parse_digest
from norman_bundle.remotes import strip_credentials
from norman_bundle.trust import require_trust
from norman_protocol.declared import check_declaration
from norman_protocol.errors import BundleInvalid
from norman_protocol.frames import Buffer
from norman_protocol.logs import clean_log
from norman_protocol.messages import VersionState
from norman_protocol.packs import read_pack
from norman_protocol.references import Reference, parse_alias, parse_name
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    BlobUpload,
    Deletion,
    EditRequest,
    ErrorBody,
    ModelDetail,
    ModelPage,
    Origin,
    PublishRequest,
    TrustRecord,
    VersionDiff,
    VersionPage,
)
from norman_protocol.signature import Signature
from norman_server.domain.records import (
    ModelRouting,
    Publication,
    VersionRecord,
    format_time,
)
from norman_server.registry.aliasing import (
    AliasMove,
    RollbackPlan,
    delete_alias,
    move_alias,
    plan_rollback,
)
from norman_server.registry.checks import check_edit, check_texts, version_identity
from norman_server.registry.collecting import remove_leftovers
from norman_server.registry.comparing import compare_versions
from norman_server.registry.cursors import read_cursor, read_number_cursor
from norman_server.registry.deleting import delete_model, delete_version
from norman_server.registry.editing import edit_version
from norman_server.registry.orphans import remove_path
from norman_server.registry.packs import check_pack, read_small
from norman_server.registry.publishing import fail_version, finish_version, publish_version
from norman_server.registry.queries import (
    alias_history,
    alias_page,
    all_routings,
    check_page,
    model_detail,
    model_page,
    model_routing,
    version_page,
)
from norman_server.registry.rendering import alias_change
from norman_server.registry.selecting import select_version
from norman_server.registry.uploads import RecordedWriter, check_blobs, find_format
from norman_server.storage.blobs.base import BlobWriter
from norman_server.storage.blobs.copying import hash_file
from norman_server.storage.logs import LogPart, read_after, read_tail
from norman_server.storage.memory import release_memory
from norman_server.storage.opening import Storage
from norman_server.storage.trees import find_tree_faults, make_tree

__all__ = ["Registry"]

_log = logging.getLogger(__name__)


_MANY_FILES: Final = 1000
_TOUCH_EVERY: Final = timedelta(minutes=5)
"""To note each question would cost a write; who counts on a blob publishes it soon after."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """Models, versions and aliases, in ``norman.db`` and the store of blobs.

    Every method may raise `StorageFull` (the disk is full) and `InternalError` (the database or
    the disk failed), besides what it names.

    Parameters
    ----------
    storage
        Stays open for longer than this.
    now
        The clock of what is recorded.
    """

    def __init__(self, storage: Storage, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._home = storage.home
        self._database = storage.registry
        self._blobs = storage.blobs
        self._files = storage.files
        self._now = now
        self._verified: set[str] = set()

    async def missing(self, digests: Sequence[str]) -> tuple[str, ...]:
        """Return which of these blobs are not stored, in the order asked, each once.

        Raises
        ------
        RequestInvalid
            One is no digest.
        """
        asked = await self._files.run(lambda: tuple(dict.fromkeys(map(parse_digest, digests))))
        stored = await self._stored(asked)
        await self._touch(tuple(stored))
        return tuple(digest for digest in asked if digest not in stored)

    async def _touch(self, digests: Sequence[str]) -> None:
        """Keep clean-up from blobs that somebody was just told of."""
        now = self._now()
        since = now - _TOUCH_EVERY
        stale = await self._database.read(lambda rows: rows.blobs.untouched(digests, since))
        if stale:
            await self._database.write(lambda rows: rows.blobs.touch(stale, now))

    def begin_blob(self, digest: str) -> BlobWriter:
        """Begin to take a blob in. Synchronous, as the writer is: call both in a thread.

        Raises
        ------
        RequestInvalid
            The text is no digest.
        """
        parse_digest(digest)
        return RecordedWriter(digest, self._blobs.begin(digest), self._blobs.claims, self._database)

    def resume_blob(self, digest: str, offset: int) -> BlobWriter:
        """Go on with a blob that was begun, or begin one so; else as `begin_blob`.

        Raises
        ------
        RequestInvalid
            The text is no digest.
        RangeInvalid
            What is kept of it doesn't end at ``offset``.
        Conflict
            Another writer has it.
        """
        parse_digest(digest)
        return RecordedWriter(
            digest, self._blobs.resume(digest, offset), self._blobs.claims, self._database
        )

    def take_file(
        self,
        source: int,
        *,
        size_bytes: int,
        digest: str | None,
        on_done: Callable[[int], None],
    ) -> tuple[str, int]:
        """Store a file of this host as a blob, unless it is one. Synchronous: call it in a thread.

        Parameters
        ----------
        source
            Descriptor, open for reading.
        digest
            What the sender found; None where that shows here.
        on_done
            Told now and then how many bytes are done; what it raises ends the copy.

        Returns
        -------
        tuple
            The digest, and how many bytes were copied: none where it was stored already.

        Raises
        ------
        RequestInvalid
            The digest is none.
        BundleInvalid
            The bytes have another one, or the file is shorter; nothing is kept.
        """
        if digest is not None:
            parse_digest(digest)
        elif self._database.read_now(lambda rows: rows.blobs.any_of_size(size_bytes)):
            # It may be that very blob: to find out costs less than to store it twice.
            digest = hash_file(source, size_bytes, on_done)
        if digest is not None and self._is_stored(digest, size_bytes):
            return digest, 0
        with self._blobs.claims.hold(None if digest is None else [digest]):
            found = self._blobs.copy_in(source, size_bytes, digest=digest, on_done=on_done)
            now = self._now()
            self._database.write_now(lambda rows: rows.blobs.add(found, size_bytes, now))
        return found, size_bytes

    def _is_stored(self, digest: str, size_bytes: int) -> bool:
        noted = self._database.read_now(lambda rows: rows.blobs.sizes([digest]))
        if not noted.get(digest) == size_bytes == self._blobs.size(digest):
            return False
        now = self._now()
        stale = self._database.read_now(
            lambda rows: rows.blobs.untouched([digest], now - _TOUCH_EVERY)
        )
        if stale:
            self._database.write_now(lambda rows: rows.blobs.touch(stale, now))
        return True

    async def upload_state(self, digest: str) -> BlobUpload:
        """Return how far the upload of a blob came.

        Raises
        ------
        RequestInvalid
            The text is no digest.
        """
        size_bytes = (await self._stored((parse_digest(digest),))).get(digest)
        if size_bytes is not None:
            return BlobUpload(digest=digest, offset=size_bytes, stored=True)
        offset = await self._files.run(lambda: self._blobs.offset(digest))
        return BlobUpload(digest=digest, offset=offset)

    def take_pack(self, pack: Buffer) -> int:
        """Store the blobs of a pack, and return how many. Synchronous: call it in a thread.

        Raises
        ------
        RequestInvalid
            The bytes are no pack.
        BundleInvalid
            A blob has other bytes than its digest says; none of the pack is stored.
        """
        blobs = dict(read_pack(pack))
        check_pack(blobs)
        sizes = {digest: data.nbytes for digest, data in blobs.items()}
        with self._blobs.claims.hold(sizes):
            self._blobs.store_all(tuple(blobs.items()))
            now = self._now()
            self._database.write_now(lambda rows: rows.blobs.add_all(sizes, now))
        return len(blobs)

    def read_blobs(self, digests: Sequence[str], limit_bytes: int) -> list[tuple[str, bytes]]:
        """Read small blobs, each once. Synchronous: call it in a thread.

        Raises
        ------
        RequestInvalid
            One is no digest, or they are too many for a pack.
        PayloadTooLarge
            Together they are too long for a pack.
        BlobNotFound
            One isn't stored.
        """
        return read_small(self._blobs, digests, limit_bytes)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a stored blob for reading. Synchronous: open, read and close it in a thread.

        Raises
        ------
        RequestInvalid
            The text is no digest.
        BlobNotFound
            The blob isn't stored.
        """
        return self._blobs.open(parse_digest(digest))

    async def publish(
        self, name: str, request: PublishRequest, *, user: str, interpreter: str | None
    ) -> tuple[VersionRecord, bool]:
        """Make a version of blobs that are stored, or find the one that is the same.

        Returns
        -------
        tuple
            The version, and whether it is to be loaded now. False where it stood ready already
            (and is active again, where that was asked for), or is being loaded.

        Raises
        ------
        NameInvalid, RequestInvalid
            The name, or a text of the request, is none.
        BundleInvalid
            The manifest is unsound, blobs are missing, or the format is unknown.
        ConfigurationInvalid
            What is declared contradicts itself.
        TrustRequired
            It runs code on load, and the request doesn't allow that.
        """
        name = parse_name(name)
        # In threads: a manifest of thousands of files would hold the event loop for long.
        stored = await self._stored(await self._files.run(partial(_check_request, request)))
        publication = await self._files.run(
            partial(self._examine, name, request, stored, user, interpreter)
        )
        published = await self._database.write(lambda rows: publish_version(rows, publication))
        if len(publication.manifest.files) >= _MANY_FILES:
            await self._files.run(release_memory)
        return published

    async def mark_ready(
        self, version_id: str, *, signature: Signature, load_s: float
    ) -> VersionRecord:
        """Let a loading version be ready, and in the same transaction active where it shall be.

        It doesn't become active where a version whose upload began later is so already.

        Raises
        ------
        VersionNotFound, Conflict
            There is no such version, or it isn't loading any more.
        """
        now = self._now()
        return await self._database.write(
            lambda rows: finish_version(rows, version_id, signature, load_s, now)
        )

    async def mark_failed(self, version_id: str, error: ErrorBody) -> VersionRecord:
        """Let a loading version be failed; what was active before stays so.

        Raises
        ------
        VersionNotFound, Conflict
            There is no such version, or it isn't loading any more.
        """
        now = self._now()
        return await self._database.write(lambda rows: fail_version(rows, version_id, error, now))

    async def version(self, reference: Reference) -> VersionRecord:
        """Return the version that a reference means now, in whatever state it is.

        Raises
        ------
        ModelNotFound, VersionNotFound
            Nothing has that name, number or alias.
        NotReady
            The active version is meant, and the model has none; the message says why.
        """
        return await self._database.read(lambda rows: select_version(rows, reference))

    async def model(self, name: str) -> ModelDetail:
        """Return a model with its latest versions, at most 100.

        Raises
        ------
        NameInvalid, ModelNotFound
            The name is none, or no model's.
        """
        name = parse_name(name)
        return await self._database.read(lambda rows: model_detail(rows, name))

    async def models(
        self, *, limit: int = 50, cursor: str | None = None, search: str | None = None
    ) -> ModelPage:
        """Return a page of models by name.

        Parameters
        ----------
        limit
            From 1 to 500.
        cursor
            ``next_cursor`` of the page before.
        search
            Only models whose name, or a label or description of a version, holds this text.

        Raises
        ------
        RequestInvalid
            A parameter is out of bounds.
        """
        check_page(limit, search)
        after_key = None if cursor is None else read_cursor(cursor)
        return await self._database.read(
            lambda rows: model_page(rows, limit=limit, after_key=after_key, search=search)
        )

    async def model_count(self) -> int:
        """Return how many models there are."""
        return await self._database.read(lambda rows: rows.models.count())

    async def versions(
        self, name: str, *, limit: int = 50, cursor: str | None = None
    ) -> VersionPage:
        """Return a page of a model's versions, newest first.

        Raises
        ------
        NameInvalid, ModelNotFound
            The name is none, or no model's.
        RequestInvalid
            A parameter is out of bounds.
        """
        name = parse_name(name)
        check_page(limit, None)
        before = None if cursor is None else read_number_cursor(cursor)
        return await self._database.read(
            lambda rows: version_page(rows, name, limit=limit, before=before)
        )

    async def edit(self, reference: Reference, request: EditRequest) -> VersionRecord:
        """Change label, descriptions and tags of a version.

        Raises
        ------
        ModelNotFound, VersionNotFound, NotReady
            The reference leads to no version.
        RequestInvalid
            A text isn't one, or nothing is to be changed.
        """
        check_edit(request)
        now = self._now()
        return await self._database.write(lambda rows: edit_version(rows, reference, request, now))

    async def delete_version(
        self, reference: Reference, *, user: str
    ) -> tuple[VersionRecord, Deletion]:
        """Forget a version; see `norman_server.registry.deleting.delete_version`."""
        now = self._now()
        return await self._database.write(
            lambda rows: delete_version(rows, reference, user=user, now=now)
        )

    async def delete_model(
        self, name: str, *, user: str
    ) -> tuple[tuple[VersionRecord, ...], Deletion]:
        """Forget a model; see `norman_server.registry.deleting.delete_model`."""
        now = self._now()
        name = parse_name(name)
        return await self._database.write(lambda rows: delete_model(rows, name, user=user, now=now))

    async def remove_files(self, version_id: str) -> None:
        """Remove the tree and the log of a version that was forgotten.

        What can't be removed now is left for clean-up.
        """
        tree, log = self._home.models / version_id, self._home.log_path(version_id)
        await self._files.run(partial(remove_leftovers, [tree, log]))

    async def diff(self, before: Reference, after: Reference) -> VersionDiff:
        """Say what is different from one version to another.

        Raises
        ------
        ModelNotFound, VersionNotFound, NotReady
            A reference leads to no version.
        """
        old, new = await self._database.read(
            lambda rows: (select_version(rows, before), select_version(rows, after))
        )
        return await self._files.run(partial(compare_versions, old, new))

    # --- aliases ----------------------------------------------------------------------------

    async def aliases(self, name: str, *, limit: int = 50, cursor: str | None = None) -> AliasPage:
        """Return a page of a model's aliases by name.

        Raises
        ------
        NameInvalid, ModelNotFound
            The name is none, or no model's.
        RequestInvalid
            A parameter is out of bounds.
        """
        name = parse_name(name)
        check_page(limit, None)
        after = None if cursor is None else read_cursor(cursor)
        return await self._database.read(
            lambda rows: alias_page(rows, name, limit=limit, after=after)
        )

    async def alias_history(
        self, name: str, alias: str | None, *, limit: int = 50, cursor: str | None = None
    ) -> AliasHistory:
        """Return a page of the changes of an alias (None: of all aliases), newest first.

        Raises
        ------
        NameInvalid, ModelNotFound, VersionNotFound
            A name is none, there is no such model, or the alias was never set.
        RequestInvalid
            A parameter is out of bounds.
        """
        name = parse_name(name)
        alias = None if alias is None else parse_alias(alias)
        check_page(limit, None)
        before = None if cursor is None else read_number_cursor(cursor)
        return await self._database.read(
            lambda rows: alias_history(rows, name, alias, limit=limit, before=before)
        )

    async def move_alias(self, move: AliasMove) -> AliasChange:
        """Let an alias lead to a version; see `norman_server.registry.aliasing.move_alias`.

        Nothing is said to the executor, and the version isn't looked at: that is for whoever calls.
        """
        now = self._now()
        name, change = await self._database.write(lambda rows: move_alias(rows, move, now))
        return alias_change(name, change)

    async def delete_alias(self, name: str, alias: str, *, user: str, why: str) -> AliasChange:
        """Take an alias away; see `norman_server.registry.aliasing.delete_alias`."""
        now = self._now()
        name, change = await self._database.write(
            lambda rows: delete_alias(rows, name, alias, user=user, why=why, now=now)
        )
        return alias_change(name, change)

    async def plan_rollback(self, name: str, alias: str, to: int | None) -> RollbackPlan:
        """Find where a rollback leads; see `norman_server.registry.aliasing.plan_rollback`."""
        return await self._database.read(lambda rows: plan_rollback(rows, name, alias, to))

    # --- serving ----------------------------------------------------------------------------

    async def materialise(self, version_id: str) -> Path:
        """Return the folder with a version's files, laid out now where it isn't there.

        Raises
        ------
        VersionNotFound
            There is no such version.
        BundleInvalid
            A blob of it is missing or damaged.
        """
        record = await self._database.read(lambda rows: rows.versions.get(version_id))
        target = self._home.models / record.id
        try:
            await self._files.run(lambda: self._lay_out(record, target))
        except BundleInvalid as error:
            lost, now = tuple(error.digests), self._now()
            await self._database.write(lambda rows: rows.blobs.quarantine(lost, now))
            raise
        return target

    def _lay_out(self, record: VersionRecord, target: Path) -> None:
        """Make a version's tree, or verify the one that stands, once in this server's life."""
        if record.id not in self._verified:
            faults = find_tree_faults(record.manifest, target)
            if faults:
                _log.error(
                    "%d files of %s were changed on disk (%s); they are laid out anew",
                    len(faults),
                    record.reference,
                    ", ".join(faults[:5]),
                )
                remove_path(target)
        make_tree(record.manifest, self._blobs, target)
        self._verified.add(record.id)
        if len(record.manifest.files) >= _MANY_FILES:
            release_memory()

    async def routings(self) -> list[ModelRouting]:
        """Return where the references to every model lead."""
        return await self._database.read(lambda rows: all_routings(rows))

    async def routing(self, name: str) -> ModelRouting:
        """Return where the references to one model lead.

        Raises
        ------
        ModelNotFound
            There is no such model.
        """
        return await self._database.read(lambda rows: model_routing(rows, name))

    async def servable(self) -> list[VersionRecord]:
        """Return every version that is ready, oldest first."""
        return await self._in_state("ready")

    async def unfinished(self) -> list[VersionRecord]:
        """Return every version that is loading, oldest first.

        At the start of a server nothing loads them: they are to be loaded again, or failed.
        """
        return await self._in_state("loading")

    async def log_part(self, version_id: str, after: int | None, limit_bytes: int) -> LogPart:
        """Return the end of what a version's workers wrote, or what follows an offset."""
        path = self._home.log_path(version_id)
        part = await self._files.run(
            lambda: (
                read_tail(path, limit_bytes)
                if after is None
                else read_after(path, after, limit_bytes)
            )
        )
        return replace(part, text=clean_log(part.text, str(self._home.models / version_id)))

    async def _in_state(self, state: VersionState) -> list[VersionRecord]:
        return await self._database.read(lambda rows: rows.versions.by_state(state))

    async def _stored(self, digests: Sequence[str]) -> dict[str, int]:
        """Return the sizes of the blobs that are noted, and whose bytes are there as well."""
        noted = await self._database.read(lambda rows: rows.blobs.sizes(digests))
        return await self._files.run(
            lambda: {
                digest: size_bytes
                for digest, size_bytes in noted.items()
                if self._blobs.size(digest) == size_bytes
            }
        )

    def _examine(
        self,
        name: str,
        request: PublishRequest,
        stored: Mapping[str, int],
        user: str,
        interpreter: str | None,
    ) -> Publication:
        check_blobs(request.manifest, stored)
        bundle_format = find_format(request.manifest, self._blobs, request.declaration)
        shown = request.origin.source_path or bundle_format.entry
        require_trust(bundle_format, trusted=request.trust, path=shown)
        digest = bundle_digest(request.manifest)
        now = self._now()
        trust = TrustRecord(user=user, trusted_at=format_time(now), bundle_digest=digest)
        return Publication(
            name=name,
            user=user,
            published_at=now,
            identity=version_identity(digest, bundle_format, interpreter, request.declaration),
            bundle_digest=digest,
            manifest=request.manifest,
            runtime=bundle_format.runtime,
            entry=bundle_format.entry,
            interpreter=interpreter,
            declaration=request.declaration,
            size_bytes=sum(entry.size_bytes for entry in request.manifest.files),
            label=request.label,
            description=request.description,
            long_description=request.long_description,
            tags=tuple(dict.fromkeys(request.tags)),
            origin=_without_credentials(request.origin),
            # A program is served without, and loaded into a notebook's own process only with it.
            trust=trust if request.trust and bundle_format.runtime != "onnx" else None,
            activate=request.activate,
        )


def _check_request(request: PublishRequest) -> tuple[str, ...]:
    """Check a request by itself, and return the digests of its blobs, each once."""
    check_texts(request)
    check_manifest(request.manifest)
    if request.declaration is not None:
        check_declaration(request.declaration)
    return tuple(dict.fromkeys(entry.digest for entry in request.manifest.files))


def _without_credentials(origin: Origin) -> Origin:
    """Strip what lets others into a repository; our own client does so before it sends."""
    if origin.git_remote is None:
        return origin
    return replace(origin, git_remote=strip_credentials(origin.git_remote))
