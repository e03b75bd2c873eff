from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
from media_files import image_file, sine, video_file, wave_file, wave_levels

from norman_codec.faults import MediaFault
from norman_codec.sounds import decode_sound, encode_sound
from norman_codec.videos import decode_video
from norman_protocol.media import Layout, MediaLimits, Modality, default_layout

LIMITS = MediaLimits()
SOUND = default_layout(Modality.AUDIO)
PCM = Layout(axes="TC", dtype="int16", low=-32_768, high=32_767)


def levels(count: int, channels: int, bits: int) -> np.ndarray:
    most = 1 << (bits - 1)
    random = np.random.default_rng(bits).integers(-most, most, (count, channels))
    random[:2] = [[-most], [most - 1]]
    return random


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_wav_comes_back_sample_by_sample(bits, channels, rate):
    given = levels(500, channels, bits)
    tensor, told = decode_sound(wave_file(given, rate, bits), SOUND, LIMITS)
    assert (tensor.dtype, tensor.shape, told) == (np.float32, (channels, 500), rate)
    assert np.array_equal(tensor.T.astype(np.float64), given / 2.0 ** (bits - 1))
    read, again, width = wave_levels(encode_sound(tensor, told, SOUND, "wav"))
    assert (again, width) == (rate, bits)
    assert np.array_equal(read, given)


@pytest.mark.parametrize("bits", [16, 24])
def test_gain_is_sample_accurate(bits):
    given = levels(500, 2, bits) // 4 * 2
    tensor, rate = decode_sound(wave_file(given, 8_000, bits), SOUND, LIMITS)
    for gain in (0.5, 1.5, 2.0):
        read, _, width = wave_levels(encode_sound(tensor * np.float32(gain), rate, SOUND, "wav"))
        most = 2.0 ** (width - 1)
        expected = (given * 2.0 ** (width - bits) * gain).clip(-most, most - 1)
        assert np.array_equal(read, expected)


def test_gain_that_16_bits_cannot_say_is_written_with_24():
    quiet = np.array([[1], [3], [-5]])
    tensor, rate = decode_sound(wave_file(quiet, 8_000), SOUND, LIMITS)
    read, _, bits = wave_levels(encode_sound(tensor / 2, rate, SOUND, "wav"))
    assert bits == 24
    assert np.array_equal(read, quiet * 128)


def test_whole_numbers_are_those_of_pcm():
    given = levels(100, 2, 16)
    tensor, rate = decode_sound(wave_file(given, 8_000), PCM, LIMITS)
    assert tensor.dtype == np.int16
    assert np.array_equal(tensor, given)
    assert np.array_equal(wave_levels(encode_sound(tensor, rate, PCM, "wav"))[0], given)


@pytest.mark.parametrize("bits", [8, 32])
def test_other_widths_of_pcm(bits):
    most = 1 << (bits - 1)
    signed = np.array([-most, -1, 0, most - 1])
    stored = signed + 128 if bits == 8 else signed
    content = wave_file(stored, 8_000, bits)
    layout = Layout(axes="CT", dtype="float64", low=-1, high=1)
    tensor, _ = decode_sound(content, layout, LIMITS)
    assert np.array_equal(tensor[0], signed / most)


def test_whole_numbers_of_32_bits_come_back():
    layout = Layout(axes="T", mono=True, dtype="int32", low=-(2**31), high=2**31 - 1)
    given = levels(100, 1, 32)
    tensor, rate = decode_sound(wave_file(given, 8_000, 32), layout, LIMITS)
    assert np.array_equal(tensor, given[:, 0])
    assert np.array_equal(wave_levels(encode_sound(tensor, rate, layout, "wav"))[0], given)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def wave_format(coding: int, channels: int, rate: int, bits: int) -> tuple[bytes, bytes]:
    align = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", coding, channels, rate, rate * align, align, bits)


def test_wav_of_floats_and_with_other_chunks():
    samples = np.array([0.25, -1.5, 0.0], "<f4")
    content = riff(
        (b"LIST", b"odd"), wave_format(3, 1, 22_050, 32), (b"fact", bytes(4)),
        (b"data", samples.tobytes()),
    )  # fmt: skip
    tensor, rate = decode_sound(content, SOUND, LIMITS)
    assert rate == 22_050
    assert np.array_equal(tensor[0], samples)


def test_wav_with_the_extensible_header():
    given = levels(10, 2, 24)
    plain = wave_file(given, 48_000, 24)
    form = struct.pack("<HHIIHH", 0xFFFE, 2, 48_000, 288_000, 6, 24)
    form += struct.pack("<HHIH14s", 22, 24, 3, 1, b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    tensor, _ = decode_sound(riff((b"fmt ", form), (b"data", plain[44:])), SOUND, LIMITS)
    assert np.array_equal(tensor, decode_sound(plain, SOUND, LIMITS)[0])


def test_wav_of_a_program_that_did_not_know_its_length():
    given = levels(10, 1, 16)
    content = bytearray(wave_file(given, 8_000))
    for size in (0xFFFFFFFF, 0):
        content[40:44] = struct.pack("<I", size)
        tensor, _ = decode_sound(bytes(content), SOUND, LIMITS)
        assert np.array_equal(tensor[0] * 32_768, given[:, 0])


def test_wav_of_mu_law_is_read_too():
    content = riff(wave_format(7, 1, 8_000, 8), (b"data", bytes([0xFF, 0x00, 0x80])))
    tensor, rate = decode_sound(content, SOUND, LIMITS)
    assert rate == 8_000
    assert tensor[0] * 32_768 == pytest.approx([0, -32_124, 32_124])


def test_stereo_becomes_mono_by_its_mean():
    content = wave_file(np.array([[100, 300], [-50, -51]]), 8_000)
    tensor, _ = decode_sound(content, Layout(axes="NT", mono=True, low=-1, high=1), LIMITS)
    assert (tensor * 32_768).tolist() == [[200, -50.5]]


def test_range():
    content = wave_file(np.array([-32_768, 0, 16_384]), 8_000)
    layout = Layout(axes="CT", low=0, high=1)
    tensor, rate = decode_sound(content, layout, LIMITS)
    assert tensor.tolist() == [[0, 0.5, 0.75]]
    assert encode_sound(tensor, rate, layout, "wav") == content


def test_output_is_clamped():
    loud = np.array([[-9.0, 9.0, np.inf]], np.float32)
    read, _, bits = wave_levels(encode_sound(loud, 8_000, SOUND, "wav"))
    assert bits == 16
    assert read[:, 0].tolist() == [-32_768, 32_767, 32_767]


@pytest.mark.parametrize(("rate", "target"), [(44_100, 16_000), (8_000, 48_000), (48_000, 44_100)])
def test_resampled_sound_is_the_same_sound(rate, target):
    content = wave_file(np.rint(sine(440, 0.5, rate) * 32_767).astype(int), rate)
    tensor, told = decode_sound(
        content, Layout(axes="T", mono=True, low=-1, high=1, sample_rate=target), LIMITS
    )
    assert told == target
    assert len(tensor) == target // 2
    # The ends are where a filter sees silence beside the sound.
    middle = slice(target // 20, -target // 20)
    assert np.abs(tensor - sine(440, 0.5, target))[middle].max() < 2e-3


@pytest.mark.parametrize("encoding", ["flac", "mp3", "aac", "ac3", "opus", "vorbis"])
@pytest.mark.parametrize("channels", [1, 2])
def test_encodings_bring_back_the_sound(encoding, channels):
    given = np.stack([sine(440 * (place + 1), 1.0, 48_000) for place in range(channels)])
    content = encode_sound(given, 48_000, SOUND, encoding)
    tensor, rate = decode_sound(content, SOUND, LIMITS)
    assert rate == 48_000
    assert len(tensor) == channels
    # Raw AAC and AC-3 can't tell how much their encoder put before the sound.
    delay = {"aac": 1024, "ac3": 256}.get(encoding, 0)
    if encoding in ("flac", "mp3", "opus"):
        assert tensor.shape[1] == given.shape[1]
    if encoding == "vorbis":  # FFmpeg may leave its last half block undecoded
        assert 0 <= given.shape[1] - tensor.shape[1] <= 128
    for channel in range(channels):
        heard = tensor[channel, delay + 4_000 : delay + 40_000]
        assert np.abs(heard - given[channel, 4_000:40_000]).max() < 0.08


@pytest.mark.parametrize("bits", [16, 24])
def test_flac_is_exact(bits):
    given = levels(9_000, 2, bits)
    tensor, rate = decode_sound(wave_file(given, 44_100, bits), SOUND, LIMITS)
    again, told = decode_sound(encode_sound(tensor, rate, SOUND, "flac"), SOUND, LIMITS)
    assert told == rate
    assert np.array_equal(again, tensor)


def test_rate_that_an_encoding_does_not_know_becomes_the_next_higher():
    content = encode_sound(sine(440, 0.2, 22_050)[np.newaxis], 22_050, SOUND, "opus")
    tensor, _ = decode_sound(content, SOUND, LIMITS)
    assert tensor.shape[1] == pytest.approx(9_600, abs=1)


def test_sound_of_a_video():
    frames = np.zeros((5, 16, 16, 3), np.uint8)
    given = sine(440, 0.5)
    tensor, rate = decode_sound(video_file(frames, sound=given), SOUND, LIMITS)
    assert rate == 44_100
    # AAC works in blocks of 1,024; MP4 tells of those before the sound.
    assert 0 <= tensor.shape[1] - len(given) < 1024
    assert np.abs(tensor[0, 2_000:20_000] - given[2_000:20_000]).max() < 0.05


def surround(channels: int) -> tuple[np.ndarray, bytes]:
    """Return eight channels (or more) of another height each, and a Matroska of them as AAC."""
    given = np.stack([sine(440, 0.2, 48_000) * (place + 1) / 16 for place in range(channels)])
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=48_000, layout="7.1")
        stream.bit_rate = 768_000
        block = np.ascontiguousarray(given.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="7.1")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return given, target.getvalue()


def test_eight_channels_are_read_where_they_lie():
    given, content = surround(8)
    tensor, _ = decode_sound(content, SOUND, LIMITS)
    assert len(tensor) == 8
    heights = np.abs(tensor[:, 2_000:8_000]).max(axis=1)
    # The fourth is for low notes alone, and comes through a filter.
    others = [0, 1, 2, 4, 5, 6, 7]
    assert heights[others] == pytest.approx(np.abs(given).max(axis=1)[others], abs=0.05)


def with_cover(sound: bytes) -> bytes:
    """Put a picture before an MP3, as players show it (ID3 2.3, frame APIC)."""
    picture = image_file(np.zeros((4, 4, 3), np.uint8))
    frame = b"\0image/png\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">I", len(frame)) + b"\0\0" + frame
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + sound[sound.index(b"\xff\xfb") :]


def test_cover_picture_is_no_video():
    content = with_cover(encode_sound(sine(440, 0.2)[np.newaxis], 44_100, SOUND, "mp3"))
    assert decode_sound(content, SOUND, LIMITS)[0].shape == (1, 8_820)
    with pytest.raises(MediaFault, match=r"audio \(mp3\) and a cover picture only"):
        decode_video(content, default_layout(Modality.VIDEO), LIMITS)


# Wrong input


def test_sound_of_no_samples_is_refused():
    with pytest.raises(MediaFault, match="holds no samples: it lasts 0 s"):
        decode_sound(wave_file(np.zeros((0, 1), int), 8_000), SOUND, LIMITS)


def test_flac_of_no_samples_is_refused():
    content = encode_sound(np.zeros((1, 10), np.float32), 8_000, SOUND, "flac")
    head = bytearray(content[: content.rindex(b"\xff\xf8")])
    with pytest.raises(MediaFault, match=r"holds no samples|cut off or damaged"):
        decode_sound(bytes(head), SOUND, LIMITS)


def test_wav_that_is_cut_off_is_refused():
    content = wave_file(levels(100, 2, 16), 8_000)
    with pytest.raises(MediaFault, match=r"takes? 400 bytes, and 390 are there"):
        decode_sound(content[:-10], SOUND, LIMITS)
    with pytest.raises(MediaFault, match="is cut off before them"):
        decode_sound(content[:36], SOUND, LIMITS)


@pytest.mark.parametrize(("channels", "rate", "bits"), [(0, 8_000, 16), (1, 0, 16), (1, 8_000, 24)])
def test_wav_that_contradicts_itself_is_refused(channels, rate, bits):
    name, data = wave_format(1, channels, rate, bits)
    if bits == 24:
        data = data[:12] + struct.pack("<H", 2) + data[14:]
    with pytest.raises(MediaFault, match="is a damaged WAV"):
        decode_sound(riff((name, data), (b"data", bytes(60))), SOUND, LIMITS)


def test_wav_of_floats_that_are_no_numbers_is_refused():
    content = riff(wave_format(3, 1, 8_000, 32), (b"data", struct.pack("<f", float("nan"))))
    with pytest.raises(MediaFault, match="no numbers"):
        decode_sound(content, SOUND, LIMITS)


def test_length_is_limited_before_memory_is_taken():
    content = wave_file(np.zeros((16_000, 1), int), 8_000)
    with pytest.raises(MediaFault, match=r"lasts 2\.0 s; 1 s are allowed"):
        decode_sound(content, SOUND, MediaLimits(seconds=1))
    with pytest.raises(MediaFault, match="MiB are allowed"):
        decode_sound(content, SOUND, MediaLimits(decoded_bytes=100_000))
    packed = encode_sound(np.zeros((1, 16_000), np.float32), 8_000, SOUND, "flac")
    with pytest.raises(MediaFault, match=r"lasts 2\.0 s"):
        decode_sound(packed, SOUND, MediaLimits(seconds=1))
    with pytest.raises(MediaFault, match="MiB are allowed"):
        decode_sound(packed, SOUND, MediaLimits(decoded_bytes=100_000))


def test_resampling_far_up_is_limited_before_memory_is_taken():
    content = wave_file(np.zeros((500, 1), int), 1)
    layout = Layout(axes="T", mono=True, low=-1, high=1, sample_rate=768_000)
    with pytest.raises(MediaFault, match="MiB are allowed"):
        decode_sound(content, layout, LIMITS)


def test_video_without_sound_says_what_it_holds():
    content = video_file(np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(MediaFault, match=r"has no sound: in it is video \(h264\) only"):
        decode_sound(content, SOUND, LIMITS)


def test_what_is_no_sound_is_called_what_it_is():
    with pytest.raises(MediaFault, match="is text, not a WAV"):
        decode_sound(b"la la la", SOUND, LIMITS)


def test_lists_of_files_and_addresses_are_never_followed(tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wave_file(levels(100, 1, 16), 8_000))
    for content in (
        f"ffconcat version 1.0\nfile {secret}\n".encode(),
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n".encode(),
    ):
        with pytest.raises(MediaFault, match="is text"):
            decode_sound(content, SOUND, LIMITS)


@pytest.mark.parametrize(
    ("tensor", "rate", "encoding", "message"),
    [
        (np.zeros((1, 0), np.float32), 8_000, "wav", "is empty"),
        (np.full((1, 2), np.nan, np.float32), 8_000, "wav", "holds NaN"),
        (np.zeros((1, 2), np.int16), 8_000, "wav", "gave int16"),
        (np.zeros(2, np.float32), 8_000, "wav", r"gave \[2\]"),
        (np.zeros((1, 2), np.float32), 0, "wav", "0 samples per second"),
        (np.zeros((800, 2), np.float32), 8_000, "wav", "the other way round"),
        (np.zeros((6, 100), np.float32), 8_000, "mp3", "6 channels, and mp3 holds 2"),
    ],
)
def test_output_that_is_no_sound_is_refused(tensor, rate, encoding, message):
    with pytest.raises(MediaFault, match=message):
        encode_sound(tensor, rate, SOUND, encoding)
