from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.pin import render_constraints

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def test_builds_of_one_machine_lose_their_suffix():
    assert "torch==2.13.0\n" in render_constraints("torch==2.13.0+cpu\n")


@pytest.mark.parametrize(
    "line", ["-e /home/ada/norman", "norman @ file:///home/ada/norman", "six>=1"]
)
def test_what_is_no_plain_pin_is_refused(line):
    with pytest.raises(ValueError, match="no plain pin"):
        render_constraints(line)


def test_the_constraints_are_what_would_be_written_again():
    text = _CONSTRAINTS.read_text(encoding="utf-8")
    pins = "".join(f"{line}\n" for line in text.splitlines() if "==" in line)
    assert render_constraints(pins) == text
    assert not re.search(r"/|\+|@", re.sub(r"#.*", "", text))


def test_no_cuda_build_can_come():
    assert "\ncuda-toolkit<0\n" in _CONSTRAINTS.read_text(encoding="utf-8")
