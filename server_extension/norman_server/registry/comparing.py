"""What is different between two versions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from norman_protocol.decoding import dump_json
from norman_protocol.rest import Difference, FileDifference, FileEntry, VersionDiff
from norman_protocol.signature import Parameter, Signature, describe_parameter
from norman_server.domain.records import VersionRecord

__all__ = ["compare_versions"]


def compare_versions(before: VersionRecord, after: VersionRecord) -> VersionDiff:
    """Say what is different from one version to another.

    Files are compared by their digests and whether they are executable, a signature parameter by
    parameter.
    """
    return VersionDiff(
        before=before.reference,
        after=after.reference,
        signature=_differences(_signature(before.signature), _signature(after.signature)),
        files=_files(before, after),
        environment=_differences(_environment(before), _environment(after)),
        settings=_differences(_settings(before), _settings(after)),
    )


def _differences(
    before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> tuple[Difference, ...]:
    names = [*before, *(name for name in after if name not in before)]
    return tuple(
        Difference(name=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _files(before: VersionRecord, after: VersionRecord) -> tuple[FileDifference, ...]:
    old = {entry.path: entry for entry in before.manifest.files}
    new = {entry.path: entry for entry in after.manifest.files}
    found = (_file(path, old.get(path), new.get(path)) for path in sorted({*old, *new}))
    return tuple(difference for difference in found if difference is not None)


def _file(path: str, old: FileEntry | None, new: FileEntry | None) -> FileDifference | None:
    change: Literal["added", "removed", "changed"] = "changed"
    if old is None or new is None:
        change = "removed" if new is None else "added"
    elif (old.digest, old.executable) == (new.digest, new.executable):
        return None
    return FileDifference(
        path=path,
        change=change,
        before_bytes=None if old is None else old.size_bytes,
        after_bytes=None if new is None else new.size_bytes,
    )


def _signature(signature: Signature | None) -> dict[str, str | None]:
    if signature is None:
        return {}
    return {
        **{f"input {item.name}": _parameter(item) for item in signature.inputs},
        **{f"output {item.name}": _parameter(item) for item in signature.outputs},
    }


def _parameter(parameter: Parameter) -> str:
    words = [describe_parameter(parameter)]
    if not parameter.required:
        words.append(f"default {dump_json(parameter.default).decode()}")
    if parameter.nullable:
        words.append("may be None")
    if parameter.description:
        words.append(parameter.description)
    return ", ".join(words)


def _environment(record: VersionRecord) -> dict[str, str | None]:
    return {
        "runtime": record.runtime,
        "interpreter": record.interpreter,
        "python": record.origin.python_version,
    }


def _settings(record: VersionRecord) -> dict[str, str | None]:
    return {
        "entry": record.entry,
        "label": record.label,
        "description": record.description,
        "long description": record.long_description,
        "tags": ", ".join(record.tags) or None,
        "trust": None if record.trust is None else f"by {record.trust.user}",
    }
