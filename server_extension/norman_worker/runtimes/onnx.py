"""ONNX graphs through onnxruntime, on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from norman_protocol.arrays import array_to_value, object_to_value
from norman_protocol.decoding import parse_json
from norman_protocol.errors import (
    InputInvalid,
    LoadFailed,
    ModelFailed,
    OutputInvalid,
    RuntimeMissing,
)
from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.values import Value
from norman_worker.coercion import InputReader, Reader, name_json_type, refuse
from norman_worker.nesting import array_from_nested
from norman_worker.runtimes.base import Runtime, Source
from norman_worker.runtimes.onnx_binding import bits_reader, run_bound
from norman_worker.runtimes.onnx_types import (
    FED_BY_BITS,
    OnnxType,
    parameter_from_node,
    parse_type,
)
from norman_worker.tracebacks import hide_paths, shorten

__all__ = ["OnnxRuntime"]

_ERROR_LEVEL = 3
_NULL = Value(kind="json", buffer=b"null")


class OnnxRuntime(Runtime):
    """Runs one graph in one session, on onnxruntime's own threads."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._session: Any = None
        self._errors: tuple[type[Exception], ...] = ()
        self._signature = Signature()
        self._outputs: list[str] = []
        self._reader: InputReader
        self._by_bits = False

    def describe(self) -> Signature:
        """Open the graph and read its inputs and outputs."""
        session = self._session = self._open()
        inputs = [_describe(node, required=True) for node in session.get_inputs()]
        inputs += [
            _describe(node, required=False) for node in session.get_overridable_initializers()
        ]
        outputs = [_describe(node, required=True) for node in session.get_outputs()]
        self._signature = Signature(
            inputs=tuple(parameter for parameter, _ in inputs),
            outputs=tuple(parameter for parameter, _ in outputs),
        )
        self._outputs = [parameter.name for parameter, _ in outputs]
        self._by_bits = any(_element(kind) in FED_BY_BITS for _, kind in (*inputs, *outputs))
        if self._by_bits and not _bindable([*inputs, *outputs]):
            raise LoadFailed(
                f"{self.source.entry} has text, sequences, maps or optional values beside element "
                "types such as bfloat16 or int4; onnxruntime takes no such mixture."
            )
        readers = {parameter.name: _special_reader(parameter, kind) for parameter, kind in inputs}
        self._reader = InputReader(self._signature, readers)
        return self._signature

    def adopt(self, signature: Signature) -> None:
        """Nothing changes: the graph says all of it, and a declaration can't contradict it."""

    def load(self) -> None:
        """Nothing is left to do: opening the graph has loaded it."""

    def predict(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Run the graph once."""
        feed = self._reader.read(inputs)
        try:
            if self._by_bits:
                return run_bound(self._session, self._signature, feed)
            answers = self._session.run(self._outputs, feed)
        except self._errors as error:
            raise self._failure(error) from None
        return {
            name: _write(name, answer) for name, answer in zip(self._outputs, answers, strict=True)
        }

    def _open(self) -> Any:
        onnxruntime = _import_onnxruntime()
        if self.source.device != "cpu":
            raise LoadFailed(
                f"ONNX models run on the CPU for now, not on {self.source.device[:60]!r}."
            )
        self._errors = _error_classes(onnxruntime)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.source.threads
        options.log_severity_level = _ERROR_LEVEL
        path = self.source.path
        if not path.is_file():
            raise LoadFailed(f"There is no file {self.source.entry} in the version.")
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            text = shorten(hide_paths(str(error), self.source.files), 2_000)
            raise LoadFailed(
                f"onnxruntime {onnxruntime.__version__} can't open {self.source.entry}: {text} "
                f"{_hint(type(error).__name__)}",
                exception=f"{type(error).__name__}: {text}",
            ) from None

    def _failure(self, error: Exception) -> ModelFailed:
        text = shorten(hide_paths(str(error), self.source.files), 2_000)
        return ModelFailed(
            f"onnxruntime could not run the graph: {text}",
            exception=f"{type(error).__name__}: {text}",
        )


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        reason = "" if error.name == "onnxruntime" else f" ({error})"
        raise RuntimeMissing(
            f"ONNX models need the package onnxruntime in {sys.executable}{reason}: "
            "pip install onnxruntime",
            runtime="onnx",
            package="onnxruntime",
            interpreter=sys.executable,
        ) from error
    return onnxruntime


def _error_classes(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Collect what onnxruntime raises: its statuses each have a class, straight from Exception."""
    native = onnxruntime.capi.onnxruntime_pybind11_state
    statuses = [
        item
        for item in vars(native).values()
        if isinstance(item, type) and issubclass(item, Exception)
    ]
    return (*statuses, RuntimeError, ValueError)


def _hint(error_name: str) -> str:
    hints = {
        "InvalidProtobuf": "Is the file whole, and an ONNX model?",
        "InvalidGraph": "Check it with onnx.checker.check_model.",
        "NotImplemented": "Export it with another opset or without that operator.",
        "NoSuchFile": "Upload the folder with all the files of the model.",
    }
    return hints.get(error_name, "Check the file with onnx.checker.check_model.")


def _describe(node: Any, *, required: bool) -> tuple[Parameter, OnnxType]:
    kind = parse_type(node.type)
    return parameter_from_node(node.name, kind, node.shape, required=required), kind


def _bindable(described: Sequence[tuple[Parameter, OnnxType]]) -> bool:
    return all(kind.kind == "tensor" and kind.element != "string" for _, kind in described)


def _element(kind: OnnxType) -> str:
    while kind.inner is not None:
        kind = kind.inner
    return kind.element


def _special_reader(parameter: Parameter, kind: OnnxType) -> Reader | None:
    """Return how to read what NumPy can't hold; None where the ordinary way will do."""
    if kind.element in FED_BY_BITS:
        return bits_reader(parameter)
    if kind.kind == "optional" and kind.inner is not None:
        kind = kind.inner
    if kind.kind == "tensor" or kind.inner is None or kind.inner.kind != "tensor":
        return None
    element = Parameter(name=parameter.name, modality=Modality.TENSOR, dtype=kind.inner.element)

    def read(value: Value) -> Any:
        if value.kind != "json":
            refuse(parameter, f"a {value.kind}")
        nested = parse_json(value.buffer)
        if nested is None and parameter.nullable:
            return None
        if kind.kind == "seq":
            return _sequence(parameter, element, nested)
        return _map(parameter, element, kind.key, nested)

    return read


def _sequence(parameter: Parameter, element: Parameter, nested: Any) -> list[Any]:
    if type(nested) is not list:
        refuse(parameter, name_json_type(nested), "Send a list of arrays.")
    return [array_from_nested(element, item) for item in nested]


def _map(parameter: Parameter, element: Parameter, key: str, nested: Any) -> dict[Any, Any]:
    if type(nested) is not dict:
        refuse(parameter, name_json_type(nested), "Send an object.")
    items = {name: array_from_nested(element, item).item() for name, item in nested.items()}
    if key == "string":
        return items
    try:
        return {int(name): item for name, item in items.items()}
    except ValueError as error:
        raise InputInvalid(
            f"The keys of input {parameter.name!r} are integers: {error}", input=parameter.name
        ) from None


def _write(name: str, answer: Any) -> Value:
    """Turn an array, or a sequence or map of plain Python, into a value."""
    if answer is None:
        return _NULL
    try:
        if isinstance(answer, (list, dict)):
            return object_to_value(answer, name=name)
        return array_to_value(answer, name=name)
    except InputInvalid as error:
        raise OutputInvalid(
            f"Output {name!r} can't be sent: {error.message}", output=name
        ) from None
