"""The body of a ``%%norman invoke`` cell as inputs of a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from norman_jupyter.client.fitting import fit_value
from norman_protocol.decoding import JsonValue, parse_json
from norman_protocol.errors import InputInvalid, RequestInvalid
from norman_protocol.media import FILES, Modality
from norman_protocol.signature import Parameter, Signature, describe_parameter

__all__ = ["read_body"]


def read_body(body: str, signature: Signature, given: Collection[str]) -> dict[str, Any]:
    r"""Return the inputs that a cell's body says.

    What begins with ``{`` is a JSON object of inputs, where text for an image, sound, video or
    file names a file. Anything else is the one text input that isn't given yet; where the model
    has none, JSON for the one input that must be given.

    Parameters
    ----------
    given
        Names of inputs that stand on the line.

    Raises
    ------
    RequestInvalid
        It is no JSON where it should be.
    InputInvalid
        An input is given twice, a file doesn't exist, or it can't be told which input is meant.

    Examples
    --------
    >>> text = Parameter(name="text", modality=Modality.TEXT)
    >>> read_body("Once upon\na time\n", Signature(inputs=(text,)), ())
    {'text': 'Once upon\na time'}
    """
    if not body.strip():
        return {}
    known = {parameter.name: parameter for parameter in signature.inputs}
    if body.lstrip().startswith("{"):
        return _from_object(_json(body), known, given)
    remaining = [one for one in signature.inputs if one.name not in given]
    texts = [one for one in remaining if one.modality is Modality.TEXT]
    text = _the_one(texts)
    if text is not None:
        return {text.name: body.removesuffix("\n")}
    if texts:
        raise _ambiguous(texts)
    other = _the_one(remaining)
    if other is None:
        raise _ambiguous(remaining)
    return {other.name: _named_file(other, _json_or_path(other, body))}


def _from_object(
    inputs: JsonValue, known: Mapping[str, Parameter], given: Collection[str]
) -> dict[str, Any]:
    if not isinstance(inputs, dict):
        raise RequestInvalid("The body is no JSON object of inputs.", field="body")
    for name in inputs:
        if name in given:
            raise InputInvalid(
                f"Input {name!r} is given twice: on the line and in the body.", input=name
            )
    return {
        name: value if name not in known else _named_file(known[name], value)
        for name, value in inputs.items()
    }


def _named_file(parameter: Parameter, value: Any) -> Any:
    if isinstance(value, str) and parameter.modality in FILES:
        return fit_value(parameter, value)[0]
    return value


def _json(body: str) -> JsonValue:
    try:
        return parse_json(body)
    except RequestInvalid as error:
        raise RequestInvalid(
            f"The body begins with {{ and is read as a JSON object of inputs: {error.message} "
            "Text that begins so can be sent as input={variable} on the line.",
            field="body",
        ) from error


def _json_or_path(parameter: Parameter, body: str) -> JsonValue:
    if parameter.modality in FILES:
        return body.strip()
    try:
        return parse_json(body)
    except RequestInvalid as error:
        raise InputInvalid(
            f"Input {parameter.name!r} takes {describe_parameter(parameter)}, so that the body "
            f"is read as JSON: {error.message}",
            input=parameter.name,
            expected=describe_parameter(parameter),
        ) from error


def _the_one(parameters: list[Parameter]) -> Parameter | None:
    """Return the only one, or the only one that must be given."""
    required = [one for one in parameters if one.required]
    if len(parameters) == 1 or not required:
        return parameters[0] if len(parameters) == 1 else None
    return required[0] if len(required) == 1 else None


def _ambiguous(candidates: list[Parameter]) -> InputInvalid:
    names = ", ".join(f"{one.name!r} ({describe_parameter(one)})" for one in candidates)
    what = f"could be any of {names}" if candidates else "is for no input: every one is given"
    first = candidates[0].name if candidates else "input"
    return InputInvalid(
        f'The body {what}. Write a JSON object of inputs, such as {{"{first}": …}}.',
        nearest=[one.name for one in candidates],
    )
