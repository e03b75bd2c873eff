"""The Jupyter server extension: its configuration, and its life beside Jupyter's."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterable
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from traitlets import Float, Integer, List, TraitError, Unicode, validate

from norman_protocol.messages import ExecutorLimits
from norman_server.api.routes import build_handlers
from norman_server.api.services import ApiLimits
from norman_server.deployments.service import Change
from norman_server.invocations.retention import RetentionLimits
from norman_server.invocations.submissions import SubmissionLimits
from norman_server.server import NormanServer, ServerSettings

__all__ = ["CHANGES_SCHEMA", "NormanExtension", "local_url"]

CHANGES_SCHEMA = "https://schema.norman-jupyter.org/changes/v1"
"""Id of the events that say that something changed, and nothing private."""

_SCHEMA: dict[str, Any] = {
    "$id": CHANGES_SCHEMA,
    "version": "1",
    "title": "Changes of Norman's models",
    "description": "Something changed; ask the API for what it is now.",
    "type": "object",
    "properties": {
        "topic": {"type": "string", "enum": ["models"], "description": "What changed"},
        "revision": {"type": "integer", "description": "Counts the changes since the start"},
    },
    "required": ["topic", "revision"],
}

_MIB = 1 << 20
_DAY_S = 86400.0
_WILDCARDS = {"", "*", "0.0.0.0", "::"}  # noqa: S104 - compared with, not bound


def _bytes(size_bytes: int, text: str) -> Integer[int, int]:
    return Integer(size_bytes, min=1, help=f"{text} Bytes.").tag(config=True)


def _seconds(seconds: float, text: str) -> Float[float, float]:
    return Float(seconds, min=0.001, help=f"{text} Seconds.").tag(config=True)


def _count(count: int, text: str) -> Integer[int, int]:
    return Integer(count, min=1, help=f"{text} A number.").tag(config=True)


class NormanExtension(ExtensionApp):
    """Serves models beside notebooks."""

    name = "norman"
    description = "Versioned, isolated, monitored models, from a notebook cell."
    # `norman serve` is this server alone: no Lab, and no browser that opens.
    load_other_extensions = False
    serverapp_config = {"open_browser": False}  # noqa: RUF012 - the base class's own way

    home = Unicode(
        "",
        help=(
            "Folder that holds everything: databases, blobs, models, logs. An absolute path; "
            "empty for 'norman' in Jupyter's data folder. Of several servers on one home, one "
            "holds it and the others relay to that one."
        ),
    ).tag(config=True)

    allowed_interpreters = List(
        Unicode(),
        help=(
            "Interpreters that versions may run in, besides this server's own and those of the "
            "installed kernels. Absolute paths."
        ),
    ).tag(config=True)

    queue_limit = _count(256, "Calls of one version that may wait; one more is refused.")
    connection_limit = _count(512, "Connections of kernels that the executor takes.")
    rest_call_limit = _count(
        64, "Calls over REST that may be in flight together; one more is refused."
    )
    default_timeout_s = _seconds(60.0, "Deadline of a call that names none.")
    max_timeout_s = _seconds(3600.0, "Longest deadline that a call may name.")
    load_timeout_s = _seconds(300.0, "How long a version may take to load.")
    replica_idle_timeout_s = _seconds(900.0, "A worker that nobody called for so long is ended.")
    cancel_grace_s = _seconds(
        2.0,
        "A cancelled call that runs on for so long costs its worker, so that others are served.",
    )
    capture_limit_bytes = Integer(
        _MIB, min=0, help="Inputs or outputs of a call up to this size are kept with it. Bytes."
    ).tag(config=True)
    log_limit_bytes = _bytes(64 * 1024, "What is kept of the output of one call.")
    codec_workers = _count(
        2, "Processes that decode and encode images, sound and video, started when needed."
    )
    media_pixels = _count(64_000_000, "Pixels of an image, or of a frame of video.")
    media_seconds = _seconds(600.0, "Longest sound or video.")
    media_decoded_bytes = _bytes(1 << 30, "What a file of media may become when it is decoded.")
    body_limit_bytes = _bytes(2 << 30, "Largest call from a kernel on this host.")
    rest_body_limit_bytes = _bytes(1 << 30, "Largest call over REST.")
    rest_bodies_limit_bytes = _bytes(2 << 30, "Memory for the bodies of all REST requests.")
    json_body_limit_bytes = _bytes(16 * _MIB, "Largest JSON body of other REST requests.")
    submission_limit = _count(
        1000,
        "Calls with Prefer: respond-async or a key that may be unfinished; one more is refused.",
    )
    submission_limit_bytes = _bytes(
        64 * _MIB, "Inputs of such a call up to this size are taken, outputs up to it kept."
    )
    idempotency_retention_s = _seconds(_DAY_S, "How long an Idempotency-Key stands for its call.")
    invocation_retention_s = _seconds(90 * _DAY_S, "How long the record of a call is kept.")
    payload_retention_s = _seconds(30 * _DAY_S, "How long inputs and outputs of a call are kept.")
    invocations_limit_bytes = _bytes(
        10 << 30,
        "Size of invocations.db above which the oldest inputs and outputs, then records, go.",
    )
    log_retention_s = _seconds(30 * _DAY_S, "A log that nobody wrote to for so long is emptied.")
    log_file_limit_bytes = _bytes(
        64 * _MIB, "A version's log that grows above this size is cut to its end."
    )
    retention_interval_s = _seconds(600.0, "Pause between two looks at what is old or too much.")
    abandoned_upload_s = _seconds(
        86400.0, "What an upload that broke off has sent is kept for so long."
    )
    scrub_interval_s = Float(
        86400.0,
        min=0.0,
        help=(
            "Pause between two readings of all stored files, which find damage on the disk; 0 for "
            "none. Seconds."
        ),
    ).tag(config=True)
    scrub_bytes_per_s = Float(
        20e6, min=1e5, help="How fast stored files are read to find damage. Bytes per second."
    ).tag(config=True)
    gc_interval_s = Float(
        3600.0,
        min=0.0,
        help=(
            "Pause between two clean-ups of files that no version needs any more; 0 for none. "
            "Seconds."
        ),
    ).tag(config=True)
    gc_grace_s = Float(
        86400.0,
        min=0.0,
        help="Files that no version needs stay so long after they were last asked for. Seconds.",
    ).tag(config=True)
    backup_interval_s = Float(
        600.0,
        min=0.0,
        help=(
            "Pause between two backups of the registry, where it has changed; 0 for one at the "
            "start alone. Seconds."
        ),
    ).tag(config=True)
    backup_count = Integer(
        8, min=1, help="So many backups of the registry stay, besides one for each day of a week."
    ).tag(config=True)
    blob_limit_bytes = _bytes(1 << 40, "Largest file of an upload.")

    @validate("home")
    def _check_home(self, proposal: Any) -> str:
        if not proposal["value"]:
            return ""
        path = Path(proposal["value"]).expanduser()
        if not path.is_absolute():
            raise TraitError(f"home must be an absolute path, not {proposal['value']!r}.")
        return os.path.normpath(path)

    @validate("allowed_interpreters")
    def _check_interpreters(self, proposal: Any) -> list[str]:
        paths: list[str] = proposal["value"]
        for path in paths:
            if not Path(path).is_absolute():
                raise TraitError(f"allowed_interpreters must be absolute paths, not {path!r}.")
        return paths

    # --- life -------------------------------------------------------------------------------

    def initialize_handlers(self) -> None:
        """Build the server and put its routes in place; nothing runs yet."""
        # As Jupyter does with tornado's: what is logged comes out where its own log does.
        logger = logging.getLogger("norman_server")
        logger.parent = self._jupyter.log
        logger.setLevel(self._jupyter.log.level)
        self._revision = 0
        self._server = NormanServer(
            self._settings(),
            kernel_programs=self._kernel_programs,
            url=lambda: local_url(self._jupyter),
            announce=self._announce,
            listen=self._listen,
        )
        events = self._jupyter.event_logger
        if events is not None:
            events.register_event_schema(_SCHEMA)
        self.handlers.extend(build_handlers(self._server.slot, _version()))

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:  # noqa: ARG002
        """Start when Jupyter listens."""
        atexit.register(self._server.withdraw)
        self._server.start()

    async def stop_extension(self) -> None:
        """End everything, on Jupyter's orderly stop."""
        await self._server.stop()
        atexit.unregister(self._server.withdraw)

    @property
    def _jupyter(self) -> ServerApp:
        if self.serverapp is None:
            raise RuntimeError("the extension is not linked to a server")
        return self.serverapp

    def _settings(self) -> ServerSettings:
        if self.default_timeout_s > self.max_timeout_s:
            raise TraitError(
                f"default_timeout_s ({self.default_timeout_s:g}) must not be above max_timeout_s "
                f"({self.max_timeout_s:g})."
            )
        return ServerSettings(
            home=Path(self.home) if self.home else Path(jupyter_data_dir(), "norman"),
            runtime_folder=Path(self._jupyter.runtime_dir),
            version=_version(),
            executor=ExecutorLimits(
                queue_limit=self.queue_limit,
                connection_limit=self.connection_limit,
                default_timeout_s=self.default_timeout_s,
                max_timeout_s=self.max_timeout_s,
                load_timeout_s=self.load_timeout_s,
                replica_idle_timeout_s=self.replica_idle_timeout_s,
                cancel_grace_s=self.cancel_grace_s,
                capture_limit_bytes=self.capture_limit_bytes,
                body_limit_bytes=self.body_limit_bytes,
                log_limit_bytes=self.log_limit_bytes,
                codec_workers=self.codec_workers,
                media_pixels=self.media_pixels,
                media_seconds=self.media_seconds,
                media_decoded_bytes=self.media_decoded_bytes,
            ),
            api=ApiLimits(
                json_body_bytes=self.json_body_limit_bytes,
                frame_body_bytes=self.rest_body_limit_bytes,
                blob_bytes=self.blob_limit_bytes,
                bodies_in_flight_bytes=self.rest_bodies_limit_bytes,
            ),
            rest_call_limit=self.rest_call_limit,
            submissions=SubmissionLimits(
                waiting=self.submission_limit,
                payload_bytes=self.submission_limit_bytes,
                at_once=max(1, self.rest_call_limit // 2),
                keys_s=self.idempotency_retention_s,
                default_timeout_s=self.default_timeout_s,
                max_timeout_s=self.max_timeout_s,
            ),
            retention=RetentionLimits(
                invocations_s=self.invocation_retention_s,
                payloads_s=self.payload_retention_s,
                invocations_bytes=self.invocations_limit_bytes,
                logs_s=self.log_retention_s,
                log_bytes=self.log_file_limit_bytes,
                keys_s=self.idempotency_retention_s,
            ),
            retention_interval_s=self.retention_interval_s,
            scrub_interval_s=self.scrub_interval_s,
            scrub_bytes_per_s=self.scrub_bytes_per_s,
            abandoned_upload_s=self.abandoned_upload_s,
            gc_interval_s=self.gc_interval_s,
            gc_grace_s=self.gc_grace_s,
            backup_interval_s=self.backup_interval_s,
            backup_count=self.backup_count,
            allowed_interpreters=tuple(self.allowed_interpreters),
        )

    def _listen(self, path: Path) -> _SocketListener:
        return _SocketListener(self._jupyter, path)

    def _kernel_programs(self) -> Iterable[str]:
        known = self._jupyter.kernel_spec_manager
        specs = {} if known is None else known.get_all_specs()
        return [found["spec"]["argv"][0] for found in specs.values() if found["spec"]["argv"]]

    def _announce(self, change: Change) -> None:  # noqa: ARG002 - which one is private
        self._revision += 1
        events = self._jupyter.event_logger
        if events is not None:
            data = {"topic": "models", "revision": self._revision}
            events.emit(schema_id=CHANGES_SCHEMA, data=data)


class _SocketListener:
    """Jupyter's own application on one more socket, for this user's other servers."""

    def __init__(self, app: ServerApp, path: Path) -> None:
        self._server = HTTPServer(
            app.web_app, max_body_size=app.max_body_size, max_buffer_size=app.max_buffer_size
        )
        self._server.add_socket(bind_unix_socket(str(path), mode=0o600))
        self._path = path

    async def close(self) -> None:
        """Stop, and end what is open."""
        self._server.stop()
        self._path.unlink(missing_ok=True)  # others see by it that they needn't try
        await self._server.close_all_connections()


def local_url(app: ServerApp) -> str:
    """Return a server's base URL as processes on its own host reach it, with a last ``/``."""
    if app.sock:
        return str(app.connection_url).partition("?")[0]
    host = app.ip
    if host in _WILDCARDS or host == "localhost":
        host = "127.0.0.1"
    elif ":" in host:
        host = f"[{host}]"
    scheme = "https" if app.certfile else "http"
    return f"{scheme}://{host}:{app.port}{app.base_url}"


def _version() -> str:
    return distribution_version("norman-jupyter")
