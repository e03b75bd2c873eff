"""What a call gave: into files, onto a terminal, or down a pipe as it is."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from norman_jupyter.cli.terminal import OutputFailed, Terminal
from norman_jupyter.magics.documents import invoke_body, json_document, output_body
from norman_jupyter.previews.results import render_result
from norman_jupyter.previews.text import format_bytes, format_milliseconds
from norman_protocol.decoding import JsonValue
from norman_protocol.errors import RequestInvalid

if TYPE_CHECKING:
    from norman_jupyter.client.results import InvokeResult

__all__ = ["Targets", "deliver", "read_targets"]

_STDOUT: Final = "-"
_OPTION: Final = "--output"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where outputs go: files by the outputs' names; ``sole`` is that of the only output."""

    files: Mapping[str, str]
    sole: str | None = None

    def of(self, names: Sequence[str]) -> dict[str, str]:
        """Return the file of each output that has one.

        Raises
        ------
        RequestInvalid
            A file is for an output that there isn't, or for one of several without saying which.
        """
        for name in self.files:
            if name not in names:
                raise _no_such_output(name, names)
        if self.sole is None:
            return dict(self.files)
        if len(names) != 1:
            raise RequestInvalid(
                f"{_OPTION} {self.sole}: which output? The model gives {_listed(names)}: "
                f"{_OPTION} NAME={self.sole}",
                field=_OPTION,
            )
        if self.files:
            raise RequestInvalid(f"Output {names[0]!r} is given two files.", field=_OPTION)
        return {names[0]: self.sole}


def read_targets(given: Sequence[str], names: Sequence[str] | None) -> Targets:
    """Read the values of ``--output``, and look whether files can be written there.

    Parameters
    ----------
    names
        The outputs that the model has, where that is known.

    Raises
    ------
    RequestInvalid
        An output has two files, or doesn't exist; a folder is missing.

    Examples
    --------
    >>> read_targets(["label=-"], None).of(["label", "scores"])
    {'label': '-'}
    """
    files: dict[str, str] = {}
    sole: str | None = None
    for text in given:
        name, equals, file = text.partition("=")
        if not equals:
            name, file = "", text
        if not file:
            raise RequestInvalid(f"{_OPTION} needs a file: NAME=FILE", field=_OPTION)
        if name in files or (not name and sole is not None):
            raise RequestInvalid(f"Output {name!r} is given two files.", field=_OPTION)
        if name:
            files[name] = file
        else:
            sole = file
        _check_place(file)
    targets = Targets(files=files, sole=sole)
    if [*files.values(), sole].count(_STDOUT) > 1:
        raise RequestInvalid("Only one output can go to standard output.", field=_OPTION)
    if names is not None:
        targets.of(names)
    return targets


def deliver(result: InvokeResult, targets: Targets, terminal: Terminal, *, as_json: bool) -> None:
    """Write every output to where it goes.

    Raises
    ------
    RequestInvalid
        A target is for an output that there isn't, or a terminal would get bytes.
    OutputInvalid
        JSON can't say an output.
    OutputClosed, OutputFailed
        Something can't be written.
    """
    files = targets.of(list(result))
    written: dict[str, JsonValue] = {}
    for name, file in files.items():
        data = _file_bytes(name, result[name], file)
        if file == _STDOUT:
            _to_stdout(name, result[name], data, terminal)
            continue
        _write_file(Path(file).expanduser(), data)
        written[name] = {"file": file, "size_bytes": len(data)}
        if terminal.tells:
            terminal.tell(f"{name}: {format_bytes(len(data))} in {file}")
    if _STDOUT in files.values():
        return
    rest = {name: output for name, output in result.items() if name not in files}
    if as_json:
        bodies = {
            name: written[name] if name in written else output_body(name, output)
            for name, output in result.items()
        }
        terminal.write_bytes(json_document(invoke_body(result, bodies)).encode() + b"\n")
    elif terminal.is_interactive:
        _show(dataclasses.replace(result, outputs=rest), terminal)
    elif rest:
        _pipe(rest, terminal)


def _show(result: InvokeResult, terminal: Terminal) -> None:
    """Show outputs to a person: a text whole, all else as a notebook does without pictures."""
    if not result.outputs:
        return
    output, *others = result.outputs.values()
    if isinstance(output, str) and not others:
        terminal.write(output if output.endswith("\n") else f"{output}\n")
        took = format_milliseconds(result.latency_ms)
        terminal.tell(f"{result.version} · {took} · id {result.id}")
        return
    terminal.write(render_result(result)["text/plain"] + "\n")
    files = [name for name, output in result.items() if isinstance(output, bytes)]
    if files:
        terminal.tell(f"{_OPTION} {files[0]}=FILE writes {files[0]!r} to a file.")


def _pipe(outputs: Mapping[str, Any], terminal: Terminal) -> None:
    (name, output), *others = outputs.items()
    if others:
        bodies = {name: output_body(name, output) for name, output in outputs.items()}
        terminal.write_bytes(json.dumps(bodies, ensure_ascii=False).encode() + b"\n")
    else:
        terminal.write_bytes(_file_bytes(name, output, _STDOUT))


def _to_stdout(name: str, output: Any, data: bytes, terminal: Terminal) -> None:
    if not terminal.is_interactive:
        terminal.write_bytes(data)
    elif isinstance(output, bytes):
        raise RequestInvalid(
            f"Output {name!r} is {format_bytes(len(data))} of bytes, which a terminal can't show. "
            f"Write it to a file ({_OPTION} {name}=FILE), or pipe it on.",
            field=_OPTION,
        )
    else:
        terminal.write(data.decode())


def _file_bytes(name: str, output: Any, file: str) -> bytes:
    """Return an output as a file of it is: bytes and text as they are, arrays as .npy or JSON."""
    if isinstance(output, bytes):
        return bytes(output)
    if isinstance(output, str):
        end = "\n" if file == _STDOUT and not output.endswith("\n") else ""
        return f"{output}{end}".encode("utf-8", "replace")
    if file.endswith(".npy"):
        return _npy(name, output)
    body = output_body(name, output)
    if hasattr(output, "__array__") and isinstance(body, dict) and body["data"] is not None:
        body = body["data"]
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _npy(name: str, output: Any) -> bytes:
    import io

    import numpy as np

    file = io.BytesIO()
    try:
        np.save(file, np.asarray(output), allow_pickle=False)
    except ValueError as error:  # text, and whatever is no array of numbers
        raise OutputFailed(
            f"Output {name!r} is no array that .npy can hold ({error}). A name that ends in .json "
            "gives JSON."
        ) from error
    return file.getvalue()


def _check_place(file: str) -> None:
    if file == _STDOUT:
        return
    try:
        path = Path(file).expanduser()
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestInvalid(f"{_OPTION} {file[:80]}: {reason}.", field=_OPTION) from error
    if is_folder:
        raise RequestInvalid(f"{_OPTION}: {file} is a folder; name a file in it.", field=_OPTION)
    if not has_folder:
        raise RequestInvalid(f"{_OPTION}: there is no folder {path.parent}.", field=_OPTION)


def _write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all; a device or a pipe is written to.

    Raises
    ------
    OutputFailed
        It can't be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()  # what a link leads to is written, and the link stays
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name[:100]}.", delete=False
        ) as file:
            unfinished = Path(file.name)
            try:
                file.write(data)
                file.flush()
                unfinished.chmod(_mode_of(target))
                unfinished.replace(target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputFailed(f"{path} can't be written: {error.strerror or error}.") from error


def _mode_of(path: Path) -> int:
    """Return the mode of a file, or the one that a new file gets here."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _no_such_output(name: str, names: Sequence[str]) -> RequestInvalid:
    nearest = get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"There are {_listed(names)}."
    return RequestInvalid(
        f"There is no output {name[:60]!r}. {hint}", field=_OPTION, nearest=nearest
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "no outputs"
