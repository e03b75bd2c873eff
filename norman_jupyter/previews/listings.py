"""Models, logs, invocations and the server's state as small tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from norman_jupyter.previews.markup import (
    Bundle,
    Html,
    block,
    clipped_code,
    escape,
    fields,
    join,
    note,
    table,
    warning,
)
from norman_jupyter.previews.text import (
    columns,
    format_bytes,
    format_count,
    format_milliseconds,
    one_line,
    shorten,
)
from norman_jupyter.previews.versions import render_version, short_time
from norman_protocol.rest import (
    InvocationPage,
    LogText,
    ModelDetail,
    ModelPage,
    ServerStatus,
    VersionDetail,
    VersionPage,
    VersionSummary,
)

__all__ = [
    "FoundInvocations",
    "FoundModels",
    "ShownModel",
    "listing",
    "message",
    "render_invocations",
    "render_log",
    "render_model",
    "render_models",
    "render_status",
    "render_versions",
]

_LOG_CHARACTERS = 16_000
_LOG_LINES = 200
_SHOWN_VERSIONS = 10
_VERSION_HEADER = ("version", "state", "label", "runtime", "size", "created", "by")
_WARNED_OF = ("failed", "timed_out", "interrupted")
"""What a state begins with that must not be overlooked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModels(ModelPage):
    """A page of the models that hold a text, and that text."""

    search: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInvocations(InvocationPage):
    """A page of the invocations that were looked for: of a model, in a state, since a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownModel:
    """A model, and the version that a bare name means: the active one, else the latest."""

    model: ModelDetail
    version: VersionDetail | None

    def _repr_mimebundle_(self, **_: object) -> Bundle:
        model = render_model(self.model)
        if self.version is None:
            return model
        version = render_version(self.version)
        return {
            "text/plain": f"{model['text/plain']}\n\n{version['text/plain']}",
            "text/html": join([model["text/html"], version["text/html"]]),
        }


def render_models(page: ModelPage) -> Bundle:
    """Return a page of models as a table."""
    if not page.items:
        return message(_no_models(page))
    header = ("model", "active", "versions", "state", "runtime", "updated", "description")
    rows = [
        (
            model.name,
            "" if model.active is None else f"@{model.active}",
            f"{model.version_count:,}",
            model.state,
            model.runtime,
            short_time(model.updated_at),
            one_line(model.description or ", ".join(model.tags), 60),
        )
        for model in page.items
    ]
    more = (
        "There are more: --search TEXT narrows the list, --limit N lengthens it."
        if page.next_cursor
        else ""
    )
    return listing(header, rows, more, wrapped="description")


def _no_models(page: ModelPage) -> str:
    if isinstance(page, FoundModels):
        return (
            f"No model's name, description or label contains {one_line(page.search, 60)!r}. "
            "%norman models lists all."
        )
    return "There are no models here yet. %norman upload PATH adds one."


def render_model(detail: ModelDetail) -> Bundle:
    """Return a model with its latest versions as a table."""
    rows = _version_rows(detail.versions[:_SHOWN_VERSIONS])
    left = detail.model.version_count - len(rows)
    name = one_line(detail.model.name, 100)
    earlier = f"… and {left:,} earlier: %norman versions {name}" if left > 0 else ""
    return listing(_VERSION_HEADER, rows, earlier)


def render_versions(page: VersionPage) -> Bundle:
    """Return a page of a model's versions as a table."""
    if not page.items:
        return message("There are no more versions.")
    more = "There are earlier ones: --limit N shows N of them." if page.next_cursor else ""
    return listing(_VERSION_HEADER, _version_rows(page.items), more)


def _version_rows(versions: Sequence[VersionSummary]) -> list[tuple[str, ...]]:
    return [
        (
            version.reference,
            # What leads to it says more than a column of its own, which would mostly be empty.
            one_line(", ".join([version.state, *_aliases(version)]), 60),
            one_line(version.label or "", 40),
            version.runtime,
            format_bytes(version.size_bytes),
            short_time(version.created_at),
            one_line(version.created_by, 40),
        )
        for version in versions
    ]


def _aliases(version: VersionSummary) -> Sequence[str]:
    return version.aliases or (["active"] if version.active else [])


def render_log(log: LogText) -> Bundle:
    """Return the end of a version's log."""
    if not log.text.strip():
        return message(f"{log.reference} has written nothing.")
    text = shorten(log.text.rstrip(), characters=_LOG_CHARACTERS, lines=_LOG_LINES, from_end=True)
    return {"text/plain": text, "text/html": block(text)}


def render_status(status: ServerStatus) -> Bundle:
    """Return the server at a glance."""
    executor = status.executor
    state: list[str] = [executor.state]
    if executor.pid is not None:
        state.append(f"process {executor.pid}")
    if executor.uptime_s is not None:
        state.append(f"up {format_milliseconds(executor.uptime_s * 1000)}")
    if executor.restarts:
        state.append(format_count(executor.restarts, "restart"))
    facts = [
        ("server", f"norman {status.version}, protocol {status.protocol}, id {status.server_id}"),
        *(
            []
            if status.relay is None
            else [
                (
                    "relay",
                    f"process {status.relay.relaying_pid} relays to {status.relay.holding_pid}",
                )
            ]
        ),
        ("models", f"{status.model_count:,}"),
        ("executor", ", ".join(state)),
        *(
            (
                "device",
                ", ".join(
                    part
                    for part in (
                        device.name,
                        one_line(device.description, 60),
                        format_count(device.cores, "core") if device.cores else "",
                        f"{format_bytes(device.memory_used_bytes)} of "
                        f"{format_bytes(device.memory_total_bytes)} used"
                        if device.memory_total_bytes
                        else "",
                    )
                    if part
                ),
            )
            for device in status.devices
        ),
    ]
    deployments = _deployments(status)
    texts = [columns(facts)]
    parts: list[Html] = [fields([(name, escape(value)) for name, value in facts])]
    if deployments is not None:
        texts.append(deployments["text/plain"])
        parts.append(deployments["text/html"])
    return {"text/plain": "\n\n".join(texts), "text/html": join(parts)}


def _deployments(status: ServerStatus) -> Bundle | None:
    if not status.executor.deployments:
        return None
    header = ("version", "state", "process", "memory", "calls", "failures", "running", "queued")
    rows = [
        (
            deployment.reference,
            deployment.state,
            "" if deployment.pid is None else str(deployment.pid),
            format_bytes(deployment.memory_bytes) if deployment.memory_bytes else "",
            f"{deployment.calls:,}",
            f"{deployment.failures:,}",
            f"{deployment.running:,}",
            f"{deployment.queued:,}",
        )
        for deployment in status.executor.deployments
    ]
    return listing(header, rows, "")


def render_invocations(page: InvocationPage) -> Bundle:
    """Return a page of invocations as a table."""
    if not page.items:
        if isinstance(page, FoundInvocations):
            return message("No recorded call is like that. %norman invocations lists all.")
        return message("Nothing was invoked yet.")
    header = ("time", "version", "state", "took", "in", "out", "by", "id")
    rows = [
        (
            short_time(item.accepted_at),
            item.reference,
            item.state if item.error_code is None else f"{item.state} ({item.error_code})",
            "" if item.timings is None else format_milliseconds(item.timings.total_s * 1000),
            format_bytes(item.input_bytes),
            "" if item.output_bytes is None else format_bytes(item.output_bytes),
            one_line(item.caller.user, 40),
            item.id,
        )
        for item in page.items
    ]
    return listing(header, rows, "There are more." if page.next_cursor else "")


def message(text: str) -> Bundle:
    """Return a sentence in place of a table."""
    return {"text/plain": text, "text/html": note(escape(text))}


def listing(
    header: Sequence[str], rows: Sequence[Sequence[str]], more: str, *, wrapped: str | None = None
) -> Bundle:
    """Return a table, and below it where there is more.

    Parameters
    ----------
    wrapped
        The column that gives way where the table is too wide.
    """
    plain = columns([header, *rows])
    cells = [[_cell(title, text) for title, text in zip(header, row, strict=True)] for row in rows]
    markup = table(header, cells, wrapped=wrapped)
    if more:
        plain = f"{plain}\n{more}"
        markup = join([markup, note(escape(more))])
    return {"text/plain": plain, "text/html": markup}


def _cell(title: str, text: str) -> Html:
    if title in ("model", "version"):
        return clipped_code(text)
    if title == "state" and text.startswith(_WARNED_OF):
        return warning(text)
    return escape(text)
