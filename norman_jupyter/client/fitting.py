"""From a row to the inputs of a call, and from its outputs to the cells of a row."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from norman_jupyter.client.inputs import encode_inputs
from norman_jupyter.client.tables import Table
from norman_protocol.arrays import name_type
from norman_protocol.errors import InputInvalid
from norman_protocol.media import FILES, Modality
from norman_protocol.signature import (
    Parameter,
    Signature,
    check_inputs,
    describe_parameter,
    model_parameters,
)
from norman_protocol.values import Value

__all__ = ["Fit", "fit_value", "plan_fit", "settle"]

_LIKENESS: Final = 0.75
_NUMBERS: Final = frozenset({Modality.TENSOR, Modality.FLOAT, Modality.JSON})
_LISTED: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the rows of a table become the inputs of calls.

    Attributes
    ----------
    parameters
        The inputs that rows give, by name.
    constants
        Inputs that are the same for every row.
    single
        The input that takes a row which is one value; None where rows have names.
    aside
        Columns that are no inputs: they are not sent.
    """

    parameters: Mapping[str, Parameter]
    constants: Mapping[str, Any] = field(default_factory=dict)
    single: str | None = None
    aside: tuple[Any, ...] = ()

    def inputs(self, row: Any) -> tuple[dict[str, Any], bool]:
        """Return the inputs of one row, and whether one of them got an axis for a batch of one.

        Raises
        ------
        InputInvalid
            The row has no names where the others do, or a file that it names doesn't exist.
        """
        if self.single is not None:
            row = {self.single: row}
        elif not isinstance(row, Mapping):
            raise InputInvalid(
                f"This row is {name_type(row)}, not a dictionary as the others.",
                received=type(row).__qualname__,
            )
        inputs: dict[str, Any] = dict(self.constants)
        is_lifted = False
        for name, parameter in self.parameters.items():
            if name not in row or _is_left_out(parameter, row[name]):
                continue
            inputs[name], lifted = fit_value(parameter, row[name])
            is_lifted = is_lifted or lifted
        return inputs, is_lifted


def plan_fit(signature: Signature, table: Table, constants: Mapping[str, Any]) -> Fit:
    """Match the columns of a table to the inputs of a model, by name.

    A column that is no input is kept aside, unless it looks like a misspelt one.

    Raises
    ------
    InputInvalid
        An input that must be given has neither column nor value, one has both, a name is unknown,
        several inputs could take a row of one value, or no row of an array would fit.
    """
    known = {parameter.name: parameter for parameter in signature.inputs}
    for name in constants:
        if name not in known:  # it says so, with the nearest
            check_inputs(signature, {name: Value(kind="json", buffer=b"null")})
    if table.has_names:
        fit = _by_name(known, table, constants)
    else:
        single = _only_input(known, constants)
        fit = Fit(parameters={single: known[single]}, constants=constants, single=single)
    if table.is_uniform and table.count:
        _check_first(fit, table)
    return fit


def _by_name(known: Mapping[str, Parameter], table: Table, constants: Mapping[str, Any]) -> Fit:
    if table.columns is None:
        return Fit(
            parameters={name: one for name, one in known.items() if name not in constants},
            constants=constants,
        )
    given = {name: known[name] for name in known if name in table.columns}
    twice = [name for name in given if name in constants]
    if twice:
        raise InputInvalid(
            f"Input {twice[0]!r} is given twice: as a column, and as a value for every row.",
            input=twice[0],
        )
    open_names = [name for name in known if name not in given and name not in constants]
    aside = tuple(name for name in table.columns if name not in known)
    for column in aside:
        alike = get_close_matches(str(column), open_names, n=1, cutoff=_LIKENESS)
        if alike:
            raise InputInvalid(
                f"The column {column!r:.80} is no input, but looks like {alike[0]!r}, which has no "
                f"column. Rename it to {alike[0]!r}, or to something else.",
                input=alike[0],
                nearest=alike,
            )
    missing = [name for name in open_names if known[name].required]
    if missing or not given:
        raise _no_column(known, missing, table.columns)
    return Fit(parameters=given, constants=constants, aside=aside)


def _no_column(
    known: Mapping[str, Parameter], missing: Sequence[str], columns: Sequence[Any]
) -> InputInvalid:
    shown = ", ".join(repr(column)[:60] for column in columns[:_LISTED])
    shown += ", …" if len(columns) > _LISTED else ""
    inputs = ", ".join(f"{name!r} ({describe_parameter(known[name])})" for name in known)
    if missing:
        what = f"Input {missing[0]!r} ({describe_parameter(known[missing[0]])}) has no column"
    else:
        what = "No column is an input"
    return InputInvalid(
        f"{what}. The columns are {shown}; the inputs are {inputs or 'none'}. Rename a column, or "
        "give the input one value for every row.",
        input=missing[0] if missing else "",
        nearest=list(missing),
    )


def _only_input(known: Mapping[str, Parameter], constants: Mapping[str, Any]) -> str:
    open_names = [name for name in known if name not in constants]
    required = [name for name in open_names if known[name].required] or open_names
    if len(required) == 1:
        return required[0]
    if not required:
        raise InputInvalid("The model has no input that a row could be given to.")
    names = ", ".join(map(repr, required))
    raise InputInvalid(
        f"Each row is one value, and the model takes several: {names}. Say which it is, as in "
        f"{{{required[0]!r}: data}}, or give the others one value for every row.",
        nearest=required,
    )


def _check_first(fit: Fit, table: Table) -> None:
    """Refuse an array before anything is sent, where none of its rows would fit."""
    inputs, _ = fit.inputs(next(table.rows()))
    given = {name: inputs[name] for name in fit.parameters if name in inputs}
    signature = Signature(inputs=tuple(fit.parameters[name] for name in given))
    check_inputs(signature, encode_inputs(given))


def fit_value(parameter: Parameter, value: Any) -> tuple[Any, bool]:
    """Return a cell as the input takes it, and whether it got an axis for a batch of one.

    A scalar of NumPy becomes one of Python. Text for an input of images, sound, video or files
    names a file. What lacks the leading axes of a tensor gets them, where these may be one.

    Raises
    ------
    InputInvalid
        A file that is named doesn't exist.

    Examples
    --------
    >>> x = Parameter(name="x", modality=Modality.TENSOR, dtype="float32", shape=("batch", 2))
    >>> fit_value(x, [1.0, 2.0])
    ([[1.0, 2.0]], True)
    """
    value = _plain_scalar(value)
    if parameter.modality in FILES and isinstance(value, str):
        return _named_file(parameter, value), False
    tensor = model_parameters(parameter)[0]
    if tensor.modality is not Modality.TENSOR or tensor.shape is None:
        return value, False
    rank = 0 if isinstance(value, str) and tensor.dtype == "string" else _rank(value)
    lacking = None if rank is None else len(tensor.shape) - rank
    if not lacking or lacking < 0:
        return value, False
    if any(isinstance(size, int) and size != 1 for size in tensor.shape[:lacking]):
        return value, False
    if hasattr(value, "__array__"):
        import numpy as np

        array = np.asarray(value)
        return array.reshape((1,) * lacking + array.shape), True
    for _ in range(lacking):
        value = [value]
    return value, True


def settle(outputs: Mapping[str, Any], *, lifted: bool) -> dict[str, Any]:
    """Return the outputs of one row as its cells.

    Parameters
    ----------
    lifted
        Whether the inputs got an axis for a batch of one, which the outputs then have too.

    Examples
    --------
    >>> import numpy as np
    >>> settle({"label": np.array([7])}, lifted=True)
    {'label': 7}
    """
    cells = {}
    for name, value in outputs.items():
        shape = getattr(value, "shape", None)
        if lifted and shape and shape[0] == 1:
            value = value[0]
        cells[name] = _plain_scalar(value)
    return cells


def _plain_scalar(value: Any) -> Any:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _rank(value: Any) -> int | None:
    """Return how many axes a value has; None where it can be no tensor."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return len(shape)
    rank = 0
    while isinstance(value, (list, tuple)):
        rank += 1
        if not value:
            return rank
        value = value[0]
    if hasattr(value, "shape"):
        return rank + len(value.shape)
    return rank if isinstance(value, (bool, int, float)) or (rank and value is None) else None


def _is_left_out(parameter: Parameter, value: Any) -> bool:
    """Whether an empty cell says that the input isn't given."""
    kind = type(value)
    if value is None or (kind.__name__ in ("NAType", "NaTType") and _is_of_pandas(kind)):
        return not (value is None and parameter.nullable)
    return isinstance(value, float) and value != value and parameter.modality not in _NUMBERS


def _is_of_pandas(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "pandas"


def _named_file(parameter: Parameter, text: str) -> os.PathLike[str]:
    path = Path(text).expanduser() if text.startswith("~") else Path(text)
    try:
        if path.is_file():
            return path
    except ValueError:  # a NUL in it, say
        pass
    raise InputInvalid(
        f"Input {parameter.name!r} takes {describe_parameter(parameter)}, and no file is called "
        f"{text[:120]!r} (from {Path.cwd()}).",
        input=parameter.name,
        expected=describe_parameter(parameter),
    )
