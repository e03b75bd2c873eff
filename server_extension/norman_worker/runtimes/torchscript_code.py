"""What a TorchScript program does, read before it runs: the few operators that touch files.

Programs have no Python, and so are loaded without trust; but torch gives them operators that read
and write any file of the user. No model needs them to compute.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any, Final

from norman_protocol.errors import LoadFailed

__all__ = ["check_graphs", "check_source"]

# Of all the operators of torch 2.13 these take the name of a file.
_CALLS: Final = re.compile(rb"\b(from_file|load_tensor|save)\s*\(")
_OPERATORS: Final = re.compile(r"\b(?:aten|debugprims)::(from_file|load_tensor|save)\b")
_SOURCE_LIMIT_BYTES: Final = 256 << 20


def check_source(path: Path) -> None:
    """Refuse a saved program whose source calls such an operator, before anything of it is loaded.

    Raises
    ------
    LoadFailed
        It does, its archive can be read in two ways, or is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) != len(entries):
                raise LoadFailed(
                    f"{path.name} holds two files of one name. Save it anew with torch.jit.save."
                )
            sources = [entry for entry in entries if "/code/" in entry.filename]
            if sum(entry.file_size for entry in sources) > _SOURCE_LIMIT_BYTES:
                raise LoadFailed(f"The source in {path.name} is larger than any program's.")
            for entry in sources:
                found = _CALLS.search(archive.read(entry))
                if found is not None:
                    raise _touches_files(path.name, found[1].decode())
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise LoadFailed(
            f"torch can't open {path.name} as TorchScript: {error}. Save it anew with "
            "torch.jit.save.",
            exception=f"{type(error).__name__}: {error}",
        ) from None


def check_graphs(program: Any, name: str) -> None:
    """Refuse a loaded program that has such an operator in any of its methods.

    Raises
    ------
    LoadFailed
        It has.
    """
    for module in program.modules():
        compiled = module._c  # noqa: SLF001 - nothing public tells all methods of a loaded program
        for method in compiled._method_names():  # noqa: SLF001
            graph = compiled._get_method(method).inlined_graph  # noqa: SLF001
            found = _OPERATORS.search(str(graph))
            if found is not None:
                raise _touches_files(name, found[1])


def _touches_files(name: str, operator: str) -> LoadFailed:
    return LoadFailed(
        f"{name} calls {operator}, which reads or writes files: a program may only compute. Take "
        "that out, or call it otherwise if it is a method of its own; what needs files can be a "
        "model.py, uploaded with --trust."
    )
