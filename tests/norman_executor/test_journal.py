"""The journal on disk."""

from __future__ import annotations

import os

import pytest

from norman_executor.journal import Journal
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import Ended, Timings, decode_message
from norman_protocol.values import Value


def record(number: int, size_bytes: int = 10) -> Ended:
    return Ended(
        invocation_id=f"{number:032x}",
        state="succeeded",
        ended_at=1.0,
        timings=Timings(),
        values={"output": Value(kind="bytes", buffer=bytes(size_bytes))},
    )


def read(folder) -> list[list[str]]:
    return [
        [decode_message(frame).invocation_id for frame in FrameDecoder().feed(path.read_bytes())]
        for path in sorted(folder.iterdir())
    ]


def test_records_are_read_back_in_order_over_segments(tmp_path):
    with Journal(tmp_path, "executor", segment_bytes=300) as journal:
        for number in range(5):
            journal.append(record(number))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        f"executor-{sequence:06d}.frames" for sequence in range(1, len(read(tmp_path)) + 1)
    ]
    assert [item for segment in read(tmp_path) for item in segment] == [
        f"{number:032x}" for number in range(5)
    ]
    assert len(read(tmp_path)) > 1


def test_more_buffers_than_one_write_takes(tmp_path):
    values = {f"v{index}": Value(kind="bytes", buffer=b"x") for index in range(2000)}
    with Journal(tmp_path, "executor") as journal:
        journal.append(
            Ended(
                invocation_id="1", state="succeeded", ended_at=1.0, timings=Timings(), values=values
            )
        )
    (path,) = tmp_path.iterdir()
    (frame,) = FrameDecoder().feed(path.read_bytes())
    assert len(decode_message(frame).values) == 2000


@pytest.mark.skipif(os.getuid() != 0, reason="a full disk needs a small tmpfs, and that needs root")
def test_full_disk_cuts_back_to_the_last_whole_record(tmp_path):
    import subprocess

    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False
    )
    if mounted.returncode:
        pytest.skip("tmpfs can't be mounted here")
    try:
        with Journal(tmp_path, "executor") as journal:
            journal.append(record(1))
            with pytest.raises(OSError, match="No space"):
                journal.append(record(2, size_bytes=1 << 20))
            journal.append(record(3))
        assert read(tmp_path) == [[f"{1:032x}", f"{3:032x}"]]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
