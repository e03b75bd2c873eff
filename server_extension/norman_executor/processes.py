"""Worker processes: how one is started, watched and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

__all__ = [
    "WorkerProcess",
    "describe_exit",
    "log_tail",
    "scrub_environment",
    "sweep_run_folder",
]

_SECRET_PREFIXES = ("NORMAN_", "JUPYTERHUB_", "JPY_", "JUPYTER_TOKEN", "JUPYTER_SERVER_")
_EXIT_GRACE_S = 5.0
_LOG_TAIL_BYTES = 8 * 1024


def scrub_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables that carry this server's tokens and addresses.

    Examples
    --------
    >>> scrub_environment({"PATH": "/bin", "NORMAN_TOKEN": "t", "JPY_API_TOKEN": "t"})
    {'PATH': '/bin'}
    """
    return {
        name: value for name, value in environment.items() if not name.startswith(_SECRET_PREFIXES)
    }


def describe_exit(status: int) -> str:
    """Say how a process ended, from its return code.

    Examples
    --------
    >>> describe_exit(-11), describe_exit(3)
    ('killed by signal 11 (SIGSEGV)', 'exited with status 3')
    """
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"killed by signal {-status}"


def log_tail(log: BinaryIO, start: int) -> str:
    """Return the end of a log, from byte ``start`` at the earliest; at most 8 KiB."""
    if log.closed:
        return ""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(start, size - _LOG_TAIL_BYTES))
    return log.read().decode("utf-8", "replace")


def sweep_run_folder(folder: Path) -> None:
    """Remove what executors that were killed left there; none may run on this folder now."""
    for scratch in folder.glob("replica-*"):
        shutil.rmtree(scratch, ignore_errors=True)
    for archive in folder.glob("worker-*.pyz"):
        archive.unlink(missing_ok=True)


class WorkerProcess:
    """One worker: a process in a session of its own, a socket to it, a scratch folder.

    Made by `start`; ended by `end`, which is safe to call again.
    """

    def __init__(self, process: asyncio.subprocess.Process, scratch: Path, log: BinaryIO) -> None:
        self._process = process
        self._scratch = scratch
        self._log = log
        self._log_mark = 0
        self.pid = process.pid
        self.started_at = _start_time(process.pid)

    @classmethod
    async def start(
        cls, *, command: Sequence[str], run_folder: Path, log_path: Path
    ) -> tuple[WorkerProcess, socket.socket]:
        """Start a worker and return it with our end of its socket.

        Parameters
        ----------
        command
            Program and arguments; ``--socket-fd N`` follows.

        Raises
        ------
        OSError
            The interpreter can't be started, or the log not be written.
        """
        scratch, log = await asyncio.to_thread(_prepare, run_folder, log_path)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    "--socket-fd",
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=scratch,
                    env=scrub_environment(os.environ),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            log.close()
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        worker = cls(process, scratch, log)
        worker.mark_log()
        return worker, ours

    async def wait(self) -> str:
        """Wait for the process to end and say how it did."""
        return describe_exit(await self._process.wait())

    async def end(self, *, gracefully: bool) -> str:
        """End the process and everything it started; say how it ended.

        A graceful end waits for a worker whose socket was closed before; then, or at once, its
        whole process group is killed.
        """
        if gracefully:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_GRACE_S):
                    await self._process.wait()
        self._kill_group()
        status = await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        return describe_exit(status)

    def close(self) -> None:
        """Let go of the log; `log_tail` is empty from then on."""
        self._log.close()

    def _kill_group(self) -> None:
        """Kill what lives in the group: what a model forked may outlive the worker itself."""
        if self._process.returncode is not None and psutil.pid_exists(self.pid):
            return  # reaped, and the number belongs to somebody else by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def log_tail(self) -> str:
        """Return the end of what this worker wrote to its log since its last mark."""
        return await asyncio.to_thread(log_tail, self._log, self._log_mark)

    def mark_log(self) -> None:
        """Let `log_tail` begin here: what was written before belongs to other calls."""
        self._log_mark = os.fstat(self._log.fileno()).st_size


def _start_time(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _prepare(run_folder: Path, log_path: Path) -> tuple[Path, BinaryIO]:
    """Open a worker's log and make its scratch folder."""
    log = log_path.open("a+b")
    try:
        return Path(tempfile.mkdtemp(prefix="replica-", dir=run_folder)), log
    except BaseException:
        log.close()
        raise
