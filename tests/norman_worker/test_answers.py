from __future__ import annotations

import pytest

from norman_protocol.errors import LoadFailed, OutputInvalid
from norman_protocol.frames import FrameLimits, decode_frame
from norman_protocol.messages import Loaded, Prediction, decode_message
from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.values import Value
from norman_worker.answers import encode_answer

SMALL = FrameLimits(header_bytes=300, body_bytes=1_000, buffers=3)


def text(size_bytes: int) -> Value:
    return Value(kind="text", buffer=b"x" * size_bytes)


def test_answer_within_the_limits_is_encoded():
    answer = Prediction(id="1", model_s=0.0, values={"a": text(100), "b": text(0)})
    data = b"".join(encode_answer(answer, SMALL))
    assert decode_message(decode_frame(data)) == Prediction(
        id="1", model_s=0.0, values={"a": text(100), "b": text(0)}
    )


def test_answer_with_too_large_a_body_names_the_output():
    answer = Prediction(id="1", model_s=0.0, values={"a": text(10), "big": text(990)})
    with pytest.raises(OutputInvalid, match="'big'") as caught:
        encode_answer(answer, SMALL)
    assert caught.value.output == "big"


def test_answer_with_too_many_outputs_is_refused():
    answer = Prediction(id="1", model_s=0.0, values={str(i): text(0) for i in range(4)})
    with pytest.raises(OutputInvalid, match="4 outputs"):
        encode_answer(answer, SMALL)


def test_answer_with_too_large_a_header_is_refused():
    answer = Prediction(id="1", model_s=0.0, values={"n" * 300: text(0)})
    with pytest.raises(OutputInvalid, match="300 are allowed"):
        encode_answer(answer, SMALL)


def test_signature_with_too_large_a_header_is_refused():
    inputs = tuple(Parameter(name=f"input{i}", modality=Modality.TEXT) for i in range(9))
    with pytest.raises(LoadFailed, match="300 are allowed"):
        encode_answer(Loaded(id="1", signature=Signature(inputs=inputs), load_s=0.0), SMALL)
