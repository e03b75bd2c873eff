"""Bundles and journals for tests of what the server keeps."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from norman_protocol.identifiers import new_id
from norman_protocol.messages import (
    Accepted,
    Caller,
    Ended,
    InvocationState,
    Timings,
    encode_message,
)
from norman_protocol.rest import FileEntry, Manifest, PublishRequest
from norman_protocol.values import Value
from norman_server.domain.records import VersionRecord
from norman_server.registry.service import Registry

EXECUTOR_ID = "01990000000070008000000000000000"


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_source(text: str = "") -> bytes:
    """A model.py, another one for each text."""
    return f"# {text}\ndef predict(x: int) -> int:\n    return x\n".encode()


def make_manifest(files: Mapping[str, bytes], *, executable: Iterable[str] = ()) -> Manifest:
    chosen = set(executable)
    return Manifest(
        files=tuple(
            FileEntry(
                path=path,
                digest=digest_of(data),
                size_bytes=len(data),
                executable=path in chosen,
            )
            for path, data in sorted(files.items())
        )
    )


async def send(registry: Registry, files: Mapping[str, bytes]) -> None:
    """Store the blobs of a bundle."""

    def write() -> None:
        for data in files.values():
            with registry.begin_blob(digest_of(data)) as writer:
                writer.write(data)
                writer.commit()

    await asyncio.to_thread(write)


async def publish(
    registry: Registry,
    name: str = "digits",
    text: str = "",
    *,
    user: str = "ada",
    interpreter: str | None = "/usr/bin/python3",
    trust: bool = True,
    activate: bool = True,
    label: str | None = None,
    description: str | None = None,
    tags: tuple[str, ...] = (),
) -> tuple[VersionRecord, bool]:
    """Send and publish a bundle of one model.py."""
    files = {"model.py": make_source(text)}
    await send(registry, files)
    request = PublishRequest(
        manifest=make_manifest(files),
        trust=trust,
        activate=activate,
        label=label,
        description=description,
        tags=tags,
    )
    return await registry.publish(name, request, user=user, interpreter=interpreter)


def accepted(
    invocation_id: str | None = None,
    *,
    reference: str = "digits@1",
    user: str = "ada",
    values: Mapping[str, Value] | None = None,
    at: float = 1_800_000_000.0,
) -> Accepted:
    return Accepted(
        invocation_id=invocation_id or new_id(),
        version_id="version-1",
        reference=reference,
        caller=Caller(user=user, kernel_id="kernel-1"),
        accepted_at=at,
        input_bytes=sum(value.size_bytes for value in (values or {}).values()),
        captured=values is not None,
        values=values or {},
    )


def ended(
    invocation_id: str,
    state: InvocationState = "succeeded",
    *,
    values: Mapping[str, Value] | None = None,
    at: float = 1_800_000_001.0,
    error_code: str | None = None,
    error_message: str | None = None,
    logs: str = "",
) -> Ended:
    return Ended(
        invocation_id=invocation_id,
        state=state,
        ended_at=at,
        timings=Timings(queue_s=0.25, model_s=0.5, total_s=1.0, codec_s=0.125),
        output_bytes=sum(value.size_bytes for value in (values or {}).values()),
        captured=values is not None,
        values=values or {},
        error_code=error_code,
        error_message=error_message,
        error_details={"exception": "ValueError"} if error_code else {},
        logs=logs,
    )


def journal_bytes(entries: Iterable[Accepted | Ended]) -> bytes:
    return b"".join(bytes(piece) for entry in entries for piece in encode_message(entry))


def segment_path(journal: Path, sequence: int = 1, executor_id: str = EXECUTOR_ID) -> Path:
    return journal / f"{executor_id}-{sequence:06d}.frames"


def wait_until(happened, *, timeout_s: float = 30.0) -> None:
    """Poll another process, with a guard against hanging."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.002)
