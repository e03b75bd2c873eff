from __future__ import annotations

import pytest

from norman_protocol.media import Layout, Modality
from norman_protocol.signature import Parameter, Signature
from norman_protocol.translation import Translation
from norman_protocol.values import Value

PHOTO = Parameter(name="it", modality=Modality.IMAGE, encoding="png", layout=Layout())
FILE = Value(kind="bytes", buffer=b"x")
TEXT = Value(kind="text", buffer=b"x")
TENSOR = Value(kind="tensor", dtype="int8", shape=(1,), buffer=b"x")


def text(encoding: str | None) -> Parameter:
    return Parameter(name="it", modality=Modality.TEXT, encoding=encoding)


@pytest.mark.parametrize(
    ("parameter", "value", "decoded"),
    [
        (PHOTO, FILE, True),
        (PHOTO, TENSOR, False),
        (PHOTO, Value(kind="json", buffer=b' {"base64": ""}'), True),
        (PHOTO, Value(kind="json", buffer=b"[[1]]"), False),
        (Parameter(name="it", modality=Modality.IMAGE, encoding="png"), FILE, False),
        (Parameter(name="it", modality=Modality.FILE), FILE, False),
        *((text(name), FILE, True) for name in ("txt", "utf8", "utf16", "srt", "vtt", "ass")),
        (text(None), FILE, False),
        *((text(name), TEXT, False) for name in (None, "txt", "utf8", "utf16")),
        *((text(name), TEXT, True) for name in ("srt", "vtt", "ass")),
    ],
)
def test_files_and_subtitles_go_by_the_decoder(parameter, value, decoded):
    translation = Translation(Signature(inputs=(parameter,)))
    assert translation.to_decode({"it": value}) == ((parameter,) if decoded else ())


@pytest.mark.parametrize(
    ("parameter", "value", "encoded"),
    [
        (PHOTO, TENSOR, True),
        (PHOTO, FILE, False),
        *((text(name), TEXT, True) for name in ("utf16", "srt", "vtt", "ass")),
        *((text(name), TEXT, False) for name in (None, "txt", "utf8")),
    ],
)
def test_tensors_of_media_and_subtitles_go_by_the_encoder(parameter, value, encoded):
    translation = Translation(Signature(outputs=(parameter,)))
    assert translation.to_encode({"it": value}) == ((parameter,) if encoded else ())
