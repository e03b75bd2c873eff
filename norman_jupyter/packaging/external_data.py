"""Whether an ONNX file keeps weights in other files, told without a protobuf library."""

from __future__ import annotations

import mmap
from pathlib import Path

__all__ = ["find_external_files"]

# onnx.TensorProto.external_data (field 13) is a StringStringEntryProto: key "location" (field 1)
# and the file's name (field 2). ModelProto.metadata_props holds the same type under field 14.
_LOCATION = b"\x0a\x08location\x12"
_EXTERNAL_DATA_TAG = 0x6A
_MAX_HITS = 100_000


def find_external_files(path: Path) -> tuple[str, ...]:
    """Return the names of the files that the tensors of an ONNX file point to, sorted.

    Raises
    ------
    OSError
        The file can't be read.
    """
    if not path.stat().st_size:
        return ()
    names: set[str] = set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(_LOCATION)
        for _ in range(_MAX_HITS):
            if place < 0:
                break
            if _is_external_data(data, place):
                names.add(_read_name(data, place + len(_LOCATION)))
            place = data.find(_LOCATION, place + 1)
    return tuple(sorted(names - {""}))


def _is_external_data(data: mmap.mmap, place: int) -> bool:
    """Whether the entry at ``place`` follows the tag of external_data and its length."""
    one = place >= 2 and data[place - 2] == _EXTERNAL_DATA_TAG and data[place - 1] < 0x80
    two = place >= 3 and data[place - 3] == _EXTERNAL_DATA_TAG and data[place - 2] >= 0x80
    return one or two


def _read_name(data: mmap.mmap, place: int) -> str:
    length, shift = 0, 0
    for offset in range(2):  # a file's name is shorter than 16 KiB
        if place + offset >= len(data):
            return ""
        byte = data[place + offset]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            start = place + offset + 1
            return data[start : start + length].decode("utf-8", "replace")
    return ""
