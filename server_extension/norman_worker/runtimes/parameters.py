"""The signature of a typed ``predict``, and how to call it with what came in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from norman_protocol.decoding import JsonValue, dump_json, encode
from norman_protocol.errors import LoadFailed, RequestInvalid
from norman_protocol.signature import Parameter, Signature
from norman_protocol.values import Value
from norman_worker.coercion import InputReader
from norman_worker.runtimes.annotations import Adapter, HintUnknown, is_stream, read_hint

__all__ = ["Arguments", "read_predict"]

_MAX_DEFAULT_BYTES = 1_000

_REFUSED_KINDS: dict[Any, str] = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only; inputs have names, remove the '/'",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments; name each input",
    inspect.Parameter.VAR_KEYWORD: "takes any keyword; name each input",
}


def read_predict(predict: Callable[..., Any]) -> tuple[Arguments, Any]:
    """Read the parameters of ``predict``; return them with its return hint.

    Raises
    ------
    LoadFailed
        It can't be called with named inputs, or a hint means nothing on the wire.
    """
    _refuse_unlike_functions(predict)
    try:
        signature = inspect.signature(predict, eval_str=True)
    except NameError as error:
        raise LoadFailed(
            f"A type hint of predict names {error.name!r}, which isn't defined in its module. "
            "Import it outside of `if TYPE_CHECKING:`.",
            exception=f"NameError: {error}",
        ) from error
    if is_stream(signature.return_annotation):
        raise LoadFailed("predict returns a stream; streaming comes later. Return one answer.")
    parameters, adapters = [], {}
    for parameter in signature.parameters.values():
        described, adapter = _read_parameter(parameter)
        parameters.append(described)
        if adapter is not None:
            adapters[described.name] = (described, adapter)
    return Arguments(tuple(parameters), adapters), signature.return_annotation


def _refuse_unlike_functions(predict: Callable[..., Any]) -> None:
    if not callable(predict):
        raise LoadFailed(f"predict is a {type(predict).__name__}, not a function.")
    call = getattr(predict, "__call__", predict)  # noqa: B004 - to look into, not to test
    for candidate in (predict, call):
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise LoadFailed("predict is a generator; streaming comes later. Return one answer.")
        if inspect.iscoroutinefunction(candidate):
            raise LoadFailed("predict is `async def`; write it as a plain `def`.")


def _read_parameter(parameter: inspect.Parameter) -> tuple[Parameter, Adapter | None]:
    refused = _REFUSED_KINDS.get(parameter.kind)
    if refused is not None:
        raise LoadFailed(f"Parameter {str(parameter)!r:.100} of predict {refused}.")
    try:
        hint = read_hint(parameter.annotation)
    except HintUnknown as error:
        raise LoadFailed(
            f"Parameter {parameter.name!r} of predict is annotated with {error}."
        ) from None
    required = parameter.default is inspect.Parameter.empty
    described = Parameter(
        name=parameter.name,
        modality=hint.modality,
        dtype=hint.dtype,
        required=required,
        default=None if required else _shown_default(parameter.default),
        nullable=hint.nullable or parameter.default is None,
        description=hint.description[:_MAX_DEFAULT_BYTES],
    )
    return described, hint.adapt


def _shown_default(default: Any) -> JsonValue:
    """Return the default where JSON can show it in few bytes; the function itself applies it."""
    plain = encode(default)
    try:
        return plain if len(dump_json(plain)) <= _MAX_DEFAULT_BYTES else None
    except RequestInvalid:
        return None


class Arguments:
    """Turns the values of a call into the keyword arguments of ``predict``."""

    def __init__(
        self,
        parameters: tuple[Parameter, ...],
        adapters: Mapping[str, tuple[Parameter, Adapter]],
    ) -> None:
        self.parameters = parameters
        self._adapters = adapters
        self._reader = InputReader(Signature(inputs=parameters))

    def adopt(self, parameters: tuple[Parameter, ...]) -> None:
        """Read values by these parameters, which say more of the same inputs."""
        self._reader = InputReader(Signature(inputs=parameters))

    def read(self, values: Mapping[str, Value], stack: ExitStack) -> dict[str, Any]:
        """Return the arguments; files among them live until ``stack`` closes.

        Raises
        ------
        InputInvalid
            An input is unknown, missing, or can't become what its parameter takes.
        """
        objects = self._reader.read(values)
        for name, (parameter, adapt) in self._adapters.items():
            value = objects.get(name)
            if value is not None:
                objects[name] = adapt(parameter, value, stack)
            elif name in objects and not parameter.nullable:
                objects[name] = adapt(parameter, None, stack)
        return objects
