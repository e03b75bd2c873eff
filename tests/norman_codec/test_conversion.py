from __future__ import annotations

import base64
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from media_files import image_file, sine, video_file, wave_file, wave_levels
from PIL import Image

from norman_codec.conversion import decode, encode
from norman_protocol.arrays import object_to_value, value_to_array, value_to_object
from norman_protocol.errors import InputInvalid, OutputInvalid
from norman_protocol.media import Layout, MediaLimits, Modality, default_layout
from norman_protocol.signature import Parameter, Signature, check_inputs, model_signature
from norman_protocol.values import Value

LIMITS = MediaLimits()
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
PHOTO = Parameter(
    name="Photo", modality=Modality.IMAGE, encoding="png", layout=Layout(), parameter="x"
)
SOUND = Parameter(
    name="Sound",
    modality=Modality.AUDIO,
    encoding="wav",
    layout=default_layout(Modality.AUDIO),
    parameter="samples",
    rate_parameter="rate",
)
VIDEO = Parameter(
    name="Film",
    modality=Modality.VIDEO,
    encoding="mp4",
    layout=default_layout(Modality.VIDEO),
    parameter="frames",
    rate_parameter="fps",
)
SUBTITLES = Parameter(name="Lines", modality=Modality.TEXT, encoding="srt", parameter="text")


def file(content: bytes, name: str | None = None, encoding: str | None = None) -> Value:
    return Value(kind="bytes", file_name=name, encoding=encoding, buffer=content)


def json_value(content: object) -> Value:
    return Value(kind="json", buffer=json.dumps(content).encode())


def refusal(parameter: Parameter, value: Value) -> InputInvalid:
    with pytest.raises(InputInvalid) as caught:
        decode([parameter], {parameter.name: value}, LIMITS)
    assert caught.value.input == parameter.name
    return caught.value


def test_files_become_tensors_by_the_names_of_the_model():
    values = decode(
        [PHOTO, SOUND, VIDEO, SUBTITLES],
        {
            "Photo": file(image_file(PIXELS)),
            "Sound": file(wave_file(np.array([1, 2, 3]), 8_000)),
            "Film": file(video_file(np.zeros((2, 16, 16, 3), np.uint8))),
            "Lines": file(b"1\n00:00:01,000 --> 00:00:02,000\nHi\n"),
        },
        LIMITS,
    )
    assert list(values) == ["x", "samples", "rate", "frames", "fps", "text"]
    assert (values["x"].dtype, values["x"].shape) == ("float32", (1, 3, 2, 3))
    assert value_to_object(values["rate"]) == 8_000
    assert values["frames"].shape == (2, 3, 16, 16)
    assert value_to_object(values["fps"]) == 25.0
    assert values["text"].kind == "text"
    inputs = Signature(inputs=(PHOTO, SOUND, VIDEO, SUBTITLES))
    check_inputs(model_signature(inputs), values)


def test_without_a_name_of_its_own_the_title_is_the_models_name():
    parameter = Parameter(name="Photo", modality=Modality.IMAGE, layout=Layout())
    assert list(decode([parameter], {"Photo": file(image_file(PIXELS))}, LIMITS)) == ["Photo"]


def test_inputs_that_are_left_out_stay_out():
    assert decode([PHOTO, SOUND], {}, LIMITS) == {}


def test_content_decides_and_not_the_name_or_the_declared_encoding():
    value = file(image_file(PIXELS, "WEBP", lossless=True), "photo.png", "png")
    tensor = value_to_array(decode([PHOTO], {"Photo": value}, LIMITS)["x"])
    assert np.array_equal(np.rint(tensor[0] * 255), PIXELS.transpose(2, 0, 1))


def test_tensors_and_lists_pass_as_they_are():
    tensor = object_to_value(np.zeros((1, 3, 2, 2), np.float32))
    nested = json_value([[[[0.0]]]])
    assert decode([PHOTO], {"Photo": tensor}, LIMITS) == {"x": tensor}
    assert decode([PHOTO], {"Photo": nested}, LIMITS) == {"x": nested}


def test_tensor_of_a_sound_has_its_declared_rate_beside_it():
    layout = Layout(axes="T", mono=True, low=-1, high=1, sample_rate=16_000)
    parameter = Parameter(
        name="Sound", modality=Modality.AUDIO, layout=layout, parameter="x", rate_parameter="rate"
    )
    values = decode([parameter], {"Sound": object_to_value(sine(440, 0.1))}, LIMITS)
    assert value_to_object(values["rate"]) == 16_000


def test_base64_in_json_is_a_file():
    text = base64.b64encode(image_file(PIXELS)).decode()
    for content in ({"base64": text}, {"base64": text, "file_name": "a.png"}):
        assert decode([PHOTO], {"Photo": json_value(content)}, LIMITS)["x"].shape == (1, 3, 2, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (json_value({"base64": "?"}), "is no base64"),
        (json_value({"file": "x"}), "not a file. Send bytes, a Path"),
        (json_value("photo.png"), "not a file"),
        (json_value(None), "not a file"),
        (Value(kind="text", buffer=b"photo.png"), r"is text \(9 B\), not a file"),
        (Value(kind="json", buffer=b"{"), "JSON"),
    ],
)
def test_values_that_are_no_file_say_what_to_send(value, message):
    error = refusal(PHOTO, value)
    assert error.message.startswith("Input 'Photo':")
    with pytest.raises(InputInvalid, match=message):
        raise error


def test_text_file_named_png_is_called_what_it_is():
    error = refusal(PHOTO, file(b"Dear Sir or Madam", "photo.png"))
    assert error.message == (
        "Input 'Photo': 'photo.png' is text, not a PNG, JPEG or WebP image. "
        "Convert it to one of them."
    )
    assert (error.expected, error.received) == ("image (png)", "text")


def test_fault_names_the_input_the_file_and_the_next_step():
    error = refusal(SOUND, file(wave_file(np.zeros(0, int), 8_000), "empty.wav"))
    assert error.message == (
        "Input 'Sound': 'empty.wav' holds no samples: it lasts 0 s. Send a sound."
    )


def test_text_of_another_encoding_is_named_by_its_bad_byte():
    error = refusal(
        Parameter(name="Notes", modality=Modality.TEXT, encoding="utf8"), file(b"Gr\xfc\xdfe")
    )
    assert "the bytes from 2 on (fc df 65)" in error.message


def test_what_the_sender_says_of_a_text_counts():
    value = file("hi".encode("utf-16-le"), encoding="utf16")
    parameter = Parameter(name="Notes", modality=Modality.TEXT, encoding="utf8")
    assert value_to_object(decode([parameter], {"Notes": value}, LIMITS)["Notes"]) == "hi"


def test_subtitles_that_are_typed_are_checked_like_files():
    with pytest.raises(InputInvalid, match="Input 'Lines': the value is no SRT"):
        decode([SUBTITLES], {"Lines": object_to_value("Hello")}, LIMITS)


def test_typed_text_is_itself_whatever_its_files_are():
    parameter = Parameter(name="Notes", modality=Modality.TEXT, encoding="utf16")
    value = object_to_value("Grüße")
    assert decode([parameter], {"Notes": value}, LIMITS) == {"Notes": value}


def test_null_passes_where_it_may_be_sent():
    parameter = Parameter(
        name="Photo", modality=Modality.IMAGE, layout=Layout(), nullable=True, required=False
    )
    assert decode([parameter], {"Photo": json_value(None)}, LIMITS) == {"Photo": json_value(None)}


def test_values_without_layout_or_encoding_stay_as_they_are():
    parameters = [
        Parameter(name="a", modality=Modality.FILE, parameter="own"),
        Parameter(name="b", modality=Modality.IMAGE, encoding="png"),
        Parameter(name="c", modality=Modality.INTEGER, encoding="integer"),
        Parameter(name="d", modality=Modality.TEXT),
    ]
    values = {name: file(b"\xff") for name in "abd"} | {"c": json_value(3)}
    assert decode(parameters, values, LIMITS) == {
        "own": values["a"],
        **{name: values[name] for name in "bcd"},
    }


def test_value_without_a_parameter_is_refused_with_the_nearest():
    with pytest.raises(InputInvalid, match="no input 'Foto'") as caught:
        decode([PHOTO], {"Foto": file(b"")}, LIMITS)
    assert caught.value.nearest == ["Photo"]


def test_image_goes_out_with_its_encoding():
    tensor = object_to_value(np.zeros((1, 3, 2, 2), np.float32))
    for encoding in ("png", "jpeg", "webp"):
        parameter = Parameter(
            name="Mirrored", modality=Modality.IMAGE, encoding=encoding, layout=Layout(),
            parameter="y",
        )  # fmt: skip
        values = encode([parameter], {"y": tensor}, LIMITS)
        assert list(values) == ["Mirrored"]
        assert (values["Mirrored"].kind, values["Mirrored"].encoding) == ("bytes", encoding)
        assert Image.open(io.BytesIO(values["Mirrored"].buffer)).format == encoding.upper()


def test_output_without_an_encoding_gets_that_of_its_modality():
    tensor = object_to_value(np.zeros((1, 3, 2, 2), np.float32))
    parameter = Parameter(name="y", modality=Modality.IMAGE, layout=Layout())
    assert encode([parameter], {"y": tensor}, LIMITS)["y"].encoding == "png"


@pytest.mark.parametrize(
    "rate",
    [
        json_value(8_000),
        json_value(8_000.0),
        object_to_value(np.int64(8_000)),
        object_to_value(np.array([8_000], np.float32)),
    ],
)
def test_rate_that_the_model_gives_is_that_of_the_file(rate):
    samples = object_to_value(np.zeros((1, 4), np.float32))
    values = encode([SOUND], {"samples": samples, "rate": rate}, LIMITS)
    assert list(values) == ["Sound"]
    assert wave_levels(values["Sound"].buffer)[1] == 8_000


def test_declared_rate_is_that_of_the_file():
    layout = Layout(axes="T", mono=True, low=-1, high=1, sample_rate=16_000)
    parameter = Parameter(name="y", modality=Modality.AUDIO, layout=layout)
    values = encode([parameter], {"y": object_to_value(sine(440, 0.1))}, LIMITS)
    assert wave_levels(values["y"].buffer)[1] == 16_000


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (None, "has no rate: declare sample_rate in its layout, or rate_parameter"),
        (json_value("fast"), "for a rate, which is no single number"),
        (json_value({}), "for a rate, which is no number"),
        (json_value(None), "for a rate, which is no number"),
        (json_value([8_000]), "no single number"),
        (object_to_value(np.zeros(3)), "no single number"),
        (object_to_value(np.float64("nan")), "has nan for a rate"),
        (json_value(0), "0 samples per second"),
    ],
)
def test_rate_that_is_none_is_refused(rate, message):
    values = {"samples": object_to_value(np.zeros((1, 4), np.float32))}
    if rate is not None:
        values["rate"] = rate
    with pytest.raises(OutputInvalid, match=message) as caught:
        encode([SOUND], values, LIMITS)
    assert caught.value.output == "Sound"


def test_model_may_write_its_files_itself_and_outputs_nobody_declared_pass():
    values = {"y": file(b"\x89PNG"), "more": json_value(1)}
    parameter = Parameter(name="Mirrored", modality=Modality.IMAGE, layout=Layout(), parameter="y")
    assert encode([parameter], values, LIMITS) == {"Mirrored": values["y"], "more": values["more"]}


def test_output_that_is_no_tensor_is_refused():
    with pytest.raises(OutputInvalid, match=r"Output 'Photo' is to be a tensor, .*json"):
        encode([PHOTO], {"x": json_value([1])}, LIMITS)


def test_output_of_too_many_bytes_is_refused():
    tensor = object_to_value(np.zeros((1, 3, 100, 100), np.float32))
    with pytest.raises(OutputInvalid, match="MiB are allowed"):
        encode([PHOTO], {"x": tensor}, MediaLimits(decoded_bytes=1_000))


def test_text_goes_out_in_its_encoding():
    parameters = [
        Parameter(name="wide", modality=Modality.TEXT, encoding="utf16"),
        Parameter(name="plain", modality=Modality.TEXT, encoding="txt"),
        Parameter(name="free", modality=Modality.TEXT),
    ]
    values = {name: object_to_value("Grüße") for name in ("wide", "plain", "free")}
    encoded = encode(parameters, values, LIMITS)
    assert (encoded["wide"].kind, encoded["wide"].encoding) == ("bytes", "utf16")
    assert bytes(encoded["wide"].buffer).decode("utf-16") == "Grüße"
    assert (encoded["plain"].kind, encoded["plain"].encoding) == ("text", "txt")
    assert encoded["free"] == values["free"]


def test_subtitles_that_break_their_rules_are_the_models_fault():
    with pytest.raises(OutputInvalid, match="Output 'Lines' is no SRT"):
        encode([SUBTITLES], {"text": object_to_value("Hello")}, LIMITS)


def test_sound_of_an_mp4_goes_out_as_wav():
    content = video_file(np.zeros((5, 16, 16, 3), np.uint8), sound=sine(440, 0.2))
    values = encode([SOUND], decode([SOUND], {"Sound": file(content, "film.mp4")}, LIMITS), LIMITS)
    levels, rate, _ = wave_levels(values["Sound"].buffer)
    assert rate == 44_100
    assert np.abs(levels).max() > 0


WITHOUT_AV = """
import sys
sys.modules["av"] = None
import io
import numpy as np
from PIL import Image
from norman_codec.conversion import decode, encode
from norman_protocol.errors import RuntimeMissing
from norman_protocol.media import *
from norman_protocol.signature import Parameter
from norman_protocol.values import Value

sound = Parameter(name="s", modality=Modality.AUDIO, layout=default_layout(Modality.AUDIO),
                  rate_parameter="r")
target = io.BytesIO()
Image.new("RGB", (2, 2)).save(target, "PNG")
photo = Parameter(name="p", modality=Modality.IMAGE, layout=Layout())
print(list(decode([photo], {"p": Value(kind="bytes", buffer=target.getvalue())}, MediaLimits())))
samples = Value(kind="tensor", dtype="float32", shape=(1, 2), buffer=bytes(8))
rate = Value(kind="json", buffer=b"8000")
wav = encode([sound], {"s": samples, "r": rate}, MediaLimits())
print(list(decode([sound], wav, MediaLimits())))
try:
    decode([sound], {"s": Value(kind="bytes", buffer=b"fLaC" + bytes(40))}, MediaLimits())
except RuntimeMissing as error:
    print(error.package, error.message)
"""


def test_without_pyav_images_and_wav_work_and_the_rest_says_what_to_install():
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_AV], capture_output=True, text=True, timeout=60, check=True
    )
    photo, sound, missing = finished.stdout.splitlines()
    assert (photo, sound) == ("['p']", "['s', 'r']")
    assert missing.startswith("av Sound other than WAV, and video, need the package av in ")
    assert missing.endswith('pip install "norman-jupyter[media]"')
