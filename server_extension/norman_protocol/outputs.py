"""What a program without named results answered, taken apart into named outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from norman_protocol.errors import OutputInvalid

__all__ = ["ONLY_OUTPUT", "name_outputs"]

ONLY_OUTPUT = "output"
"""The name of a single result; several are ``output_0``, ``output_1``…"""


def name_outputs(answer: Any, names: Sequence[str] = ()) -> Mapping[str, Any]:
    """Name the parts of an answer: a dict's keys, a NamedTuple's fields, places of a tuple or list.

    Parameters
    ----------
    names
        What is known of the outputs, in their order.

    Raises
    ------
    OutputInvalid
        A dict has keys that are no text.

    Examples
    --------
    >>> dict(name_outputs((1, 2))), dict(name_outputs(3, ["score"]))
    ({'output_0': 1, 'output_1': 2}, {'score': 3})
    """
    if isinstance(answer, dict):
        if any(not isinstance(key, str) for key in answer):
            raise OutputInvalid("The program returned a dict whose keys are not all text.")
        return answer
    if isinstance(answer, (tuple, list)):
        fields = getattr(answer, "_fields", None)
        if fields is not None:
            names = list(fields)
        elif len(answer) != len(names):
            names = [f"{ONLY_OUTPUT}_{place}" for place in range(len(answer))]
        return dict(zip(names, answer, strict=True))
    return {names[0] if len(names) == 1 else ONLY_OUTPUT: answer}
