"""What a file or a text says, for an input that takes a number, JSON or a tensor."""

from __future__ import annotations

import io
from typing import Final

from norman_protocol.arrays import array_to_value
from norman_protocol.decoding import dump_json, parse_json
from norman_protocol.errors import InputInvalid, RequestInvalid
from norman_protocol.signature import Modality, Parameter, describe_parameter
from norman_protocol.values import Value

__all__ = ["read_content"]

_SPELT: Final = {
    Modality.INTEGER: ("text", "bytes"),
    Modality.FLOAT: ("text", "bytes"),
    Modality.BOOLEAN: ("text", "bytes"),
    Modality.TENSOR: ("text", "bytes"),
    Modality.JSON: ("bytes",),  # a text is JSON already
}
_NPY: Final = b"\x93NUMPY"


def read_content(parameter: Parameter, value: Value) -> Value:
    r"""Return what a value says to an input that takes no file: JSON, or the array of a ``.npy``.

    The outputs of one call, which come as such bytes, may thus be the inputs of another. What the
    input takes as it is stays as it is.

    Raises
    ------
    InputInvalid
        It is neither; the message names the input.

    Examples
    --------
    >>> top = Parameter(name="top", modality=Modality.INTEGER)
    >>> read_content(top, Value(kind="text", buffer=b" 3\n")).buffer
    b'3'
    """
    if value.kind not in _SPELT.get(parameter.modality, ()):
        return value
    data = bytes(value.buffer)
    if parameter.modality is Modality.TENSOR and data.startswith(_NPY):
        return _read_npy(parameter, data)
    try:
        return Value(kind="json", buffer=dump_json(parse_json(data)))
    except RequestInvalid as error:
        kinds = ".npy or JSON" if parameter.modality is Modality.TENSOR else "JSON"
        raise _refusal(parameter, f"its content is no {kinds}: {error.message}") from None


def _read_npy(parameter: Parameter, data: bytes) -> Value:
    import numpy as np

    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise _refusal(parameter, f"its .npy can't be read: {str(error)[:200]}") from None
    return array_to_value(array, name=parameter.name)


def _refusal(parameter: Parameter, reason: str) -> InputInvalid:
    expected = describe_parameter(parameter)
    return InputInvalid(
        f"Input {parameter.name!r} takes {expected}; {reason}",
        input=parameter.name,
        expected=expected,
    )
