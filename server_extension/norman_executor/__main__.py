"""Entry point of the executor process: builds everything, once, and runs until the server ends."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
from pathlib import Path

from norman_executor.archive import build_archive
from norman_executor.control import ControlChannel
from norman_executor.journal import Journal
from norman_executor.processes import sweep_run_folder
from norman_executor.service import ExecutorService
from norman_protocol.identifiers import new_id
from norman_protocol.messages import Configured

__all__ = ["main"]

_log = logging.getLogger("norman_executor")


async def _run(control_socket: socket.socket) -> None:
    async with asyncio.TaskGroup() as tasks:
        control = ControlChannel(control_socket, spawn=tasks.create_task)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, control.ended.set)
        control.start()
        ended = tasks.create_task(control.ended.wait())
        await asyncio.wait((control.configured, ended), return_when=asyncio.FIRST_COMPLETED)
        if not control.configured.done():
            return
        configuration = control.configured.result()
        executor_id = new_id()
        run_folder = Path(configuration.run_folder)
        await asyncio.to_thread(sweep_run_folder, run_folder)
        archive = await asyncio.to_thread(build_archive, run_folder)
        with Journal(Path(configuration.journal_folder), executor_id) as journal:
            service = ExecutorService(
                configuration,
                executor_id=executor_id,
                archive=archive,
                journal=journal,
                spawn=tasks.create_task,
                announce=control.announce,
            )
            service.listen()
            control.serve(service)
            control.send(Configured(id=configuration.id, executor_id=executor_id))
            _log.info("executor %s listens", executor_id)
            _spare_collections()
            await ended
            await service.close()
        control.close()
    _log.info("executor %s ended", executor_id)


def _spare_collections() -> None:
    """Collect garbage rarely: what a call makes is freed by its reference counts.

    A collection looks at everything that is alive, which costs more than all the calls between
    two of them at Python's own thresholds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _loop_factory() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def main() -> int:
    """Run the executor; the exit status is 0 after an orderly end."""
    parser = argparse.ArgumentParser(prog="norman_executor", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True, help="inherited socket")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    control_socket = socket.socket(fileno=arguments.control_fd)
    # Inherited as a descriptor that workers must not get.
    control_socket.set_inheritable(False)
    with asyncio.Runner(loop_factory=_loop_factory) as runner:
        runner.run(_run(control_socket))
    return 0


if __name__ == "__main__":
    sys.exit(main())
