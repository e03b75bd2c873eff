"""Progress of an upload or a download, as its caller is told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Progress", "Stage"]

Stage: TypeAlias = Literal["hashing", "sending", "receiving", "loading", "ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an upload or a download is.

    Attributes
    ----------
    stage
        ``hashing`` (reading the files here), ``sending`` (only what the server lacks),
        ``receiving`` (only what isn't here), ``loading`` (the server starts and describes the
        model), ``ready``.
    done_bytes, total_bytes
        Of this stage; both 0 where bytes don't measure it.
    message
        One line for a person.
    """

    stage: Stage
    done_bytes: int = 0
    total_bytes: int = 0
    message: str = ""
