"""Entry point of a worker: ``interpreter worker.pyz --socket-fd N``."""

from __future__ import annotations

import argparse
import faulthandler
import os
import socket
import sys

from norman_protocol.channel import Channel
from norman_protocol.processes import end_with_parent
from norman_worker.capture import Capture
from norman_worker.session import Session

__all__ = ["main"]


def main() -> int:
    """Serve the version that the executor names until its end of the socket closes.

    Returns
    -------
    int
        The exit status: 0 when the executor let go of this worker.
    """
    parser = argparse.ArgumentParser(prog="norman-worker", description="Serves one model version.")
    parser.add_argument(
        "--socket-fd", type=int, required=True, metavar="N", help="inherited end of a socket pair"
    )
    arguments = parser.parse_args()
    # Nothing may be written into the version's tree, which is named by its content.
    sys.dont_write_bytecode = True
    faulthandler.enable(sys.__stderr__ if sys.__stderr__ is not None else 2)
    end_with_parent("norman-worker")
    with socket.socket(fileno=arguments.socket_fd) as connection:
        # Programs that the model starts must not hold the executor's end open.
        connection.set_inheritable(False)
        channel = Channel(connection)
        if channel.peer_gone():
            return 0  # the executor died before this process could ask to die with it
        # A child that the model forks must never answer in its parent's place.
        os.register_at_fork(after_in_child=channel.close)
        with Capture.installed() as capture:
            Session(channel, capture).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
