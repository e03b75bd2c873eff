"""What a worker wrote, as its model's author is to see it."""

from __future__ import annotations

import re

__all__ = ["clean_log"]

_OWN_FRAME = re.compile(
    r'^ *File "(?:[^"\n]*worker-[0-9a-f]+\.pyz[^"\n]*|<frozen runpy>)".*\n?', re.MULTILINE
)


def clean_log(text: str, files: str) -> str:
    r"""Leave out our own stack frames and the path of the folder that holds the version.

    They are there where the interpreter itself wrote a stack: at a segmentation fault.

    Parameters
    ----------
    files
        The version's folder, as its worker sees it.

    Examples
    --------
    >>> clean_log('''  File "/home/models/7f/model.py", line 3 in predict
    ...   File "/home/run/worker-0a1b.pyz/norman_worker/session.py", line 97 in _predict
    ... ''', "/home/models/7f")
    '  File "model.py", line 3 in predict\n'
    """
    return _OWN_FRAME.sub("", text).replace(f"{files.rstrip('/')}/", "")
