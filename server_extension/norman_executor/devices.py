"""Devices: what there is to run on, with its measured memory."""

from __future__ import annotations

import os
import platform

import psutil

from norman_protocol.messages import DeviceStatus

__all__ = ["list_devices", "resident_bytes"]


def list_devices() -> tuple[DeviceStatus, ...]:
    """Return the CPU with the cores that this process may use and the machine's memory."""
    memory = psutil.virtual_memory()
    return (
        DeviceStatus(
            name="cpu",
            kind="cpu",
            description=platform.processor() or platform.machine(),
            cores=_usable_cores(),
            memory_total_bytes=memory.total,
            memory_used_bytes=memory.total - memory.available,
        ),
    )


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 where it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
