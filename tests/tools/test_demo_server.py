"""The options of the demo's server: the user's own come first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.demo.home import DemoHome
from tools.demo.server import jupyter_options


@pytest.mark.parametrize(
    ("given", "dropped"),
    [
        (["--ip=0.0.0.0"], "--ServerApp.ip="),
        (["--ip", "0.0.0.0"], "--ServerApp.ip="),
        (["--ServerApp.ip=0.0.0.0"], "--ServerApp.ip="),
        (["--port=9000", "--notebook-dir=/elsewhere"], "--ServerApp.root_dir="),
    ],
)
def test_what_the_user_gives_is_not_given_twice(
    tmp_path: Path, given: list[str], dropped: str
) -> None:
    home = DemoHome(root=tmp_path)
    own = jupyter_options(home)
    assert [option for option in own if option.startswith(dropped)]
    assert jupyter_options(home, given) == [
        option for option in own if not option.startswith(dropped)
    ]


def test_other_options_leave_the_own_ones(tmp_path: Path) -> None:
    home = DemoHome(root=tmp_path)
    assert jupyter_options(home, ["--port=9000", "--no-browser"]) == jupyter_options(home)
