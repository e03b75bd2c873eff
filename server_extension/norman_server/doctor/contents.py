"""Checks of models: blobs, trees, versions and aliases fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from norman_server.doctor.findings import Found, Subject, found
from norman_server.registry.orphans import find_orphans, find_strays, note_strays, remove_path
from norman_server.registry.queries import all_routings
from norman_server.storage.trees import find_tree_faults, make_tree

if TYPE_CHECKING:
    from norman_server.domain.records import VersionRecord
    from norman_server.storage.db.registry.rows import RegistryRows
    from norman_server.storage.opening import Storage

__all__ = ["check_blobs", "check_orphans", "check_trees", "check_versions"]

_PAGE: Final = 500
_STEP_BYTES: Final = 8 << 20


def check_blobs(subject: Subject) -> Iterator[Found]:
    """See that every blob that is noted is stored, whole, and the other way round."""
    storage = subject.storage
    if storage is None:
        return
    after = ""
    while page := _blob_page(storage, after):
        noted = _noted_sizes(storage, page)
        for digest, size_bytes in noted.items():
            damage = _damage(storage, digest, size_bytes, deep=subject.deep)
            if damage is not None:
                yield _damaged(storage, digest, damage)
        after = page[-1]
    yield from _check_waiting(storage)
    yield from _check_strays(storage)


def _blob_page(storage: Storage, after: str) -> list[str]:
    return storage.registry.read_now(lambda rows: rows.blobs.page(after, _PAGE))


def _noted_sizes(storage: Storage, digests: Sequence[str]) -> dict[str, int]:
    return storage.registry.read_now(lambda rows: rows.blobs.sizes(digests))


def _damage(storage: Storage, digest: str, size_bytes: int, *, deep: bool) -> str | None:
    found_bytes = storage.blobs.size(digest)
    if found_bytes is None:
        # It may have been cleaned up since the page was read.
        return "missing" if digest in _noted_sizes(storage, [digest]) else None
    if found_bytes != size_bytes:
        return f"{found_bytes:,} bytes long instead of {size_bytes:,}"
    if deep and False in list(storage.blobs.examine(digest, _STEP_BYTES)):
        return "damaged"
    return None


def _damaged(storage: Storage, digest: str, damage: str) -> Found:
    owners = storage.registry.read_now(lambda rows: rows.versions.owners(digest))
    needed = f"; needed by {', '.join(owners[:5])}" if owners else ""

    def set_aside() -> None:
        now = datetime.now(UTC)
        storage.registry.write_now(lambda rows: rows.blobs.quarantine([digest], now))
        storage.blobs.quarantine(digest)

    return found(
        "blobs",
        "error",
        f"The file {digest[:12]}… is {damage}{needed}.",
        subject=digest,
        advice="Upload a version that has it again: that heals it." if owners else "",
        repair=set_aside,
    )


def _check_waiting(storage: Storage) -> Iterator[Found]:
    missing = storage.registry.read_now(lambda rows: rows.versions.damaged())
    for reference, count in missing:
        yield found(
            "blobs",
            "error",
            f"{reference} lacks {count} file{'s' if count != 1 else ''} that were found damaged.",
            subject=reference,
            advice=f"Upload {reference} again: that heals it.",
        )


def _check_strays(storage: Storage) -> Iterator[Found]:
    for strays in find_strays(storage):
        yield found(
            "blobs",
            "note",
            f"{len(strays)} stored files are not noted: an upload broke off just there.",
            advice="Clean-up notes them: %norman gc",
            repair=partial(note_strays, storage, strays, datetime.now(UTC)),
        )


def check_orphans(subject: Subject) -> Iterator[Found]:
    """See that no tree and no log belongs to a version that there isn't."""
    storage = subject.storage
    if storage is None:
        return
    orphans = find_orphans(
        subject.home, lambda: storage.registry.read_now(lambda rows: rows.versions.ids())
    )
    for kind, paths in (("tree", orphans.trees), ("log", orphans.logs)):
        for path in paths:
            yield found(
                "orphans",
                "warning",
                f"The {kind} {path.name} belongs to no version.",
                subject=path.name,
                repair=partial(remove_path, path),
            )


def check_trees(subject: Subject) -> Iterator[Found]:
    """See that the files that workers load are those that were uploaded."""
    storage = subject.storage
    if storage is None:
        return
    for version_id in storage.registry.read_now(lambda rows: sorted(rows.versions.ids())):
        tree = subject.home.models / version_id
        if not tree.is_dir():
            continue  # laid out when it is needed
        version = storage.registry.read_now(partial(_version, version_id))
        faults = find_tree_faults(version.manifest, tree, thorough=subject.deep)
        if faults:
            yield found(
                "trees",
                "error",
                f"{len(faults)} of the files that {version.reference} is loaded from were "
                f"changed: {', '.join(faults[:5])}.",
                subject=version.reference,
                repair=partial(_lay_out_anew, storage, version),
            )


def _version(version_id: str, rows: RegistryRows) -> VersionRecord:
    return rows.versions.get(version_id)


def _lay_out_anew(storage: Storage, version: VersionRecord) -> None:
    tree = storage.home.models / version.id
    remove_path(tree)
    make_tree(version.manifest, storage.blobs, tree)


def check_versions(subject: Subject) -> Iterator[Found]:
    """See that numbers were never given twice, and aliases lead to what can serve."""
    storage = subject.storage
    if storage is None:
        return
    routings, counted = storage.registry.read_now(
        lambda rows: (all_routings(rows), rows.models.last_numbers())
    )
    for routing in routings:
        name, last_number = routing.name, counted[routing.name]
        states = {number: state for number, (_, state) in routing.versions.items()}
        if max(states) > last_number:
            yield found(
                "versions",
                "error",
                f"{name} has the version {max(states)}, and counted only to {last_number}.",
                subject=name,
                advice="Restore a backup: norman restore",
            )
        for alias, number in routing.aliases.items():
            if states.get(number) != "ready":
                yield found(
                    "versions",
                    "error",
                    f"{name}@{alias} leads to {name}@{number}, which is "
                    f"{states.get(number, 'not there')}.",
                    subject=f"{name}@{alias}",
                    advice=f"Let it lead to one that is ready: %norman alias {name}@N {alias}",
                )
        if subject.live is None:
            for number in (one for one, state in states.items() if state == "loading"):
                yield found(
                    "versions",
                    "note",
                    f"{name}@{number} was loading when the server ended; the next one loads it.",
                    subject=f"{name}@{number}",
                )
