"""Protocol versions, negotiated."""

from __future__ import annotations

import pytest

from norman_executor.sessions import negotiate
from norman_protocol.errors import ProtocolViolation


@pytest.mark.parametrize(("oldest", "newest", "chosen"), [(1, 1, 1), (1, 9, 1), (0, 1, 1)])
def test_newest_common_version_is_chosen(oldest, newest, chosen):
    assert negotiate(oldest, newest) == chosen


@pytest.mark.parametrize(("oldest", "newest"), [(2, 9), (0, 0), (5, 1), (-3, -1)])
def test_no_common_version_is_refused(oldest, newest):
    with pytest.raises(ProtocolViolation):
        negotiate(oldest, newest)
