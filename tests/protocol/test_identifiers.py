"""Identifiers: their layout, and that they sort by time."""

from __future__ import annotations

import time
import uuid

from norman_protocol.discovery import discovery_file_name
from norman_protocol.identifiers import new_id


def test_ids_are_uuids_of_version_7_and_differ() -> None:
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    for text in made:
        identifier = uuid.UUID(text)
        assert identifier.version == 7
        assert identifier.variant == uuid.RFC_4122
        assert text == identifier.hex


def test_ids_sort_by_the_time_they_were_made() -> None:
    for _ in range(50):
        first = new_id()
        start = time.time_ns()
        while time.time_ns() - start < 1000:  # the clock's next microsecond
            pass
        assert first < new_id()


def test_ids_hold_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = int(new_id()[:12], 16)
    assert before <= made <= time.time_ns() // 1_000_000


def test_discovery_files_are_named_by_process() -> None:
    assert discovery_file_name(4711) == "norman-4711.json"
