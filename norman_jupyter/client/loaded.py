"""A version in this process, called as it is at the server."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from norman_jupyter.client.inputs import encode_inputs, merge_inputs
from norman_jupyter.client.pictures import PictureInputs, is_image
from norman_jupyter.client.results import read_value
from norman_protocol.arrays import array_to_value, numpy_dtype, object_to_value, value_to_object
from norman_protocol.declaration import Declaration
from norman_protocol.declared import declared_defaults
from norman_protocol.decoding import parse_json
from norman_protocol.errors import (
    InputInvalid,
    NormanError,
    OutputInvalid,
)
from norman_protocol.media import MediaLimits
from norman_protocol.signature import (
    Modality,
    Parameter,
    Signature,
    check_inputs,
    describe_parameter,
    model_signature,
)
from norman_protocol.translation import Translation
from norman_protocol.values import Value

__all__ = ["LoadedModel"]

_NULL = Value(kind="json", buffer=b"null")


class LoadedModel:
    """A version that runs in this process, called as `Norman.invoke` calls it at the server.

    Attributes
    ----------
    reference, signature
        Of the version.
    native
        What the version is made of: onnxruntime's ``InferenceSession``, the ``Model`` of a
        ``model.py``, or its module.

    Examples
    --------
    ::

        model = norman.load("digits@2")
        model(image=array)["label"]
    """

    def __init__(
        self,
        reference: str,
        signature: Signature,
        native: Any,
        run: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        declaration: Declaration | None = None,
        *,
        list_dtype: str = "float64",
    ) -> None:
        self.reference = reference
        self.signature = signature
        self.native = native
        self._run = run
        own = model_signature(signature)
        self._inputs = {parameter.name: parameter for parameter in own.inputs}
        self._outputs = {parameter.name: parameter for parameter in own.outputs}
        self._list_dtype = list_dtype
        self._translation = Translation(signature)
        self._defaults = {} if declaration is None else declared_defaults(signature, declaration)

    def predict(self, inputs: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Call the model; the outputs by name, as the service gives them.

        Parameters
        ----------
        inputs, **named
            As for `Norman.invoke`. A parameter that takes a file gets what is passed here itself.

        Raises
        ------
        InputInvalid
            An input is unknown, missing, or of another kind, dtype or shape.
        OutputInvalid
            The model returned what no signature can hold.
        Exception
            Whatever else the model's own code raises passes through, for a debugger to see.
        """
        objects = merge_inputs(inputs, named)
        values = self._checked(objects)
        passed = {
            self._translation.own_name(name): _as_file(item, values[name])
            for name, item in objects.items()
        }
        given = {
            name: self._read(self._inputs[name], value, passed.get(name))
            for name, value in self._own_values(values).items()
        }
        return self._answer(self._run(given))

    def _checked(self, objects: Mapping[str, Any]) -> dict[str, Value]:
        """Return the inputs as values that fit, arrays of pixels as files where those are taken."""
        pictures = PictureInputs()
        for tries_left in range(len(objects), -1, -1):
            values = encode_inputs(objects, pictures.of(self.reference))
            try:
                check_inputs(self.signature, values)
                break
            except InputInvalid as error:
                if not tries_left or not pictures.learn(self.reference, error, objects):
                    raise
        return values

    def _own_values(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return what the model takes, by its own names, as the executor makes it of a call."""
        coded = self._translation.to_decode(values)
        titles = {parameter.name for parameter in coded}
        rest = {name: value for name, value in values.items() if name not in titles}
        own = {**self._defaults, **self._translation.inputs(rest)}
        if coded:
            from norman_codec.conversion import decode

            files = {name: value for name, value in values.items() if name in titles}
            own.update(decode(coded, files, MediaLimits()))
        return own

    def _read(self, parameter: Parameter, value: Value, given: Any) -> Any:
        """Return what the model takes, by the rules of the service."""
        plain = value.kind == "json" and parameter.modality is not Modality.JSON
        parsed = parse_json(value.buffer) if plain else None
        if plain and parsed is None:
            if not parameter.nullable:
                raise _refusal(parameter, "null")
            return None
        match parameter.modality:
            case Modality.FILE:
                return given
            case Modality.TENSOR:
                return (
                    _array(parameter, parsed, self._list_dtype) if plain else value_to_object(value)
                )
            case Modality.TEXT:
                text = str(value.buffer, "utf-8-sig") if value.kind == "bytes" else parsed
                text = value_to_object(value) if value.kind == "text" else text
                return _of_type(parameter, text, str)
            case Modality.INTEGER | Modality.FLOAT | Modality.BOOLEAN:
                scalar = parsed if plain else value_to_object(value).reshape(()).item()
                if parameter.modality is Modality.FLOAT and type(scalar) is int:
                    return float(scalar)
                wanted = {Modality.INTEGER: int, Modality.FLOAT: float, Modality.BOOLEAN: bool}
                return _of_type(parameter, scalar, wanted[parameter.modality])
            case _:
                return value_to_object(value)

    def _answer(self, returned: Mapping[str, Any]) -> dict[str, Any]:
        """Return outputs by their titles, as they come from the service."""
        known = self._outputs or {
            name: Parameter(name=name, modality=Modality.JSON) for name in returned
        }
        values = {
            name: _write(parameter, returned[name])
            for name, parameter in known.items()
            if name in returned
        }
        coded = self._translation.to_encode(values)
        taken = self._translation.taken(coded)
        rest = {name: value for name, value in values.items() if name not in taken}
        titled = self._translation.outputs(rest)
        if coded:
            from norman_codec.conversion import encode

            raw = {name: value for name, value in values.items() if name in taken}
            titled.update(encode(coded, raw, MediaLimits()))
        return {name: read_value(name, value) for name, value in titled.items()}

    __call__ = predict

    def __repr__(self) -> str:
        inputs, outputs = (
            ", ".join(f"{one.name}: {describe_parameter(one)}" for one in parameters)
            for parameters in (self.signature.inputs, self.signature.outputs)
        )
        return f"<{self.reference} in this process: ({inputs}) → ({outputs})>"


def _as_file(item: Any, value: Value) -> Any:
    """Return what was given, or its file where it is a picture that was encoded as one."""
    is_array = hasattr(item, "dtype")
    return bytes(value.buffer) if is_image(item) or (is_array and value.kind == "bytes") else item


def _of_type(parameter: Parameter, item: Any, wanted: type) -> Any:
    if type(item) is not wanted:
        raise _refusal(parameter, f"a {type(item).__name__}")
    return item


def _array(parameter: Parameter, nested: Any, list_dtype: str) -> Any:
    """Turn nested lists into an array of the parameter's dtype; nothing is lost on the way."""
    import numpy as np

    try:
        natural = np.asarray(nested)
    except ValueError:
        raise _refusal(parameter, "ragged lists") from None
    array = natural
    if parameter.dtype is None and natural.dtype.kind == "f":
        array = natural.astype(list_dtype)  # what its framework makes of a list of numbers
    if parameter.dtype == "string" and natural.dtype.kind == "U":
        array = np.asarray(nested, dtype=object)
    elif parameter.dtype is not None:
        target = numpy_dtype(parameter.dtype)
        is_boolean = (natural.dtype.kind == "b", target.kind == "b")
        if len({*is_boolean}) > 1 or not np.can_cast(natural.dtype, target, "same_kind"):
            raise _refusal(parameter, f"lists of {natural.dtype.name}")
        with np.errstate(over="ignore"):
            array = natural.astype(target)
        is_kept = np.isfinite(array) if target.kind in "fc" else array == natural
        if not np.all(is_kept):
            raise _refusal(parameter, "a number that is out of range")
    shaped = Value(kind="tensor", dtype=parameter.dtype or array.dtype.name, shape=array.shape)
    check_inputs(Signature(inputs=(parameter,)), {parameter.name: shaped})
    return array


def _refusal(parameter: Parameter, received: str) -> InputInvalid:
    expected = describe_parameter(parameter)
    return InputInvalid(
        f"Input {parameter.name!r} takes {expected}, not {received}.",
        input=parameter.name,
        expected=expected,
        received=received,
    )


def _write(parameter: Parameter, item: Any) -> Value:
    """Return an output as the value that the service would send."""
    if item is None:
        return _NULL
    try:
        return _as_value(parameter, item)
    except NormanError as error:
        raise _strange(parameter, error.message) from error
    except (TypeError, ValueError) as error:
        raise _strange(parameter, str(error)) from error


def _as_value(parameter: Parameter, item: Any) -> Value:
    import numpy as np

    match parameter.modality:
        case Modality.TENSOR:
            if hasattr(item, "detach"):  # a tensor of torch, maybe with gradients, maybe on a GPU
                item = item.detach().cpu()
            array = np.asarray(item)
            if parameter.dtype not in (None, "string", array.dtype.name):
                array = array.astype(numpy_dtype(parameter.dtype or ""), casting="same_kind")
            return array_to_value(array, name=parameter.name)
        case Modality.INTEGER:
            return object_to_value(operator.index(item), name=parameter.name)
        case Modality.FLOAT:
            return object_to_value(float(item), name=parameter.name)
        case Modality.BOOLEAN:
            return object_to_value(bool(item), name=parameter.name)
        case _:
            return object_to_value(item, name=parameter.name)


def _strange(parameter: Parameter, reason: str) -> OutputInvalid:
    return OutputInvalid(
        f"Output {parameter.name!r} is not what its signature says: {reason}", output=parameter.name
    )
