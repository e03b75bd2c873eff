"""Progress of many pieces, told about a hundred times in a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from norman_jupyter.client.progress import Progress, Stage

__all__ = ["Meter", "OnProgress"]

OnProgress: TypeAlias = Callable[[Progress], None]

_REPORTS_PER_STAGE = 100


@dataclass(slots=True, kw_only=True)
class Meter:
    """Tells progress about a hundred times in a stage, however many pieces it has."""

    tell: OnProgress
    stage: Stage
    total_bytes: int
    message: str
    done_bytes: int = 0
    told_bytes: int = 0

    def begin(self) -> None:
        """Tell that the stage begins."""
        self._say()

    def add(self, size_bytes: int) -> None:
        """Count bytes."""
        self.done_bytes += size_bytes
        step = max(1, self.total_bytes // _REPORTS_PER_STAGE)
        if self.done_bytes - self.told_bytes >= step or self.done_bytes >= self.total_bytes:
            self._say()

    def rewind(self, done_bytes: int) -> None:
        """Take bytes back: their piece broke off and begins anew."""
        self.done_bytes = done_bytes
        self.told_bytes = min(self.told_bytes, done_bytes)

    def _say(self) -> None:
        self.told_bytes = self.done_bytes
        self.tell(
            Progress(
                stage=self.stage,
                done_bytes=self.done_bytes,
                total_bytes=self.total_bytes,
                message=self.message,
            )
        )
