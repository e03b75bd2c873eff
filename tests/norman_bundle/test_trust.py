"""The gate before the loaders."""

from __future__ import annotations

import pytest

from norman_bundle.formats import Format
from norman_bundle.trust import require_trust
from norman_protocol.errors import TrustRequired

PYTHON = Format(runtime="python", entry="model.py", runs_code=True)
ONNX = Format(runtime="onnx", entry="model.onnx", runs_code=False)


def test_code_without_trust_is_refused_and_the_message_says_how_to_allow_it() -> None:
    with pytest.raises(TrustRequired) as caught:
        require_trust(PYTHON, trusted=False, path="./answers")
    assert caught.value.details == {"path": "./answers", "runtime": "python"}
    for word in ("./answers", "model.py", "--trust", "trust=True"):
        assert word in caught.value.message


@pytest.mark.parametrize(("format_", "trusted"), [(PYTHON, True), (ONNX, True), (ONNX, False)])
def test_everything_else_passes(format_: Format, trusted: bool) -> None:
    require_trust(format_, trusted=trusted, path="x")
