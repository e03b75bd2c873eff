"""Times as people write them: how long ago, or when."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Final

from norman_protocol.errors import RequestInvalid

__all__ = ["parse_moment"]

_AGO: Final = re.compile(r"([0-9]{1,6})\s*(s|m|min|h|d|w)", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAYS: Final = {"today": 0, "yesterday": 1}


def parse_moment(text: str, now: datetime, *, what: str) -> datetime:
    """Return the time that a text means.

    Parameters
    ----------
    now
        An aware time; a text without a zone is in this one's.

    Raises
    ------
    RequestInvalid
        It means none.

    Examples
    --------
    >>> now = datetime.fromisoformat("2031-05-06T12:00:00+00:00")
    >>> [parse_moment(text, now, what="--since").isoformat() for text in ("90m", "yesterday")]
    ['2031-05-06T10:30:00+00:00', '2031-05-05T00:00:00+00:00']
    """
    short = text.strip().lower()
    ago = _AGO.fullmatch(short)
    if ago is not None:
        return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
    if short in _DAYS:
        day = now.date() - timedelta(days=_DAYS[short])
        return datetime.combine(day, time(), now.tzinfo)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise RequestInvalid(
            f"{what} takes how long ago (90m, 12h, 3d), a day (today, 2031-05-06) or a time "
            f"(2031-05-06T07:08), not {text[:60]!r}.",
            field=what,
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)
