"""What ``--json`` prints: the body of the REST answer that a command's value came from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from norman_jupyter.client.media import Media
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.client.tables import is_frame
from norman_jupyter.previews.listings import FoundModels, ShownModel
from norman_protocol.arrays import object_to_value
from norman_protocol.decoding import JsonValue, encode
from norman_protocol.errors import NormanError
from norman_protocol.rendering import render_value
from norman_protocol.rest import ModelPage

__all__ = ["answer_body", "invoke_body", "json_document", "output_body", "rows_body"]

# JSON itself escapes the controls below U+0020. These would steer a terminal, or show other text
# than there is; inside a text, which is where they stand, an escape means the same.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff]")


def json_document(value: Any) -> str:
    r"""Return the value of a command as a JSON document, indented.

    Examples
    --------
    >>> from norman_protocol.rest import LogText
    >>> print(json_document(LogText(reference="digits@1", text="\x9b1m", truncated=False)))
    {
      "reference": "digits@1",
      "text": "\u009b1m",
      "truncated": false,
      "end": 0
    }
    """
    text = json.dumps(answer_body(value), ensure_ascii=False, allow_nan=False, indent=2)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def answer_body(value: Any) -> JsonValue:
    """Return the body of the answer that a value came from; times are RFC 3339 text.

    A path, where something was written to, is ``{"path"}``. A model that is shown is its own body,
    without that of the version.
    """
    if isinstance(value, InvokeResult):
        outputs = {name: output_body(name, output) for name, output in value.items()}
        return invoke_body(value, outputs)
    if isinstance(value, ShownModel):
        return encode(value.model)
    if isinstance(value, FoundModels):
        return encode(ModelPage(items=value.items, next_cursor=value.next_cursor))
    if isinstance(value, Path):
        return {"path": str(value)}
    if is_frame(value):
        return rows_body(value.to_dict("records"))
    if isinstance(value, list):
        return rows_body(value)
    return encode(value)


def rows_body(rows: Sequence[Mapping[Any, Any]]) -> JsonValue:
    """Return the rows of a map: numbers and text as they are, what is missing as null.

    Anything else is as REST gives an output; what can't be one, such as a date, is its text.

    Examples
    --------
    >>> rows_body([{"id": 1, "score": float("nan"), "error": None}])
    [{'id': 1, 'score': None, 'error': None}]
    """
    return [{str(name): _cell_body(str(name), cell) for name, cell in row.items()} for row in rows]


def _cell_body(name: str, cell: Any) -> JsonValue:
    if getattr(cell, "shape", None) == () and hasattr(cell, "item"):
        cell = cell.item()
    if cell is None or isinstance(cell, (bool, int, str)):
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if type(cell).__name__ in ("NAType", "NaTType"):
        return None
    try:
        return output_body(name, cell)
    except NormanError:
        return str(cell)


def invoke_body(result: InvokeResult, outputs: Mapping[str, JsonValue]) -> JsonValue:
    """Return a result in the manner of `norman_protocol.rest.InvokeAnswer`, with these outputs.

    Durations are seconds, and those that the client measured: ``total_s`` is the whole call.
    """
    timings = {f"{name}_s": duration_ms / 1e3 for name, duration_ms in result.timings.items()}
    return {
        "id": result.id,
        "reference": result.version,
        "outputs": dict(outputs),
        "timings": {**timings, "total_s": result.latency_ms / 1e3},
        "logs": result.logs,
    }


def output_body(name: str, output: Any) -> JsonValue:
    """Return one output as JSON, as REST gives it.

    Raises
    ------
    OutputInvalid
        JSON can't say it.

    Examples
    --------
    >>> output_body("scores", __import__("numpy").array([0.5], "float32"))
    {'dtype': 'float32', 'shape': [1], 'data': [0.5]}
    """
    value = object_to_value(output, name=name)
    if isinstance(output, Media):
        value = replace(value, encoding=output.encoding)
    return render_value(value)
