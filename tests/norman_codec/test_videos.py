from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from media_files import sine, video_file, wave_file

from norman_codec.faults import MediaFault
from norman_codec.videos import decode_video, encode_video
from norman_protocol.media import Layout, MediaLimits, Modality, default_layout

LIMITS = MediaLimits()
VIDEO = default_layout(Modality.VIDEO)
BYTES = Layout(dtype="uint8", axes="THWC", low=0, high=255)
ENCODINGS = ["mp4", "mov", "avi", "matroska", "webm", "ogg"]


def ramps(count: int = 10, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames that are easy to compress, each of another brightness: (T, H, W, C)."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = [
        np.stack([columns * 3 + place * 8, rows * 5, np.full_like(rows, place * 20)], axis=-1)
        for place in range(count)
    ]
    return np.stack(frames).clip(0, 255).astype(np.uint8)


def difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left.astype(np.float64) - right).mean())


def test_frames_of_an_mp4_are_inverted():
    given = ramps()
    tensor, rate = decode_video(video_file(given, rate=Fraction(30_000, 1001)), VIDEO, LIMITS)
    assert (tensor.dtype, tensor.shape) == (np.float32, (10, 3, 32, 48))
    assert rate == pytest.approx(30_000 / 1001)
    assert difference(tensor.transpose(0, 2, 3, 1) * 255, given) < 4

    inverted = encode_video(1 - tensor, rate, VIDEO, "mp4")
    again, told = decode_video(inverted, BYTES, LIMITS)
    assert told == pytest.approx(rate)
    assert difference(again, 255 - given) < 6


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [(32, 48), (31, 47), (1, 1)])
def test_every_container_brings_back_frames_and_rate(encoding, size):
    given = ramps(8, *size)
    again, rate = decode_video(encode_video(given, 12.5, BYTES, encoding), BYTES, LIMITS)
    assert rate == pytest.approx(12.5)
    height, width = (side + side % 2 for side in size)
    assert again.shape == (8, height, width, 3)
    assert difference(again[:, : size[0], : size[1]], given) < 6


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_colours_are_those_of_the_model_and_their_standard_is_told(encoding):
    given = np.broadcast_to(np.array([200, 50, 0], np.uint8), (3, 64, 64, 3))
    content = encode_video(given, 25, BYTES, encoding)
    assert np.abs(decode_video(content, BYTES, LIMITS)[0].astype(int) - given).max() < 6
    with av.open(io.BytesIO(content)) as container:
        # 1 is BT.709, 2 is unknown: then BT.601 is meant.
        told = next(container.decode(video=0)).colorspace
    assert told == (2 if encoding in ("avi", "ogg") else 1) or (encoding, told) == ("ogg", 5)


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("mp4", "h264"), ("mov", "h264"), ("matroska", "h264"), ("avi", "mpeg4"), ("webm", "vp9")],
)
def test_codecs_are_those_that_players_know(encoding, codec):
    with av.open(io.BytesIO(encode_video(ramps(2), 25, BYTES, encoding))) as container:
        stream = container.streams.video[0]
        assert av.codec.Codec(stream.codec_context.name).canonical_name == codec
        assert stream.codec_context.pix_fmt == "yuv420p"


def test_grey_and_alpha():
    grey = Layout(dtype="uint8", axes="THW", channels="L", low=0, high=255)
    given = ramps()[..., 0]
    again, _ = decode_video(encode_video(given, 25, grey, "mp4"), grey, LIMITS)
    assert difference(again, given) < 4

    alpha = Layout(dtype="uint8", axes="THWC", channels="RGBA", low=0, high=255)
    clear = np.zeros((2, 16, 16, 4), np.uint8)
    again, _ = decode_video(encode_video(clear, 25, alpha, "mp4"), alpha, LIMITS)
    assert again.min() > 250


def test_frames_are_resized():
    layout = Layout(axes="NTCHW", height=8, width=8, resize="cover")
    tensor, _ = decode_video(video_file(ramps()), layout, LIMITS)
    assert tensor.shape == (1, 10, 3, 8, 8)
    with pytest.raises(MediaFault, match="48 by 32 pixels, and the model takes 8 by 8"):
        decode_video(video_file(ramps()), Layout(axes="TCHW", height=8, width=8), LIMITS)


def brightness(tensor: np.ndarray) -> list[int]:
    """Return which of `ramps` each frame is, by its blue."""
    return [round(float(level) / 20) for level in tensor[..., 2].mean(axis=(1, 2))]


def test_lower_frame_rate_leaves_frames_out():
    layout = Layout(dtype="uint8", axes="THWC", low=0, high=255, frame_rate=5)
    tensor, rate = decode_video(video_file(ramps(), rate=10), layout, LIMITS)
    assert rate == 5
    assert brightness(tensor) == [0, 2, 4, 6, 8]


def test_higher_frame_rate_shows_frames_again():
    layout = Layout(dtype="uint8", axes="THWC", low=0, high=255, frame_rate=20)
    tensor, _ = decode_video(video_file(ramps(3), rate=10), layout, LIMITS)
    assert brightness(tensor) == [0, 0, 1, 1, 2, 2]


def test_frames_that_are_shown_for_unequal_times_become_equal():
    content = video_file(ramps(3), rate=10, times=[0, 1, 5])
    layout = Layout(dtype="uint8", axes="THWC", low=0, high=255, frame_rate=10)
    tensor, _ = decode_video(content, layout, LIMITS)
    assert brightness(tensor)[:6] == [0, 1, 1, 1, 1, 2]


def turned(degrees: int) -> bytes:
    """Return a video that says how its camera was held (the matrix of its track header)."""
    content = video_file(ramps(2))
    cosine, sine_ = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [cosine, sine_, 0, -sine_, cosine, 0, 0, 0, 0x4000]
    plain = [1, 0, 0, 0, 1, 0, 0, 0, 0x4000]

    def written(entries: list[int]) -> bytes:
        return b"".join((entry << 16).to_bytes(4, "big", signed=True) for entry in entries)

    header = content.index(b"tkhd")
    place = content.index(written(plain), header)
    return content[:place] + written(matrix) + content[place + 36 :]


@pytest.mark.parametrize(("degrees", "turns"), [(90, 3), (180, 2), (270, 1)])
def test_video_is_turned_as_the_camera_was_held(degrees, turns):
    straight, _ = decode_video(video_file(ramps(2)), BYTES, LIMITS)
    tensor, _ = decode_video(turned(degrees), BYTES, LIMITS)
    assert np.array_equal(tensor, np.rot90(straight, turns, axes=(1, 2)))


# Wrong input


def test_mp4_without_a_video_stream_says_what_it_holds():
    content = video_file(None, sound=sine(440, 0.2))
    with pytest.raises(MediaFault, match=r"has no pictures: in it is audio \(aac\) only"):
        decode_video(content, VIDEO, LIMITS)


def test_sound_is_no_video():
    with pytest.raises(MediaFault, match="has no pictures"):
        decode_video(wave_file(np.zeros(10, int), 8_000), VIDEO, LIMITS)


def test_text_is_no_video():
    with pytest.raises(MediaFault, match="is text, not an MP4"):
        decode_video(b"It was a dark and stormy night", VIDEO, LIMITS)


@pytest.mark.parametrize("encoding", ["mp4", "matroska"])
def test_truncated_video_is_refused(encoding):
    content = encode_video(ramps(), 25, BYTES, encoding)
    with pytest.raises(MediaFault, match=r"again|without any frame"):
        decode_video(content[: len(content) // 3], VIDEO, LIMITS)


def test_mp4_whose_frames_are_cut_off_behind_its_index_is_refused():
    content = encode_video(ramps(), 25, BYTES, "mp4")
    index = content.index(b"moov") - 4
    moved, media = content[index:], content[:index]
    # An index that stands first, and tells of places further back by its own length.
    offsets = moved.index(b"stco") + 12
    place = int.from_bytes(moved[offsets : offsets + 4], "big") + len(moved)
    fast = moved[:offsets] + place.to_bytes(4, "big") + moved[offsets + 4 :]
    head = content.index(b"free") - 4 if b"free" in media else content.index(b"mdat") - 4
    whole = media[:head] + fast + media[head:]
    assert len(decode_video(whole, BYTES, LIMITS)[0]) == 10
    with pytest.raises(MediaFault, match="is cut off: its index tells of"):
        decode_video(whole[:-100], BYTES, LIMITS)


def test_limits_hold_before_frames_are_decoded():
    content = video_file(ramps(50))
    with pytest.raises(MediaFault, match=r"lasts 2\.0 s; 1 s are allowed"):
        decode_video(content, VIDEO, MediaLimits(seconds=1))
    with pytest.raises(MediaFault, match="48 by 32 pixels"):
        decode_video(content, VIDEO, MediaLimits(pixels=1_000))
    with pytest.raises(MediaFault, match="MiB are allowed"):
        decode_video(content, VIDEO, MediaLimits(decoded_bytes=500_000))


def test_limits_hold_where_the_header_says_nothing():
    target = io.BytesIO()
    with av.open(target, "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for pixels in ramps(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    content = target.getvalue()
    assert len(decode_video(content, VIDEO, LIMITS)[0]) == 50
    with pytest.raises(MediaFault, match=r"lasts 1\.\d s; 1 s are allowed"):
        decode_video(content, VIDEO, MediaLimits(seconds=1))
    with pytest.raises(MediaFault, match="MiB are allowed"):
        decode_video(content, VIDEO, MediaLimits(decoded_bytes=500_000))


def test_video_that_changes_its_size_is_refused():
    small, large = (
        encode_video(ramps(2, *size), 25, BYTES, "ogg") for size in ((16, 16), (32, 32))
    )
    content = rewritten(small, large)
    with pytest.raises(MediaFault, match="changes its size midway"):
        decode_video(content, VIDEO, LIMITS)
    layout = Layout(axes="TCHW", height=8, width=8, resize="stretch")
    assert len(decode_video(content, layout, LIMITS)[0]) == 4


def rewritten(*contents: bytes) -> bytes:
    """Put the packets of several videos into one stream."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as written:
        stream, time = None, 0
        for content in contents:
            with av.open(io.BytesIO(content)) as read:
                source = read.streams.video[0]
                stream = stream or written.add_stream_from_template(source)
                for packet in read.demux(source):
                    if packet.size:
                        packet.stream, packet.pts, packet.dts = stream, time, time
                        written.mux(packet)
                        time += 1
    return target.getvalue()


@pytest.mark.parametrize(
    ("tensor", "rate", "message"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), 25, "is empty"),
        (np.zeros((2, 8, 8, 3), np.float32), 25, "gave float32"),
        (np.zeros((2, 8, 8, 4), np.uint8), 25, r"gave \[2,8,8,4\]"),
        (np.zeros((2, 8, 8, 3), np.uint8), 0, "0 frames per second"),
        (np.zeros((2, 8, 8, 3), np.uint8), 5_000, "5000 frames per second"),
    ],
)
def test_output_that_is_no_video_is_refused(tensor, rate, message):
    with pytest.raises(MediaFault, match=message):
        encode_video(tensor, rate, BYTES, "webm")


def test_video_too_wide_for_its_codec_is_refused():
    with pytest.raises(MediaFault, match="can't be written as mp4"):
        encode_video(np.zeros((2, 2, 40_000, 3), np.uint8), 25, BYTES, "mp4")
