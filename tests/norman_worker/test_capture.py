from __future__ import annotations

import logging
import os
import sys
import threading

import pytest

from norman_worker.capture import Capture


@pytest.fixture
def log(tmp_path):
    """A descriptor of a file, and how to read the file."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield fd, path.read_text
    os.close(fd)


def test_text_of_a_call_is_kept_and_written_to_the_log(log):
    fd, read_log = log
    capture = Capture()
    stream = capture.open_stream(fd)
    print("before", file=stream)
    capture.begin()
    print("during", 3, "ünï", file=stream)
    print("unfinished", end="", file=stream)
    assert capture.end() == "during 3 ünï\nunfinished"
    print(" after", file=stream)
    assert read_log() == "before\nduring 3 ünï\nunfinished after\n"


def test_lines_are_written_at_once_and_pieces_of_lines_are_gathered(log):
    fd, read_log = log
    stream = Capture().open_stream(fd)
    stream.write("half")
    assert read_log() == ""
    stream.write(" line\n")
    assert read_log() == "half line\n"


def test_unfinished_line_from_before_a_call_is_not_part_of_it(log):
    fd, _ = log
    capture = Capture()
    stream = capture.open_stream(fd)
    stream.write("before ")
    capture.begin()
    stream.write("during")
    assert capture.end() == "during"


def test_each_call_begins_empty(log):
    capture = Capture()
    stream = capture.open_stream(log[0])
    capture.begin()
    print("one", file=stream)
    assert capture.end() == "one\n"
    capture.begin()
    assert capture.end() == ""


def test_kept_text_is_bounded_and_says_so_while_the_log_has_all(log):
    fd, read_log = log
    capture = Capture(limit_bytes=10)
    stream = capture.open_stream(fd)
    capture.begin()
    print("0123456789abcdef", file=stream)
    print("more", file=stream)
    text = capture.end()
    assert text.startswith("0123456789\n[12 more bytes are left out here")
    assert read_log() == "0123456789abcdef\nmore\n"


def test_cut_does_not_split_a_character(log):
    capture = Capture(limit_bytes=2)
    stream = capture.open_stream(log[0])
    capture.begin()
    print("a€", file=stream)
    assert capture.end().startswith("a\n[")


def test_bytes_and_odd_characters_are_kept_readable(log):
    capture = Capture()
    stream = capture.open_stream(log[0])
    capture.begin()
    stream.buffer.write(b"raw \xff\n")
    print("lone \ud800", file=stream)
    assert capture.end() == "raw \ufffd\nlone \\ud800\n"


def test_log_that_cannot_be_written_is_said_and_fails_no_print(tmp_path):
    (tmp_path / "file").touch()
    read_only = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        capture = Capture()
        stream = capture.open_stream(read_only)
        capture.begin()
        print("kept", file=stream)
        assert capture.end() == (
            "kept\n\n[the version's log could not be written: Bad file descriptor]\n"
        )
    finally:
        os.close(read_only)


def test_stream_that_the_model_closed_is_left_alone(log):
    capture = Capture()
    stream = capture.open_stream(log[0])
    capture.begin()
    print("last", file=stream)
    stream.close()
    assert capture.end() == "last\n"
    os.fstat(log[0])  # the descriptor itself stays open


def test_many_threads_lose_nothing(log):
    capture = Capture(limit_bytes=1 << 20)
    stream = capture.open_stream(log[0])
    capture.begin()
    threads = [
        threading.Thread(target=lambda: [stream.buffer.write(b"x\n") for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capture.end() == "x\n" * 2_000


def test_installation_is_undone(tmp_path):
    before = sys.stdout, sys.stderr, logging.lastResort, logging.root.level
    with Capture.installed():
        assert sys.stdout is not before[0]
        assert logging.root.level == logging.INFO
    assert (sys.stdout, sys.stderr, logging.lastResort, logging.root.level) == before


def test_prints_and_logging_of_a_call_come_with_its_answer(serve):
    worker = serve("""
import logging, sys, warnings
print("at import")
log = logging.getLogger("my.model")
def predict(n: int) -> int:
    print("printed", n)
    print("to stderr", file=sys.stderr)
    log.info("informed")
    log.debug("not this")
    warnings.warn("beware")
    return n
""")
    answer = worker.predict(n=1)
    assert answer.logs.startswith("printed 1\nto stderr\nINFO my.model: informed\n")
    assert "UserWarning: beware" in answer.logs
    assert "not this" not in answer.logs
    assert worker.predict(n=2).logs.startswith("printed 2\nto stderr\nINFO my.model: informed\n")
    assert worker.log.startswith("at import\nprinted 1\nto stderr\nINFO my.model: informed\n")


def test_models_own_logging_configuration_counts(serve):
    worker = serve("""
import logging
logging.basicConfig(level=logging.DEBUG, format="<%(message)s>")
def predict() -> None:
    logging.debug("detail")
""")
    assert worker.predict().logs == "<detail>\n"


def test_thread_of_the_model_writes_into_the_call_that_runs(serve):
    worker = serve("""
import threading
start, done = threading.Event(), threading.Event()
def talk():
    start.wait()
    print("from the thread")
    done.set()
threading.Thread(target=talk, daemon=True).start()
def predict() -> None:
    start.set()
    done.wait()
""")
    assert worker.predict().logs == "from the thread\n"


def test_what_programs_and_native_code_write_is_in_the_log(serve):
    worker = serve("""
import os, subprocess, sys
def predict() -> None:
    subprocess.run([sys.executable, "-c", "print('from a program')"], check=True)
    os.write(1, b"from native code\\n")
""")
    assert worker.predict().logs == ""
    assert worker.log == "from a program\nfrom native code\n"


def test_limit_of_the_load_message_counts(worker, write_model):
    worker.load(write_model("def predict() -> None:\n    print('x' * 100)\n"), log_limit_bytes=7)
    assert worker.predict().logs.startswith("xxxxxxx\n[94 more bytes")


def test_standard_streams_stay_usable_by_programs(serve):
    worker = serve("""
import subprocess, sys
def predict() -> None:
    subprocess.run([sys.executable, "-c", "print('same file')"], stdout=sys.stdout, check=True)
""")
    worker.predict()
    assert worker.log == "same file\n"
