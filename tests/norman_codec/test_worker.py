"""The codec's process, over a socket pair as the executor speaks with it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from media_files import image_file, png_chunks, png_header, wave_file
from storing import wait_until

from norman_protocol.arrays import value_to_array
from norman_protocol.frames import FrameDecoder
from norman_protocol.media import Layout, MediaLimits, Modality, default_layout
from norman_protocol.messages import (
    Decode,
    Decoded,
    Encode,
    Encoded,
    Failure,
    Message,
    Predict,
    decode_message,
    encode_message,
)
from norman_protocol.signature import Parameter
from norman_protocol.values import Value

HANG_GUARD_S = 60.0
PHOTO = Parameter(name="Photo", modality=Modality.IMAGE, layout=Layout(), parameter="x")


class Codec:
    """Speaks with a codec process, and keeps what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self.connection, inherited = socket.socketpair()
        self.connection.settimeout(HANG_GUARD_S)
        self._decoder = FrameDecoder()
        self._frames: list[Any] = []
        with inherited, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "norman_codec", "--socket-fd", str(inherited.fileno())],
                pass_fds=[inherited.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def send(self, message: Message) -> None:
        self.connection.sendall(b"".join(encode_message(message)))

    def receive(self) -> Message | None:
        while not self._frames:
            data = self.connection.recv(1 << 20)
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return decode_message(self._frames.pop(0))

    def ask(self, message: Message) -> Any:
        self.send(message)
        return self.receive()

    def decode(self, content: bytes, limits: MediaLimits | None = None) -> Any:
        values = {"Photo": Value(kind="bytes", file_name="a.png", buffer=content)}
        return self.ask(
            Decode(id="1", parameters=(PHOTO,), limits=limits or MediaLimits(), values=values)
        )

    def close(self) -> None:
        self.connection.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(HANG_GUARD_S)


@pytest.fixture
def codec(tmp_path: Path) -> Iterator[Codec]:
    worker = Codec(tmp_path)
    with contextlib.closing(worker):
        yield worker


def test_files_are_decoded_and_encoded(codec):
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    decoded = codec.decode(image_file(pixels))
    assert isinstance(decoded, Decoded)
    assert decoded.id == "1"
    tensor = value_to_array(decoded.values["x"])
    assert np.array_equal(np.rint(tensor[0] * 255), pixels.transpose(2, 0, 1))

    encoded = codec.ask(Encode(id="2", parameters=(PHOTO,), values=decoded.values))
    assert isinstance(encoded, Encoded)
    assert (encoded.id, encoded.values["Photo"].encoding) == ("2", "png")
    again = codec.decode(bytes(encoded.values["Photo"].buffer))
    assert np.array_equal(value_to_array(again.values["x"]), tensor)


def test_calls_that_wait_are_answered_in_their_order(codec):
    for number in range(20):
        value = Value(kind="bytes", buffer=image_file(np.full((4, 4), number, np.uint8)))
        codec.send(Decode(id=str(number), parameters=(PHOTO,), values={"Photo": value}))
    for number in range(20):
        answer = codec.receive()
        assert answer.id == str(number)
        assert value_to_array(answer.values["x"]).max() == pytest.approx(number / 255)


def test_refused_file_leaves_the_worker_in_service(codec):
    failure = codec.decode(b"Dear Sir or Madam")
    assert isinstance(failure, Failure)
    assert (failure.code, failure.details["input"]) == ("input_invalid", "Photo")
    assert failure.message.startswith("Input 'Photo': 'a.png' is text")
    big = codec.decode(png_chunks(png_header(10_000, 10_000), (b"IDAT", b"x")))
    assert "100 million; 64 million are allowed" in big.message
    assert isinstance(codec.decode(image_file(np.zeros((1, 1), np.uint8))), Decoded)
    assert codec.log == ""


def test_odd_metadata_writes_nothing_into_the_log(codec):
    broken = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff\xff\xff\xff"
    content = image_file(np.zeros((4, 6), np.uint8), "JPEG", exif=broken)
    answer = codec.decode(content)
    assert isinstance(answer, Decoded)
    assert answer.values["x"].shape == (1, 3, 4, 6)
    assert codec.log == ""


def test_output_that_is_no_image_is_a_failure(codec):
    value = Value(kind="tensor", dtype="uint8", shape=(1,), buffer=b"x")
    failure = codec.ask(Encode(id="9", parameters=(PHOTO,), values={"x": value}))
    assert (failure.id, failure.code) == ("9", "output_invalid")
    assert failure.details["output"] == "Photo"


def test_limits_of_a_call_are_its_own(codec):
    content = image_file(np.zeros((10, 10), np.uint8))
    assert isinstance(codec.decode(content, MediaLimits(pixels=99)), Failure)
    assert isinstance(codec.decode(content, MediaLimits(pixels=100)), Decoded)


def test_idle_worker_holds_nobodys_image(codec):
    small = image_file(np.zeros((1, 1), np.uint8))
    process = psutil.Process(codec.process.pid)
    assert isinstance(codec.decode(small), Decoded)
    before = process.memory_info().rss
    shape = (1, 3, 4_000, 5_000)
    size_bytes = 240_000_000
    tensor = Value(kind="tensor", dtype="float32", shape=shape, buffer=bytes(size_bytes))
    answer = codec.ask(Encode(id="2", parameters=(PHOTO,), values={"x": tensor}))
    assert isinstance(answer, Encoded)
    wait_until(lambda: process.memory_info().rss - before < size_bytes / 2)


def test_sound_is_decoded_with_its_rate(codec):
    layout = default_layout(Modality.AUDIO)
    sound = Parameter(name="s", modality=Modality.AUDIO, layout=layout, rate_parameter="r")
    value = Value(kind="bytes", buffer=wave_file(np.array([1, 2]), 8_000))
    answer = codec.ask(Decode(id="1", parameters=(sound,), values={"s": value}))
    assert bytes(answer.values["r"].buffer) == b"8000"


def test_codec_ends_when_its_executor_lets_go(codec):
    codec.connection.close()
    assert codec.process.wait(HANG_GUARD_S) == 0


def test_message_of_another_channel_ends_it_with_the_reason_in_its_log(codec):
    assert codec.ask(Predict(id="1")) is None
    assert codec.process.wait(HANG_GUARD_S) == 1
    assert "A codec worker takes no predict message." in codec.log


PARENT = """
import socket, subprocess, sys
ours, theirs = socket.socketpair()
child = subprocess.Popen(
    [sys.executable, "-m", "norman_codec", "--socket-fd", str(theirs.fileno())],
    pass_fds=[theirs.fileno()], start_new_session=True,
)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_killed_executor_takes_the_codec_along():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(HANG_GUARD_S)
    assert not child.is_running()


BOUNDED = """
import numpy as np
from norman_codec.memory import bounded
from norman_protocol.media import MediaLimits

with bounded(MediaLimits(decoded_bytes=1 << 20)):
    np.empty(1 << 30, np.uint8)
    try:
        np.empty(5 << 30, np.uint8)
    except MemoryError:
        print("refused")
np.empty(5 << 30, np.uint8)
print("free again")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS doesn't hold this limit")
def test_memory_is_bounded_while_a_call_runs():
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOUNDED)],
        capture_output=True,
        text=True,
        timeout=HANG_GUARD_S,
        check=True,
    )
    assert finished.stdout.split("\n") == ["refused", "free again", ""]
