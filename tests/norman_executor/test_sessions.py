"""Who is let in, and with which version of the protocol."""

from __future__ import annotations

import socket

import pytest

from norman_executor.sessions import negotiate
from norman_protocol.errors import Forbidden, ProtocolViolation
from norman_protocol.peers import check_peer, check_uid


@pytest.mark.parametrize(("oldest", "newest", "chosen"), [(1, 1, 1), (1, 9, 1), (0, 1, 1)])
def test_newest_common_version_is_chosen(oldest, newest, chosen):
    assert negotiate(oldest, newest) == chosen


@pytest.mark.parametrize(("oldest", "newest"), [(2, 9), (0, 0), (5, 1), (-3, -1)])
def test_no_common_version_is_refused(oldest, newest):
    with pytest.raises(ProtocolViolation):
        negotiate(oldest, newest)


@pytest.mark.parametrize("peer", [1000, 0])
def test_the_same_user_and_root_are_let_in(peer):
    check_uid(peer, 1000)


@pytest.mark.parametrize("peer", [1001, 65534, -1])
def test_other_users_are_refused(peer):
    with pytest.raises(Forbidden, match="another user"):
        check_uid(peer, 1000)


def test_the_kernel_tells_who_is_at_the_other_end():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        check_peer(ours)
