"""A ``model.py`` in this process: imported as the service does, without a trace in the notebook."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import sys
import threading
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from norman_protocol.errors import LoadFailed

__all__ = ["PythonModel", "load_python"]

_CPU = "cpu"
_ONLY_OUTPUT = "output"

# Modules are found through two variables of the whole process: one model at a time has them.
_importing = threading.RLock()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PythonModel:
    """What a ``model.py`` gives.

    Attributes
    ----------
    native
        Its ``Model``, loaded, or else the module with the function ``predict``.
    predict
        Calls it with keyword arguments, one call at a time, and gives its outputs by name.
    """

    native: Any
    predict: Callable[[Mapping[str, Any]], Mapping[str, Any]]


class _Surroundings:
    """The modules beside a ``model.py``, which are there only while its code runs.

    The notebook may have modules of the same names: each sees its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        own = {path.stem for path in folder.glob("*.py")}
        self._names = own | {path.name for path in folder.iterdir() if path.is_dir()}
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def entered(self) -> Iterator[None]:
        with _importing:
            hidden = self._take()
            sys.modules.update(self._modules)
            sys.path.insert(0, str(self._folder))
            try:
                yield
            finally:
                sys.path.remove(str(self._folder))
                self._modules = self._take()
                sys.modules.update(hidden)

    def _take(self) -> dict[str, ModuleType]:
        """Remove the modules with names of the folder, and return them."""
        found = [name for name in sys.modules if name.partition(".")[0] in self._names]
        return {name: sys.modules.pop(name) for name in found}


def load_python(folder: Path, entry: str, reference: str) -> PythonModel:
    """Import a ``model.py``, make its model and load it, on the CPU.

    Its folder is on ``sys.path``, and the modules in it are in ``sys.modules``, only while its
    code runs.

    Raises
    ------
    LoadFailed
        Its code raised; the exception is the error's cause.
    """
    surroundings = _Surroundings(folder)
    try:
        with surroundings.entered():
            native, function = _load(folder, folder / entry)
            hint = inspect.signature(function, eval_str=True).return_annotation
    except Exception as error:
        raise LoadFailed(
            f"{reference} raised {type(error).__name__} while it was loaded in {sys.executable}: "
            f"{error}",
            reference=reference,
            exception=f"{type(error).__name__}: {error}",
        ) from error

    def predict(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        with surroundings.entered():
            return _take_apart(hint, function(**arguments))

    return PythonModel(native=native, predict=predict)


def _load(folder: Path, path: Path) -> tuple[Any, Callable[..., Any]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # under this name siblings and pickles look for it
    spec.loader.exec_module(module)
    made = getattr(module, "Model", None)
    if made is None:
        return module, module.predict
    model = made()
    if hasattr(model, "load"):
        model.load(folder, _CPU)
    return model, model.predict


def _take_apart(hint: Any, returned: Any) -> Mapping[str, Any]:
    """Name what ``predict`` returned, by the rules of the service."""
    if typing.is_typeddict(hint):
        return dict(returned)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        names = [field.name for field in dataclasses.fields(hint)]
        return {name: getattr(returned, name) for name in names}
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return {name: getattr(returned, name) for name in hint._fields}
    return {_ONLY_OUTPUT: returned}
