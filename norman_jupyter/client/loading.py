"""A version in this process: what may be loaded here, from where, and how it is called."""

from __future__ import annotations

import operator
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from norman_bundle.manifest import bundle_digest, check_manifest
from norman_jupyter.client.inputs import encode_inputs, merge_inputs
from norman_jupyter.packaging.onnx_session import open_session, run_session
from norman_jupyter.packaging.python_module import load_python
from norman_protocol.arrays import array_to_value, numpy_dtype, object_to_value, value_to_object
from norman_protocol.decoding import parse_json
from norman_protocol.errors import (
    InputInvalid,
    NormanError,
    NotReady,
    OutputInvalid,
    RuntimeMissing,
    TrustRequired,
)
from norman_protocol.rest import VersionDetail
from norman_protocol.signature import (
    Modality,
    Parameter,
    Signature,
    check_inputs,
    describe_parameter,
)
from norman_protocol.values import Value

__all__ = ["LoadedModel", "cache_folder", "check_loadable", "forget_cached", "load_version"]

_RUNTIMES = ("onnx", "python")


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
    ) -> None:
        self.reference = reference
        self.signature = signature
        self.native = native
        self._run = run
        self._inputs = {parameter.name: parameter for parameter in signature.inputs}
        self._outputs = {parameter.name: parameter for parameter in signature.outputs}

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
        values = encode_inputs(objects)
        check_inputs(self.signature, values)
        given = {
            name: _read(self._inputs[name], value, objects[name]) for name, value in values.items()
        }
        returned = self._run(given)
        return {
            name: _write(self._outputs[name], returned[name])
            for name in self._outputs
            if name in returned
        }

    __call__ = predict

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {describe_parameter(p)}" for name, p in self._inputs.items())
        outputs = ", ".join(f"{name}: {describe_parameter(p)}" for name, p in self._outputs.items())
        return f"<{self.reference} in this process: ({inputs}) → ({outputs})>"


def check_loadable(version: VersionDetail) -> Signature:
    """Check that a version may run here, before anything of it is fetched; return its signature.

    Raises
    ------
    TrustRequired
        It runs code on load, and nobody said at the server that these very files may.
    RuntimeMissing
        It has a runtime that isn't known here.
    NotReady
        It never loaded at the server: what it takes and gives isn't known.
    """
    check_manifest(version.manifest)
    if version.runtime not in _RUNTIMES:
        raise RuntimeMissing(
            f"{version.reference} needs the runtime {version.runtime[:60]!r}, which can't be "
            f"loaded here; {' and '.join(_RUNTIMES)} can.",
            runtime=version.runtime,
        )
    if version.runtime != "onnx" and not _is_trusted(version):
        raise TrustRequired(
            f"Loading {version.reference} runs its code in this process, and nobody trusted it at "
            "the server. Upload it with --trust first (in Python: trust=True).",
            path=version.entry,
            runtime=version.runtime,
        )
    if version.signature is None:
        raise NotReady(
            f"{version.reference} is {version.state}: it never loaded at the server, so what it "
            "takes isn't known.",
            reference=version.reference,
            state=version.state,
        )
    return version.signature


def _is_trusted(version: VersionDetail) -> bool:
    trust = version.trust
    return trust is not None and trust.bundle_digest == bundle_digest(version.manifest)


def cache_folder(version: VersionDetail) -> Path:
    """Return where the files of a version are kept on this machine, by their own digest.

    It stands in ``norman/bundles`` of the user's folder for caches, and may be removed at any time.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"  # noqa: PTH117
    return base / "norman" / "bundles" / bundle_digest(version.manifest)


def forget_cached(folder: Path) -> None:
    """Remove what is kept of a version: it isn't what it should be."""
    shutil.rmtree(folder, ignore_errors=True)


def load_version(version: VersionDetail, signature: Signature, folder: Path) -> LoadedModel:
    """Load the files of a version that `check_loadable` passed.

    Raises
    ------
    RuntimeMissing
        This interpreter lacks the package that loads the format.
    LoadFailed
        It can't be loaded here.
    """
    if version.runtime == "onnx":
        session = open_session(folder / version.entry, signature, version.reference)
        run = partial(run_session, session, signature)
        return LoadedModel(version.reference, signature, session, run)
    model = load_python(folder, version.entry, version.reference)
    return LoadedModel(version.reference, signature, model.native, model.predict)


def _read(parameter: Parameter, value: Value, given: Any) -> Any:
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
            return _array(parameter, parsed) if plain else value_to_object(value)
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


def _of_type(parameter: Parameter, item: Any, wanted: type) -> Any:
    if type(item) is not wanted:
        raise _refusal(parameter, f"a {type(item).__name__}")
    return item


def _array(parameter: Parameter, nested: Any) -> Any:
    """Turn nested lists into an array of the parameter's dtype; nothing is lost on the way."""
    import numpy as np

    try:
        natural = np.asarray(nested)
    except ValueError:
        raise _refusal(parameter, "ragged lists") from None
    array = natural
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


def _write(parameter: Parameter, item: Any) -> Any:
    """Return an output as it comes from the service: there and back through a value."""
    if item is None:
        return None
    try:
        return value_to_object(_as_value(parameter, item))
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
