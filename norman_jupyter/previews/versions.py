"""A version as a card: signature, state, trust, origin and files."""

from __future__ import annotations

from collections.abc import Sequence

from norman_jupyter.previews.markup import (
    Bundle,
    Html,
    block,
    code,
    element,
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
    shorten_middle,
)
from norman_protocol.decoding import dump_json
from norman_protocol.errors import RequestInvalid
from norman_protocol.media import Layout
from norman_protocol.rest import Origin, VersionDetail
from norman_protocol.signature import (
    Modality,
    Parameter,
    Signature,
    describe_parameter,
    model_parameters,
)

__all__ = ["render_version", "short_time", "signature_rows", "version_heading"]

_SHOWN_FILES = 12
_SHOWN_LABELS = 5
_DATA_RUNTIMES = frozenset({"onnx", "torchscript"})
_SHOWN_PARAMETERS = 24
_ERROR_CHARACTERS = 4000
_LOG_LINES = 30
_REASON = "white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0"


def version_heading(version: VersionDetail) -> str:
    """Return a version's name and how it stands, on one line.

    What its state leaves open is said in words: ready and active, or ready and not.
    """
    states: list[str] = [version.state]
    if version.state == "ready":
        states.append("active" if version.active else "not active")
    facts = [", ".join(states), version.runtime, format_bytes(version.size_bytes)]
    if version.load_s is not None:
        facts.append(f"loaded in {format_milliseconds(version.load_s * 1000)}")
    return f"{version.reference} · {' · '.join(facts)}"


def render_version(version: VersionDetail, *, brief: bool = False) -> Bundle:
    """Return a version as plain text and HTML.

    Parameters
    ----------
    brief
        Name, state and signature only, as after an upload.
    """
    heading = version_heading(version)
    signature = signature_rows(version.signature)
    rows = [] if brief else _facts(version)
    failure = [*_failure(version), *_damage(version)]
    # Who looks at a failed version wants to know why, before all that it is.
    texts = [heading, *failure]
    if signature:
        texts.append(columns(signature, indent="  "))
    if rows:
        texts.append(columns(rows, indent="  "))
    parts: list[Html] = [_html_heading(version, heading), *_html_failure(failure)]
    if signature:
        cells = [
            [escape(place), code(name), code(kind), escape(more)]
            for place, name, kind, more in signature
        ]
        parts.append(table(("", "name", "type", "about"), cells, wrapped="about"))
    if rows:
        parts.append(fields([(name, escape(value)) for name, value in rows]))
    if not version.created:
        again = "The same version stood already; nothing was added."
        texts.append(again)
        parts.append(note(escape(again)))
    return {"text/plain": "\n".join(texts), "text/html": join(parts)}


def _damage(version: VersionDetail) -> list[str]:
    """Say that files of a version were found damaged, and what to do."""
    if not version.missing_blobs:
        return []
    lost = set(version.missing_blobs)
    paths = [entry.path for entry in version.manifest.files if entry.digest in lost]
    shown = ", ".join(one_line(path, 80) for path in paths[:_SHOWN_FILES])
    more = f" and {len(paths) - _SHOWN_FILES:,} more" if len(paths) > _SHOWN_FILES else ""
    return [
        f"Damaged on the server's disk: {shown}{more}.",
        f"Upload the same files again: that heals {version.reference}.",
    ]


def short_time(text: str) -> str:
    """Return an RFC 3339 time to the minute, for people.

    Examples
    --------
    >>> short_time("2031-05-06T07:08:09.123456+00:00")
    '2031-05-06 07:08 UTC'
    """
    if len(text) < 16 or text[10] != "T":
        return one_line(text, 40)
    zone = " UTC" if text.endswith(("Z", "+00:00")) else text[-6:]
    return f"{text[:10]} {text[11:16]}{zone}"


def signature_rows(signature: Signature | None) -> list[tuple[str, str, str, str]]:
    """Return a row for each input and output: in or out, name, type, and what else is known."""
    if signature is None:
        return []
    rows = [
        *(("in", parameter) for parameter in signature.inputs),
        *(("out", parameter) for parameter in signature.outputs),
    ]
    shown = [
        (
            place,
            one_line(parameter.name, 60),
            one_line(describe_parameter(parameter), 100),
            _more(parameter, place),
        )
        for place, parameter in rows[:_SHOWN_PARAMETERS]
    ]
    if len(rows) > len(shown):
        shown.append(("…", f"{len(rows) - len(shown):,} more", "", ""))
    return shown


def _more(parameter: Parameter, place: str) -> str:
    parts = []
    if place == "in" and not parameter.required:
        parts.append(f"default {_default(parameter)}")
    if parameter.nullable:
        parts.append("may be None")
    if parameter.hidden:
        parts.append("hidden from forms")
    if parameter.layout is not None:
        parts.append(f"to the model {_decoded(parameter, parameter.layout)}")
    elif parameter.parameter is not None:
        parts.append(f"to the model {one_line(parameter.parameter, 60)}")
    if parameter.labels:
        parts.append(_labels(parameter.labels))
    if parameter.description:
        parts.append(one_line(parameter.description, 120))
    return " · ".join(parts)


def _decoded(parameter: Parameter, layout: Layout) -> str:
    """Say what a medium is to the model: its own name for it, the tensor, and how it is filled."""
    own = model_parameters(parameter)[0]
    facts = [f"{one_line(own.name, 60)} {describe_parameter(own)}"]
    if parameter.modality is not Modality.AUDIO:
        facts.append(layout.channels)
    facts.append(f"{layout.low:g} to {layout.high:g}")
    if layout.resize is not None:
        facts.append(f"resized ({layout.resize})")
    if layout.mean or layout.std:
        facts.append("normalised")
    if layout.sample_rate is not None:
        facts.append(f"{layout.sample_rate:,} Hz")
    if layout.frame_rate is not None:
        facts.append(f"{layout.frame_rate:g} frames/s")
    if parameter.rate_parameter is not None:
        facts.append(f"rate as {one_line(parameter.rate_parameter, 60)}")
    return ", ".join(facts)


def _labels(labels: Sequence[str]) -> str:
    shown = ", ".join(one_line(label, 30) for label in labels[:_SHOWN_LABELS])
    more = f", … ({len(labels):,})" if len(labels) > _SHOWN_LABELS else ""
    return f"labels {shown}{more}"


def _default(parameter: Parameter) -> str:
    try:
        return one_line(dump_json(parameter.default).decode(), 60)
    except RequestInvalid:
        return one_line(repr(parameter.default), 60)


def _facts(version: VersionDetail) -> list[tuple[str, str]]:
    rows = [
        ("label", version.label),
        ("description", version.description and one_line(version.description, 300)),
        ("tags", ", ".join(version.tags)),
        ("about", version.long_description and one_line(version.long_description, 300)),
        ("aliases", ", ".join(version.aliases)),
        ("entry", version.entry),
        ("interpreter", version.interpreter),
        ("trust", _trust(version)),
        ("created", f"{short_time(version.created_at)} by {version.created_by}"),
        ("digest", version.bundle_digest),
        *_origin(version.origin),
        *_files(version),
    ]
    return [(name, one_line(value, 400)) for name, value in rows if value]


def _trust(version: VersionDetail) -> str:
    if version.trust is None:
        return "not needed" if version.runtime in _DATA_RUNTIMES else "none"
    return f"by {version.trust.user}, {short_time(version.trust.trusted_at)}"


def _origin(origin: Origin) -> list[tuple[str, str | None]]:
    commit = origin.git_commit
    if commit:
        commit = commit[:12] + (" with uncommitted changes" if origin.git_dirty else "")
        if origin.git_branch:
            commit += f" on {origin.git_branch}"
    notebook = origin.notebook
    if notebook and origin.cell_id:
        notebook += f", cell {origin.cell_id}"
    return [
        ("notebook", notebook),
        ("kernel", _together(origin.kernel_name, origin.kernel_id)),
        ("git commit", commit),
        ("git remote", origin.git_remote),
        ("source", origin.source_path),
        ("host", _together(origin.user, origin.hostname, " at ")),
        ("python", _together(origin.python_version, origin.interpreter)),
    ]


def _together(first: str | None, second: str | None, between: str = ", ") -> str:
    return between.join(part for part in (first, second) if part)


def _files(version: VersionDetail) -> Sequence[tuple[str, str]]:
    files = version.manifest.files
    rows = [
        (
            "files" if not index else " ",
            f"{one_line(entry.path, 160)} ({format_bytes(entry.size_bytes)})",
        )
        for index, entry in enumerate(files[:_SHOWN_FILES])
    ]
    if len(files) > _SHOWN_FILES:
        rows.append((" ", f"… and {format_count(len(files) - _SHOWN_FILES, 'file')} more"))
    return rows


def _failure(version: VersionDetail) -> list[str]:
    """Return why a version failed, then the model's own traceback and log where there are some."""
    if version.error is None:
        return []
    parts = [shorten(version.error.message, characters=_ERROR_CHARACTERS)]
    traceback, log = (version.error.details.get(name) for name in ("traceback", "log"))
    if isinstance(traceback, str) and traceback.strip():
        parts.append(shorten_middle(traceback.strip("\n"), characters=_ERROR_CHARACTERS))
    if isinstance(log, str) and log.strip():
        end = shorten(
            log.strip("\n"), characters=_ERROR_CHARACTERS, lines=_LOG_LINES, from_end=True
        )
        parts.append(f"log:\n{end}")
    return parts


def _html_heading(version: VersionDetail, heading: str) -> Html:
    name, rest = escape(version.reference), heading.removeprefix(version.reference)
    if version.state != "failed":
        return f"<b>{name}</b>{escape(rest)}"
    before, state, after = rest.partition(version.state)
    return f"<b>{name}</b>{escape(before)}{warning(state)}{escape(after)}"


def _html_failure(failure: Sequence[str]) -> list[Html]:
    if not failure:
        return []
    reason, *more = failure
    return [element("div", warning(reason), _REASON), *map(block, more)]
