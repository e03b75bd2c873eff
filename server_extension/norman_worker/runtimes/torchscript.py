"""TorchScript programs through torch.jit: scripted or traced modules, saved with their code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from norman_protocol.arrays import object_to_value
from norman_protocol.decoding import JsonValue
from norman_protocol.errors import (
    InputInvalid,
    LoadFailed,
    ModelFailed,
    OutputInvalid,
    RuntimeMissing,
)
from norman_protocol.outputs import ONLY_OUTPUT, name_outputs
from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.values import Value
from norman_worker.coercion import InputReader
from norman_worker.runtimes.base import Runtime, Source
from norman_worker.runtimes.torchscript_code import check_graphs, check_source
from norman_worker.tracebacks import hide_paths, shorten

__all__ = ["TorchScriptRuntime"]

_MODALITIES: Final = {
    "TensorType": Modality.TENSOR,
    "StringType": Modality.TEXT,
    "IntType": Modality.INTEGER,
    "FloatType": Modality.FLOAT,
    "BoolType": Modality.BOOLEAN,
    "NumberType": Modality.FLOAT,
}
_MESSAGE_CHARACTERS: Final = 4_000


class TorchScriptRuntime(Runtime):
    """Runs the ``forward`` of one program, without gradients."""

    POSITIONAL: ClassVar[bool] = True

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._torch: Any = None
        self._module: Any = None
        self._signature = Signature()
        self._reader = InputReader(self._signature)

    def describe(self) -> Signature:
        """Open the program and read the arguments and the result of its ``forward``."""
        self._module = self._open()
        check_graphs(self._module, self.source.entry)
        forward = getattr(self._module, "forward", None)
        if forward is None:
            raise LoadFailed(
                f"{self.source.entry} has no forward. Script or trace the module itself, "
                "not one of its functions."
            )
        schema = forward.schema
        inputs = tuple(_describe_argument(argument) for argument in schema.arguments[1:])
        self.adopt(Signature(inputs=inputs, outputs=_describe_result(schema.returns)))
        return self._signature

    def adopt(self, signature: Signature) -> None:
        """Read the inputs of calls by what was declared of them."""
        self._signature = signature
        self._reader = InputReader(signature)

    def load(self) -> None:
        """Prepare the program to answer: no dropout, no batch statistics."""
        self._module.eval()

    def predict(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Call ``forward`` once."""
        objects = self._reader.read(inputs)
        arguments = {
            name: self._argument(name, item, inputs[name]) for name, item in objects.items()
        }
        try:
            with self._torch.inference_mode():
                answer = self._module(**arguments)
        except RuntimeError as error:
            text = shorten(hide_paths(str(error), self.source.files), _MESSAGE_CHARACTERS)
            raise ModelFailed(
                f"The program failed: {_last_line(text)}",
                exception=f"{type(error).__name__}: {_last_line(text)}",
                traceback=text,
            ) from None
        parts = name_outputs(answer, [parameter.name for parameter in self._signature.outputs])
        return {name: _write(name, part) for name, part in parts.items()}

    def _argument(self, name: str, item: Any, value: Value) -> Any:
        import numpy as np

        from norman_worker.runtimes.torch_tensors import tensor_from_array

        if not isinstance(item, np.ndarray):
            return item
        if value.kind == "json" and item.dtype == np.float64 and self._dtype(name) is None:
            item = item.astype(np.float32)  # what torch itself makes of a list of numbers
        if item.dtype.hasobject:
            raise InputInvalid(f"Input {name!r} is an array of text; torch has none.", input=name)
        return tensor_from_array(item).to(self.source.device)

    def _dtype(self, name: str) -> str | None:
        return next((one.dtype for one in self._signature.inputs if one.name == name), None)

    def _open(self) -> Any:
        torch = self._torch = _import_torch()
        path = self.source.path
        if not path.is_file():
            raise LoadFailed(f"There is no file {self.source.entry} in the version.")
        check_source(path)
        if self.source.threads:
            torch.set_num_threads(self.source.threads)
        try:
            with warnings.catch_warnings():
                # That newer ways exist is for who saves a program, not for each start of it.
                warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
                return torch.jit.load(str(path), map_location=self.source.device)
        except (RuntimeError, ValueError) as error:
            text = shorten(hide_paths(str(error), self.source.files), 2_000)
            raise LoadFailed(
                f"torch {torch.__version__} can't open {self.source.entry} as TorchScript: "
                f"{text.strip()} {_hint(text)}",
                exception=f"{type(error).__name__}: {text}",
            ) from None


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        reason = "" if error.name == "torch" else f" ({error})"
        raise RuntimeMissing(
            f"TorchScript needs the package torch in {sys.executable}{reason}: pip install torch",
            runtime="torchscript",
            package="torch",
            interpreter=sys.executable,
        ) from error
    return torch


def _hint(text: str) -> str:
    if "constants.pkl" in text:
        return (
            "It is a checkpoint: weights without the code that uses them. Save "
            "torch.jit.script(model) with torch.jit.save, or write a model.py that loads it."
        )
    return "Save it anew with torch.jit.save."


def _describe_argument(argument: Any) -> Parameter:
    modality, nullable = _read_type(argument.type)
    optional = argument.has_default_value()
    return Parameter(
        name=argument.name,
        modality=modality,
        required=not optional,
        default=_shown(argument.default_value) if optional else None,
        nullable=nullable,
    )


def _read_type(kind: Any) -> tuple[Modality, bool]:
    if kind.kind() == "OptionalType":
        return _read_type(kind.getElementType())[0], True
    return _MODALITIES.get(kind.kind(), Modality.JSON), False


def _shown(default: object) -> JsonValue:
    return default if isinstance(default, (str, int, float, bool)) else None


def _describe_result(returns: Any) -> tuple[Parameter, ...]:
    """Name the outputs; none where only the answer tells them: a dict, list or NamedTuple."""
    kind = returns[0].type
    if kind.kind() in ("DictType", "ListType") or _is_named_tuple(kind):
        return ()
    if kind.kind() == "TupleType":
        return tuple(
            Parameter(name=f"{ONLY_OUTPUT}_{place}", modality=_read_type(element)[0])
            for place, element in enumerate(kind.elements())
        )
    modality, nullable = _read_type(kind)
    return (Parameter(name=ONLY_OUTPUT, modality=modality, nullable=nullable),)


def _is_named_tuple(kind: Any) -> bool:
    """Whether the answer will know its fields; torch tells the type's name, and not those."""
    return kind.kind() == "TupleType" and str(kind.annotation_str).startswith("__torch__")


def _write(name: str, part: Any) -> Value:
    import torch

    from norman_worker.runtimes.torch_tensors import tensor_to_value

    try:
        if isinstance(part, torch.Tensor):
            return tensor_to_value(part, name=name)
        return object_to_value(part, name=name)
    except InputInvalid as error:
        raise OutputInvalid(
            f"Output {name!r} can't be sent: {error.message}", output=name
        ) from None


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "without a word"
