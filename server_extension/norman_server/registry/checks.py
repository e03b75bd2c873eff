"""Checks of a request to publish, before anything is written."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Final

from norman_bundle.formats import Format
from norman_protocol.declaration import Declaration
from norman_protocol.decoding import JsonValue, dump_json, encode
from norman_protocol.errors import RequestInvalid
from norman_protocol.rest import EditRequest, PublishRequest

__all__ = ["check_edit", "check_texts", "check_why", "version_identity"]

_LABEL_CHARACTERS: Final = 200
_DESCRIPTION_CHARACTERS: Final = 20_000
_LONG_DESCRIPTION_CHARACTERS: Final = 200_000
_WHY_CHARACTERS: Final = 2_000
_TAGS: Final = 50
_TAG_CHARACTERS: Final = 100
_ORIGIN_CHARACTERS: Final = 10_000
_CELL_CHARACTERS: Final = 1_000_000


def check_texts(request: PublishRequest) -> None:
    """Check label, description, tags and origin: of bounded length, and text that can be stored.

    Raises
    ------
    RequestInvalid
        One isn't; ``field`` names it.
    """
    _check_text("label", request.label, _LABEL_CHARACTERS)
    _check_text("description", request.description, _DESCRIPTION_CHARACTERS)
    _check_text("long_description", request.long_description, _LONG_DESCRIPTION_CHARACTERS)
    _check_tags(request.tags)
    for field in dataclasses.fields(request.origin):
        value = getattr(request.origin, field.name)
        limit = _CELL_CHARACTERS if field.name == "cell_source" else _ORIGIN_CHARACTERS
        if isinstance(value, str):
            _check_text(f"origin.{field.name}", value, limit)


def check_edit(request: EditRequest) -> None:
    """Check the texts that shall be said of a version, as those of an upload are.

    Raises
    ------
    RequestInvalid
        One isn't text of bounded length, or nothing is to be changed; ``field`` names it.
    """
    if request == EditRequest():
        raise RequestInvalid(
            "Nothing is to be changed: give a label, description, long_description or tags."
        )
    _check_text("label", request.label, _LABEL_CHARACTERS)
    _check_text("description", request.description, _DESCRIPTION_CHARACTERS)
    _check_text("long_description", request.long_description, _LONG_DESCRIPTION_CHARACTERS)
    _check_tags(request.tags or ())


def check_why(why: str | None) -> str:
    """Check the reason of a change, and return it without what surrounds it.

    Raises
    ------
    RequestInvalid
        It isn't text of bounded length.
    """
    _check_text("why", why, _WHY_CHARACTERS)
    return (why or "").strip()


def _check_tags(tags: Sequence[str]) -> None:
    if len(tags) > _TAGS:
        raise RequestInvalid(f"A version has at most {_TAGS} tags, not {len(tags)}.", field="tags")
    for index, tag in enumerate(tags):
        if not tag.strip():
            raise RequestInvalid("A tag is empty. Leave it out.", field=f"tags[{index}]")
        _check_text(f"tags[{index}]", tag, _TAG_CHARACTERS)


def _check_text(place: str, text: str | None, limit: int) -> None:
    if text is None:
        return
    if len(text) > limit:
        raise RequestInvalid(
            f"{place} has {len(text)} characters, more than the {limit} allowed.", field=place
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestInvalid(f"{place} holds lone surrogates: not text.", field=place) from None
    if "\0" in text:
        raise RequestInvalid(f"{place} holds a NUL character.", field=place)


def version_identity(
    bundle_digest: str,
    format: Format,  # noqa: A002 - the word
    interpreter: str | None,
    declaration: Declaration | None = None,
) -> str:
    """Return what tells versions of one model apart: the same bundle and settings are the same.

    Examples
    --------
    >>> onnx = Format(runtime="onnx", entry="model.onnx", runs_code=False)
    >>> version_identity("0" * 64, onnx, None) == version_identity("1" * 64, onnx, None)
    False
    """
    facts: dict[str, JsonValue] = {
        "bundle": bundle_digest,
        "entry": format.entry,
        "interpreter": interpreter,
        "runtime": format.runtime,
    }
    if declaration is not None:
        facts["declaration"] = encode(declaration)
    return hashlib.sha256(dump_json(facts)).hexdigest()
