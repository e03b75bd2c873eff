"""Addresses of repositories, without what lets others in."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

__all__ = ["strip_credentials"]


def strip_credentials(remote: str) -> str:
    """Return a remote's URL without what would let others in.

    Examples
    --------
    >>> strip_credentials("https://ann:secret@example.org/models.git?token=x")
    'https://example.org/models.git'
    >>> strip_credentials("git@example.org:models.git")
    'git@example.org:models.git'
    """
    if "://" not in remote:
        return re.sub(r"^[^@/:]+:[^@/]*@", "", remote)
    try:
        parts = urlsplit(remote)
    except ValueError:
        return remote.partition("://")[0] + "://"
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    keep = f"{name}@" if name and parts.scheme in ("ssh", "git+ssh") else ""
    return urlunsplit((parts.scheme, keep + host, parts.path, "", ""))
