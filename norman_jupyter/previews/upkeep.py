"""What was deleted, what takes the disk, and what clean-up does."""

from __future__ import annotations

from norman_jupyter.previews.listings import listing, message
from norman_jupyter.previews.markup import Bundle, escape, fields, join
from norman_jupyter.previews.text import columns, format_bytes, format_count, one_line
from norman_protocol.rest import Deletion, DiskUsage, DoctorReport, GarbageReport

__all__ = ["render_deletion", "render_disk_usage", "render_doctor", "render_garbage"]

_SHOWN = 20
_NAMES = 400


def render_deletion(deletion: Deletion) -> Bundle:
    """Return in a sentence what was deleted, and when its disk space comes back."""
    if deletion.whole and len(deletion.versions) > 1:
        text = f"{deletion.name} is deleted with {len(deletion.versions)} versions"
    else:
        text = f"{', '.join(deletion.versions)} is deleted"
        if deletion.whole:
            text += f", and with it {deletion.name}"
    if deletion.aliases:
        text += f"; gone are the aliases {one_line(', '.join(deletion.aliases), _NAMES)}"
    text += "."
    if deletion.freed_later_bytes:
        text += (
            f" {format_bytes(deletion.freed_later_bytes)} of files that no other version has go "
            "later: %norman gc"
        )
    return message(text)


def render_garbage(report: GarbageReport) -> Bundle:
    """Return in a few sentences what clean-up removed, or would remove."""
    parts = [
        f"{format_count(count, noun)} ({format_bytes(size)})"
        for count, noun, size in (
            (report.blobs, "file", report.blob_bytes),
            (report.trees, "laid-out version", report.tree_bytes),
            (report.logs, "log", report.log_bytes),
        )
        if count
    ]
    if report.damaged_bytes:
        parts.append(f"damaged files ({format_bytes(report.damaged_bytes)})")
    verb = "Would remove" if report.dry_run else "Removed"
    text = f"{verb} {', '.join(parts)}." if parts else "There is nothing to remove."
    if report.waiting:
        text += (
            f" {format_count(report.waiting, 'file')} "
            f"({format_bytes(report.waiting_bytes)}) that no version has "
            f"{'waits' if report.waiting == 1 else 'wait'} until unused for "
            f"{report.grace_s / 3600:g} h."
        )
    return message(text)


def render_doctor(report: DoctorReport) -> Bundle:
    """Return findings as a table, the worst first."""
    if not report.findings:
        return message(f"All is well: {', '.join(report.checks)}.")
    ranks = {"error": 0, "warning": 1, "note": 2}
    rows = [
        (
            one.severity,
            one.check,
            one_line(" ".join(part for part in (one.message, one.advice) if part), _NAMES),
            "mended" if one.repaired else "--repair" if one.repairable else "",
        )
        for one in sorted(report.findings, key=lambda one: ranks[one.severity])
    ]
    return listing(("severity", "check", "finding", "mended by"), rows, "", wrapped="finding")


def render_disk_usage(usage: DiskUsage) -> Bundle:
    """Return the largest versions as a table, and the sums of everything."""
    rows = [
        (
            item.reference,
            format_bytes(item.blob_bytes),
            format_bytes(item.shared_bytes) if item.shared_bytes else "",
            format_bytes(item.tree_bytes) if item.tree_bytes else "",
            format_bytes(item.log_bytes) if item.log_bytes else "",
        )
        for item in usage.items[:_SHOWN]
    ]
    left = usage.version_count - len(rows)
    more = f"… and {left:,} smaller: %norman du MODEL" if left > 0 else ""
    versions = (
        listing(("version", "files", "of it shared", "laid out", "log"), rows, more)
        if rows
        else message("There are no versions here yet.")
    )
    facts = [
        (name, format_bytes(size))
        for name, size in (
            ("files", usage.blob_bytes),
            ("of no version", usage.unreferenced_bytes),
            ("coming in", usage.incoming_bytes),
            ("damaged", usage.damaged_bytes),
            ("laid out", usage.tree_bytes),
            ("logs", usage.log_bytes),
            ("registry", usage.registry_bytes),
            ("invocations", usage.invocations_bytes),
            ("journal", usage.journal_bytes),
            ("backups", usage.backup_bytes),
            ("free", usage.free_bytes),
        )
        if size or name in ("files", "free")
    ]
    return {
        "text/plain": f"{versions['text/plain']}\n\n{columns(facts)}",
        "text/html": join(
            [versions["text/html"], fields([(name, escape(size)) for name, size in facts])]
        ),
    }
