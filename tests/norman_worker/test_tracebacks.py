from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

from norman_worker.tracebacks import hide_paths, report_exception, shorten


@pytest.fixture
def run(tmp_path):
    """Write a module, call its function ``go``, and report what it raised."""

    def call(source: str):
        path = tmp_path / "model.py"
        path.write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location("model_of_a_test", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            module.go()
        except BaseException as error:
            report = report_exception(error, tmp_path)
            assert str(tmp_path) not in report.exception + report.traceback
            return report
        raise AssertionError("nothing was raised")

    return call


def test_traceback_begins_in_the_model_with_its_source(run):
    report = run("""
        def inner(n):
            return 1 / n
        def go():
            inner(0)
    """)
    assert report.exception == report.headline == "ZeroDivisionError: division by zero"
    assert report.in_model
    lines = report.traceback.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "model.py", line 5, in go',
        "    inner(0)",
    ]
    assert "    return 1 / n" in lines
    assert "test_tracebacks" not in report.traceback


def test_frames_below_the_model_are_named_in_their_package(run):
    report = run("""
        import json
        def go():
            json.loads("{")
    """)
    assert 'File "model.py", line 4, in go' in report.traceback
    assert 'File "json/decoder.py"' in report.traceback
    assert sys.base_prefix not in report.traceback


def test_causes_and_contexts_are_kept_and_begin_in_the_model_too(run):
    report = run("""
        def go():
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("no such key") from error
    """)
    assert "KeyError: 'key'" in report.traceback
    assert "direct cause" in report.traceback
    assert report.exception == "ValueError: no such key"
    assert "test_tracebacks" not in report.traceback


def test_groups_keep_their_members(run):
    report = run("""
        def go():
            raise ExceptionGroup("two", [ValueError("one"), TypeError("other")])
    """)
    assert "ValueError: one" in report.traceback
    assert "TypeError: other" in report.traceback


def test_syntax_error_points_into_the_file(run):
    report = run("def go(:\n    pass\n")
    assert report.exception == "SyntaxError: invalid syntax (model.py, line 1)"
    assert 'File "model.py", line 1' in report.traceback
    assert "def go(:" in report.traceback


def test_messages_lose_the_hosts_paths(run):
    report = run("""
        import pathlib
        def go():
            (pathlib.Path(__file__).parent / "weights.bin").read_bytes()
    """)
    assert report.exception.endswith("No such file or directory: 'weights.bin'")


def test_exception_whose_text_fails_is_still_reported(run):
    report = run("""
        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no text")
        def go():
            raise Odd
    """)
    assert report.exception == "model_of_a_test.Odd: <exception str() failed>"


def test_notes_are_kept(run):
    report = run("""
        def go():
            error = ValueError("bad")
            error.add_note("look at row 7")
            raise error
    """)
    assert "look at row 7" in report.traceback
    assert report.headline == "ValueError: bad"


def test_exception_from_elsewhere_is_not_the_models(tmp_path):
    try:
        raise OSError("elsewhere")
    except OSError as error:
        report = report_exception(error, tmp_path)
    assert not report.in_model
    assert report.exception == "OSError: elsewhere"


def test_recursion_is_folded(run):
    report = run("def go():\n    go()\n")
    assert "more times]" in report.traceback
    assert len(report.traceback) < 2_000


def test_headline_is_one_short_line(run):
    report = run("def go():\n    raise ValueError('a' * 500 + '\\n' + 'b' * 5)\n")
    assert "\n" not in report.headline
    assert len(report.headline) == 300
    assert report.headline.endswith("a…")


def test_paths_are_hidden_as_whole_words_only(tmp_path):
    folder = tmp_path / "v"
    text = f"{folder}/a.py and {folder} and {folder}else/b.py and x{folder}/c.py"
    hidden = hide_paths(text, folder)
    assert hidden.startswith("a.py and . and ")
    assert "else/b.py" in hidden
    assert hidden.endswith(f"x{folder}/c.py")
    assert hide_paths(f"{Path.cwd()}/x", folder) == "x"


def test_long_text_loses_its_middle():
    assert shorten("a" * 50 + "b" * 50, 10) == "aaaaa\n[… 90 characters are left out here …]\nbbbbb"


def test_text_that_utf8_cannot_say_is_escaped():
    assert shorten("lone \ud800", 100) == "lone \\ud800"
