"""Entry point of a codec worker: ``python -m norman_codec --socket-fd N``."""

from __future__ import annotations

import argparse
import faulthandler
import socket
import sys
import warnings

from norman_codec.session import serve
from norman_protocol.channel import Channel
from norman_protocol.processes import end_with_parent

__all__ = ["main"]


def main() -> int:
    """Decode and encode until the executor's end of the socket closes.

    Returns
    -------
    int
        The exit status: 0 when the executor let go of this worker.
    """
    parser = argparse.ArgumentParser(
        prog="norman-codec", description="Decodes and encodes images, sound, video and text."
    )
    parser.add_argument(
        "--socket-fd", type=int, required=True, metavar="N", help="inherited end of a socket pair"
    )
    arguments = parser.parse_args()
    # Of odd metadata Pillow warns; none of it is used, and no file may write into the log.
    warnings.simplefilter("ignore")
    faulthandler.enable(sys.__stderr__ if sys.__stderr__ is not None else 2)
    end_with_parent("norman-codec")
    with socket.socket(fileno=arguments.socket_fd) as connection:
        connection.set_inheritable(False)
        channel = Channel(connection)
        if not channel.peer_gone():  # else the executor died before this process could ask to
            serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
