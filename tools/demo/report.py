"""What the demo tells at its end: versions and calls as the server recorded them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from norman_protocol.rest import InvocationSummary, VersionSummary

__all__ = ["Claim", "describe_calls", "describe_versions", "unmet_claims"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the notebook says of one model: its ready versions, and which one is active."""

    name: str
    versions: int
    active: int


def unmet_claims(
    claims: Iterable[Claim],
    versions: Sequence[VersionSummary],
    invocations: Sequence[InvocationSummary],
) -> list[str]:
    """Compare the notebook's claims with the server's records; return what differs."""
    unmet = []
    for claim in claims:
        mine = [version for version in versions if version.name == claim.name]
        ready = sorted(version.number for version in mine if version.state == "ready")
        active = [version.number for version in mine if version.active]
        if ready != list(range(1, claim.versions + 1)):
            unmet.append(f"{claim.name} has the ready versions {ready}, not 1 to {claim.versions}.")
        if active != [claim.active]:
            unmet.append(f"{claim.name}'s active version is {active}, not {claim.active}.")
        called = {call.reference for call in invocations if call.state == "succeeded"}
        unmet += [
            f"No successful call of {version.reference} is on record."
            for version in mine
            if version.reference not in called
        ]
    unfinished = [call.id for call in invocations if call.ended_at is None]
    if unfinished:
        unmet.append(f"These calls never ended: {', '.join(unfinished)}.")
    return unmet


def describe_versions(versions: Iterable[VersionSummary]) -> str:
    """Return one line per version."""
    rows = [
        (
            version.reference,
            version.state + (", active" if version.active else ""),
            version.runtime,
            f"{version.size_bytes:,} B",
            version.label or "",
        )
        for version in versions
    ]
    return _table(("version", "state", "runtime", "size", "label"), rows)


def describe_calls(invocations: Iterable[InvocationSummary]) -> str:
    """Return one line per version that was called, with medians of where the time went."""
    by_reference: dict[str, list[InvocationSummary]] = {}
    for invocation in invocations:
        by_reference.setdefault(invocation.reference, []).append(invocation)
    rows = []
    for reference, calls in sorted(by_reference.items()):
        timings = [call.timings for call in calls if call.timings is not None]
        failed = sum(call.state != "succeeded" for call in calls)
        rows.append(
            (
                reference,
                str(len(calls)),
                str(failed),
                _milliseconds([timing.total_s for timing in timings]),
                _milliseconds([timing.model_s for timing in timings]),
                _milliseconds([timing.queue_s for timing in timings]),
            )
        )
    return _table(("version", "calls", "failed", "median", "in the model", "in the queue"), rows)


def _milliseconds(durations_s: Sequence[float]) -> str:
    return f"{median(durations_s) * 1000:.2f} ms" if durations_s else "-"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )
