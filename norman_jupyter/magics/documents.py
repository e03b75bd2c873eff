"""What ``--json`` prints: the body of the REST answer that a command's value came from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from norman_jupyter.client.media import Media
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.previews.listings import FoundModels, ShownModel
from norman_protocol.arrays import object_to_value
from norman_protocol.decoding import JsonValue, encode
from norman_protocol.rendering import render_value
from norman_protocol.rest import ModelPage

__all__ = ["answer_body", "invoke_body", "json_document", "output_body"]

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
    return encode(value)


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
