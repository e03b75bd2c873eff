"""Models that are Python: a ``model.py`` with a class ``Model`` or a function ``predict``."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from norman_protocol.errors import LoadFailed
from norman_protocol.signature import Signature
from norman_protocol.values import Value
from norman_worker.runtimes.base import Runtime, Source
from norman_worker.runtimes.parameters import Arguments, read_predict
from norman_worker.runtimes.returns import Returns, read_returns

__all__ = ["PythonRuntime"]

_EXPECTED = (
    "It must have either a class Model with load(self, files: Path, device: str) and "
    "predict(self, …), or a function predict(…)."
)


class PythonRuntime(Runtime):
    """Runs a ``model.py``; its folder comes first on ``sys.path``, so that siblings import."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._model: Any = None
        self._predict: Callable[..., Any]
        self._arguments: Arguments
        self._returns: Returns

    def describe(self) -> Signature:
        """Import the module, make the model, and read the hints of its ``predict``."""
        entry = self.source.entry
        module = self._import()
        model_class, function = getattr(module, "Model", None), getattr(module, "predict", None)
        if model_class is not None and function is not None:
            raise LoadFailed(f"{entry} has both a class Model and a function predict. {_EXPECTED}")
        if model_class is not None:
            self._model = _make(model_class, entry)
            function = getattr(self._model, "predict", None)
            if function is None:
                raise LoadFailed(f"The class Model in {entry} has no predict. {_EXPECTED}")
        if function is None:
            raise LoadFailed(
                f"{entry} has neither a class Model nor a function predict. {_EXPECTED}"
            )
        self._predict = function
        self._arguments, returned = read_predict(function)
        self._returns = read_returns(returned)
        return Signature(inputs=self._arguments.parameters, outputs=self._returns.outputs)

    def adopt(self, signature: Signature) -> None:
        """Read the inputs of calls by what was declared of them."""
        self._arguments.adopt(signature.inputs)

    def load(self) -> None:
        """Call the model's ``load`` with the folder and the device, where it has one."""
        load = getattr(self._model, "load", None)
        if load is None:
            return
        arguments = (self.source.files, self.source.device)
        try:
            inspect.signature(load).bind(*arguments)
        except TypeError as error:
            raise LoadFailed(
                f"load of the class Model in {self.source.entry} can't be called with the folder "
                f"and the device ({error}). Write load(self, files: Path, device: str)."
            ) from None
        load(*arguments)

    def predict(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Call ``predict`` once."""
        with ExitStack() as stack:
            arguments = self._arguments.read(inputs, stack)
            return self._returns.write(self._predict(**arguments))

    def _import(self) -> ModuleType:
        path = self.source.path
        name = path.stem
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise LoadFailed(f"There is no Python module {self.source.entry}.")
        sys.path.insert(0, str(path.parent))
        module = importlib.util.module_from_spec(spec)
        # Siblings and pickles find the module under its name; so would importing it.
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module


def _make(model_class: Any, entry: str) -> Any:
    if not isinstance(model_class, type):
        raise LoadFailed(f"Model in {entry} is no class. {_EXPECTED}")
    if inspect.isabstract(model_class):
        missing = ", ".join(sorted(getattr(model_class, "__abstractmethods__", ())))
        raise LoadFailed(f"The class Model in {entry} is abstract: it lacks {missing}.")
    constructor = inspect.signature(model_class)
    try:
        constructor.bind()
    except TypeError as error:
        raise LoadFailed(
            f"Model() in {entry} can't be made without arguments ({error}). Do the work in load."
        ) from None
    return model_class()
