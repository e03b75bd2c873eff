"""An executor that misbehaves on demand, speaking the real protocol: ``fake_executor.py MODE``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Configure,
    Configured,
    Done,
    ReplicaChanged,
    decode_message,
    encode_message,
)


def main() -> None:
    mode, descriptor = sys.argv[1], int(sys.argv[sys.argv.index("--control-fd") + 1])
    if mode == "exits":
        sys.exit(3)
    control = socket.socket(fileno=descriptor)
    decoder = FrameDecoder()
    listener = None
    while data := control.recv(1 << 16):
        for frame in decoder.feed(data):
            message = decode_message(frame)
            answer = Done(id=message.id)
            if isinstance(message, Configure):
                if mode == "garbage":
                    control.sendall(b"this is no frame at all, by any means")
                    continue
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(message.socket_path)
                listener.listen()
                answer = Configured(id=message.id, executor_id=f"fake{os.getpid()}")
                if mode == "leaves-worker":
                    control.sendall(b"".join(encode_message(_worker(Path(message.run_folder)))))
            control.sendall(b"".join(encode_message(answer)))
    if mode == "lingers":
        import signal

        signal.pause()


def _worker(folder: Path) -> ReplicaChanged:
    import psutil

    worker = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True
    )
    (folder / "worker.pid").write_text(str(worker.pid))
    started_at = psutil.Process(worker.pid).create_time()
    return ReplicaChanged(version_id="v", pid=worker.pid, started_at=started_at, alive=True)


if __name__ == "__main__":
    main()
