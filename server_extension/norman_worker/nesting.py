"""Nested lists of JSON into arrays: what `coercion` does where a tensor is wanted."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

from norman_protocol.arrays import numpy_dtype
from norman_protocol.errors import InputInvalid
from norman_protocol.signature import Parameter, describe_parameter
from norman_protocol.tensors import DTYPES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["array_from_nested"]

_MAX_RANK = 32
_WORDS: dict[type, str] = {
    type(None): "null",
    bool: "booleans",
    int: "integers",
    float: "numbers with a fraction",
    str: "text",
    dict: "objects",
}


def _refuse(parameter: Parameter, received: str) -> NoReturn:
    expected = describe_parameter(parameter)
    raise InputInvalid(
        f"Input {parameter.name!r} takes {expected}, not {received}.",
        input=parameter.name,
        expected=expected,
        received=received,
    )


def array_from_nested(parameter: Parameter, nested: Any) -> NDArray[Any]:
    """Turn nested lists (or one number) into an array of the parameter's dtype.

    Without a dtype the elements decide: booleans → bool, integers → int64, numbers → float64,
    text → an array of str. Integers are taken for floats; nothing else is converted.

    Raises
    ------
    InputInvalid
        The lists are ragged or too deep, or an element doesn't fit the dtype.
    """
    import numpy as np

    shape, leaves = _flatten(parameter, nested)
    kinds = set(map(type, leaves))
    dtype = parameter.dtype or _natural_dtype(parameter, kinds)
    _check_elements(parameter, dtype, kinds, leaves)
    array: NDArray[Any]
    if dtype == "string":
        array = np.empty(len(leaves), object)
        array[:] = leaves
    elif dtype in ("bool", "int64", "uint64") or _is_integer(dtype):
        array = np.array(leaves, np.uint64 if dtype == "uint64" else _wide(dtype))
    else:
        array = _floats(parameter, leaves)
    target = numpy_dtype(dtype)
    if array.dtype != target:
        array = _narrow(parameter, array, target)
    return array.reshape(shape)


def _flatten(parameter: Parameter, nested: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Return the shape and the elements, level by level, so that no depth can overflow a stack."""
    shape: list[int] = []
    level: list[Any] = [nested]
    while list in (kinds := set(map(type, level))):
        if len(kinds) > 1:
            _refuse(parameter, f"lists beside single elements at depth {len(shape)}")
        lengths = set(map(len, level))
        if len(lengths) > 1:
            shown = " and ".join(map(str, sorted(lengths)[:3]))
            _refuse(parameter, f"ragged lists: of {shown} elements at depth {len(shape)}")
        shape.append(lengths.pop())
        if len(shape) > _MAX_RANK:
            _refuse(parameter, f"lists nested deeper than {_MAX_RANK}")
        level = list(chain.from_iterable(level))
    return tuple(shape), level


def _natural_dtype(parameter: Parameter, kinds: set[type]) -> str:
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    if kinds == {str}:
        return "string"
    if kinds <= {int, float}:
        return "float64"
    _refuse(parameter, _name(kinds))


def _check_elements(parameter: Parameter, dtype: str, kinds: set[type], leaves: list[Any]) -> None:
    if dtype == "string":
        fitting: set[type] = {str}
    elif dtype == "bool":
        fitting = {bool}
    elif _is_integer(dtype):
        fitting = {int}
    else:
        fitting = {int, float}
    if not kinds <= fitting:
        _refuse(parameter, _name(kinds - fitting))
    if fitting == {int} and leaves:
        low, high = _integer_range(dtype)
        for extreme in (min(leaves), max(leaves)):
            if not low <= extreme <= high:
                _refuse(parameter, f"{extreme!s:.40}, which is out of range ({low} to {high})")


def _is_integer(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _integer_range(dtype: str) -> tuple[int, int]:
    bits = DTYPES[dtype].bits
    if dtype.startswith("uint"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _wide(dtype: str) -> type[Any]:
    import numpy as np

    return np.bool_ if dtype == "bool" else np.int64


def _floats(parameter: Parameter, leaves: list[Any]) -> NDArray[np.float64]:
    import numpy as np

    try:
        return np.array(leaves, np.float64)
    except OverflowError:
        _refuse(parameter, "an integer that is out of range")


def _narrow(parameter: Parameter, array: NDArray[Any], target: np.dtype[Any]) -> NDArray[Any]:
    """Convert to the wanted element type; numbers that it can't reach are refused, not infinite."""
    import numpy as np

    with np.errstate(over="ignore"):
        narrowed = array.astype(target)
    if array.dtype == np.float64:
        back = narrowed if target.kind == "c" else narrowed.astype(np.float64)
        lost = ~np.isfinite(back)
        if lost.any():
            _refuse(parameter, f"{array[lost][0]}, which is out of range")
    return narrowed


def _name(kinds: set[type]) -> str:
    return " and ".join(sorted(_WORDS.get(kind, kind.__name__) for kind in kinds))
